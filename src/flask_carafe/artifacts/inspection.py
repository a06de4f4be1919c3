"""All that can be known of a model's files before any of them is loaded, and the refusals that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..errors import ArtifactRefused, LoadFailed
from .formats import Kind, sniff
from .intake import Stored, hash_file, opened, take_in, take_in_folder
from .kerasfile import KerasFacts, read_keras, refuse_keras
from .mlflow import MlflowFacts, is_mlflow, read_mlflow
from .names import LIBRARIES, Name
from .native import NATIVE_KINDS, read_native
from .objects import Estimator
from .pickles import PickleFacts, read_pickle
from .protobuf import OnnxFacts, read_onnx
from .skopsfile import SkopsFacts, read_skops
from .spec import ModelSpec, python_reference
from .torchzip import TorchFacts, read_torch
from .unpack import Truncated

TRUSTED_SOURCE = "Load only files whose maker you trust. Ask them for an ONNX or skops file, or train the model again."
SAVE_AGAIN = "Copy or save the file again."
OWN_MODULES = {  # what a host of the format imports itself
    "joblib": ("joblib",), "skops": ("skops.io",), "onnx": ("onnxruntime",),
    "lightgbm": ("lightgbm",), "xgboost": ("xgboost",), "catboost": ("catboost",),
    "torchscript": ("torch",), "torchexport": ("torch", "torch.export"), "torch": ("torch",),
    "keras": ("keras", "h5py"), "hdf5": ("keras", "h5py"),
}  # fmt: skip


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """One file, read and not loaded. ``name`` is what people call it; ``path`` is where the bytes lie."""

    name: str
    path: str
    format: Kind
    compression: str = ""
    size_bytes: int = 0
    sha256: str = ""
    pickle: PickleFacts | None = None
    skops: SkopsFacts | None = None
    onnx: OnnxFacts | None = None
    native: str = ""  # what a library's own file says that it holds
    torch: TorchFacts | None = None
    keras: KerasFacts | None = None
    mlflow: MlflowFacts | None = None  # of the folder that the file lies in

    @property
    def names(self) -> tuple[Name, ...]:
        facts = self.pickle or self.skops
        return facts.names if facts else ()

    @property
    def estimators(self) -> tuple[Estimator, ...]:
        facts = self.pickle or self.skops
        return facts.estimators if facts else ()

    @property
    def versions(self) -> dict[str, tuple[str, ...]]:
        """Versions of libraries that the file records: ``{"scikit-learn": ("1.2.2",)}``."""
        if self.torch and self.torch.version:
            return {"torch": (self.torch.version,)}
        if self.keras and self.keras.version:
            return {"keras": (self.keras.version,)}
        facts = self.pickle or self.skops
        return facts.versions if facts else {}

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules of well-known libraries that the file needs; a zygote may import them."""
        found = dict.fromkeys(name.module for name in self.names if name.module.split(".")[0] in LIBRARIES)
        own = OWN_MODULES.get(self.format, ())
        return (*own, *found)

    def named(self, *kinds: str) -> tuple[Name, ...]:
        return tuple(name for name in self.names if name.kind in kinds)

    @property
    def root(self) -> str:
        """What the file holds, in a few words."""
        if self.onnx:
            return f"a graph of {self.onnx.nodes:,} nodes"
        if self.keras:
            return self.keras.root
        facts = self.pickle or self.skops
        return facts.root if facts else self.native or self.path


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """A model's files and side files before loading: what the steward, ``check`` and ``predict`` start from."""

    files: tuple[Inspection, ...]
    code: Stored | None = None
    columns: Stored | None = None

    @property
    def modules(self) -> tuple[str, ...]:
        """What a zygote should have imported for these files."""
        return tuple(dict.fromkeys(module for file in self.files for module in file.modules))

    @property
    def estimators(self) -> tuple[Estimator, ...]:
        return tuple(estimator for file in self.files for estimator in file.estimators)

    @property
    def versions(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for file in self.files:
            for library, versions in file.versions.items():
                found.setdefault(library, {}).update(dict.fromkeys(versions))
        return {library: tuple(versions) for library, versions in found.items()}


def survey(spec: ModelSpec, home: str | Path | None = None) -> Survey:
    """Take the files of ``spec`` into ``home`` (None: leave them where they are) and read them without loading.

    It reads whole files: call it in a thread where a loop must go on.

    :raises ArtifactRefused: a file that must not be loaded, by :func:`refuse`; or one that is absent, or no model.
    """
    found = Survey(
        files=tuple(look(file, home) for file in spec.files),
        code=_stored(spec.code, home) if spec.code else None,
        columns=_stored(spec.columns, home) if spec.columns else None,
    )
    for file in found.files:
        refuse(file, has_code=code_given(spec, file))
    if found.columns:
        _refuse_columns(found.columns)
    return found


def code_given(spec: ModelSpec, file: Inspection) -> bool:
    """Whether the Python code of a file's own classes was given: by hand, or in the folder that it lies in."""
    return bool(spec.code or (file.mlflow and file.mlflow.code))


def _refuse_columns(columns: Stored) -> None:
    """A list of columns that is a pickle is looked at like any other; JSON needs no look."""
    with opened(columns.path) as file:
        if file.read(1).lstrip() in (b"[", b"{", b""):
            return
    refuse(inspect(columns))


def look(file: str, home: str | Path | None = None) -> Inspection:
    """One file of a spec (or its Python reference), read without loading; copied into ``home`` first if there is one.

    :raises ArtifactRefused: it is absent or no model; what :func:`refuse` refuses is only told.
    """
    reference = python_reference(file)
    if reference is None and is_mlflow(file):
        return _look_into(read_mlflow(file), home)
    if reference is None:
        sniff(file)  # a text or a folder is named before it is copied
        return inspect(_stored(file, home))
    if not reference[0].endswith(".py"):
        return Inspection(name=file, path=file, format="python")
    sha256 = hash_file(reference[0])
    return Inspection(
        name=f"{Path(reference[0]).name}:{reference[1]}", path=str(Path(reference[0]).absolute()) + f":{reference[1]}", format="python", sha256=sha256
    )


def _look_into(facts: MlflowFacts, home: str | Path | None) -> Inspection:
    """The model file of an MLflow folder; the modules that it needs are copied beside it."""
    code = take_in_folder(facts.code, home) if facts.code and home is not None else facts.code
    found = look(facts.file, home)
    return msgspec.structs.replace(found, name=facts.name, mlflow=msgspec.structs.replace(facts, code=code))


def _stored(path: str, home: str | Path | None) -> Stored:
    if home is not None:
        return take_in(path, home)
    size = Path(path).stat().st_size if Path(path).exists() else 0
    return Stored(path=str(Path(path).absolute()), name=Path(path).name, sha256=hash_file(path), size_bytes=size)


def inspect(stored: Stored) -> Inspection:
    """Read one file without loading it; a damaged pickle is told as far as it goes, see :attr:`PickleFacts.broken`.

    :raises UnknownFormat: nothing that a host loads.
    :raises LoadFailed: a file of ONNX, skops or a library of its own that is damaged.
    """
    sniffed = sniff(stored.path)
    facts = Inspection(
        name=stored.name, path=stored.path, format=sniffed.kind, compression=sniffed.compression, size_bytes=stored.size_bytes, sha256=stored.sha256
    )
    if sniffed.kind == "onnx":
        return msgspec.structs.replace(facts, onnx=_onnx(stored))
    if sniffed.kind == "skops":
        return msgspec.structs.replace(facts, skops=read_skops(stored.path))
    if sniffed.kind in NATIVE_KINDS:
        return msgspec.structs.replace(facts, native=read_native(stored.path, sniffed.kind, stored.name))
    if sniffed.kind in ("keras", "hdf5"):
        return msgspec.structs.replace(facts, keras=read_keras(stored.path, sniffed.kind))
    if sniffed.kind in ("torchscript", "torchexport", "torch"):
        pickle, torch = read_torch(stored.path, sniffed.kind)
        return msgspec.structs.replace(facts, pickle=pickle, torch=torch)
    pickle = read_pickle(stored.path, sniffed)
    is_joblib = pickle.is_joblib or (sniffed.compression and not pickle.broken)
    return msgspec.structs.replace(facts, pickle=pickle, format="joblib" if is_joblib else "pickle")


def _onnx(stored: Stored) -> OnnxFacts:
    try:
        with opened(stored.path) as file:
            return read_onnx(file)
    except Truncated as exc:
        raise LoadFailed(f"{stored.name} is damaged: {exc}.", SAVE_AGAIN) from exc


def refuse(file: Inspection, *, has_code: bool = False) -> None:
    """Raise if what was read is reason enough not to load the file; nothing that passes is thereby vouched for.

    :raises ArtifactRefused: it runs something while loading, or refers to other files.
    :raises LoadFailed: it is cut short or damaged, or needs names that nobody gave.
    """
    dangerous = file.named("dangerous")
    if dangerous:
        raise ArtifactRefused(f"{file.name} runs code while it is loaded: it asks for {listed(dangerous)}.", TRUSTED_SOURCE)
    if file.onnx and file.onnx.external:
        where = ", ".join(file.onnx.external[:3])
        raise ArtifactRefused(f"{file.name} keeps its weights in another file ({where}).", "Save it as one file: onnx.save(model, path).")
    if file.pickle:
        _refuse_pickle(file, file.pickle)
    if file.keras:
        refuse_keras(file.name, file.keras, has_code=has_code)
    if file.torch and file.format == "torch" and not has_code and (file.torch.needs_code or not file.torch.is_whole):
        _refuse_without_code(file)
    main = file.named("main")
    if main and not has_code:
        raise LoadFailed(f"{file.name} looks for {listed(main)} in __main__.", "Give the Python file that defines it with --code helpers.py.")


def _refuse_pickle(file: Inspection, facts: PickleFacts) -> None:
    if facts.oddities:
        raise ArtifactRefused(f"{file.name} {facts.oddities[0]}, which no ordinary save writes.", TRUSTED_SOURCE)
    if facts.too_much:
        raise ArtifactRefused(f"{file.name} cannot be looked at before loading: {facts.broken}.", "Save it as ONNX or skops.")
    if facts.side_files or file.compression == "zfile":
        beside = f" and keeps its arrays in files beside it ({', '.join(facts.side_files[:3])})" if facts.side_files else ""
        raise LoadFailed(f"{file.name} was saved by joblib before 0.10{beside}.", "Load it where it was made and save it again with a later joblib.")
    if facts.broken:
        raise LoadFailed(f"{file.name} is not whole: {facts.broken}.", SAVE_AGAIN)


def _refuse_without_code(file: Inspection) -> None:
    """``torch.save`` keeps no model that could be run without the Python code of its classes."""
    if file.torch and file.torch.is_whole:
        raise ArtifactRefused(
            f"{file.name} is {file.root}: it needs the Python code of its classes, and loading it runs what it says.",
            "Save it with torch.export.save(torch.export.export(model, (example,)), 'model.pt2'), or give the file of its classes: --code model.py.",
        )
    raise LoadFailed(
        f"{file.name} holds {file.root}, without the model itself.",
        "Give the Python file with its nn.Module class: --code model.py. Or save the model whole with torch.export.save.",
    )


def listed(names: Sequence[Name], most: int = 4) -> str:
    """Names in a sentence; no more than a few."""
    shown = [name.name if name.kind == "main" else str(name) for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
