"""``carafe bench``: what it measures is what a server answered, and what it says of it is so."""

from __future__ import annotations

import http.server
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.cli import main
from flask_carafe.cli.bench_rows import rows_of
from flask_carafe.errors import BadRequest
from flask_carafe.operations.bench import Busy, Level
from flask_carafe.operations.bottleneck import limit
from flask_carafe.operations.load import Counts
from processes import nothing_left, of_world, run_base, until

CODE = "def triple(x: float, times: int = 3) -> float:\n    return times * x\n"
SHORT = ["--seconds", "0.4", "--connections", "1,8"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a model, where nothing is left running."""
    (tmp_path / "model.py").write_text(CODE)
    (tmp_path / "rows.csv").write_text("id,x,times\na,1.5,2\nb,2,3\nc,-7,4\n")
    with run_base("b") as base:
        monkeypatch.setenv("CARAFE_RUN_DIR", str(base))
        monkeypatch.chdir(tmp_path)
        yield tmp_path
        left = nothing_left(base, tmp_path)
        assert not left
        assert not list(base.iterdir())


def test_a_model_file_is_served_measured_and_gone(place: Path, capsys: Any) -> None:
    assert main(["bench", "triple=model.py:triple", "-i", "rows.csv", "--json", "--workers", "1", *SHORT]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "triple" and told["rows"] == 3
    assert [level["connections"] for level in told["levels"]] == [1, 8]
    for level in told["levels"]:
        counts = level["counts"]
        assert counts["answered"] > 10 and not counts["failed"] and not counts["different"]
        assert 0 < counts["p50_s"] <= counts["p99_s"] <= counts["slowest_s"]
        assert level["per_s"] == pytest.approx(counts["answered"] / counts["seconds"])
        assert 1 <= level["rows_a_frame"] <= level["connections"]
        assert len(level["busy"]["web"]) == 1 and len(level["busy"]["hosts"]) == 1
        assert sum(level["busy"]["web"] + level["busy"]["hosts"]) > 0


def test_sigterm_in_the_middle_leaves_nothing(place: Path) -> None:
    command = [sys.executable, "-m", "flask_carafe", "bench", "triple=model.py:triple", "--seconds", "60", "--connections", "2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: any("operations.load" in line for line in of_world(place).values()), 30, "load")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130


def test_a_row_that_is_refused_is_told_before_anything_is_measured(place: Path, capsys: Any) -> None:
    Path("wrong.csv").write_text("x\n1\nmany\n")
    assert main(["bench", "triple=model.py:triple", "-i", "wrong.csv", *SHORT]) == 1
    told = capsys.readouterr()
    assert "Row 2 gets no prediction (422)" in told.err and "'many'" in told.err and not told.out


# ---- a server that somebody else runs

DOCUMENT = {
    "paths": {"/models/coin/predict": {"post": {"requestBody": {"content": {"application/json": {"examples": {"row": {"value": {"x": 1}}}}}}}}},
    "components": {"schemas": {"coin.Request": {"type": "object", "properties": {"x": {"type": "number"}}}}},
}


class Coin(http.server.BaseHTTPRequestHandler):
    """Answers one thing and, after the first answer, now and then another."""

    protocol_version = "HTTP/1.1"
    turns = itertools.count()
    answers: tuple[tuple[int, Any], ...] = ()
    closes = False

    def do_GET(self) -> None:
        self.say(200, DOCUMENT) if self.path == "/openapi.json" else self.say(404, {})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.say(*self.answers[next(self.turns) % len(self.answers)])

    def say(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("CONTENT-LENGTH", str(len(text)))
        if self.closes:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def coin() -> Iterator[Any]:
    """Starts such a server; gives its address."""
    servers = []

    def start(*answers: tuple[int, Any], closes: bool = False) -> str:
        handler = type("Handler", (Coin,), {"answers": answers, "closes": closes, "turns": itertools.count()})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_answers_that_differ_from_the_first_are_counted(coin: Any, capsys: Any) -> None:
    url = coin((200, {"prediction": 0.1, "id": "a"}), (200, {"prediction": 0.1 + 1e-14, "id": "b"}), (200, {"prediction": 0.7, "id": "c"}))
    assert main(["bench", "coin", "--url", url, "--json", *SHORT]) == 0
    for level in json.loads(capsys.readouterr().out)["levels"]:
        assert level["counts"]["different"] == pytest.approx(level["counts"]["answered"] / 3, abs=9)
        assert level["busy"] is None and level["rows_a_frame"] is None


def test_failed_requests_are_no_answers_and_make_it_fail(coin: Any, capsys: Any) -> None:
    url = coin((200, {"prediction": 1}), (200, {"prediction": 1}), (429, {"error": "The queue is full."}))
    assert main(["bench", "coin", "--url", url, *SHORT]) == 1
    told = capsys.readouterr().out
    assert "× 429" in told and "The queue is full." in told and "run it on the server's machine" in told


def test_a_server_that_closes_each_connection_is_measured_too(coin: Any, capsys: Any) -> None:
    assert main(["bench", "coin", "--url", coin((200, {"prediction": 1, "id": "x"}), closes=True), *SHORT]) == 0
    assert "as expected" in capsys.readouterr().out


def test_no_server_no_such_model_no_such_level(coin: Any, capsys: Any) -> None:
    assert main(["bench", "coin", "--url", "http://127.0.0.1:9"]) == 1
    assert "No server answers at 127.0.0.1:9" in capsys.readouterr().err
    assert main(["bench", "dice", "--url", coin((200, {}))]) == 1
    assert "no model 'dice'" in capsys.readouterr().err
    assert main(["bench", "coin"]) == 1
    assert "give its --url" in capsys.readouterr().err
    assert main(["bench", "coin", "--url", "x", "--connections", "1,0"]) == 2
    assert "from 1 to 1,024" in capsys.readouterr().err
    assert main(["bench", "coin", "--url", "x", "--workers", "2"]) == 2


# ---- rows


def test_rows_of_a_file_become_values_by_the_schema(tmp_path: Path) -> None:
    fields = {"age": {"type": ["number", "null"]}, "city": {"type": "string"}, "member": {"type": "boolean"}, "size": {"enum": [1, 2]}}
    request = {"anyOf": [{"properties": fields}, {"properties": {"rows": {}}}]}
    (tmp_path / "a.csv").write_text("city,age,member,size,more\n7,4.5,True,2,x\nLima,,no,1,y\n")
    wanted = [{"city": "7", "age": 4.5, "member": True, "size": 2}, {"city": "Lima", "member": "no", "size": 1}]
    assert rows_of(str(tmp_path / "a.csv"), request) == wanted
    (tmp_path / "a.ndjson").write_text('{"age": 1, "more": 2}\n[1, 2]\n')
    assert rows_of(str(tmp_path / "a.ndjson"), request) == [{"age": 1}, [1, 2]]
    for text in ("", "age\n", '{"age": '):
        (tmp_path / "b.ndjson").write_text(text)
        with pytest.raises(BadRequest):
            rows_of(str(tmp_path / ("b.csv" if text == "age\n" else "b.ndjson")), request)


# ---- what is said of it


def seen(web: list[float], hosts: list[float], own: float = 0.2, **more: Any) -> Level:
    counts = Counts(
        answered=4000, seconds=2.0, p50_s=0.01, p99_s=0.02, slowest_s=0.03, failed={}, first_failure="", different=0, cpu_s=own * 2
    )  # fmt: skip
    busy = Busy(**{"web": web, "hosts": hosts, "load": own, "machine": 0.5, "cpus": 4, "server_cpus": 4} | more)
    return Level(connections=64, per_s=2000.0, counts=counts, rows_a_frame=8.0, busy=busy)


@pytest.mark.parametrize(
    ("level", "what", "words"),
    [
        (seen([0.5], [0.99]), "host", "99 % of a CPU at 64 connections, 0.49 ms a row"),
        (seen([0.97], [0.6]), "web", "--workers 2"),
        (seen([0.97, 0.95], [0.6], cpus=2, server_cpus=2), "web", "as many as CPUs (2)"),
        (seen([0.97, 0.1], [0.6]), "web", "another has 10 %"),
        (seen([0.5], [0.4], own=0.99), "load", "the server can do more"),
        (seen([0.6], [0.5], own=0.8, machine=0.97, cpus=2), "cpus", "measure from another machine"),
        (seen([0.3], [0.3], machine=0.97, cpus=2), "cpus", "others 114 %"),
        (seen([0.5], [0.48], server_cpus=1), "cpus", "(1 of 4)"),
        (seen([0.1], [0.1]), "wait", "sleeps or asks a network"),
    ],
)
def test_the_process_that_is_the_limit_is_named(level: Level, what: str, words: str) -> None:
    found = limit([level])
    assert (found.what, words in f"{found.text} {found.hint}") == (what, True), found
