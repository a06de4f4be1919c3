"""One real server for the data plane's tests: ``carafe serve`` with two workers, and what asks it over plain sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models.small import mixed

REVIEWS = ["great and lovely", "great phone", "lovely camera", "awful and broken", "broken screen", "awful battery"]
HELPERS = """
import time

def echo(nonce: int, note: str = "") -> int:
    return nonce

def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds

def picky(number: int) -> str:
    if number == 13:
        raise ValueError("the secret is in /etc/passwd")
    return "fine"
"""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """Where a running ``carafe serve`` is, and how to ask it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes] | None, home: Path) -> None:
        self.port, self.process, self.home = port, process, home

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 30) -> Answer:
        """One request on a connection of its own; ``body`` is sent as JSON unless it is bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def raw(self, data: bytes, wait: float = 5.0) -> bytes:
        """All that the server says to ``data``, sent as it is, until it closes or ``wait`` seconds pass in silence."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as connection:
            connection.sendall(data)
            said = b""
            try:
                while part := connection.recv(65536):
                    said += part
            except TimeoutError:
                pass
            return said


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_models(folder: Path) -> list[str]:
    """Models for the command line: iris (the default), a sentiment chain at /api, columns of several kinds, and three functions."""
    x, y = load_iris(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(x, y), folder / "iris.joblib")
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(REVIEWS, [1, 1, 1, 0, 0, 0])
    joblib.dump(pipeline, folder / "sentiment.joblib")
    joblib.dump(mixed(), folder / "people.joblib")
    (folder / "helpers.py").write_text(HELPERS)
    (folder / "carafe.yaml").write_text(
        "default_model: iris\n"
        "models:\n"
        "  iris: {files: [iris.joblib]}\n"
        '  sentiment: {files: [sentiment.joblib], routes: ["/api"], labels: {0: negative, 1: positive}}\n'
        "  people: {files: [people.joblib], fields: {member: {kind: boolean}}}\n"
        '  echo: {files: ["helpers.py:echo"]}\n'
        '  slow: {files: ["helpers.py:slow"], timeout_ms: 20000}\n'
        '  picky: {files: ["helpers.py:picky"]}\n'
    )
    return []


def start_server(folder: Path, *arguments: str, workers: int = 2, wait_s: float = 90, **environment: str) -> Server:
    """``carafe serve`` in ``folder``, when it is ready.

    :raises AssertionError: it ended, or was not ready within a minute; with what it said.
    """
    port, home = free_port(), folder / "home"
    command = [sys.executable, "-m", "flask_carafe", "serve", *arguments, "--port", str(port), "--workers", str(workers), "--home", str(home)]
    log = open(folder / "serve.log", "wb")  # noqa: SIM115 - the process keeps it
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "CARAFE_NOTICE_S": "0", **environment},
        start_new_session=True,
    )  # fmt: skip
    log.close()
    server = Server(port, process, home)
    end = time.monotonic() + wait_s
    while time.monotonic() < end and process.poll() is None:
        try:
            if server.ask("GET", "/readyz", timeout=5).status == 200:
                return server
        except OSError:
            pass
        time.sleep(0.1)
    stop_server(server)
    raise AssertionError((folder / "serve.log").read_text())


def stop_server(server: Server) -> None:
    assert server.process is not None
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    try:
        server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        raise


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    make_models(folder)
    return folder


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    server = start_server(folder)
    yield server
    stop_server(server)


def other_door(server: Server, door: str) -> Iterator[Server]:
    """A foreign WSGI server beside ``carafe serve``: it shares the home, and so the steward and the hosts."""
    port = free_port()
    code = (
        f"from waitress import serve; from flask_carafe.application import create_app; serve(create_app(), host='127.0.0.1', port={port}, threads=8)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=server.home.parent, env={**os.environ, "CARAFE_HOME": str(server.home), "CARAFE_DOOR": door},
        start_new_session=True,
    )  # fmt: skip
    other = Server(port, process, server.home)
    try:
        wait_until_ready(other)
        yield other
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(server: Server) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if server.ask("GET", "/readyz").json["status"] == "ready":
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the foreign server did not come up")


@pytest.fixture(scope="session")
def flask_door(server: Server) -> Iterator[Server]:
    yield from other_door(server, "flask")


@pytest.fixture(scope="session")
def wsgi_door(server: Server) -> Iterator[Server]:
    yield from other_door(server, "wsgi")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers of a test's own: ``start("name=file", workers=1, CARAFE_…="…")``, in ``tmp_path``."""
    started: list[Server] = []

    def run(*arguments: str, **options: Any) -> Server:
        started.append(start_server(tmp_path, *arguments, **options))
        return started[-1]

    yield run
    for one in started:
        stop_server(one)
