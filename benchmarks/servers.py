"""What is measured: each server as the commands that start it and the path at which a model answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from usage import MARK, pinned

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
START_S = 60.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server of one model, all of its processes pinned to one CPU. Use as a context manager."""

    name = ""

    def __init__(self, model: str, models: Path, work: Path, cpu: int | None) -> None:
        self.model, self.models, self.work, self.cpu = model, models, work, cpu
        self.port = free_port()
        self.mark = f"{self.name}-{self.port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log: IO[bytes] | None = None

    target = "/"

    @property
    def bodies(self) -> Path:
        """A JSON body a line, sent in turn."""
        return self.models / f"{self.model}.bodies"

    def start(self) -> None:
        raise NotImplementedError

    def spawn(self, command: Sequence[str | Path], **environment: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("CARAFE_")}
        self.processes.append(
            subprocess.Popen(
                [*pinned(self.cpu), *map(str, command)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                env=clean | ONE_THREAD | {MARK: self.mark} | environment, start_new_session=True, cwd=self.work,
            )
        )  # fmt: skip

    def __enter__(self) -> Server:
        self.work.mkdir(parents=True, exist_ok=True)
        self.log = (self.work / f"{self.name}-{self.model}.log").open("wb")
        try:
            self.start()
            self._verify()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.log:
            self.log.close()

    def _verify(self) -> None:
        """Wait until it answers, and see that each row's answer is right: a fast wrong answer is worth nothing."""
        bodies = self.bodies.read_text().splitlines()
        right = json.loads((self.models / f"{self.model}.right.json").read_text())
        end = time.monotonic() + START_S
        while self._ask(bodies[0]) is None:
            if time.monotonic() > end or any(process.poll() for process in self.processes):
                raise RuntimeError(f"{self.name} does not answer; see {self.log.name if self.log else 'its log'}")
            time.sleep(0.05)
        for body, wanted in zip(bodies, right, strict=True):
            got = self._ask(body)
            if got is None or max(abs(a - b) for a, b in zip(got, wanted, strict=True)) > 1e-9:
                raise RuntimeError(f"{self.name} answered {got} where {wanted} is right")

    def _ask(self, body: str) -> list[float] | None:
        """The probabilities in the answer to one row, in the order of the classes; None while there is no good answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", self.target, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return probabilities(json.loads(response.read())) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


def probabilities(answer: dict[str, Any]) -> list[float]:
    """Of one row: a list, or an object by class, alone or in a list of one."""
    found = answer["probabilities"]
    found = found[0] if isinstance(found, list) and not isinstance(found[0], float) else found
    return list(found.values()) if isinstance(found, dict) else list(found)


class Ours(Server):
    name = "ours"

    @property
    def target(self) -> str:  # type: ignore[override]
        return f"/models/{self.model}/predict"

    def start(self) -> None:
        files = [f"{self.model}={self.models / f'{self.model}.joblib'}"]
        self.spawn([BIN / "carafe", "serve", *files, "--port", self.port, "--workers", "1", "--home", self.work / "home"])


class Prototype(Server):
    name = "prototype"

    def start(self) -> None:
        address = self.work / f"{self.model}-{self.port}.sock"
        kind = ["text"] if self.model == "text" else []
        self.spawn([sys.executable, HERE / "prototype" / "host.py", self.models / f"{self.model}.joblib", address, *kind])
        end = time.monotonic() + START_S
        while not address.exists() and time.monotonic() < end:
            time.sleep(0.05)
        front = ["--interface", "rsgi", "--host", "127.0.0.1", "--port", self.port, "--workers", "1", "--no-ws", "--log-level", "warning"]
        kinds = {"KIND": "text"} if kind else {}
        self.spawn([BIN / "granian", *front, "--working-dir", HERE / "prototype", "front:app"], HOST_SOCKET=str(address), **kinds)


SERVERS: dict[str, type[Server]] = {server.name: server for server in (Ours, Prototype)}
