"""A PyTorch file read without PyTorch: a zip whose pickles are followed opcode by opcode, like any other pickle.

``torch.jit.save`` keeps TorchScript code beside them, ``torch.export.save`` a graph as JSON, ``torch.save`` tensors or whole objects.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import ArtifactRefused, LoadFailed
from .intake import opened
from .names import KNOWN, in_python3
from .objects import Global, Made, Pairs, class_of
from .pickles import PickleFacts, follow
from .protobuf import Port
from .reader import Found
from .stream import Stream
from .zips import DAMAGED, objects_in

MOST_MEMBERS = 200_000
MOST_PICKLE = 256 << 20
MOST_JSON = 256 << 20
DTYPES = {"DoubleStorage": "float64", "FloatStorage": "float32", "LongStorage": "int64", "IntStorage": "int32", "BoolStorage": "bool"}
# of sympy, which evaluates it: constructors, symbols, numbers; nothing in lower case is called, no attribute is looked up.
# Possessive throughout: a word is taken whole, so that no text can be split in more ways than one.
EXPRESSION = re.compile(r"(?!(?s:.*)__)(?:[A-Z]\w*+|[a-z_]\w*+(?!\s*\()|'[\w.+-]*+'|\d++(?:\.\d++)?|[\s+\-*/(),<>=&|~!%])*+")
AGAIN = "Save it again with torch.export.save or torch.jit.save."


class TorchFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``inputs``: of a traced module, as it was traced.

    ``is_whole``: objects of classes, and not tensors alone; ``needs_code``: they are not all PyTorch's own layers.
    """

    inputs: tuple[Port, ...] = ()
    tensors: int = 0
    is_whole: bool = False
    needs_code: bool = False
    version: str = ""


class Pickled(NamedTuple):
    """One pickle of the archive: its place in it, and the stand-in for what it holds."""

    name: str
    root: Any


def read_torch(path: str | Path, kind: str) -> tuple[PickleFacts, TorchFacts]:
    """The facts of all pickles in the file together, and what else it says.

    :param kind: ``torchscript``, ``torchexport`` or ``torch``.
    :raises LoadFailed: it is damaged or cut short.
    :raises ArtifactRefused: it is built in a way that no save writes, or loading it would run more than its graph.
    """
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            members = _members(archive)
            pickles, facts = _pickles(archive, members, kind)
            version = _exported(archive, members) if kind == "torchexport" else ""
    except DAMAGED as exc:
        raise LoadFailed("The PyTorch file is damaged or cut short.", "Copy or save the file again.") from exc
    names = tuple(name for name in facts.names if not (kind == "torchscript" and name.module.startswith("__torch__")))
    strange = [name for name in names if ".".join(in_python3(name.module, name.name)) not in KNOWN]
    if kind == "torchexport" and strange:
        raise ArtifactRefused(f"The PyTorch file makes objects of {strange[0]} beside its graph.", AGAIN)
    root = next((pickled.root for pickled in pickles if pickled.name.endswith("data.pkl")), None)
    tensors = sum(1 for info in members if re.search(r"(^|/)data/(weights/weight_)?\d+$", info.filename))
    needs_code = any(not name.module.startswith("torch.nn.modules.") or not name.name.isidentifier() for name in strange)
    found = TorchFacts(inputs=_traced(pickles), tensors=tensors, is_whole=bool(strange), needs_code=needs_code, version=version)
    return msgspec.structs.replace(facts, names=names, root=_words(kind, root, found), protocol=-1, is_joblib=False), found


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members, each found under one name only: readers of zip files differ in which of two alike they take."""
    members = archive.infolist()
    if len(members) > MOST_MEMBERS or len({info.filename.lower() for info in members}) != len(members):
        raise ArtifactRefused("The PyTorch file holds two members of one name, or too many.", AGAIN)
    return members


def _pickles(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], kind: str) -> tuple[list[Pickled], PickleFacts]:
    found, pickles, facts = Found(has_storages=True), [], PickleFacts()
    for name, data in _pickled(archive, members, kind):
        root, facts = follow(Stream(io.BytesIO(data), MOST_PICKLE), found)
        pickles.append(Pickled(name, root))
        if facts.broken:
            break
    return pickles, facts


def _pickled(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], kind: str, depth: int = 0) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each pickle; an exported program keeps files of ``torch.save`` inside."""
    for info in members:
        if info.filename.endswith(".pkl"):
            yield info.filename, _read(archive, info, MOST_PICKLE)
        elif kind == "torchexport" and not info.filename.endswith(".json"):
            with archive.open(info) as stream:
                is_zip = stream.read(4) == b"PK\x03\x04"
            if info.filename.endswith(".pt") and (not is_zip or depth):
                raise ArtifactRefused(f"The PyTorch file holds {info.filename}, which is no file of torch.save.", AGAIN)
            if is_zip and not depth:
                with zipfile.ZipFile(io.BytesIO(_read(archive, info, MOST_PICKLE))) as inner:
                    yield from _pickled(inner, _members(inner), kind, 1)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    if info.file_size > most:
        raise ArtifactRefused(f"{info.filename} in the PyTorch file is larger than {most >> 20} MiB.", AGAIN)
    return archive.read(info)


