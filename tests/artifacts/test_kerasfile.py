"""Configurations of Keras models are read without Keras; those that would run something are refused. The files are made by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.artifacts.inspection import Inspection, look, refuse
from flask_carafe.errors import ArtifactRefused, LoadFailed

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "activation": "relu"}, "registered_name": None}


def config(*layers: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [DENSE, *layers]}, "registered_name": None}


def written(folder: Path, told: Any, **more: str) -> Path:
    with zipfile.ZipFile(folder / "m.bin", "w") as archive:
        for name, data in {"config.json": json.dumps(told), "metadata.json": '{"keras_version": "3.9.0"}', "model.weights.h5": "", **more}.items():
            archive.writestr(name, data)
    return folder / "m.bin"


def hdf5(folder: Path, told: Any) -> Path:
    attributes = b"model_config\x00" + json.dumps(told).encode() + bytes(8) + b"keras_version\x00\x002.15.0\x00"
    (folder / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100) + attributes + bytes(90))
    return folder / "m.h5"


def read(path: Path) -> Inspection:
    return look(str(path))


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4w"}}}},
        {"module": "os", "class_name": "system", "config": "x"},
        {"module": "os", "class_name": "system", "config": "x", "registered_name": "shop>system"},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"name": "l", "filepath": "/tmp/x"}},
        {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"name": "l", "module": "gAN"}},
        {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "http://x"}},
        {"module": "keras.src.utils.file_utils", "class_name": "get_file", "config": {}},
        {"module": "keras.layers", "class_name": "deserialize", "config": {}},
        {**DENSE, "config": {"activation": {"module": "keras.utils", "class_name": "function", "config": "get_file"}}},
        {**DENSE, "config": {"activation": {"module": "builtins", "class_name": "function", "config": "__import__('os')"}}},
        {**DENSE, "config": {"activation": {"module": "builtins", "class_name": "function", "config": "eval"}}},
    ],
)
@pytest.mark.parametrize("write", [written, hdf5])
def test_what_runs_code_of_its_own_is_refused_even_with_code(layer: Any, write: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused):
        refuse(read(write(tmp_path, config(layer))), has_code=True)


@pytest.mark.parametrize(
    "layer",
    [
        {"module": "shop.layers", "class_name": "Double", "config": {}, "registered_name": "shop>Double"},
        {**DENSE, "config": {"activation": {"module": "shop", "class_name": "function", "config": "steep"}}},
    ],
)
def test_classes_of_others_need_code(layer: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused):
        refuse(read(written(tmp_path, config(layer))))


def test_a_model_of_keras_own_layers_passes(tmp_path: Path) -> None:
    relu = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    own = {"module": "keras.src.ops.nn", "class_name": "Relu", "config": {"name": "r"}, "registered_name": "Relu"}
    told = config({**DENSE, "config": {"activation": relu}}, own)
    told["compile_config"] = {"loss": {"module": "shop", "class_name": "function", "config": "own_loss"}}
    for path, version in ((written(tmp_path, told), "3.9.0"), (hdf5(tmp_path, told), "2.15.0")):
        file = read(path)
        refuse(file)
        assert (file.root, file.versions) == ("a Sequential of 3 layers", {"keras": (version,)})


def test_members_outside_the_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match="no save writes"):
        read(written(tmp_path, config(), **{"assets/../../x": "y"}))


def test_a_file_cut_short_is_damaged(tmp_path: Path) -> None:
    path = written(tmp_path, config())
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ArtifactRefused):
        read(path)
    path = hdf5(tmp_path, config())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LoadFailed, match="cannot be read"):
        read(path)
