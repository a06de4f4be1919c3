"""The steward's parts on their own: what is declared, the table's file, the clock, the messages of `serve`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from flask_carafe.artifacts.spec import ModelSpec, from_options
from flask_carafe.cli.announcing import curl_line, describe
from flask_carafe.cli.running import free_port
from flask_carafe.cli.serve import check_routes, named_specs
from flask_carafe.cli.watching import Watcher
from flask_carafe.config import Settings
from flask_carafe.errors import ConfigError
from flask_carafe.operations.declare import declared_models
from flask_carafe.steward.clock import KeepFilesYoung, KeepLogShort, run_jobs
from flask_carafe.steward.declared import DeclaredFile
from flask_carafe.steward.table import TableFile, TableMaker


def spec(name: str, **options: Any) -> ModelSpec:
    return from_options(name, files=f"{name}.joblib", **options)


def test_declarations_survive_the_steward_but_not_a_restart_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DeclaredFile(tmp_path)
    known = file.read()
    known.declare([spec("a"), spec("b", labels="ham,spam")], "app")
    file.write(known)
    assert file.read().models == known.models
    monkeypatch.setattr("flask_carafe.steward.declared._boot_id", lambda: "another boot")
    assert file.read().models == {}


def test_a_torn_file_of_declarations_or_a_torn_table_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "declared.json").write_text('{"models": {"a":')
    (tmp_path / "table.json").write_text('{"format": 1, "mod')
    assert DeclaredFile(tmp_path).read().models == {}
    assert TableFile(tmp_path).read() == {}


def test_the_default_model_is_the_declared_one_or_the_only_one(tmp_path: Path) -> None:
    known = DeclaredFile(tmp_path).read()
    assert known.default_model is None
    known.declare([spec("a")], "app")
    assert known.default_model == "a"
    known.declare([spec("b")], "app")
    assert known.default_model is None
    known.default = "b"
    assert known.default_model == "b"


def test_replacing_removes_what_the_same_source_declares_no_more(tmp_path: Path) -> None:
    known = DeclaredFile(tmp_path).read()
    known.declare([spec("a"), spec("b")], "serve")
    known.declare([spec("c")], "app")
    _, gone = known.declare([spec("b")], "serve", replace=True)
    assert gone == ["a"]
    assert set(known.models) == {"b", "c"}


def test_revisions_go_on_where_the_last_steward_stopped() -> None:
    maker = TableMaker(41)
    assert [maker.make([], None, None)["revision"] for _ in range(2)] == [42, 43]
    assert maker.epoch != TableMaker().epoch


@dataclass
class Counting:
    name: str = "counting"
    every_s: float = 0.05
    steps: list[datetime] = field(default_factory=list)

    def step(self, now: datetime) -> int:
        self.steps.append(now)
        if len(self.steps) == 2:
            raise ValueError("this once")
        return 1


def test_a_job_that_fails_is_logged_and_tried_again_at_its_next_time(caplog: pytest.LogCaptureFixture) -> None:
    job = Counting()

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(run_jobs([job], stop))
        async with asyncio.timeout(5):
            while len(job.steps) < 3:
                await asyncio.sleep(0.01)
        stop.set()
        await task

    asyncio.run(run())
    assert "counting failed" in caplog.text


def test_upkeep_makes_every_file_of_the_run_directory_young(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "h1.json").write_text("{}")
    now = datetime(2031, 5, 6, tzinfo=UTC)
    assert KeepFilesYoung(tmp_path).step(now) == 3
    assert (tmp_path / "hosts" / "h1.json").stat().st_mtime == now.timestamp()


def test_a_log_that_grew_long_is_put_aside_and_written_on(tmp_path: Path) -> None:
    log, job = tmp_path / "steward.log", KeepLogShort(tmp_path)
    assert job.step(datetime.now(UTC)) == 0
    with log.open("ab") as written:
        written.write(b"x" * (5 << 20))
        written.flush()
        assert job.step(datetime.now(UTC)) == 1
        written.write(b"more\n")
        written.flush()
        assert job.step(datetime.now(UTC)) == 0
    assert log.read_bytes() == b"more\n"
    assert (tmp_path / "steward.log.1").stat().st_size == 5 << 20


def test_serve_says_how_each_model_came_up() -> None:
    ready = {"name": "iris", "state": "ready", "runtime": "scikit-learn 1.9.1", "memory_bytes": 1_700_000, "unverified": ""}
    assert click.unstyle(describe(ready, 1.23)) == "iris: ready in 1.2 s (scikit-learn 1.9.1, 1.6 MiB)"
    refused = {"name": "old", "state": "refused", "reason": "Saved by 0.20.", "hint": "Train it again."}
    assert click.unstyle(describe(refused, 1.0)) == "old: refused: Saved by 0.20.\n  Train it again."


def test_the_curl_line_survives_a_shell_and_prefers_the_default_model() -> None:
    entries = [{"name": "a", "state": "ready", "example": {"x": 1}}, {"name": "b", "state": "ready", "example": {"text": "it's good"}}]
    line = curl_line("http://127.0.0.1:5000", {"default_model": "b"}, entries)
    assert line == """curl -s http://127.0.0.1:5000/predict -H 'Content-Type: application/json' -d '{"text":"it'"'"'s good"}'"""
    assert "/models/a/predict" in curl_line("", {"default_model": None}, entries)
    assert curl_line("", {}, [{"name": "digits", "state": "ready", "example": None}]) == ""


def test_the_curl_line_of_a_long_row_posts_a_file() -> None:
    line = curl_line("http://h", {}, [{"name": "net", "state": "ready", "example": {"x": [0.0] * 150_528}}])
    assert "-d @row.json\n" in line and "http://h/models/net/docs" in line and len(line) < 300


def test_two_models_at_one_route_are_refused() -> None:
    with pytest.raises(ConfigError, match="a and b would both answer at /api"):
        check_routes([spec("a", routes="/api"), spec("b", routes="/api")])


def test_options_of_one_model_with_several_models_are_misuse() -> None:
    with pytest.raises(click.UsageError, match="fields"):
        named_specs(["a.joblib", "b.joblib"], {"fields": "x,y"})


def test_port_0_takes_a_free_one_and_a_foreign_address_is_told() -> None:
    assert free_port("127.0.0.1", 0) > 0
    with pytest.raises(ConfigError, match=r"Cannot listen at 203\.0\.113\.7"):
        free_port("203.0.113.7", 5000)


def test_the_watcher_sees_a_changed_model_a_changed_configuration_and_nothing_else(tmp_path: Path) -> None:
    model, config = tmp_path / "iris.joblib", tmp_path / "carafe.yaml"
    model.write_bytes(b"1")
    config.write_text("models:\n  iris: iris.joblib\n")
    settings = Settings.load(environ={}, directory=tmp_path)
    watcher = Watcher(declared_models(settings), settings)
    assert not watcher.look().models
    for data in (b"22", b"333"):
        model.write_bytes(data)
        assert not watcher.look().models, "it may still be being written"
    assert watcher.look().models == ["iris"]
    assert not watcher.look().models
    (tmp_path / "rose.joblib").write_bytes(b"1")
    config.write_text("models:\n  iris: {files: iris.joblib, description: Flowers.}\n  rose: rose.joblib\n")
    changed = (watcher.look(), watcher.look())[1].specs
    assert changed is not None
    assert changed[0].description == "Flowers."
    assert watcher.look().models == []
    config.write_text("models: {iris: {filse: iris.joblib}}\n")
    assert "cannot be used" in (watcher.look(), watcher.look())[1].error
