"""Folders as ``mlflow.<flavour>.save_model`` of MLflow 3 writes them, served without MLflow."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from flask_carafe.artifacts.inspection import look
from flask_carafe.artifacts.spec import digest, from_options
from flask_carafe.cli.watching import files_of
from flask_carafe.errors import ArtifactRefused, LoadFailed, UnknownFormat
from hosting.bench import Bench

RNG = np.random.RandomState(0)
FRAME = pd.DataFrame({"age": RNG.uniform(18, 80, 60), "rooms": RNG.randint(1, 6, 60), "owner": RNG.rand(60) > 0.5})
TARGET = np.where(FRAME["age"] > 40, "yes", "no")
MODEL = LogisticRegression(max_iter=1000).fit(FRAME, TARGET)
BARE = LogisticRegression(max_iter=1000).fit(FRAME.to_numpy(dtype=float), TARGET)
SCHEMA = [
    {"type": "double", "name": "age", "required": True}, {"type": "long", "name": "rooms", "required": True},
    {"type": "boolean", "name": "owner", "required": True},
]  # fmt: skip
EXAMPLE = {"columns": ["age", "rooms", "owner"], "data": [[41.5, 3, True], [20.0, 1, False]]}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="carafe-m") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


def written(folder: Path, flavors: dict[str, Any], schema: Any = None, example: Any = None, requirements: str = "") -> Path:
    """An ``MLmodel`` and what goes with it; the model's own files are there already."""
    python = {"env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"}, "python_version": "3.11.7"}
    told: dict[str, Any] = {"flavors": {"python_function": python, **flavors}, "mlflow_version": "3.17.2", "model_uuid": "c260e6c0"}
    if schema is not None:
        told["signature"] = {"inputs": json.dumps(schema), "outputs": '[{"type": "tensor", "tensor-spec": {"dtype": "int64"}}]', "params": None}
    if example is not None:
        told["saved_input_example_info"] = {"artifact_path": "input_example.json", "type": "dataframe", "pandas_orient": "split"}
        (folder / "input_example.json").write_text(json.dumps(example))
    (folder / "MLmodel").write_text(yaml.safe_dump(told))
    (folder / "requirements.txt").write_text(f"mlflow==3.17.2\n{requirements}")
    return folder


def sklearn_folder(tmp_path: Path, model: Any = MODEL, **more: Any) -> Path:
    folder = tmp_path / "churn"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    return written(folder, {"sklearn": {"pickled_model": "model.pkl", "sklearn_version": "1.9.1", "serialization_format": "cloudpickle"}}, **more)


def test_a_folder_of_scikit_learn_answers_as_its_model_does(bench: Bench, tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path, schema=SCHEMA, example=EXAMPLE)
    admission = bench.admit(folder)
    fields = [(field.name, field.kind, field.nullable, field.example) for field in admission.signature.fields]
    assert fields == [("age", "number", False, 41.5), ("rooms", "integer", False, 3), ("owner", "boolean", False, True)]
    rows = FRAME.iloc[:5].to_dict("records")
    body = bench.answer([{str(key): value for key, value in row.items()} for row in rows], f"{folder}/")
    assert body["prediction"] == MODEL.predict(FRAME[:5]).tolist()


def test_the_signature_names_the_inputs_of_a_model_that_kept_no_names(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    skops.io.dump(BARE, folder / "model.skops")
    written(folder, {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}}, SCHEMA)
    assert [field.name for field in bench.admit(folder).signature.fields] == ["age", "rooms", "owner"]
    assert [field.name for field in bench.admit(folder, fields="a,b,c").signature.fields] == ["a", "b", "c"]
    described = bench.admit(folder, fields={"rooms": {"minimum": 1, "example": 2}}).signature.field("rooms")
    assert described is not None and (described.kind, described.minimum, described.example) == ("integer", 1, 2)


def test_a_file_in_a_folder_of_data_is_found(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(to_onnx(BARE, np.zeros((1, 3), np.float32)).SerializeToString())
    written(folder, {"onnx": {"data": "model.onnx", "onnx_version": "1.23.2"}}, SCHEMA)
    admission = bench.admit(folder)
    assert admission.description["runtime"] == "onnx" and admission.signature.fields[0].name == "age"


def test_modules_beside_a_model_come_along_and_are_kept(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "m" / "code" / "shop").mkdir(parents=True)
    (tmp_path / "m" / "code" / "shop" / "__init__.py").write_text("")
    source = "class Doubled:\n    def fit(self, x): return self\n    n_features_in_ = 2\n    def predict(self, x): return x[:, 0] * 2\n"
    (tmp_path / "m" / "code" / "shop" / "models.py").write_text(source)
    (tmp_path / "m" / "model.pkl").write_bytes(b"cshop.models\nDoubled\n(tR.")
    folder = written(tmp_path / "m", {"sklearn": {"pickled_model": "model.pkl", "code": "code"}})
    assert bench.answer([{"feature_1": 4, "feature_2": 0}], folder)["prediction"] == [8]
    kept = list((bench.home / "artifacts").glob("folder-*/shop/models.py"))
    assert [path.read_text() for path in kept] == [source]


def test_versions_that_the_folder_asks_for_are_compared(tmp_path: Path) -> None:
    from flask_carafe.artifacts.eras import notes

    file = look(str(sklearn_folder(tmp_path, requirements="scikit-learn==1.2.2\nscipy\nnumpy>=1.0\n")))
    assert file.mlflow is not None and file.mlflow.requirements["scikit-learn"] == "1.2.2"
    assert any("asks for scikit-learn 1.2.2, and 1." in note for note in notes(file))
    assert file.name == "churn/model.pkl" and file.mlflow.told == "the folder of an MLflow 3.17.2 model, flavour sklearn"


def test_any_file_of_the_folder_changes_its_digest(tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path, schema=SCHEMA)
    spec = from_options("m", files=[str(folder)])
    before, watched = digest(spec), files_of(spec)
    assert {path.name for path in watched} >= {"MLmodel", "model.pkl", "requirements.txt"}
    shutil.copytree(folder, tmp_path / "copy")
    assert digest(from_options("m", files=[str(tmp_path / "copy")])) == before
    (folder / "requirements.txt").write_text("numpy==2\n")
    assert digest(spec) != before


def test_what_python_makes_of_modules_is_no_part_of_a_folder(tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path)
    spec = from_options("m", files=[str(folder)])
    before, watched = digest(spec), files_of(spec)
    (folder / "code" / "__pycache__").mkdir(parents=True)
    (folder / "code" / "__pycache__" / "shop.cpython-311.pyc").write_bytes(b"")
    assert (digest(spec), files_of(spec)) == (before, watched)


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path)
    (folder / "again").symlink_to("again")
    with pytest.raises(ArtifactRefused):
        digest(from_options("m", files=[str(folder)]))
    written(folder, {"sklearn": {"pickled_model": "again"}})
    with pytest.raises(ArtifactRefused):
        look(str(folder))


