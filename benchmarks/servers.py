"""What is measured: each server as the commands that start it and the path at which a model answers."""

from __future__ import annotations

import contextlib
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

import psutil
from usage import MARK, marked, pinned
from wires import NATIVE, Wire

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
START_S = 120.0
STOP_S = 15.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server of one model, all of its processes pinned to one CPU. Use as a context manager."""

    name = ""
    target = "/"
    wire: Wire = NATIVE
    is_checked = True  # whether its answers are the model's

    def __init__(self, model: str, models: Path, work: Path, cpu: int | None) -> None:
        self.model, self.models, self.work, self.cpu = model, models, work, cpu
        self.port = free_port()
        self.mark = f"{self.name}-{self.port}"
        self.bodies = work / f"{model}-{self.wire.name}.bodies"  # a JSON body a line, sent in turn
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log: IO[bytes] | None = None
        self.started_s = 0.0  # from the command to the first answer

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
        native = (self.models / f"{self.model}.bodies").read_text().splitlines()
        self.bodies.write_text("".join(json.dumps(self.wire.body(json.loads(line))) + "\n" for line in native))
        self.log = (self.work / f"{self.name}-{self.model}.log").open("wb")
        try:
            self._come_up()
            self._verify()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop politely, then see that nothing of it is left."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
        for left in list(marked(self.mark)):
            with contextlib.suppress(psutil.Error):
                left.kill()
        for process in self.processes:
            process.wait()
        if self.log:
            self.log.close()

    def _come_up(self) -> None:
        """Start it, and wait for the first good answer."""
        first = self.bodies.read_text().partition("\n")[0]
        began = time.monotonic()
        self.start()
        while self._ask(first) is None:
            if time.monotonic() - began > START_S or any(process.poll() is not None for process in self.processes):
                words = Path(self.log.name).read_text(errors="replace")[-2000:] if self.log else ""
                raise RuntimeError(f"{self.name} does not answer:\n{words}")
            time.sleep(0.01)
        self.started_s = time.monotonic() - began

    def _verify(self) -> None:
        """See that each row's answer is right: a fast wrong answer is worth nothing."""
        right = json.loads((self.models / f"{self.model}.right.json").read_text())
        for body, wanted in zip(self.bodies.read_text().splitlines(), right, strict=True):
            got = self._ask(body)
            if got is None or (self.is_checked and max(abs(a - b) for a, b in zip(got, wanted, strict=True)) > 1e-9):
                raise RuntimeError(f"{self.name} answered {got} where {wanted} is right")

    def _ask(self, body: str) -> list[float] | None:
        """The probabilities in the answer to one row, in the order of the classes; None while there is no good answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", self.target, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: Any = json.loads(response.read())
            return self.wire.probabilities(answer) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError, LookupError):
            return None
        finally:
            connection.close()


class Ours(Server):
    name = "ours"

    def __init__(self, *place: Any) -> None:
        super().__init__(*place)
        self.target = f"/models/{self.model}/predict"
        self.home = self.work / "home"

    def start(self) -> None:
        files = [f"{self.model}={self.models / f'{self.model}.joblib'}"]
        self.spawn([BIN / "carafe", "serve", *files, "--port", self.port, "--workers", "1", "--home", self.home], CARAFE_NOTICE_S="0")


class Prototype(Server):
    name = "prototype"

    def start(self) -> None:
        address = self.work / f"{self.model}-{self.port}.sock"
        kind = {"text": "text", "named": "named"}.get(self.model, "numbers")
        self.spawn([sys.executable, HERE / "prototype" / "host.py", self.models / f"{self.model}.joblib", address, kind])
        end = time.monotonic() + START_S
        while not address.exists() and time.monotonic() < end:
            time.sleep(0.01)
        front = ["--interface", "rsgi", "--host", "127.0.0.1", "--port", self.port, "--workers", "1", "--no-ws", "--log-level", "warning"]
        self.spawn([BIN / "granian", *front, "--working-dir", HERE / "prototype", "front:app"], HOST_SOCKET=str(address), KIND=kind)


SERVERS: dict[str, type[Server]] = {server.name: server for server in (Ours, Prototype)}
