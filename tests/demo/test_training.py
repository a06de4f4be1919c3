"""The demo's models, trained once for all tests here as `carafe demo` trains them: in a process of its own."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flask_carafe import demo
from flask_carafe.artifacts.spec import from_options

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAMES = ["sentiment", "churn", "digits"]


def score(folder: Path, code: str) -> float:
    """Run ``code`` in a process of its own, since tests of web code must not load scikit-learn; it prints one number."""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_training_tells_the_accuracy_of_each_model(trained: tuple[Path, list[str]]) -> None:
    told = {line.split(":")[0]: float(line.split("accuracy ")[1].split("%")[0]) for line in trained[1]}
    assert list(told) == NAMES
    assert told["sentiment"] > 72
    assert told["churn"] > 77
    assert told["digits"] > 85


def test_what_was_trained_is_not_trained_again(trained: tuple[Path, list[str]]) -> None:
    again: list[str] = []
    assert demo.train(trained[0], again.append) == trained[0] / "carafe.yaml"
    assert again == []


def test_other_sources_or_libraries_train_anew(trained: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "libraries", lambda: {"scikit-learn": "99.0"})
    assert not demo.is_trained(trained[0])


def test_the_yaml_describes_each_model_as_serve_wants_it(trained: tuple[Path, list[str]]) -> None:
    models = yaml.safe_load((trained[0] / "carafe.yaml").read_text())["models"]
    specs = {name: from_options(name, **options) for name, options in models.items()}
    assert list(specs) == NAMES
    assert specs["sentiment"].routes == ("/api",)
    assert all(spec.description and (trained[0] / spec.files[0]).exists() for spec in specs.values())


def test_the_churn_sample_has_gaps_in_age_and_no_answer_column(trained: tuple[Path, list[str]]) -> None:
    with (trained[0] / "churn-sample.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"contract", "age", "monthly_fee"} <= rows[0].keys()
    assert any(row["age"] == "" for row in rows)
    assert not any(value in ("leaves", "stays") for row in rows for value in row.values())


def test_digits_drawn_in_shapes_kept_from_training_are_read() -> None:
    accuracy = score(Path(), "from flask_carafe.demo.training.digits import leave_one_drawing_out; print(leave_one_drawing_out())")
    assert accuracy > 0.93


def test_sentiment_carries_over_to_public_amazon_reviews(trained: tuple[Path, list[str]], data: Callable[[str], Path]) -> None:
    code = f"""
import csv, joblib, sys
model = joblib.load(sys.argv[1] + "/sentiment.joblib")
rows = [line.rsplit("\\t", 1) for line in open({str(data("amazon-reviews/amazon_cells_labelled.txt"))!r}, encoding="utf-8").read().splitlines()]
print(model.score([text for text, _ in rows], [("negative", "positive")[int(label)] for _, label in rows]))
"""
    assert score(trained[0], code) > 0.75


def test_a_missing_library_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "NEEDS", ("scikit-learn", "no-such-library"))
    with pytest.raises(demo.ConfigError, match="no-such-library") as caught:
        demo.libraries()
    assert "pip install 'Flask-Carafe[demo]'" in caught.value.hint


def test_a_training_that_fails_says_why_and_leaves_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "sentiment.joblib").mkdir()  # cannot be replaced by a file
    with pytest.raises(demo.LoadFailed, match="IsADirectoryError"):
        demo.train(tmp_path, lambda _: None)
    assert not demo.is_trained(tmp_path)