def _exported(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> str:
    """The version of PyTorch that exported the program; its expressions are arithmetic, and its constants are tensors."""
    version = ""
    for info in members:
        name = info.filename.rsplit("/", 1)[-1]
        if name.startswith(("custom_obj_", "opaque_obj_")):
            raise ArtifactRefused("The PyTorch file holds pickled objects beside its graph.", "Export a model of tensors alone.")
        if not name.endswith(".json"):
            continue
        parsed = msgspec.json.decode(_read(archive, info, MOST_JSON))
        for node in objects_in(parsed):
            expression, payload = node.get("expr_str"), node.get("path_name")
            if isinstance(expression, str) and not EXPRESSION.fullmatch(expression):
                raise ArtifactRefused("The PyTorch file holds an expression that is no arithmetic.", AGAIN)
            if node.get("use_pickle") and isinstance(payload, str) and not _is_zip_member(archive, members, payload):
                raise ArtifactRefused(f"The PyTorch file holds {payload}, which is no file of torch.save.", AGAIN)
        if isinstance(parsed, dict) and isinstance(parsed.get("torch_version"), str):
            version = parsed["torch_version"].partition("+")[0]
    return version


def _is_zip_member(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], name: str) -> bool:
    for info in members:
        if info.filename.endswith(f"/{name}"):
            with archive.open(info) as stream:
                if stream.read(4) != b"PK\x03\x04":
                    return False
    return True


def _traced(pickles: list[Pickled]) -> tuple[Port, ...]:
    """The tensors that ``torch.jit.trace`` was given; their first extent is the number of rows."""
    root = next((pickled.root for pickled in pickles if pickled.name.endswith("traced_inputs.pkl")), None)
    methods = _untagged(root)
    given = next((value for key, value in methods.pairs if key == "forward"), None) if isinstance(methods, Pairs) else None
    tensors = _untagged(given)
    ports = [_port(one) for one in tensors] if isinstance(tensors, list) else []
    return tuple(port for port in ports if port) if all(ports) else ()


def _untagged(value: Any) -> Any:
    """What TorchScript's ``restore_type_tag`` wraps."""
    return value.args[0] if isinstance(value, Made) and isinstance(value.args, tuple) and value.args else None


def _port(value: Any) -> Port | None:
    if not isinstance(value, Made) or not isinstance(value.args, tuple) or len(value.args) < 3:
        return None
    storage, _, shape, *_ = value.args
    key = storage.args if isinstance(storage, Made) else None
    if not (isinstance(key, tuple) and len(key) > 1 and isinstance(key[1], Global) and isinstance(shape, tuple) and shape):
        return None
    if not all(isinstance(extent, int) and 0 < extent < 1 << 31 for extent in shape):
        return None
    return Port("", DTYPES.get(key[1].name, "float32"), (None, *shape[1:]))


def _words(kind: str, root: Any, facts: TorchFacts) -> str:
    cls = class_of(root)
    name = cls.name if isinstance(cls, Global) else "an object"
    tensors = f"{facts.tensors:,} tensor{'s' * (facts.tensors != 1)}"
    if kind == "torch":
        return f"a pickled {name} of {tensors}" if facts.is_whole else f"the weights of a model: {tensors}"
    return f"the TorchScript module {name} of {tensors}" if kind == "torchscript" else f"an exported program of {tensors}"
