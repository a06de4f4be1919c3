"""A world for each test: its own home, port and run directory, and proof at the end that no process of it is left."""

from __future__ import annotations

import http.client
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.hosting.rundir import run_dir
from processes import nothing_left, run_base, until

CARAFE = [sys.executable, "-m", "flask_carafe"]
CODE = """import time


def triple(x: float, seconds: float = 0.0) -> float:
    time.sleep(seconds)
    return 3 * x


def twice(x: float) -> float:
    return 2 * x
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class World:
    """Starts servers, asks them, and knows their processes."""

    def __init__(self, path: Path, base: Path) -> None:
        self.path, self.base, self.port = path, base, free_port()
        self.started_at = path
        self.home = path / "home"
        self.run_dir = run_dir(self.home)
        self.code = path / "models.py"
        self.code.write_text(CODE)
        self.log = path / "server.log"
        self.started: list[subprocess.Popen[bytes]] = []
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CARAFE_")}
        self.environment = kept | {
            "CARAFE_HOME": str(self.home), "CARAFE_RUN_DIR": str(base), "CARAFE_NOTICE_S": "0", "_CARAFE_STEWARD_IDLE_S": "1.5",
            "_CARAFE_HOST_IDLE_S": "3", "PYTHONWARNINGS": "error::DeprecationWarning",
        }  # fmt: skip

    def start(self, *arguments: str, environment: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
        """Start a process of this world; its output goes to the log."""
        with open(self.log, "ab") as file:
            more = {"stdout": file, "stderr": file, "cwd": self.path} | more
            process = subprocess.Popen(arguments, env=self.environment | (environment or {}), stdin=subprocess.DEVNULL, **more)
        self.started.append(process)
        return process

    def serve(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """``carafe serve`` of the model ``triple``, ready to answer."""
        return self.ready(self.start(*self.command(*arguments), **more))

    def command(self, *arguments: str) -> list[str]:
        return [*CARAFE, "serve", f"triple={self.code}:triple", "--port", str(self.port), *arguments]

    def on_terminal(self, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
        """``carafe serve`` as the foreground job of a terminal of its own; the process and the terminal's other end."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.command(*arguments), env=self.environment, stdin=theirs, stdout=theirs, stderr=theirs, cwd=self.path, start_new_session=True,
            preexec_fn=lambda: _take_terminal(theirs),  # noqa: PLW1509
        )  # fmt: skip
        os.close(theirs)
        self.started.append(process)
        threading.Thread(target=_drain, args=(ours, self.log), daemon=True).start()
        return self.ready(process), ours

    def ready(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        def look() -> bool:
            assert process.poll() is None, self.log.read_text()
            return self.answers()

        try:
            until(look, 25, "an answer")
        except AssertionError:
            raise AssertionError(self.log.read_text()[-4000:] + str(self.try_ask(1.0))) from None
        return process

    def ask(self, x: float = 2.0, seconds: float = 0.0, timeout: float = 10.0, path: str = "/predict") -> tuple[int, Any]:
        """One prediction on a connection of its own: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("POST", path, json.dumps({"x": x, "seconds": seconds}), {"X-Request-Timeout-Ms": "9000"})
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, json.loads(body) if answer.getheader("Content-Type", "").startswith("application/json") else body
        finally:
            connection.close()

    def try_ask(self, x: float = 2.0, **more: Any) -> tuple[int, Any]:
        """As :meth:`ask`; status 0 when nobody answered."""
        try:
            return self.ask(x, **more)
        except (OSError, http.client.HTTPException) as exc:
            return 0, repr(exc)

    def prediction(self, x: float) -> float | None:
        """The prediction for ``x``, None when there was none."""
        status, body = self.try_ask(x)
        return body["prediction"] if status == 200 else None

    def answers(self) -> bool:
        return self.prediction(2.0) == 6

    def get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, {}
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """What the steward says."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.run_dir / "steward.sock"))
            connection.settimeout(5)
            connection.sendall(b'{"op":"hello","role":"cli"}\n{"op":"status"}\n')
            return json.loads(connection.makefile("rb").readline())

    def host(self) -> int:
        return int(self.status()["models"][0]["hosts"][0]["pid"])

    def workers(self) -> list[int]:
        """Pids of the web workers that are linked to the steward."""
        return [link["pid"] for link in self.status()["links"] if link["role"] == "worker"]

    def whole(self) -> bool:
        """Everything runs: an answer, a steward with a zygote, a ready model, workers linked."""
        try:
            status = self.status()
        except (OSError, ValueError):
            return False
        return bool(self.answers() and status["models"][0]["state"] == "ready" and status["links"])


class Load:
    """Clients that ask as fast as they are answered, and remember every answer."""

    def __init__(self, world: World, clients: int = 4) -> None:
        self.world, self.answers = world, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(15)

    def _ask(self, number: int) -> None:
        x = number * 1_000_000
        while not self._stop.is_set():
            x += 1
            began = time.monotonic()
            status, body = self.world.try_ask(float(x))
            self.answers.append((began, status, body, x))
            assert status != 200 or body["prediction"] == 3 * x
            if status == 0:
                time.sleep(0.05)

    def failures(self) -> list[Any]:
        return [answer for answer in self.answers if answer[1] != 200]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with run_base("l") as base:
        monkeypatch.setenv("CARAFE_RUN_DIR", str(base))
        world = World(tmp_path, base)
        try:
            yield world
        finally:
            for process in world.started:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            for process in world.started:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            left = nothing_left(base, tmp_path, within_s=8.0)
        assert not left, world.log.read_text()[-3000:]


@pytest.fixture
def load(world: World) -> Load:
    return Load(world)


def _take_terminal(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _drain(terminal: int, log: Path) -> None:
    with open(log, "ab") as file:
        while True:
            try:
                data = os.read(terminal, 4096)
            except OSError:
                return
            if not data:
                return
            file.write(data)
            file.flush()
