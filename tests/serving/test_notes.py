"""What is written down of a function's answers, and what is not."""

from __future__ import annotations

from time import monotonic

import pytest

from flask_carafe.config import Settings
from flask_carafe.errors import ConfigError
from flask_carafe.monitor import Recorder
from flask_carafe.monitor.journal.export import records
from flask_carafe.monitor.journal.format import Facts
from flask_carafe.monitor.journal.library import Wanted, merged
from flask_carafe.serving.asking import call_local
from flask_carafe.serving.functions import declare, function_model
from flask_carafe.serving.lane import Lane
from flask_carafe.serving.notes import Notes


def greet(name: str, times: int = 1) -> str:
    return f"Hello {name}! " * times


def noted(tmp_path, settings: Settings | None = None, writes: bool = True, **options: object) -> tuple[Notes, list[dict]]:
    """What the journal has after one call with two rows."""
    notes = Notes(settings or Settings(home=tmp_path), Recorder(None), writes)
    model = function_model(declare("greeting", greet, **options), 100)
    rows = model.usable_decoder().value([{"name": "Ada", "times": 1}, {"name": "Bob", "times": 2}])
    notes.call(model, "id", rows, call_local(model, rows), monotonic())
    found = list(records(merged(tmp_path / "journal", Wanted())))
    notes.close()
    return notes, found


def test_a_function_s_answers_are_written_down(tmp_path):
    notes, found = noted(tmp_path)
    assert notes.state == "written"
    assert [(record["id"], record["row"], record["inputs"], record["prediction"]) for record in found] == [
        ("id", 0, {"name": "Ada", "times": 1}, "Hello Ada! "),
        ("id", 1, {"name": "Bob", "times": 2}, "Hello Bob! Hello Bob! "),
    ]


def test_its_rules_are_kept_with_the_secret_of_the_home(tmp_path):
    _, found = noted(tmp_path, journal={"fields": {"name": "hashed"}, "answer": "dropped"})
    assert [set(record["inputs"]["name"]) for record in found] == [{"hash"}, {"hash"}] and not any("prediction" in record for record in found)
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    _, again = noted(tmp_path, journal={"fields": {"name": "hashed"}})
    assert {record["inputs"]["name"]["hash"] for record in again} == {record["inputs"]["name"]["hash"] for record in found}
    with pytest.raises(ConfigError, match="no field 'nam'"):
        declare("greeting", greet, journal="nam=hashed")


def test_nothing_is_written_where_the_journal_is_off(tmp_path):
    for more in ({"settings": Settings(home=tmp_path, journal=False)}, {"writes": False}, {"journal": "off"}, {"journal": {"sample": 0}}):
        _, found = noted(tmp_path, **more)
        assert not found and not (tmp_path / "journal").exists()


def test_a_stream_s_model_keeps_its_number_when_a_new_table_comes(tmp_path):
    notes = Notes(Settings(home=tmp_path), Recorder(None), writes=True)
    lane = Lane("greeting", "1", (), (), 1, 1.0)
    for _ in range(2):  # the same version, of two tables
        model = function_model(declare("greeting", greet), 100)
        model.lane = lane
        rows = model.usable_decoder().value({"name": "Ada", "times": 1})
        notes.call(model, "id", rows, call_local(model, rows), monotonic())
    assert notes.journal.number(Facts(name="another", signature=model.signature)) == 1
    notes.close()
