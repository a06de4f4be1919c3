"""ONNX models in a host: their inputs, labels, scores, fixed batches, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression

from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, Zygote, texts
from models import small


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("z"), modules=["onnxruntime"])
    yield made
    made.end()


def save(model: Any, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], *constants: Any) -> Any:
    made = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, list(constants)), opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    return made


def value(name: str, shape: list[Any], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def float32(rows: np.ndarray) -> Rows:
    return Rows(n=len(rows), chunks=(Chunk(data=np.ascontiguousarray(rows, dtype=np.float32).tobytes()),))


def direct(path: Path, **feed: Any) -> list[Any]:
    return onnxruntime.InferenceSession(str(path)).run(None, feed)


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("names", [[0, 1], [3, 7], ["ham", "spam"]])
def test_a_classifier_gives_its_labels_and_probabilities(host: Peer, tmp_path: Path, zipmap: bool, names: list[Any]) -> None:
    rows, target = small.points()
    model = LogisticRegression().fit(rows, np.array(names)[target])
    path = save(to_onnx(model, rows[:1].astype(np.float32), options={"zipmap": zipmap}), tmp_path / "m.onnx")
    description = host.ready(path)
    assert description["runtime"] == "onnx" and description["outputs"][0]["classes"] == names
    assert [column["dtype"] for column in description["input"]["columns"]] == ["float32"] * 4
    assert list(description["recorded"]) == ["skl2onnx"]
    answer, errors = host.predict(float32(rows))
    label, scores = direct(path, X=rows.astype(np.float32))
    assert not errors and [names[place] for place in answer[0].values] == label.tolist()
    wide = [[row[name] for name in names] for row in scores] if zipmap else scores
    assert np.array_equal(np.reshape(answer[1].values, (-1, 2)).astype(np.float32), np.array(wide, dtype=np.float32))


def test_a_regressor_answers_float32(host: Peer, tmp_path: Path) -> None:
    rows, _ = small.points()
    path = save(to_onnx(LinearRegression().fit(rows, rows[:, 0] * 3 + 1), rows[:1].astype(np.float32)), tmp_path / "m.onnx")
    description = host.ready(path)
    assert description["outputs"][0]["dtype"] == "float32" and description["outputs"][0]["float32"]
    answer, _ = host.predict(float32(rows))
    assert np.array_equal(np.array(answer[0].values, dtype=np.float32), direct(path, X=rows.astype(np.float32))[0].ravel())


def test_a_frame_becomes_several_inputs_fed_by_name(host: Peer, tmp_path: Path) -> None:
    nodes = [helper.make_node("Mul", ["age", "age"], ["square"]), helper.make_node("Cast", ["visits"], ["many"], to=TensorProto.FLOAT),
             helper.make_node("Add", ["square", "many"], ["sum"]), helper.make_node("Identity", ["city"], ["where"])]
    inputs = [value("age", [None, 1]), value("visits", [None, 1], TensorProto.INT64), value("city", [None, 1], TensorProto.STRING)]
    path = save(graph(nodes, inputs, [value("sum", [None, 1]), value("where", [None, 1], TensorProto.STRING)]), tmp_path / "m.onnx")
    description = host.ready(path)
    found = [(column["name"], column["dtype"]) for column in description["input"]["columns"]]
    assert found == [("age", "float32"), ("visits", "int64"), ("city", "text")]
    rows = Rows(n=2, chunks=(Chunk(data=np.array([2, 3], np.float32).tobytes()), Chunk(data=np.array([1, 5]).tobytes()), texts(["Lagos", "Paris"])))
    answer, errors = host.predict(rows)
    assert not errors and answer[0].values == [5, 14] and answer[1].values == ["Lagos", "Paris"]


def picture_model(batch: Any, softmax: bool) -> Any:
    weights = numpy_helper.from_array(np.random.RandomState(0).normal(size=(64, 3)).astype(np.float32), "w")
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["scores"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["given"]))
    return graph(nodes, [value("image", [batch, 1, 8, 8])], [value("given" if softmax else "scores", [batch, 3])], weights)


@pytest.mark.parametrize(("meaning", "softmax"), [("logits", False), ("probabilities", True)])
def test_a_picture_model_with_scores_becomes_a_classifier(host: Peer, tmp_path: Path, meaning: str, softmax: bool) -> None:
    path = save(picture_model(None, softmax), tmp_path / "m.onnx")
    description = host.ready(path, options={"outputs": meaning})
    column = description["input"]["columns"][0]
    assert (description["input"]["build"], column["name"], column["shape"], column["dtype"]) == ("tensor", "image", [1, 8, 8], "float32")
    images = np.random.RandomState(1).normal(size=(5, 1, 8, 8)).astype(np.float32)
    answer, errors = host.predict(float32(images.reshape(5, -1)))
    scores = direct(save(picture_model(None, True), tmp_path / "p.onnx"), image=images)[0]
    assert not errors and answer[0].values == scores.argmax(axis=1).tolist()
    np.testing.assert_allclose(np.reshape(answer[1].values, (5, 3)), scores, rtol=1e-5)


def test_scores_without_a_word_are_a_list_of_numbers(host: Peer, tmp_path: Path) -> None:
    description = host.ready(save(picture_model(None, False), tmp_path / "m.onnx"))
    assert description["outputs"][0] == {
        "name": "scores", "role": "prediction", "kind": "number", "dtype": "float32", "width": 3, "vector": True, "float32": True,
    }


@pytest.mark.parametrize("batch", [1, 4])
def test_a_model_with_a_fixed_batch_is_never_given_more(host: Peer, tmp_path: Path, batch: int) -> None:
    path = save(picture_model(batch, False), tmp_path / "m.onnx")
    description = host.ready(path)
    assert description["max_batch_rows"] == batch
    images = np.random.RandomState(1).normal(size=(batch, 1, 8, 8)).astype(np.float32)
    answer, errors = host.predict(float32(images[:1].reshape(1, -1)))
    np.testing.assert_allclose(answer[0].values, direct(path, image=images)[0][0], rtol=1e-5)
    assert not errors


def test_a_fixed_batch_is_kept_even_when_more_rows_come(host: Peer, tmp_path: Path) -> None:
    host.ready(save(picture_model(1, False), tmp_path / "m.onnx"))
    answer, errors = host.predict(float32(np.zeros((3, 64))))
    assert not errors and len(answer[0].values) == 9


def test_a_lone_text_input_takes_texts(host: Peer, tmp_path: Path) -> None:
    into, out = value("in", [None, 1], TensorProto.STRING), value("out", [None, 1], TensorProto.STRING)
    model = graph([helper.make_node("Identity", ["in"], ["out"])], [into], [out])
    assert host.ready(save(model, tmp_path / "m.onnx"))["input"]["build"] == "texts"
    answer, _ = host.predict(Rows(n=2, chunks=(texts(["a", "ü"]),)))
    assert answer[0].values == ["a", "ü"]


def test_weights_in_another_file_are_refused(host: Peer, tmp_path: Path) -> None:
    onnx.save(picture_model(None, False), tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").exists()
    error = host.load(tmp_path / "m.onnx")["error"]
    assert error["code"] == "external_data"


@pytest.mark.parametrize("data", [b"", b"\x08", b"not onnx at all", b"\x80\x04." * 10])
def test_bytes_that_are_no_model_are_refused(host: Peer, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert host.load(tmp_path / "m.onnx")["error"]["code"] in ("wrong_format", "load_failed")
    assert host.request({"op": "status"})["state"] == "empty"


def test_onnxruntime_computes_on_the_thread_that_asks(host: Peer, tmp_path: Path) -> None:
    host.ready(save(picture_model(None, False), tmp_path / "m.onnx"))
    host.predict(float32(np.zeros((2, 64))))
    assert len(list(Path(f"/proc/{host.hello['pid']}/task").iterdir())) == 1
