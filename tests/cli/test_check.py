"""``carafe check`` as people run it."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.linear_model import LogisticRegression

from flask_carafe.cli import group

FILES = Path(__file__).resolve().parents[1] / "artifacts" / "files"
X = np.random.RandomState(0).randn(30, 2)


class Runs:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["check", *map(str, arguments)])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    joblib.dump(LogisticRegression().fit(X, X[:, 0] > 0), tmp_path / "spam.joblib")
    return tmp_path / "spam.joblib"


def test_a_good_model_is_described_tried_and_passed(model: Path) -> None:
    done = check(model, "--fields", "age,income", "--labels", "ham,spam")
    assert done.exit_code == 0, done.output
    for words in ("spam.joblib", "joblib, protocol", "LogisticRegression", "scikit-learn", "age", "income", "ham, spam", '"prediction"', "passed"):
        assert words in done.output
    assert "\x1b[" not in done.output, "no colour where nobody sees it"
    assert "safe" not in done.output


def test_static_loads_nothing_and_says_so(model: Path) -> None:
    done = check("--static", model)
    assert done.exit_code == 0
    assert "Nothing was loaded" in done.output
    assert "Trial" not in done.output


def test_a_file_of_an_old_version_is_marked_or_refused_with_both_versions() -> None:
    marked, refused, broken = (
        check(FILES / "1.7.2" / "ridge.joblib"),
        check(FILES / "1.3.2" / "tfidf_lr.joblib"),
        check(FILES / "0.20.4" / "ridge.joblib"),
    )
    assert marked.exit_code == 0 and "unverified" in marked.output and "1.7.2" in marked.output
    assert refused.exit_code == 1 and "idf weights are lost" in refused.output
    assert broken.exit_code == 1 and "0.20.4" in broken.output and "cannot be loaded" in broken.output


def test_a_malicious_file_is_told_and_not_run(tmp_path: Path) -> None:
    path, canary = tmp_path / "model.joblib", tmp_path / "canary"
    stream = io.BytesIO()
    joblib.dump({"scaler": np.arange(3), "model": Runs(f"touch {canary}")}, stream, compress=3)
    path.write_bytes(stream.getvalue())
    for arguments in ([path], ["--static", path], ["--json", path]):
        done = check(*arguments)
        assert done.exit_code == 1
        assert "posix.system" in done.output
    assert not canary.exists()


def test_json_is_for_machines(model: Path) -> None:
    report = json.loads(check(model, "--json").stdout)
    assert (report["model"], report["outcome"]) == ("spam", "passed")
    assert report["files"][0]["format"] == "joblib" and report["files"][0]["versions"]["scikit-learn"]
    trial = report["trial"]
    assert set(trial["prediction"]) == {"prediction", "probabilities"}
    assert trial["load_ms"] > 0 and trial["memory_bytes"] > 0 and trial["signature"]["fields"]


def test_several_models_are_checked_one_after_the_other(model: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a model")
    done = check(model, tmp_path / "notes.txt")
    assert done.exit_code == 1, "one of them is refused"
    assert "passed" in done.output and "a text file" in done.output
    reports = json.loads(check(model, tmp_path / "notes.txt", "--json").stdout)
    assert [report["outcome"] for report in reports] == ["passed", "refused"]


def test_misuse_is_told_from_refusal(model: Path) -> None:
    assert check().exit_code == 2
    assert check(model, f"two={model}", "--fields", "a,b").exit_code == 2
    assert check(model, "--input", "image:huge").exit_code == 1


def test_what_is_absent_truncated_or_misnamed_is_refused_with_the_reason(model: Path, tmp_path: Path) -> None:
    assert "no such file" in check(tmp_path / "absent.pkl").output
    (tmp_path / "cut.pkl").write_bytes(model.read_bytes()[:200])
    cut = check(tmp_path / "cut.pkl")
    assert cut.exit_code == 1 and "not whole" in cut.output
    (tmp_path / "columns.pkl").write_bytes(pickle.dumps(["a", "b"]))
    assert "can predict" in check(tmp_path / "columns.pkl").output


def test_no_machine_learning_library_is_imported_by_the_command(model: Path) -> None:
    code = (
        "import sys; from flask_carafe.cli import main; code = main(['check', sys.argv[1]]);"
        "sys.exit(code or 10 * bool({'numpy', 'sklearn', 'pandas', 'joblib', 'flask'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
