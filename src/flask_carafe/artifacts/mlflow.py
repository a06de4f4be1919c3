"""The folder of an MLflow model, read without MLflow: which file in it is the model, and what its ``MLmodel`` says of it.

The model is then served by the runtime of that file, as if the file had been named itself. Nothing is written into the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import yaml

from ..errors import ArtifactRefused, LoadFailed, UnknownFormat
from .intake import opened

MOST_BYTES = 4 << 20
# flavour -> the key that names its file or folder; in the order in which one is chosen
FLAVORS = {
    "sklearn": "pickled_model", "xgboost": "data", "lightgbm": "data", "catboost": "data", "onnx": "data", "pytorch": "model_data", "keras": "data",
    "tensorflow": "data",
}  # fmt: skip
INSIDE = ("model.pt2", "model.pth", "model.keras", "model.h5", "model.onnx", "model.pkl")  # where a flavour names a folder
KINDS = {"integer": "integer", "long": "integer", "boolean": "boolean", "string": "text", "datetime": "datetime"}
PIN = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?\s*==\s*([\w.!+-]+)")
OWN_CLASS = "Serve its class by its own file, with load() and predict(rows): carafe serve mycode.py:MyModel"
EXPORT = "Save the model inside it in a flavour of its own, such as sklearn or onnx, or serve a Python class that loads it."
AGAIN = "Save the model again with mlflow, or name the model file in the folder."


class Declared(msgspec.Struct, frozen=True):
    """One input as the signature in ``MLmodel`` declares it; a tensor has a shape, with -1 for the number of rows."""

    name: str
    type: str
    required: bool = True
    shape: tuple[int, ...] = ()


class MlflowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``file`` and ``code`` are paths; ``code`` is the folder of modules that the model needs, or empty."""

    folder: str
    file: str
    flavor: str
    version: str = ""
    code: str = ""
    inputs: tuple[Declared, ...] = ()
    example: dict[str, Any] | list[Any] | None = None
    requirements: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The model file as people call it: with the folder's name before it."""
        return f"{Path(self.folder).name}/{Path(self.file).relative_to(self.folder)}"

    @property
    def told(self) -> str:
        """What the folder is, in a few words."""
        return f"the folder of an MLflow {self.version} model, flavour {self.flavor}".replace("  ", " ")


def is_mlflow(path: str | Path) -> bool:
    """Whether ``path`` is the folder of an MLflow model."""
    return (Path(path) / "MLmodel").is_file()


def read_mlflow(path: str | Path) -> MlflowFacts:
    """What the folder holds.

    :raises UnknownFormat: no flavour in it can be served without MLflow.
    :raises LoadFailed: ``MLmodel`` cannot be read, or names what is not there.
    :raises ArtifactRefused: it names something outside the folder.
    """
    folder = Path(path).absolute()
    told = _yaml(folder)
    flavors = told.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    flavor = next((name for name in FLAVORS if isinstance(flavors.get(name), dict)), None)
    python = flavors.get("python_function")
    python = python if isinstance(python, dict) else {}
    if flavor is None:
        raise _unserved(folder, flavors, python)
    key = flavors[flavor].get(FLAVORS[flavor]) or python.get("data") or python.get("model_path")
    code = flavors[flavor].get("code") or python.get("code")
    return MlflowFacts(
        folder=str(folder),
        file=str(_model_file(folder, key, flavor)),
        flavor=flavor,
        version=_word(told.get("mlflow_version")),
        code=str(_inside(folder, code)) if code else "",
        inputs=_declared(told.get("signature")),
        example=_example(folder, told.get("saved_input_example_info")),
        requirements=_requirements(folder),
    )


def _yaml(folder: Path) -> dict[str, Any]:
    try:
        told = yaml.safe_load(_text(folder / "MLmodel"))
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise LoadFailed(f"{folder.name}/MLmodel is no YAML that can be read.", AGAIN) from exc
    return told if isinstance(told, dict) else {}


def _word(value: Any) -> str:
    """``value`` if it is text; a few lines of YAML can stand for a list that fills the memory when it is written out."""
    return value if isinstance(value, str) else ""


def _text(path: Path) -> str:
    with opened(path) as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ArtifactRefused(f"{path.name} is larger than {MOST_BYTES >> 20} MiB.", AGAIN)
    return data.decode("utf-8")


def _unserved(folder: Path, flavors: Mapping[str, Any], python: Mapping[str, Any]) -> UnknownFormat:
    if "python_model" in python or python.get("loader_module") == "mlflow.pyfunc.model":
        return UnknownFormat(f"{folder} is a Python class of MLflow, which only MLflow can load.", OWN_CLASS)
    names = [str(name) for name in flavors if name != "python_function"] or [name for name in (_word(python.get("loader_module")),) if name]
    what = f"of the flavour {', '.join(names[:3])}, which is not served" if names else "without a flavour"
    return UnknownFormat(f"{folder} is the folder of an MLflow model {what}.", EXPORT)


