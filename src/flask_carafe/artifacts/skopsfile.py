"""A skops file read without skops: a zip whose ``schema.json`` is a tree of named types."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..errors import LoadFailed
from .intake import opened
from .names import Name, kind_of
from .objects import Estimator
from .zips import DAMAGED, objects_in

MOST_SCHEMA = 256 << 20
MOST_NODES = 5_000_000
OWN_WORDS = frozenset({"builtins", "numpy", "scipy"})


class SkopsFacts(msgspec.Struct, frozen=True, kw_only=True):
    skops_version: str = ""
    names: tuple[Name, ...] = ()
    root: str = ""
    estimators: tuple[Estimator, ...] = ()
    versions: dict[str, tuple[str, ...]] = {}


def read_skops(path: str | Path) -> SkopsFacts:
    """What the schema says.

    :raises LoadFailed: it is damaged, or larger than any honest one.
    """
    schema = _schema(path)
    names: dict[tuple[str, str], None] = {}
    estimators = []
    for node in _nodes(schema):
        module, name = node.get("__module__"), node.get("__class__")
        if isinstance(module, str) and isinstance(name, str):
            names[_called(node) or (module, name)] = None
        version = _leaf(node, "_sklearn_version")
        if version and isinstance(module, str) and isinstance(name, str):
            keys = frozenset(_attributes(node))
            estimators.append(Estimator(module=module, name=name, version=version, keys=keys, values=_plain(node)))
    versions = tuple(dict.fromkeys(estimator.version for estimator in estimators))
    return SkopsFacts(
        skops_version=str(schema.get("_skops_version", "")),
        names=tuple(Name(module=module, name=name, kind=kind_of(module, name)) for module, name in names),
        root=str(schema.get("__class__", "")),
        estimators=tuple(estimators),
        versions={"scikit-learn": versions} if versions else {},
    )


def _schema(path: str | Path) -> dict[str, Any]:
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            if archive.getinfo("schema.json").file_size > MOST_SCHEMA:
                raise LoadFailed(f"{path}: its schema is larger than {MOST_SCHEMA >> 20} MiB.", "Save the model again.")
            bad = archive.testzip()
            schema = msgspec.json.decode(archive.read("schema.json"))
    except DAMAGED as exc:
        raise LoadFailed(f"{path}: the skops file is damaged or cut short.", "Copy or save the file again.") from exc
    if bad or not isinstance(schema, dict):
        raise LoadFailed(f"{path}: the skops file is damaged{f' at {bad}' if bad else ''}.", "Copy or save the file again.")
    return schema


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of the tree.

    :raises LoadFailed: they are too many.
    """
    for count, node in enumerate(objects_in(schema)):
        if count == MOST_NODES:
            raise LoadFailed("The skops file has more objects than are read without loading it.", "Save the model again, or export it to ONNX.")
        yield node


def _called(node: dict[str, Any]) -> tuple[str, str] | None:
    """The function that a function node names."""
    content = node.get("content")
    if node.get("__loader__") == "FunctionNode" and isinstance(content, dict):
        module, name = content.get("module_path"), content.get("function")
        if isinstance(module, str) and isinstance(name, str):
            return module, name
    return None


def _attributes(node: dict[str, Any]) -> dict[str, Any]:
    content = node.get("content")
    inner = content.get("content") if isinstance(content, dict) else None
    return inner if isinstance(inner, dict) else {}


def _leaf(node: dict[str, Any], key: str) -> str:
    value = _attributes(node).get(key)
    text = value.get("content") if isinstance(value, dict) else None
    return text.strip('"') if isinstance(text, str) and len(text) < 100 else ""


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    return {key: text for key in _attributes(node) if (text := _leaf(node, key))}
