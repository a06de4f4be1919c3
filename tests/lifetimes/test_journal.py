"""What a client was told is in the journal, once, whatever becomes of the worker that told it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.monitor.journal.export import records
from flask_carafe.monitor.journal.library import Wanted, merged
from processes import until


def journalled(home: Path) -> Counter[tuple[str, int]]:
    """How often each row of each prediction is there, open segments included."""
    return Counter((record["id"], record["row"]) for record in records(merged(home / "journal", Wanted())))


def told(load: Any) -> list[str]:
    """Ids of the predictions that clients got."""
    return [body["id"] for _, status, body, _ in list(load.answers) if status == 200]


def kill_workers(world: Any, load: Any, times: int) -> None:
    """Kill one web worker after the other, each while it answers."""
    for _ in range(times):
        enough = len(told(load)) + 30
        until(lambda enough=enough: len(told(load)) > enough and world.workers(), 30, "answers")
        os.kill(world.workers()[0], signal.SIGKILL)


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_every_acknowledged_prediction_is_in_the_journal_once_after_workers_were_killed(world: Any, load: Any, times: int) -> None:
    server = world.serve("--workers", "2")
    with load:
        kill_workers(world, load, times)
        until(world.whole, 30, "recovery")
    found = journalled(world.home)  # while the last workers still write
    assert set(found.values()) == {1}
    assert len(told(load)) > 30 * times and [known for known in told(load) if (known, 0) not in found] == []
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert set(found) <= set(journalled(world.home))


def test_predictions_under_a_server_that_forks_are_written_by_the_process_that_answers(world: Any, load: Any) -> None:
    pytest.importorskip("gunicorn")
    (world.path / "carafe.yaml").write_text(f"models:\n  triple: {{files: ['{world.code}:triple']}}\n")
    app = "flask_carafe.application:create_app()"
    world.ready(world.start(sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{world.port}", app))
    with load:
        until(lambda: len(told(load)) > 40, 30, "answers")
    found = journalled(world.home)
    assert {(known, 0) for known in told(load)} <= set(found) and set(found.values()) == {1}


def test_a_journal_that_cannot_be_written_is_told_everywhere_and_written_again_when_it_can(world: Any) -> None:
    world.home.mkdir()
    (world.home / "journal").write_text("in the way of a folder")
    world.serve("--workers", "1")
    assert world.prediction(5.0) == 15
    status, facts = world.get("/readyz")
    assert (status, facts["status"], facts["journal"]) == (200, "degraded", "failing")
    with urllib.request.urlopen(f"http://127.0.0.1:{world.port}/metrics") as page:
        lines = page.read().decode().splitlines()
    lost = next(line for line in lines if line.startswith("carafe_journal_lost_total{"))
    assert lost.startswith('carafe_journal_lost_total{model="triple"}') and float(lost.split()[-1]) >= 2
    command = [sys.executable, "-m", "flask_carafe", "doctor"]
    told = subprocess.run(command, env=world.environment, cwd=world.path, capture_output=True, text=True, check=True).stdout
    assert "journal cannot be written; " in told and "predictions are missing" in told
    (world.home / "journal").unlink()
    until(lambda: world.answers() and world.get("/readyz")[1]["journal"] == "written", 30, "the journal")
    assert journalled(world.home)