def _inside(folder: Path, text: Any) -> Path:
    """A path that ``MLmodel`` names. :raises ArtifactRefused: it leads out of the folder. :raises LoadFailed: nothing is there."""
    path = _word(text)
    if not path or "\0" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ArtifactRefused(f"{folder.name}/MLmodel names {path!r}, which is no path inside its folder.", AGAIN)
    found = folder / path
    if not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(folder)):
        raise ArtifactRefused(f"{folder.name}/MLmodel names {path!r}, a link that leads out of its folder.", AGAIN)
    if not found.exists():
        raise LoadFailed(f"{folder.name}/MLmodel names {path}, which is not there.", "Copy the folder again, whole.")
    return found


def _model_file(folder: Path, text: Any, flavor: str) -> Path:
    found = _inside(folder, text or "data")
    if found.is_file():
        return found
    inner = next((name for name in INSIDE if (found / name).is_file()), None)
    if inner is None:
        saved_model = "a TensorFlow SavedModel" if flavor in ("tensorflow", "keras") else "none of them known here"
        raise UnknownFormat(f"{folder} keeps its {flavor} model as files in {text}: {saved_model}.", EXPORT)
    return _inside(folder, f"{found.relative_to(folder)}/{inner}")


def _declared(signature: Any) -> tuple[Declared, ...]:
    """The inputs of the signature; nothing where it is not in one of MLflow's two forms."""
    try:
        listed = msgspec.json.decode(signature["inputs"])
        return tuple(_one(entry) for entry in listed)
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError):
        return ()


def _one(entry: Mapping[str, Any]) -> Declared:
    name, kind = str(entry.get("name") or ""), str(entry["type"])
    if kind == "tensor":
        spec = entry["tensor-spec"]
        return Declared(name, str(spec["dtype"]), True, tuple(int(extent) for extent in spec["shape"]))
    return Declared(name, kind, entry.get("required") is not False)


def _example(folder: Path, info: Any) -> dict[str, Any] | list[Any] | None:
    """The first row of the example that was saved with the model, by name or by place; None where there is none that can be read."""
    try:
        told = msgspec.json.decode(_text(_inside(folder, info["artifact_path"])))
    except (TypeError, KeyError, ValueError, ArtifactRefused, RecursionError):
        return None
    rows = told.get("data", told.get("inputs")) if isinstance(told, dict) else told
    row = rows[0] if isinstance(rows, list) and rows else rows
    columns = told.get("columns") if isinstance(told, dict) else None
    if isinstance(columns, list) and isinstance(row, list) and len(columns) == len(row):
        return {str(name): value for name, value in zip(columns, row, strict=True)}
    return row if isinstance(row, (dict, list)) else None


def _requirements(folder: Path) -> dict[str, str]:
    """Pinned libraries of ``requirements.txt``, by name."""
    try:
        lines = _text(folder / "requirements.txt").splitlines() if (folder / "requirements.txt").is_file() else []
    except (ValueError, ArtifactRefused):
        return {}
    found = [match for line in lines if (match := PIN.match(line.strip()))]
    return {match[1].lower(): match[2].partition("+")[0] for match in found}


def refined(description: Mapping[str, Any], facts: MlflowFacts, *, is_named: bool = False) -> dict[str, Any]:
    """A host's description with what ``MLmodel`` adds: names where the model kept none, kinds, and an example.

    What the model itself says stays; inputs that do not match those of the model are passed over.

    :param is_named: a person has named the inputs, in order.
    """
    given = dict(description.get("input") or {})
    columns = [dict(column) for column in given.get("columns") or ()]
    scalars = [one for one in facts.inputs if not one.shape and one.name]
    is_open = not given.get("named") and not is_named and given.get("build") in ("array", "dataframe", "objects")
    if is_open and len(scalars) == len(columns):
        for column, one in zip(columns, scalars, strict=True):
            column["name"] = one.name
        given["named"] = True
    by_name = {one.name: one for one in scalars}
    for place, column in enumerate(columns):
        if column.get("name") in by_name:
            _refine(column, by_name[column["name"]], given.get("build"))
        if column.get("default") is None and column.get("low") is None:
            column["default"] = _example_of(facts.example, column.get("name"), place, len(columns))
    return {**description, "input": {**given, "columns": columns}}


def _refine(column: dict[str, Any], one: Declared, build: Any) -> None:
    kind = KINDS.get(one.type)
    is_open = column.get("kind") == "number" and not column.get("choices")
    if kind in ("integer", "boolean") and is_open or kind is not None and is_open and build in ("dataframe", "objects"):
        column["kind"] = kind
    if one.required and kind in ("integer", "boolean") and column.get("nullable") is None:
        column["nullable"] = False


def _example_of(example: Any, name: Any, place: int, count: int) -> Any:
    value = example.get(name) if isinstance(example, dict) else example[place] if isinstance(example, list) and len(example) == count else None
    return value if isinstance(value, (str, int, float, bool)) else None
