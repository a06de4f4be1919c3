"""Keras models in a host, by real files of both formats that Keras writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from conftest import missing
from flask_carafe.artifacts.hints import read_inputs
from flask_carafe.artifacts.inspection import look, refuse
from flask_carafe.errors import ArtifactRefused, LoadFailed
from flask_carafe.hosting.host import keras_backend
from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, Zygote

keras_backend.choose()
try:
    import h5py
    import keras
    from keras import layers
except ImportError:
    missing("keras with h5py and a backend")

RNG = np.random.RandomState(0)
pytestmark = pytest.mark.filterwarnings("ignore")  # Keras' word on its older format, and what it raises of its own
ROWS = RNG.normal(size=(9, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("z"), modules=["keras", "h5py"])
    assert made.imported["threads"] == 1
    yield made
    made.end()


def words(path: Path) -> dict[str, Any]:
    found = look(str(path))
    return {"path": str(path), "format": found.format, "name": path.name, "sha256": found.sha256}


def numbers(*arrays: np.ndarray) -> Rows:
    return Rows(n=len(arrays[0]), chunks=tuple(Chunk(data=np.ascontiguousarray(array).tobytes()) for array in arrays))


def sequential(*more: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dropout(0.5), *more])


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_softmax_at_the_end_names_the_class(host: Peer, tmp_path: Path, ending: str) -> None:
    model = sequential(layers.Dense(3, activation="softmax"))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    path = tmp_path / f"model.{ending}"
    model.save(path)
    file = look(str(path))
    assert (file.root, file.versions) == ("a Sequential of 3 layers", {"keras": (keras.__version__,)})
    refuse(file)
    description = host.ready(words(path))
    assert (description["runtime"], description["estimator"], description["input"]["build"]) == ("keras", "Sequential (Keras)", "array")
    assert [one["dtype"] for one in description["input"]["columns"]] == ["float32"] * 4
    answer, errors = host.predict(numbers(ROWS))
    expected = model.predict_on_batch(ROWS)
    assert not errors and answer[0].values == expected.argmax(1).tolist()
    np.testing.assert_allclose(np.reshape(answer[1].values, (9, 3)), expected, rtol=1e-5, atol=1e-6)
    assert len(list(Path(f"/proc/{host.hello['pid']}/task").iterdir())) == 1


def test_one_sigmoid_is_the_second_of_two_classes(host: Peer, tmp_path: Path) -> None:
    model = sequential(layers.Dense(1, activation="sigmoid"))
    model.save(tmp_path / "m.keras")
    assert host.ready(words(tmp_path / "m.keras"))["outputs"][0]["classes"] == [0, 1]
    answer, _ = host.predict(numbers(ROWS))
    np.testing.assert_allclose(answer[1].values[1::2], model.predict_on_batch(ROWS).ravel(), rtol=1e-5, atol=1e-6)


def test_a_linear_end_is_a_number(host: Peer, tmp_path: Path) -> None:
    model = sequential(layers.Dense(1))
    model.save(tmp_path / "m.keras")
    assert host.ready(words(tmp_path / "m.keras"))["outputs"][0]["kind"] == "number"
    np.testing.assert_allclose(host.predict(numbers(ROWS))[0][0].values, model.predict_on_batch(ROWS).ravel(), rtol=1e-5, atol=1e-6)


def test_several_inputs_and_outputs_have_the_names_of_their_layers(host: Peer, tmp_path: Path) -> None:
    left, picture = keras.Input((4,), name="left"), keras.Input((8, 8, 1), name="picture")
    joined = layers.Concatenate()([layers.Dense(3)(left), layers.Flatten()(picture)])
    model = keras.Model({"left": left, "picture": picture}, [layers.Dense(1, name="price")(joined), layers.Dense(2, name="scores")(joined)])
    model.save(tmp_path / "m.keras")
    description = host.ready(words(tmp_path / "m.keras"))
    assert [(one["name"], one["kind"], one["shape"]) for one in description["input"]["columns"]] == [
        ("left", "vector", [4]),
        ("picture", "tensor", [8, 8, 1]),
    ]
    assert [output["name"] for output in description["outputs"]] == ["price", "scores"]
    pictures = RNG.normal(size=(9, 8, 8, 1)).astype(np.float32)
    answer, errors = host.predict(numbers(ROWS, pictures))
    price, scores = model.predict_on_batch({"left": ROWS, "picture": pictures})
    assert not errors
    np.testing.assert_allclose(answer[0].values, price.ravel(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.reshape(answer[1].values, (9, 2)), scores, rtol=1e-4, atol=1e-5)


def test_an_open_size_is_asked_for(host: Peer, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None,), dtype="int32"), layers.Embedding(20, 4), layers.GlobalAveragePooling1D(), layers.Dense(2)])
    model.save(tmp_path / "m.keras")
    file = words(tmp_path / "m.keras")
    error = host.load(file)["error"]
    assert error["code"] == "needs_input" and "(any)" in error["message"]
    wrong = host.load(file, options={"inputs": msgspec.to_builtins(read_inputs("tensor:2x3"))})["error"]
    assert "do not fit" in wrong["message"]
    description = host.ready(file, options={"inputs": msgspec.to_builtins(read_inputs("vector:6"))})
    assert (description["input"]["columns"][0]["shape"], description["input"]["columns"][0]["dtype"]) == ([6], "int64")
    tokens = RNG.randint(0, 20, size=(5, 6))
    answer, _ = host.predict(numbers(tokens))
    np.testing.assert_allclose(np.reshape(answer[0].values, (5, 2)), model.predict_on_batch(tokens), rtol=1e-5, atol=1e-6)


CODE = """
import keras

@keras.saving.register_keras_serializable(package="shop")
class Double(keras.layers.Layer):
    def call(self, x):
        return x * 2
"""


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_layer_of_ones_own_needs_its_code(host: Peer, tmp_path: Path, ending: str) -> None:
    names: dict[str, Any] = {"__name__": "shop"}
    exec(CODE, names)
    model = sequential(names["Double"](), layers.Dense(1))
    model.save(tmp_path / f"m.{ending}")
    (tmp_path / "layers.py").write_text(CODE)
    if ending == "keras":
        with pytest.raises(LoadFailed, match="shop>Double"):
            refuse(look(str(tmp_path / "m.keras")))
        refuse(look(str(tmp_path / "m.keras")), has_code=True)
    assert not host.load(words(tmp_path / f"m.{ending}"))["ok"]
    host.ready(words(tmp_path / f"m.{ending}"), code=str(tmp_path / "layers.py"))
    np.testing.assert_allclose(host.predict(numbers(ROWS))[0][0].values, model.predict_on_batch(ROWS).ravel(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_lambda_is_refused_before_loading_and_by_the_host(host: Peer, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"m.{ending}"
    sequential(layers.Lambda(lambda x: x * 2)).save(path)
    with pytest.raises(ArtifactRefused, match="runs code of its own while it is loaded: Lambda"):
        refuse(look(str(path)), has_code=True)
    reply = host.load(words(path), code=None)
    assert not reply["ok"] and "Lambda" in reply["error"]["message"]


def test_a_file_that_refers_to_another_is_refused_by_the_host(host: Peer, tmp_path: Path) -> None:
    sequential(layers.Dense(1)).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    assert host.load(words(tmp_path / "m.h5"))["error"]["code"] == "external_data"


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    sequential(layers.Dense(1)).save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(LoadFailed, match="weights alone"):
        look(str(tmp_path / "m.weights.h5"))
