"""Many clients at once: slow ones, mixed ones, leaving ones. Nobody is kept waiting by another, nobody gets another's answer."""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from dataplane.conftest import Server

SECONDS = 12  # the long run of a minute is marked slow


@contextmanager
def crowd(server: Server, n: int, opening: bytes) -> Iterator[list[socket.socket]]:
    """``n`` connections that have said ``opening`` and no more."""
    with ExitStack() as stack:
        sockets = []
        for _ in range(n):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            one.sendall(opening)
            sockets.append(one)
        time.sleep(0.3)
        yield sockets


def fastest(server: Server, path: str, tries: int = 5) -> float:
    """Seconds of the median of a few requests."""
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        assert server.ask("GET", path).status == 200
        times.append(time.perf_counter() - began)
    return sorted(times)[tries // 2]


@pytest.mark.parametrize(
    "opening",
    [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /models/iris HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na",
    ],
    ids=["bodies", "headers", "forms"],
)
def test_five_hundred_slow_clients_keep_nobody_waiting(server, opening):
    with crowd(server, 500, opening):
        assert fastest(server, "/livez") < 0.1
        assert fastest(server, "/readyz") < 0.5
        assert server.post("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).status == 200


def test_a_body_that_never_ends_is_refused_in_time(start, tmp_path):
    (tmp_path / "f.py").write_text("def f(x: int) -> int:\n    return x\n")
    server = start("f=f.py:f", workers=1, CARAFE_BODY_TIMEOUT_S="1")
    began = time.monotonic()
    said = server.raw(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", wait=8)
    assert b" 400 " in said.split(b"\r\n")[0] and b"did not arrive" in said
    assert 0.9 < time.monotonic() - began < 9
    assert server.post("/predict", {"x": 1}).status == 200


def test_a_slow_model_leaves_the_others_at_speed(server):
    def ask_slow() -> None:
        server.post("/models/slow/predict", {"seconds": 0.4}, X_Request_Timeout_Ms="20000")

    threads = [threading.Thread(target=ask_slow) for _ in range(20)]
    for thread in threads:
        thread.start()
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert server.post("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).status == 200
        times.append(time.perf_counter() - began)
    assert fastest(server, "/") < 1.0
    for thread in threads:
        thread.join()
    assert sorted(times)[10] < 0.2


def test_work_of_a_client_that_left_is_dropped(server):
    """A hundred clients ask the slow model for 0.2 s each and leave; had their rows been computed, the next would wait 20 s."""
    body = b'{"seconds": 0.2}'
    request = b"POST /models/slow/predict HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout-Ms: 60000\r\nContent-Length: %d\r\n\r\n" % len(body)
    with crowd(server, 100, request + body):
        pass
    began = time.monotonic()
    while server.post("/models/slow/predict", {"seconds": 0.0}, X_Request_Timeout_Ms="15000").status == 429:
        assert time.monotonic() - began < 5  # it takes a moment until it is seen that they have left
    assert server.post("/models/slow/predict", {"seconds": 0.0}, X_Request_Timeout_Ms="15000").status == 200
    assert time.monotonic() - began < 12


class Client(threading.Thread):
    """Sends rows with nonces of its own, of many shapes, to three models, over a kept connection; remembers what went wrong."""

    def __init__(self, server: Server, number: int, until: float) -> None:
        super().__init__(name=f"client-{number}")
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        self.random, self.base, self.until = random.Random(number), number * 10_000_000, until
        self.count, self.wrong = 0, []

    def run(self) -> None:
        while time.monotonic() < self.until and len(self.wrong) < 5:
            self.one(self.base + self.count)
            self.count += 1
        self.connection.close()

    def one(self, nonce: int) -> None:
        path, body, expected = self.random.choice([self.echo, self.echo, self.echo_many, self.iris, self.sentiment])(nonce)
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200 or answer["prediction"] != expected:
            self.wrong.append((response.status, body, answer))

    def echo(self, nonce: int):
        return "/models/echo/predict", {"nonce": nonce, "note": "x" * self.random.randrange(200)}, nonce

    def echo_many(self, nonce: int):
        nonces = [nonce * 100 + i for i in range(self.random.randrange(1, 60))]
        return "/models/echo/predict", {"rows": [{"nonce": n} for n in nonces]}, nonces

    def iris(self, nonce: int):
        short = bool(nonce % 2)
        return "/predict", {"features": [5.1, 3.5, 1.4, 0.2] if short else [6.3, 3.3, 6.0, 2.5]}, [0 if short else 2]

    def sentiment(self, nonce: int):
        return "/api", {"text": "great and lovely" if nonce % 3 else "awful and broken"}, "positive" if nonce % 3 else "negative"


def counter(server: Server, name: str) -> float:
    """Sum of a counter over its labels, from /metrics."""
    text = server.ask("GET", "/metrics").body.decode()
    return sum(float(value) for value in re.findall(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE))


def mixed(server: Server, seconds: float) -> None:
    rows, frames = counter(server, "carafe_frame_rows_total"), counter(server, "carafe_frames_total")
    clients = [Client(server, number, time.monotonic() + seconds) for number in range(32)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not [wrong for client in clients for wrong in client.wrong]
    assert sum(client.count for client in clients) > 50 * seconds
    rows, frames = counter(server, "carafe_frame_rows_total") - rows, counter(server, "carafe_frames_total") - frames
    assert rows / frames >= 2, f"{rows} rows in {frames} frames"


def test_every_answer_belongs_to_its_request(server):
    mixed(server, SECONDS)


@pytest.mark.slow
def test_every_answer_belongs_to_its_request_for_a_minute(server):
    mixed(server, 60)