def test_lists_that_stand_for_ever_longer_ones_are_never_written_out(tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path)
    lists = "a0: &a0 [x, x, x, x, x, x, x, x]\n" + "".join(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 8)}]\n" for at in range(1, 12))
    (folder / "MLmodel").write_text(lists + "mlflow_version: *a11\nflavors: {sklearn: {pickled_model: *a11}}\n")
    with pytest.raises(ArtifactRefused, match="no path inside"):
        look(str(folder))
    (folder / "MLmodel").write_text(lists + "flavors: {python_function: {loader_module: *a11}}\n")
    with pytest.raises(UnknownFormat, match="without a flavour"):
        look(str(folder))


@pytest.mark.parametrize("path", ["../model.pkl", "/etc/hostname", "data/../../model.pkl", "out", "", 7, "a\0b"])
def test_paths_that_lead_out_of_the_folder_are_refused(path: Any, tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path)
    (tmp_path / "model.pkl").write_bytes(b"")
    (folder / "out").symlink_to(tmp_path / "model.pkl")
    written(folder, {"sklearn": {"pickled_model": path}} if path else {"sklearn": {"pickled_model": path}, "python_function": {"data": "../x"}})
    with pytest.raises(ArtifactRefused, match=r"no path inside|leads out"):
        look(str(folder))


def test_a_link_among_the_modules_is_refused(bench: Bench, tmp_path: Path) -> None:
    folder = sklearn_folder(tmp_path)
    (folder / "code").mkdir()
    (folder / "code" / "secret.py").symlink_to("/etc/hostname")
    written(folder, {"sklearn": {"pickled_model": "model.pkl", "code": "code"}})
    with pytest.raises(ArtifactRefused, match="leads out"):
        bench.admit(folder)


@pytest.mark.parametrize(
    ("flavors", "words", "hint"),
    [
        ({"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}}, "only MLflow can load", "mycode.py"),
        ({"transformers": {"task": "x"}}, "flavour transformers, which is not served", "sklearn or onnx"),
        ({"python_function": {"loader_module": "mine.loader"}}, "flavour mine.loader", ""),
        ({}, "without a flavour", ""),
        ({"tensorflow": {"data": "tf2model"}}, "TensorFlow SavedModel", ""),
    ],
)
def test_what_is_not_served_is_named_with_a_way_out(flavors: dict[str, Any], words: str, hint: str, tmp_path: Path) -> None:
    folder = written(tmp_path, flavors)
    (folder / "tf2model").mkdir()
    with pytest.raises(UnknownFormat, match=words) as refusal:
        look(str(folder))
    assert hint in refusal.value.hint


@pytest.mark.parametrize(
    "text", ["flavors: [", "- a\n- b", "!!python/object/apply:os.system [x]", "\xff", "flavors: {sklearn: {pickled_model: gone.pkl}}"]
)
def test_an_mlmodel_that_cannot_be_read_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(text, encoding="latin-1")
    with pytest.raises((LoadFailed, UnknownFormat)):
        look(str(tmp_path))


def test_a_signature_that_does_not_fit_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    schema = [{"type": "double", "name": "x", "required": True}, {"type": "map", "name": "y"}]
    folder = sklearn_folder(tmp_path, schema=schema, example={"columns": 3, "data": "x"})
    assert [field.name for field in bench.admit(folder).signature.fields] == ["age", "rooms", "owner"]


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_network_takes_the_tensor_that_the_signature_declares(bench: Bench, tmp_path: Path, need: Any) -> None:
    need(module="torch")
    import torch

    class Mean(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean([1, 2])

    (tmp_path / "m" / "data").mkdir(parents=True)
    torch.jit.save(torch.jit.script(Mean()), tmp_path / "m" / "data" / "model.pth")
    schema = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 3]}}]
    folder = written(tmp_path / "m", {"pytorch": {"model_data": "data", "pytorch_version": "2.13.0+cpu"}}, schema)
    assert bench.answer([{"values": [[1, 2, 3], [4, 5, 6]]}], folder)["prediction"] == [3.5]
    bare, by_hand = folder / "data" / "model.pth", {"pixels": {"kind": "tensor", "shape": [1, 4]}}
    with pytest.raises(LoadFailed, match="what one row is"):
        bench.admit(bare)
    assert bench.answer([{"pixels": [[1, 2, 3, 6]]}], bare, fields=by_hand)["prediction"] == [3]
