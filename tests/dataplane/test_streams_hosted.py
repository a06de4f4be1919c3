"""Streams of models in hosts, through ``carafe serve``: many at once, slow readers, clients that leave, hosts that die."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataplane.conftest import Server, start_server, stop_server
from dataplane.test_streams import ask_and_hang_up, events, until
from flask_carafe.hosting.rundir import run_dir

CODE = '''
import time
from typing import Dict, Iterator, List

def count(to: int, start: int = 0, pause_s: float = 0.0, mark: str = "") -> Iterator[int]:
    number = -1
    try:
        for number in range(start, start + to):
            yield number
            time.sleep(pause_s)
    finally:
        if mark:
            with open(mark, "w") as stream:
                stream.write(str(number))

def hang(after: int) -> Iterator[int]:
    for number in range(after):
        yield number
    while after:
        time.sleep(1)
    yield 0

def heavy(parts: int, size: int = 65536, mark: str = "") -> Iterator[str]:
    for number in range(parts):
        if mark:
            with open(mark, "w") as stream:
                stream.write(str(number + 1))
        yield "x" * size

class Words:
    text: str
    def predict(self, rows: List[Dict]) -> Iterator[str]:
        for word in rows[0]["text"].split():
            if word == "raise":
                raise ValueError("the secret is in /etc/passwd")
            yield word
'''


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("streaming")
    (folder / "chatter.py").write_text(CODE)
    (folder / "carafe.yaml").write_text(
        "models:\n"
        '  count: {files: ["chatter.py:count"]}\n'
        '  hang: {files: ["chatter.py:hang"], timeout_ms: 1000}\n'
        '  heavy: {files: ["chatter.py:heavy"]}\n'
        '  words: {files: ["chatter.py:Words"]}\n'
    )
    server = start_server(folder)
    yield server
    stop_server(server)


def host_of(server: Server, name: str) -> int:
    """The process that holds a model now; 0 while it is being replaced."""
    table = json.loads((run_dir(server.home) / "table.json").read_bytes())
    hosts = next(model["hosts"] for model in table["models"] if model["name"] == name)
    return int(hosts[0]["pid"]) if hosts else 0


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_many_streams_of_one_host_are_whole_and_in_order(server):
    def ask(start: int) -> list[int]:
        *values, last = events(server.post("/models/count/predict", {"to": 60, "start": start, "pause_s": 0.001}, X_Request_Timeout_Ms="30000").body)
        assert last.name == "end"
        return [event.data for event in values]

    starts = [1000 * number for number in range(32)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(ask, starts)) == [list(range(start, start + 60)) for start in starts]


def test_streams_run_side_by_side_and_not_one_after_the_other(server):
    met = threading.Barrier(8, timeout=30)

    def ask(start: int) -> bytes:
        body = json.dumps({"to": 100_000, "start": start, "pause_s": 0.01}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"POST /models/count/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            said = b""
            while b"data: %d\n" % (start + 2) not in said:
                said += connection.recv(65536)
            met.wait()  # every stream is under way, and none at its end
            return said

    with ThreadPoolExecutor(8) as pool:
        assert all(b"event: end" not in said for said in pool.map(ask, range(0, 8000, 1000)))


def test_one_json_answer_and_what_fails(server):
    assert server.post("/models/words/predict", {"text": "to be"}, Accept="application/json").json["prediction"] == ["to", "be"]
    assert server.post("/models/words/predict", {"text": "raise"}).json["code"] == "model_error"
    first, last = events(server.post("/models/words/predict", {"text": "well raise"}).body)
    assert (first.data, last.name, last.data["code"]) == ("well", "error", "model_error")
    assert server.post("/models/words/predict", {"rows": [{"text": "a"}, {"text": "b"}]}).status == 422


def test_a_client_that_leaves_ends_the_generator(server, tmp_path):
    mark = tmp_path / "mark"
    ask_and_hang_up(server, "/models/count/predict", {"to": 10_000, "pause_s": 0.01, "mark": str(mark)}, after=b"data: 3\n")
    assert int(until(mark)) < 1000


def test_a_slow_reader_holds_up_the_model_and_fills_no_memory(server, tmp_path):
    mark, pid, parts = tmp_path / "mark", host_of(server, "heavy"), 1000  # of 64 KiB: 64 MiB
    before = resident_mib(pid)
    body = json.dumps({"parts": parts, "mark": str(mark)}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /models/heavy/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        known, made = -1, 0
        while made != known or not made:
            known = made
            time.sleep(0.5)
            made = int(until(mark))
        assert made < 200
        assert resident_mib(pid) < before + 20
        said = 0
        while part := connection.recv(1 << 20):
            said += len(part)
            if part.endswith(b"0\r\n\r\n"):
                break
        assert said > parts << 16
    assert resident_mib(pid) < before + 20


def test_a_host_that_is_killed_ends_its_streams_with_an_error(server):
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.post, "/models/count/predict", {"to": 100_000, "pause_s": 0.01})
        time.sleep(0.5)
        os.kill(host_of(server, "count"), signal.SIGKILL)
        last = events(answer.result(30).body)[-1]
    assert (last.name, last.data["code"]) == ("error", "host_lost")
    end = time.monotonic() + 30
    while (again := server.post("/models/count/predict", {"to": 1})).status != 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert again.status == 200


def test_a_step_that_hangs_has_the_host_replaced_though_nobody_waits_for_it_any_more(server):
    pid = host_of(server, "hang")
    ask_and_hang_up(server, "/models/hang/predict", {"after": 1}, after=b"data: 0\n")
    end = time.monotonic() + 30
    while host_of(server, "hang") in (0, pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert host_of(server, "hang") not in (0, pid)
