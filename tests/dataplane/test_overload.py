"""More than can be answered, hardly any time, clients that leave, models that hang: what can be answered is, and the rest is told at once."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplane.conftest import Server, start_server, stop_server
from dataplane.test_crowds import crowd, fastest
from flask_carafe.hosting.rundir import run_dir

CLIENT = Path(__file__).with_name("load_client.py")
MODELS = """
import time

calls = 0

def nap(x: int) -> int:
    time.sleep(0.005)
    return x

def echo(nonce: int) -> int:
    return nonce

def tally(seconds: float) -> int:
    global calls
    calls += 1
    time.sleep(seconds)
    return calls

def stuck(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
"""


def serve_models(folder: Path, workers: int = 1) -> Server:
    (folder / "models.py").write_text(MODELS)
    names = ("nap", "echo", "tally", "stuck")
    lines = "".join(f'  {name}: {{files: ["models.py:{name}"], timeout_ms: 30000}}\n' for name in names)
    (folder / "carafe.yaml").write_text(f"default_model: echo\nmodels:\n{lines}")
    return start_server(folder, workers=workers)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = serve_models(tmp_path_factory.mktemp("busy"))
    yield server
    stop_server(server)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[int], Server]]:
    """Servers of a slow test's own, with as many workers as it says."""
    started: list[Server] = []

    def run(workers: int) -> Server:
        started.append(serve_models(tmp_path, workers))
        return started[-1]

    yield run
    for one in started:
        stop_server(one)


def load(server: Server, mode: str, within_s: float, **options: Any) -> dict[str, Any]:
    """What the client saw; it has ``within_s`` seconds to come to an end."""
    told = json.dumps({"port": server.port, **options})
    run = subprocess.run([sys.executable, str(CLIENT), mode, told], capture_output=True, timeout=within_s, check=False)
    assert run.returncode == 0, run.stderr.decode()
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def resident_bytes(server: Server) -> int:
    """Resident memory of the server's own processes, the hosts not among them."""
    assert server.process is not None
    pages = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == server.process.pid:
                pages += int((entry / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def hosts(server: Server) -> dict[str, int]:
    """Model -> the pid of its host."""
    table = json.loads((run_dir(server.home) / "table.json").read_bytes())
    return {model["name"]: model["hosts"][0]["pid"] for model in table["models"]}


def overload(server: Server, seconds: float) -> dict[str, Any]:
    """Three times as much as the model can answer, after what it can was measured; all figures of it."""
    nap = {"path": "/models/nap/predict", "body": '{"x": 1}', "timeout_ms": 2000}
    closed = load(server, "closed", 60 + seconds, connections=64, seconds=min(5.0, seconds), **nap)
    most = closed["answers"]["200"]["n"] / min(5.0, seconds)
    load(server, "open", 60 + seconds, rate=3 * most, seconds=2.0, **nap)  # so that memory is what it is under this load
    memory = resident_bytes(server)
    seen = load(server, "open", 120 + seconds, rate=3 * most, seconds=seconds, **nap)
    counts = {int(status): about["n"] for status, about in seen["answers"].items()}
    assert not seen["lost"] and not seen["unanswered"] and not seen["without_retry"], seen
    assert set(counts) <= {200, 429, 503, 504}, counts
    refused = [about["p99"] for status, about in seen["answers"].items() if status in ("429", "503")]
    return {
        "goodput": seen["good"] / seconds / most, "late": counts.get(504, 0) / (counts[200] + counts.get(504, 0)),
        "p99_s": seen["answers"]["200"]["p99"], "refused_p99_s": max(refused), "refused": counts.get(429, 0) + counts.get(503, 0),
        "grown_bytes": resident_bytes(server) - memory, "asked": sum(counts.values()),
    }  # fmt: skip


@pytest.mark.load
def test_three_times_as_much_as_can_be_answered_leaves_what_can_be(busy: Server) -> None:
    found = overload(busy, 4.0)
    assert found["refused"] > found["asked"] / 3, found
    assert found["goodput"] > 0.5, found
    assert found["late"] < 0.2, found
    assert found["grown_bytes"] < 30 << 20, found


@pytest.mark.slow
@pytest.mark.load
@pytest.mark.parametrize("workers", [1, 2])
def test_three_times_as_much_for_half_a_minute(serve: Callable[[int], Server], workers: int) -> None:
    found = overload(serve(workers), 30.0)
    assert found["goodput"] >= 0.8, found
    assert found["refused_p99_s"] <= 0.05, found
    assert found["late"] <= 0.01 and found["p99_s"] <= 2.0, found
    assert found["grown_bytes"] < 5 << 20, found


def echo(server: Server, total: int, seconds: float) -> None:
    """So many rows that name themselves, one in a hundred with hardly any time."""
    before = hosts(server)
    seen = load(server, "echo", seconds, path="/predict", total=total, connections=64, deep=4, seed=total)
    assert seen["wrong"] == seen["lost"] == 0, seen
    assert seen["others"] == {"200": seen["others"].get("200")}, "who has time was harmed by who has none"
    assert sum(seen["others"].values()) + sum(seen["hasty"].values()) == total, seen
    assert set(seen["hasty"]) <= {"200", "429", "504"} and seen["hasty"].get("504", 0) + seen["hasty"].get("429", 0) > total / 1000, seen
    assert hosts(server) == before, "a client's deadline ended a host"


def test_nobody_gets_the_answer_of_another_when_some_have_no_time_and_the_host_stays_the_same(busy: Server) -> None:
    echo(busy, 20_000, 100)


@pytest.mark.slow
@pytest.mark.timeout(2000)
def test_nobody_gets_the_answer_of_another_in_a_million(serve: Callable[[int], Server]) -> None:
    echo(serve(2), 1_000_000, 1800)


def test_rows_of_clients_that_left_are_not_computed(busy: Server) -> None:
    """Fifty clients ask for 0.8 s each and leave after 0.3 s: one row was with the model then, and counts its calls."""
    before = busy.post("/models/tally/predict", {"seconds": 0.0}).json["prediction"]
    body = b'{"seconds": 0.8}'
    request = b"POST /models/tally/predict HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout-Ms: 60000\r\nContent-Length: %d\r\n\r\n" % len(body)
    with crowd(busy, 50, request + body):
        pass
    after = busy.post("/models/tally/predict", {"seconds": 0.0}, X_Request_Timeout_Ms="60000").json["prediction"]
    assert 1 <= after - before <= 3


def test_a_model_that_hangs_leaves_the_pages_half_of_their_threads(busy: Server) -> None:
    def ask() -> None:
        busy.ask("POST", "/models/stuck", b"seconds=8", {"Content-Type": "application/x-www-form-urlencoded"})

    threads = [threading.Thread(target=ask) for _ in range(24)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    assert fastest(busy, "/") < 1.0
    page = busy.ask("POST", "/models/echo", b"nonce=7", {"Content-Type": "application/x-www-form-urlencoded"})
    assert page.status == 200 and b"7" in page.body
    for thread in threads:
        thread.join()
