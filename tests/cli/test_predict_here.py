"""``carafe predict`` with hosts on this machine: a model file, and a model that a steward serves. Everything is real."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest

from flask_carafe.artifacts.spec import from_options
from flask_carafe.cli import main
from flask_carafe.cli.steward_link import StewardLink
from flask_carafe.hosting.rundir import run_dir
from models import small
from processes import nothing_left, run_base, until

pytest.importorskip("sklearn")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Iterator[Path]:
    with run_base(f"cli{os.getpid()}") as base:
        monkeypatch.setenv("CARAFE_RUN_DIR", str(base))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        yield tmp_path / "home"
        assert nothing_left(tmp_path, base) == {}


def predict(capsys, *args: str) -> tuple[int, list[dict[str, str]], str]:
    code = main(["predict", *args])
    told = capsys.readouterr()
    return code, list(csv.DictReader(io.StringIO(told.out))), told.err


def lines_of(frame) -> str:
    """The frame as CSV with a column that the model does not know."""
    return frame.assign(id=range(len(frame))).astype({"member": float}).to_csv(index=False)


def test_a_model_file_answers_as_the_model_itself_does(home, tmp_path, capsys):
    model, (frame, _) = small.mixed(), small.people()
    joblib.dump(model, tmp_path / "mixed.joblib")
    (tmp_path / "rows.csv").write_text(lines_of(frame) + "1,Atlantis,1,1,99\n")
    code, rows, told = predict(capsys, "mixed.joblib", "-i", "rows.csv")
    assert code == 1
    assert [row["prediction"] for row in rows[:-1]] == [str(label) for label in model.predict(frame)]
    assert [float(row["probability_1"]) for row in rows[:-1]] == pytest.approx(model.predict_proba(frame)[:, 1])
    assert "city" in rows[-1]["error"] and rows[-1]["id"] == "99"
    assert "Not used by the model: id" in told
    assert not (tmp_path / ".carafe").exists(), "a model file that is only tried leaves nothing in the home"


def test_columns_that_do_not_fit_are_told_in_a_sentence_and_nothing_is_written(home, tmp_path, capsys):
    joblib.dump(small.logistic(k=2), tmp_path / "lr.joblib")
    (tmp_path / "rows.csv").write_text("up,down\n3,0\n")
    assert main(["predict", "lr.joblib", "-i", "rows.csv"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("Error: The columns do not fit the model; missing: feature_1, feature_2; not known: up, down.\n")


def test_options_describe_a_model_file(home, tmp_path, capsys):
    joblib.dump(small.logistic(k=2), tmp_path / "lr.joblib")
    (tmp_path / "rows.csv").write_text("up,down\n3,0\n-3,0\n")
    code, rows, _ = predict(capsys, "lr.joblib", "-i", "rows.csv", "--fields", "up,down", "--labels", "no,yes")
    assert code == 0
    assert [row["prediction"] for row in rows] == ["yes", "no"]


def test_rows_of_a_slow_model_do_not_add_up_to_a_hang(home, tmp_path, capsys):
    (tmp_path / "slow.py").write_text(
        "import time\n\n\ndef slow(x: float) -> float:\n    time.sleep(0.06)\n    if x == 7:\n        raise ValueError('seven')\n    return 2 * x\n"
    )
    (tmp_path / "rows.csv").write_text("x\n" + "".join(f"{i}\n" for i in range(40)))
    code, rows, _ = predict(capsys, "slow.py:slow", "-i", "rows.csv", "--timeout-ms", "1000")
    assert code == 1
    assert [(row["prediction"], row["error"]) for row in rows] == [("", "ValueError: seven") if i == 7 else (f"{2 * i}.0", "") for i in range(40)]


def test_a_file_that_is_no_model_is_refused_and_nothing_is_left(home, tmp_path, capsys):
    (tmp_path / "page.pkl").write_text("<html>not found</html>")
    (tmp_path / "rows.csv").write_text("a\n1\n")
    code, rows, told = predict(capsys, "page.pkl", "-i", "rows.csv", "-o", "out.csv")
    assert code == 1 and rows == [] and told.startswith("Error: ")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_early_end_leaves_no_process_no_copy_and_no_half_file(home, tmp_path, number, code):
    joblib.dump(small.logistic(k=1), tmp_path / "lr.joblib")
    command = [sys.executable, "-m", "flask_carafe", "predict", "lr.joblib", "-o", "out.ndjson", "--format", "ndjson"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.stdin.write(b'{"feature_1": 1}\n' * 300)
        process.stdin.flush()
        until(lambda: [*tmp_path.glob(".out*")], 60, "the first answers")
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code and b"Traceback" not in told
    assert {path.name for path in tmp_path.iterdir()} == {"lr.joblib"}


async def serve(home: Path, name: str, file: Path) -> None:
    """Have a steward serve ``file``, and wait until it does."""
    link = StewardLink(home)
    await link.connect()
    await link.declare([from_options(name, files=[str(file)])], name)
    async with asyncio.timeout(60):
        while not any(entry["state"] == "ready" for entry in link.table.get("models", [])):
            await link.changed.wait()
            link.changed.clear()
    await link.close()


def test_a_served_model_is_asked_in_its_own_host_and_a_lost_host_is_waited_for(home, tmp_path, capsys):
    joblib.dump(small.sentiment(), tmp_path / "sentiment.joblib")
    (tmp_path / "rows.csv").write_text("text\na great phone\nterrible sound\n")
    asyncio.run(serve(home, "sentiment", tmp_path / "sentiment.joblib"))
    ask = ("sentiment", "-i", "rows.csv", "--home", str(home))
    try:
        code, rows, _ = predict(capsys, *ask)
        assert (code, [row["prediction"] for row in rows]) == (0, ["positive", "negative"])
        table = json.loads((run_dir(home) / "table.json").read_bytes())
        os.kill(table["models"][0]["hosts"][0]["pid"], signal.SIGKILL)
        code, rows, _ = predict(capsys, *ask)
        assert (code, [row["prediction"] for row in rows]) == (0, ["positive", "negative"])
        assert main(["steward", "--status", "--home", str(home), "--json"]) == 0
        status = capsys.readouterr().out
        assert json.loads(status)["models"][0]["restarts"] == 1
        assert "token" not in status
    finally:
        assert main(["steward", "--stop", "--home", str(home)]) == 0
