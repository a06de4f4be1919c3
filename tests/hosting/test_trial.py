"""Nothing is served that has not answered a trial: real files of old versions, real hosts."""

from __future__ import annotations

import csv
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import RadiusNeighborsRegressor
from sklearn.pipeline import make_pipeline

from flask_carafe.errors import ArtifactRefused, LoadFailed, TrialFailed, VersionRefused
from flask_carafe.hosting.replay import is_same
from hosting.bench import Bench

FILES = Path(__file__).resolve().parents[1] / "artifacts" / "files"
OLD = sorted(path for path in FILES.glob("*/*.joblib"))
RNG = np.random.RandomState(0)
X = RNG.randn(40, 3)
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="carafe-t") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


def saved(model: Any, folder: Path, name: str = "model.joblib") -> Path:
    joblib.dump(model, folder / name)
    return folder / name


def answers_of(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((path.parent / "answers.json").read_text())[path.stem]
    return told


def truth(path: Path) -> str:
    """``right``, ``wrong`` or ``fails``: what the libraries here make of a file of an old version, against what that version answered."""
    told = answers_of(path)
    rows = told["rows"] if isinstance(told["rows"][0], str) else np.array(told["rows"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = joblib.load(path)
            predicted = np.ravel(model.predict(rows)).tolist()
            probabilities = model.predict_proba(rows) if "probabilities" in told else None
        except Exception:
            return "fails"
    expected = told["prediction"]
    same = predicted == expected if isinstance(predicted[0], str) else bool(np.allclose(predicted, expected, rtol=1e-6))
    if probabilities is not None:
        same = same and np.allclose(probabilities, told["probabilities"], rtol=1e-6, atol=1e-9)
    return "right" if same else "wrong"


def examples_of(path: Path, folder: Path) -> Path:
    """The answers of the old version as a CSV file for ``--examples``."""
    told = answers_of(path)
    is_text = isinstance(told["rows"][0], str)
    header = ["text"] if is_text else [f"feature_{i + 1}" for i in range(len(told["rows"][0]))]
    with open(folder / "known.csv", "w", newline="") as file:
        lines = [[row] if is_text else row for row in told["rows"]]
        csv.writer(file).writerows([[*header, "prediction"], *([*line, answer] for line, answer in zip(lines, told["prediction"], strict=True))])
    return folder / "known.csv"


@pytest.mark.parametrize("path", OLD, ids=[f"{path.parent.name}-{path.stem}" for path in OLD])
def test_of_files_of_old_versions_nothing_wrong_is_served_and_nothing_right_is_refused(bench: Bench, path: Path, tmp_path: Path) -> None:
    is_right = truth(path) == "right"
    try:
        admission = bench.admit(path)
    except ArtifactRefused as refusal:
        assert not is_right, f"right, and refused: {refusal}"
        assert path.parent.name in str(refusal), "the refusal names the version in the file"
        assert refusal.hint
        return
    assert is_right
    assert path.parent.name in admission.unverified
    cleared = bench.admit(path, examples=str(examples_of(path, tmp_path)))
    assert cleared.unverified == ""
    assert cleared.replayed == len(answers_of(path)["rows"])


def test_a_model_that_never_finishes_loading_is_refused(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_carafe.hosting.trial.LOAD_TIMEOUT_S", 0.3)
    (tmp_path / "stuck.py").write_text("import time\ntime.sleep(60)\n\ndef stuck(x: float) -> float:\n    return x\n")
    with pytest.raises(LoadFailed, match=r"did not answer within 0\.3 s"):
        bench.admit(f"{tmp_path}/stuck.py:stuck")


def test_strict_versions_refuse_what_would_be_marked(bench: Bench) -> None:
    with pytest.raises(VersionRefused, match="--strict-versions"):
        bench.admit(FILES / "1.7.2" / "ridge.joblib", strict_versions=True)


def test_the_old_files_hold_every_row_of_the_table_of_breaks() -> None:
    wrong = {path.stem for path in OLD if truth(path) == "wrong"}
    assert {"tfidf_lr", "lr_rest", "lr_liblinear", "lr_two_softmax", "tree", "forest", "adaboost_real", "pls"} <= wrong


def test_a_model_saved_here_has_no_mark(bench: Bench, tmp_path: Path) -> None:
    admission = bench.admit(saved(LogisticRegression().fit(X, Y), tmp_path))
    assert (admission.unverified, admission.verdict.state) == ("", "same")
    assert admission.libraries["scikit-learn"] == admission.verdict.recorded
    assert admission.load_ms > 0 and admission.first_ms > 0 and admission.memory_bytes > 0
    assert set(admission.prediction) == {"prediction", "probabilities"}
    assert admission.max_batch_rows == 256


def test_fields_are_nullable_where_the_model_answers_without_them(bench: Bench, tmp_path: Path) -> None:
    strict = bench.admit(saved(LogisticRegression().fit(X, Y), tmp_path))
    assert [field.nullable for field in strict.signature.fields] == [False, False, False]
    filled = bench.admit(saved(make_pipeline(SimpleImputer(), LogisticRegression()).fit(X, Y), tmp_path))
    assert [field.nullable for field in filled.signature.fields] == [True, True, True]


def test_more_fields_than_are_tried_one_by_one_are_tried_together(bench: Bench, tmp_path: Path) -> None:
    wide = RNG.randn(30, 230)
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(wide, wide[:, 0])
    assert all(field.nullable for field in bench.admit(saved(model, tmp_path)).signature.fields)


def test_a_field_written_as_nullable_that_is_not_is_refused(bench: Bench, tmp_path: Path) -> None:
    path = saved(LogisticRegression().fit(X, Y), tmp_path)
    with pytest.raises(TrialFailed, match="nullable is true"):
        bench.admit(path, fields={"a": {"nullable": True}, "b": {}, "c": {}})
    admission = bench.admit(path, fields={"a": {"nullable": False}, "b": {}, "c": {}})
    assert [field.name for field in admission.signature.fields] == ["a", "b", "c"]


def test_a_model_that_answers_only_near_what_it_saw_is_found_an_example(bench: Bench, tmp_path: Path) -> None:
    model = IsotonicRegression().fit([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    admission = bench.admit(saved(model, tmp_path))
    assert admission.prediction == {"prediction": 2.0}
    assert admission.signature.fields[0].example == 5


def test_where_no_example_is_answered_a_sample_is_the_way_out(bench: Bench, tmp_path: Path) -> None:
    path = saved(RadiusNeighborsRegressor(radius=0.5).fit(X + 33, X[:, 0]), tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TrialFailed) as refusal:
            bench.admit(path)
    assert "--sample" in refusal.value.hint
    sample = tmp_path / "sample.csv"
    sample.write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in X + 33))
    assert bench.admit(path, sample=str(sample)).prediction


CODE = """
import numpy as np

class Together:
    n_features_in_ = 2
    def predict(self, X):
        return np.asarray(X)[:, 0] + len(X)

class Wild:
    n_features_in_ = 2
    classes_ = np.array([0, 1])
    def predict(self, X):
        return np.zeros(len(X), dtype=int)
    def predict_proba(self, X):
        return np.tile([-2.0, 3.0], (len(X), 1))

class Nothing:
    n_features_in_ = 2
    def predict(self, X):
        return np.full(len(X), np.nan)

class Ends:
    n_features_in_ = 2
    def predict(self, X):
        import os
        os._exit(3)

class Grumpy:
    n_features_in_ = 2
    def predict(self, X):
        raise ValueError("not today")
"""


def own(name: str, folder: Path) -> tuple[Path, str]:
    """A pickle of an object of one of the classes above, as a notebook saves it, and the file with the code."""
    (folder / "helpers.py").write_text(CODE)
    path = folder / f"{name}.pkl"
    path.write_bytes(b"\x80\x04c__main__\n" + name.encode() + b"\n)\x81.")
    return path, str(folder / "helpers.py")


def test_a_model_whose_answers_hang_on_the_batch_runs_rows_alone(bench: Bench, tmp_path: Path) -> None:
    path, code = own("Together", tmp_path)
    admission = bench.admit(path, code=code, fields="a,b")
    assert admission.max_batch_rows == 1
    assert any("one by one" in warning for warning in admission.warnings)


@pytest.mark.parametrize(
    ("name", "reason"), [("Wild", "outside 0 to 1"), ("Nothing", "not finite"), ("Ends", "process ended"), ("Grumpy", "not today")]
)
def test_a_first_answer_that_cannot_be_sent_is_refused(bench: Bench, tmp_path: Path, name: str, reason: str) -> None:
    path, code = own(name, tmp_path)
    with pytest.raises(ArtifactRefused, match=reason):
        bench.admit(path, code=code, fields="a,b")


def test_names_of_main_need_the_code(bench: Bench, tmp_path: Path) -> None:
    path, _ = own("Together", tmp_path)
    with pytest.raises(LoadFailed, match="looks for Together in __main__") as refusal:
        bench.admit(path)
    assert "--code" in refusal.value.hint


@pytest.mark.parametrize(("name", "hint"), [("prices", "Did you mean 'price'?"), ("zzz", "Known are: price, Shop.")])
def test_a_name_that_a_python_file_has_not_is_answered_with_those_it_has(bench: Bench, tmp_path: Path, name: str, hint: str) -> None:
    path = tmp_path / "pricing.py"
    path.write_text("def price(area: float) -> float:\n    return 2 * area\n\n\ndef _own():\n    pass\n\n\nclass Shop:\n    pass\n")
    with pytest.raises(LoadFailed, match=f"has no {name}") as refusal:
        bench.admit(f"{path}:{name}")  # type: ignore[arg-type]
    assert refusal.value.hint == hint


def test_a_file_without_a_model_says_what_it_holds(bench: Bench, tmp_path: Path) -> None:
    path = saved({"model": LogisticRegression().fit(X, Y)}, tmp_path)
    with pytest.raises(LoadFailed, match="can predict") as refusal:
        bench.admit(path)
    assert "joblib.dump" in refusal.value.hint


def test_options_that_do_not_fit_the_model_are_refused_with_the_reason(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match="2 names for the 3 inputs"):
        bench.admit(saved(LogisticRegression().fit(X, Y), tmp_path), fields="a,b")


def test_a_chain_is_tried_as_one(bench: Bench, tmp_path: Path) -> None:
    texts, labels = ["good day", "bad day", "fine film", "ugly film"], ["p", "n", "p", "n"]
    words = TfidfVectorizer().fit(texts)
    model = LogisticRegression().fit(words.transform(texts), labels)
    admission = bench.admit(saved(words, tmp_path, "words.pkl"), saved(model, tmp_path, "model.pkl"), labels="bad,good")
    assert admission.prediction["prediction"] in ("bad", "good")
    assert [field.kind for field in admission.signature.fields] == ["text"]


def test_examples_are_replayed_with_labels_and_must_match(bench: Bench, tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    path, known = saved(model, tmp_path), tmp_path / "known.csv"
    lines = [[*row, ["no", "yes"][answer]] for row, answer in zip(X.tolist(), model.predict(X), strict=True)]
    write = lambda rows: known.write_text("\n".join(",".join(map(str, row)) for row in [["a", "b", "c", "expected"], *rows]))  # noqa: E731
    write(lines)
    options = {"fields": "a,b,c", "labels": "no,yes", "examples": str(known)}
    assert bench.admit(path, **options).replayed == 40
    lines[7][-1] = "yes" if lines[7][-1] == "no" else "no"
    write(lines)
    with pytest.raises(TrialFailed, match=r"1 of 40 examples.*row 8"):
        bench.admit(path, **options)
    known.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(TrialFailed, match="no column with the expected prediction"):
        bench.admit(path, **options)
    known.write_text("a,b,c,expected\n1,x,3,no\n")
    with pytest.raises(TrialFailed, match=r"examples: known\.csv: .*b"):
        bench.admit(path, **options)


@pytest.mark.parametrize(
    ("want", "got", "same"),
    [
        ("ham", "ham", True),
        ("1", 1, True),
        ("1.0", 1, True),
        ("0.33333334", 1 / 3, True),
        ("0.3334", 1 / 3, False),
        ("True", True, True),
        ("true", True, True),
        ("[1, 2]", [1, 2], True),
        ("[1, 2]", [1, 3], False),
        ("[1", [1], False),
        ("ham", "spam", False),
        ("", None, False),
    ],
)
def test_an_expected_cell_means_the_answer_however_it_is_spelled(want: str, got: Any, same: bool) -> None:
    assert is_same(want, got) is same


def test_the_bytes_that_are_loaded_are_the_bytes_that_were_read(bench: Bench, tmp_path: Path) -> None:
    path = saved(LogisticRegression().fit(X, Y), tmp_path)
    kept = bench.home / "artifacts"
    bench.admit(path)
    copies = [copy for copy in kept.rglob("*") if copy.is_file()]
    assert any(copy.read_bytes() == path.read_bytes() for copy in copies)
    assert all(len(copy.name) == 64 and copy.parent.name == copy.name[:2] for copy in copies), "nothing half-copied is left"
