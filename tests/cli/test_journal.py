"""``carafe journal``: what was predicted, as a table, as NDJSON, as CSV."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from flask_carafe.cli.main import group
from flask_carafe.monitor.journal import Journal, Limits
from flask_carafe.serving.ids import PredictionIds
from monitor.lines import KINDS, KindsLine, Line, tape


@pytest.fixture
def home(tmp_path):
    """Twelve predictions of one model, of which the eleventh failed; one of them asked for what a spreadsheet would run."""
    journal = Journal(tmp_path / "journal", Limits(), lambda model, n: pytest.fail("lost"))
    line = Line(tape(journal))
    for nonce in range(1, 13):
        line.ask(f"id-{nonce}", nonce)
        line.turn()
    yield tmp_path
    journal.close()


def run(*arguments: object) -> str:
    result = CliRunner().invoke(group, ["journal", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_tail_shows_the_last_rows_as_a_table_and_as_ndjson(home):
    header, *rows = run("tail", "-n", "3", "--home", home).splitlines()
    assert header.split() == ["time", "(UTC)", "model", "version", "ms", "answer", "inputs"]
    assert [row.split("  ")[-1].strip() for row in rows] == [f"nonce={n}.0, word=w{n}, n=null" for n in (10, 11, 12)]
    assert "model_error: nonce 11" in rows[1]
    (record,) = map(json.loads, run("tail", "-n", "1", "--json", "--home", home).splitlines())
    assert (record["id"], record["row"], record["model"], record["version"], record["prediction"]) == ("id-12", 0, "m", 1, 12)


def test_show_tells_all_of_one_prediction_and_knows_from_its_id_when_it_was(tmp_path):
    prediction_id = PredictionIds().next()
    journal = Journal(tmp_path / "journal", Limits(), lambda model, n: pytest.fail("lost"))
    line = Line(tape(journal))
    line.ask(prediction_id, 3.0, 4.0)
    line.ask("another", 5.0)
    line.turn()
    assert [record["row"] for record in map(json.loads, run("show", prediction_id, "--json", "--home", tmp_path).splitlines())] == [0, 1]
    assert '"word":"w4"' in run("show", prediction_id, "--home", tmp_path)
    assert "prediction      5" in run("show", "another", "--home", tmp_path)
    old = CliRunner().invoke(group, ["journal", "show", "00a1fe1d" + prediction_id[8:], "--home", str(tmp_path)])
    assert old.exit_code == 1 and "There is no prediction" in old.output
    journal.close()


def test_export_writes_every_row_as_ndjson_or_csv_by_the_name_of_the_file(home, tmp_path):
    run("export", "--home", home, "-o", tmp_path / "out.ndjson")
    records = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()]
    assert [record["id"] for record in records] == [f"id-{n}" for n in range(1, 13)]
    run("export", "--home", home, "--model", "m", "--since", "1h", "-o", tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["prediction"] or row["error"] for row in rows] == [str(n) if n != 11 else "model_error: nonce 11" for n in range(1, 13)]
    assert list(rows[0]) == ["id", "row", "at", "model", "version", "latency_ms", "nonce", "word", "n", "prediction", "late", "error"]
    assert run("export", "--home", home, "--until", "1h", "--quiet") == ""
    assert run("export", "--home", home, "--json", "--quiet") == (tmp_path / "out.ndjson").read_text()


def test_cells_of_an_export_are_harmless_and_hashes_are_told_as_such(tmp_path):
    journal = Journal(tmp_path / "journal", Limits(), lambda model, n: pytest.fail("lost"))
    line = KindsLine(tape(journal, KINDS, fields={"email": "hashed"}), KINDS, essay="=cmd()")
    line.ask("id", 1.0)
    line.turn()
    (row,) = csv.DictReader(run("export", "--format", "csv", "--home", tmp_path).splitlines())
    assert row["essay"] == "'=cmd()" and len(json.loads(row["email"])["hash"]) == 32
    assert "email=#" in run("tail", "--home", tmp_path)
    journal.close()


def test_a_time_that_is_none_and_an_empty_journal_are_told(tmp_path):
    result = CliRunner().invoke(group, ["journal", "export", "--since", "yesterday", "--home", str(tmp_path)])
    assert result.exit_code == 1 and "'yesterday' is no time" in result.output
    result = CliRunner().invoke(group, ["journal", "tail", "--model", "m", "--home", str(tmp_path)])
    assert result.exit_code == 0 and "No predictions of model 'm'" in result.output


def test_follow_prints_what_is_predicted_from_then_on(home):
    command = [sys.executable, "-m", "flask_carafe", "journal", "tail", "-n", "1", "-f", "--json", "--home", str(home)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CARAFE_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert json.loads(process.stdout.readline())["id"] == "id-12"
        journal = Journal(home / "journal", Limits(), lambda model, n: pytest.fail("lost"))
        journal._serial = 1  # another journal of this process
        line = Line(tape(journal))
        line.ask("later", 5.0)
        line.turn()
        assert json.loads(process.stdout.readline())["id"] == "later"
        process.terminate()
    journal.close()
