"""A file's name says nothing: what it is, is told by its bytes, with a way out where it is no model."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import pickle
import struct
import zipfile
from pathlib import Path

import joblib
import numpy as np
import onnx
import pytest
import skops.io
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

from flask_carafe.artifacts.formats import sniff
from flask_carafe.artifacts.inspection import look, refuse
from flask_carafe.errors import ArtifactRefused, LoadFailed, UnknownFormat

MODEL = LogisticRegression().fit(np.eye(3), [0, 1, 1])


def written(data: bytes, folder: Path, name: str = "model.bin") -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def zipped(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol_are_read(protocol: int, tmp_path: Path) -> None:
    file = look(written(pickle.dumps(MODEL, protocol), tmp_path, "model.onnx"))
    assert (file.format, file.root, file.pickle.broken) == ("pickle", "LogisticRegression", "")  # type: ignore[union-attr]
    assert list(file.versions) == ["scikit-learn"]
    refuse(file)


@pytest.mark.parametrize("compress", [0, 3, ("zlib", 1), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)])
def test_files_of_joblib_are_read_in_every_compression(compress: object, tmp_path: Path) -> None:
    path = str(tmp_path / "model.pkl")
    joblib.dump({"model": MODEL, "objects": np.array([{"a": 1}, None], dtype=object), "grid": np.ones((2, 0, 3))}, path, compress=compress)
    file = look(path)
    assert (file.format, file.root) == ("joblib", "a dict with 'model', 'objects', 'grid'")
    assert file.pickle is not None and file.pickle.broken == "" and file.pickle.trailing_bytes == 0
    refuse(file)


def test_shapes_of_numpy_integers_and_structured_arrays_are_followed(tmp_path: Path) -> None:
    records = np.zeros(3, dtype=[("a", "<f8"), ("b", "i4", (2,)), ("c", "U5")])
    mixed = np.zeros(3, dtype=[("a", "<f8"), ("b", "O")])
    joblib.dump([records, mixed, np.datetime64("2024-01-01"), np.array(3.0), np.asfortranarray(np.eye(3))], tmp_path / "m")
    file = look(str(tmp_path / "m"))
    assert file.pickle is not None and (file.pickle.broken, file.pickle.arrays) == ("", 4)


def test_skops_is_read_without_skops(tmp_path: Path) -> None:
    skops.io.dump(MODEL, tmp_path / "model.pkl")
    file = look(str(tmp_path / "model.pkl"))
    assert (file.format, file.root) == ("skops", "LogisticRegression")
    assert file.versions["scikit-learn"] and file.estimators[0].name == "LogisticRegression"
    data = (tmp_path / "model.pkl").read_bytes()
    with pytest.raises(ArtifactRefused):
        look(written(data[: len(data) // 2], tmp_path))


def onnx_model(external: bool = False) -> onnx.ModelProto:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 1], [1.0, 2.0, 3.0])
    if external:
        weights.ClearField("float_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../../secret.bin")
    x, y = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3]), helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph, producer_name="us", producer_version="3", opset_imports=[helper.make_opsetid("", 17)])


def test_onnx_is_read_without_a_library(tmp_path: Path) -> None:
    file = look(written(onnx_model().SerializeToString(), tmp_path, "model.joblib"))
    assert file.format == "onnx" and file.onnx is not None
    assert (file.onnx.producer, file.onnx.opsets, file.onnx.nodes) == ("us", {"ai.onnx": 17}, 1)
    assert [(port.name, port.dtype, port.shape) for port in file.onnx.inputs] == [("x", "float32", (None, 3))]
    refuse(file)


def test_onnx_with_weights_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match=r"another file \(\.\./\.\./secret\.bin\)"):
        refuse(look(written(onnx_model(external=True).SerializeToString(), tmp_path)))


def test_onnx_cut_short_is_damaged(tmp_path: Path) -> None:
    data = onnx_model().SerializeToString()
    with pytest.raises(ArtifactRefused):
        look(written(data[: len(data) - 9], tmp_path))


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        (b"", "is empty", "Save the model again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "Git LFS pointer", "git lfs pull"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML page", "Download the file itself"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "NumPy array", ""),
        (zipped("arr_0.npy"), "NumPy arrays", ""),
        (zipped("readme.txt"), "zip archive with readme.txt", "Unpack"),
        (b"PK\x03\x04 and then nothing", "damaged or cut short", "Copy"),
        (b"binf\x00\x00\x00?", "XGBoost model in its old binary format", "save_model('model.json')"),
        (bytes(136) + b"\x0f" + bytes(7) + b"binary:logistic\x06" + bytes(7) + b"gbtree", "old binary format", "save_model('model.json')"),
        (b"booster[0]:\n0:[f0<1.5] yes=1", "a listing of an XGBoost model's trees", "save_model('model.json')"),
        (gzip.compress(b"tree\nversion=v4\n"), "a LightGBM model under gzip", "Unpack it"),
        (b'{"columns": ["a"]}', "JSON text", "--columns"),
        (b"a,b,c\n1,2,3\n", "a text file", "--sample"),
        (b"import pickle\nmodel = 1\n", "Python code", "carafe serve"),
        (b"%PDF-1.7", "PDF", ""),
        (struct.pack("<Q", 20) + b'{"a":{"dtype":"F32"}}' + bytes(9), "safetensors", "ONNX"),
        (b"\x00\x00\x00\x00TFL3" + bytes(40), "TensorFlow Lite", "ONNX"),
        (b"PAR1" + bytes(9), "Parquet", ""),
        (b"\x04\x22\x4d\x18" + bytes(30), "LZ4", "compress=3"),
        (gzip.compress(b"a,b\n1,2\n"), "a text file, not a model under gzip compression", ""),
        (b"\xde\xad\xbe\xef" * 20, "not known here", "joblib.dump"),
        ("größe,länge\n1,2\n".encode(), "a text file", ""),
        (b"continue without me, she said\nand left", "a text file", ""),
    ],
)
def test_what_is_no_model_is_called_by_its_name(data: bytes, words: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat) as refusal:
        sniff(written(data, tmp_path, "model.pkl"))
    assert words in str(refusal.value)
    assert hint in refusal.value.hint and refusal.value.hint


@pytest.mark.parametrize(
    ("inside", "words"), [("MLmodel", "MLflow"), ("saved_model.pb", "SavedModel"), ("config.json", "Hugging Face"), ("x", "a folder")]
)
def test_folders_of_other_tools_are_called_by_their_names(inside: str, words: str, tmp_path: Path) -> None:
    (tmp_path / inside).write_text("")
    with pytest.raises(UnknownFormat, match=words):
        look(str(tmp_path))


def test_compressed_data_that_is_cut_short_is_not_whole(tmp_path: Path) -> None:
    data = pickle.dumps([MODEL] + [str(i) for i in range(5000)])
    for packed in (gzip.compress(data), lzma.compress(data)):
        with pytest.raises(LoadFailed, match="not whole"):
            refuse(look(written(packed[: len(packed) // 2], tmp_path)))


def test_a_bomb_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_carafe.artifacts import unpack

    monkeypatch.setattr(unpack, "LEAST_UNPACKED", 1 << 20)
    monkeypatch.setattr(unpack, "MOST_RATIO", 100)
    bomb = lzma.compress(b"\x80\x04\x8e" + struct.pack("<Q", 64 << 20) + bytes(64 << 20) + b".")
    with pytest.raises(ArtifactRefused, match="unpacks to more than"):
        refuse(look(written(bomb, tmp_path)))


def test_arrays_beside_the_file_are_named(tmp_path: Path) -> None:
    """joblib before 0.10 kept each array in a file of its own."""
    state = b"}(X\x08\x00\x00\x00filenameX\x10\x00\x00\x00model.pkl_01.npyX\x08\x00\x00\x00subclassNub."
    old = b"\x80\x02cjoblib.numpy_pickle\nNDArrayWrapper\n)\x81" + state
    with pytest.raises(LoadFailed, match=r"before 0\.10 .*model\.pkl_01\.npy"):
        refuse(look(written(old, tmp_path)))


def test_a_large_vocabulary_is_read_in_seconds(tmp_path: Path) -> None:
    vocabulary = {f"word{i}": i for i in range(300_000)}
    file = look(written(pickle.dumps(vocabulary), tmp_path))
    assert file.pickle is not None and file.pickle.opcodes > 600_000 and json.dumps(file.root)
