"""A Keras model read without Keras: the configuration of its layers, in a ``.keras`` archive or in an HDF5 file.

What is refused here is what runs code of the file's own, or reads other files, while the model is put together.
"""

from __future__ import annotations

import builtins
import json
import re
import zipfile
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ArtifactRefused, LoadFailed
from .intake import opened
from .names import kind_of
from .zips import DAMAGED, objects_in

MOST_CONFIG = 64 << 20
CHUNK_BYTES = 1 << 22
AGAIN = "Copy or save the file again."
REPLACE = "Replace it by a layer of Keras or by a registered class of its own, given with --code; or export the model to ONNX."
# layers that hold code, or are made of what lies elsewhere
RUNNING = frozenset(("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"))
PARTS = (
    "activations|applications|backend|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers|quantizers|random|regularizers"
)
OWN = re.compile(rf"(?:keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras)(?:\.src)?(?:\.(?:{PARTS})(?:\.\w+)*)?")
CLASS_LIKE = re.compile(r"_*[A-Z]\w*|__\w+__")
FUNCTIONS = re.compile(r"builtins|keras(?:\.src)?\.(?:activations|initializers|losses|metrics|ops)(?:\.\w+)*")


class KerasFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``custom``: classes that are not Keras' own; ``running``: what would run code of the file's own."""

    version: str = ""
    kind: str = ""
    layers: int = 0
    custom: tuple[str, ...] = ()
    running: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        return f"a {self.kind or 'model'} of {self.layers:,} layer{'s' * (self.layers != 1)}"


def read_keras(path: str | Path, kind: str) -> KerasFacts:
    """The facts of a ``keras`` archive or an ``hdf5`` file.

    :raises LoadFailed: it is damaged, or holds weights without the model.
    :raises ArtifactRefused: it is built in a way that no save writes.
    """
    with opened(path) as file:
        return _archive(file) if kind == "keras" else _hdf5(file)


def _archive(file: BufferedReader) -> KerasFacts:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            names = [info.filename for info in members]
            if len({name.lower() for name in names}) != len(names) or any(name.startswith("/") or ".." in name.split("/") for name in names):
                raise ArtifactRefused("The Keras file holds members that no save writes: two of one name, or one outside.", AGAIN)
            if max(archive.getinfo(name).file_size for name in ("config.json", "metadata.json")) > MOST_CONFIG:
                raise ArtifactRefused(f"The configuration in the Keras file is larger than {MOST_CONFIG >> 20} MiB.", AGAIN)
            config, told = msgspec.json.decode(archive.read("config.json")), msgspec.json.decode(archive.read("metadata.json"))
            bad = archive.testzip()
    except DAMAGED as exc:
        raise LoadFailed("The Keras file is damaged or cut short.", AGAIN) from exc
    if bad or not isinstance(config, dict):
        raise LoadFailed(f"The Keras file is damaged{f' at {bad}' if bad else ''}.", AGAIN)
    version = told.get("keras_version") if isinstance(told, dict) else ""
    return _facts(config, version if isinstance(version, str) else "")


def _hdf5(file: BufferedReader) -> KerasFacts:
    """An HDF5 file keeps the configuration as one text; without a library it is found by how it begins."""
    text = _text_from(file, (b'{"class_name": "', b'{"module": "'))
    if text is None:
        raise LoadFailed(
            "The HDF5 file holds no Keras model: weights alone, or data of another tool.",
            "Save the whole model where it was made: model.save('model.keras').",
        )
    try:
        config, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as exc:
        raise LoadFailed("The configuration in the HDF5 file cannot be read.", AGAIN) from exc
    file.seek(0)
    found = _text_from(file, (b"keras_version",))
    version = re.search(r"[^\d.](\d+\.\d+\.\d+)[^\d.]", found[:4096]) if found else None
    return _facts(config, version[1] if version else "")


def _text_from(file: BufferedReader, starts: tuple[bytes, ...]) -> str | None:
    """The text from the first of ``starts`` on, up to a limit; None where there is none."""
    longest, tail = max(map(len, starts)), b""
    while chunk := file.read(CHUNK_BYTES):
        window = tail + chunk
        places = [place for start in starts if (place := window.find(start)) >= 0]
        if places:
            return (window[min(places) :] + file.read(MOST_CONFIG)).decode("utf-8", "replace")
        tail = window[-longest:]
    return None


def _facts(config: dict[str, Any], version: str) -> KerasFacts:
    custom: dict[str, None] = {}
    running: dict[str, None] = {}
    layers = 0
    for node in objects_in({key: value for key, value in config.items() if key not in ("compile_config", "training_config")}):
        name, module = node.get("class_name"), node.get("module")
        if not isinstance(name, str):
            continue
        layers += _layers_in(node.get("config"))
        if name in RUNNING:
            running[name.strip("_").capitalize() if name == "__lambda__" else name] = None
        elif name == "function":
            _judge_function(node, running, custom)
        elif module is not None and not (isinstance(module, str) and OWN.fullmatch(module) and CLASS_LIKE.fullmatch(name)):
            _note(str(module), name, node, running, custom)
        elif ">" in str(node.get("registered_name")):
            custom[str(node["registered_name"])] = None
    kind = config.get("class_name")
    return KerasFacts(
        version=version, kind=kind if isinstance(kind, str) else "", layers=layers, custom=tuple(custom), running=tuple(running)
    )


def _note(module: str, name: str, node: Mapping[str, Any], running: dict[str, None], custom: dict[str, None]) -> None:
    """What is no layer of Keras: a class of somebody's own, or a function that runs something, Keras' own tools among them."""
    is_tool = module.partition(".")[0] in ("keras", "tf_keras", "tensorflow") or kind_of(module, name, called=True) == "dangerous"
    registered = str(node.get("registered_name"))
    (running if is_tool else custom)[registered if ">" in registered and not is_tool else f"{module}.{name}"] = None


def _layers_in(config: Any) -> int:
    """Layers that one model lists, without its inputs and without models inside it, which list their own."""
    inside = config.get("layers") if isinstance(config, dict) else None
    listed = [layer.get("class_name") for layer in inside if isinstance(layer, dict)] if isinstance(inside, list) else []
    return sum(1 for name in listed if name not in ("InputLayer", "Sequential", "Functional", "Model"))


def _judge_function(node: Mapping[str, Any], running: dict[str, None], custom: dict[str, None]) -> None:
    """A function by name: one of Keras' activations and the like, or one of somebody's own.

    Keras calls its own functions ``builtins``; earlier versions of it look for what they do not find there among Python's.
    """
    module, name = node.get("module"), node.get("config")
    if not isinstance(name, str) or not name.isidentifier():
        running["a function"] = None
    elif module == "builtins" and hasattr(builtins, name):
        running[f"builtins.{name}"] = None
    elif module is not None and not (isinstance(module, str) and FUNCTIONS.fullmatch(module)):
        _note(str(module), name, node, running, custom)


def refuse_keras(name: str, facts: KerasFacts, *, has_code: bool) -> None:
    """Raise where loading would run code of the file's own, or needs classes that nobody gave.

    :raises ArtifactRefused: layers that hold code or read other files.
    :raises LoadFailed: classes that are not Keras' own, without ``code``.
    """
    if facts.running:
        raise ArtifactRefused(f"{name} runs code of its own while it is loaded: {', '.join(facts.running[:4])}.", REPLACE)
    if facts.custom and not has_code:
        needs = ", ".join(facts.custom[:4])
        raise LoadFailed(f"{name} needs classes that are not Keras' own: {needs}.", "Give the Python file that defines them: --code layers.py.")
