"""The life of ``carafe serve``: declare, wait for the models, start the server, watch, drain, stop.

The process that people see owns no model and answers no request; it holds the signals. The server is a child that
ends with it, and the steward leaves with its hosts when it was told to or when nobody is connected any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ..artifacts.spec import ModelSpec
from ..config import Settings
from ..errors import ConfigError, HostFault
from ..hosting.process import Process, interpreter
from ..hosting.rundir import run_dir
from .announcing import base_url, curl_line, describe
from .main import INTERRUPTED
from .steward_link import StewardLink
from .watching import Watcher
from .web import WebOptions

GIVE_UP_S = 30.0  # a model whose host cannot be started for so long
WEB_START_S = 30.0
MOST_WEB_CRASHES = 5  # within CRASH_WINDOW_S
CRASH_WINDOW_S = 30.0
Errand = Callable[[str], Coroutine[Any, Any, int]]
DRAINING = "draining"  # a file in the run directory: workers' /readyz says 503 while it is there


class Stopped(Exception):
    """A signal came before the server was up."""


class Serving:
    """One run of ``carafe serve``.

    :param named: models given on the command line; one of these refused ends the run.
    :param errand: what to do while it serves, in place of waiting for a signal: given the address, gives the exit code.
    """

    def __init__(
        self, settings: Settings, specs: Sequence[ModelSpec], *, named: Sequence[str], default: str = "", target: str = "",
        errand: Errand | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.specs, self.named, self.default = settings, list(specs), set(named), default
        self._errand = errand
        self.run_dir = run_dir(settings.home)
        self._target = target
        self._link = StewardLink(settings.home, log_to_stderr=True)
        self._stop, self._at_once = asyncio.Event(), asyncio.Event()
        self._web: subprocess.Popen[bytes] | None = None
        self._port = settings.port
        self._watcher = Watcher(self.specs, settings) if settings.dev else None

    async def run(self) -> int:
        """Serve until a signal; the exit code."""
        check_home(self.settings.home)
        with _only_one(self.run_dir):
            self._listen_to_signals()
            self._port = free_port(self.settings.host, self.settings.port)
            (self.run_dir / DRAINING).unlink(missing_ok=True)
            try:
                await self._start_models()
                await self._start_web()
                code = await (self._serve() if self._errand is None else self._run(self._errand))
            except Stopped:
                code = 0 if self._errand is None else INTERRUPTED
            except HostFault as exc:
                click.secho(f"Error: {exc}", fg="red", err=True)
                code = 1
            finally:
                await self._end()
        return code

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup a terminal that goes is no reason to stop
                loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        """The first signal drains, the second stops at once."""
        if self._stop.is_set():
            self._at_once.set()
        self._stop.set()

    async def _or_stop(self, *events: asyncio.Event, timeout_s: float | None = None) -> None:
        """Wait for any of ``events``, the stop signal, or the time."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._stop, *events)]
        try:
            await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # Models

    async def _start_models(self) -> None:
        await self._link.connect()
        await self._link.declare(self.specs, self.default, fresh=True)
        told: dict[str, str] = {}
        began = {spec.name: time.monotonic() for spec in self.specs}
        if self.specs:
            click.echo(f"Loading {', '.join(spec.name for spec in self.specs)} …", err=True)
        while not self._stop.is_set():
            self._link.changed.clear()
            if self._link.ended.is_set():
                await self._reconnect()
            entries = self._entries()
            self._tell(entries, told, began)
            if len(entries) == len(self.specs) and all(entry["state"] in {"ready", "refused"} for entry in entries):
                self._judge(entries)
                return
            if any(entry["state"] == "failed" and time.monotonic() - began[entry["name"]] > GIVE_UP_S for entry in entries):
                raise HostFault("A model's host cannot be started; see above.")
            await self._or_stop(self._link.changed, timeout_s=1.0)
        raise Stopped

    def _entries(self) -> list[dict[str, Any]]:
        names = {spec.name for spec in self.specs}
        return [entry for entry in self._link.table.get("models", []) if entry["name"] in names]

    def _tell(self, entries: Sequence[dict[str, Any]], told: dict[str, str], began: dict[str, float]) -> None:
        """One line for each model whose state is news."""
        for entry in entries:
            state, name = entry["state"] + entry["reason"], entry["name"]
            if told.get(name) == state or entry["state"] == "loading":
                continue
            told[name] = state
            click.echo(describe(entry, time.monotonic() - began[name]), err=True)

    def _judge(self, entries: Sequence[dict[str, Any]]) -> None:
        """A model that was named on the command line, or the only one, must be served; others are missed loudly."""
        refused = [entry["name"] for entry in entries if entry["state"] == "refused"]
        if refused and (len(refused) == len(entries) or self.named.intersection(refused)):
            raise HostFault(f"Not served: {', '.join(refused)}.")

    # The server

    async def _start_web(self) -> None:
        """Start the server and wait until it answers."""
        self._spawn_web()
        end = time.monotonic() + WEB_START_S
        while not await asyncio.to_thread(_answers, self.settings.host, self._port):
            if self._stop.is_set():
                raise Stopped
            if self._web is None or self._web.poll() is not None:
                raise HostFault("The web server ended while it started; its message is above.")
            if time.monotonic() > end:
                raise HostFault(f"The web server did not answer within {WEB_START_S:g} s.")
            await asyncio.sleep(0.03)

    def _spawn_web(self) -> None:
        settings = self.settings
        options = WebOptions(
            host=settings.host, port=self._port, workers=settings.workers, header_timeout_s=settings.header_timeout_s,
            drain_s=settings.drain_s, parent=os.getpid(), **({"target": self._target} if self._target else {}),
        )  # fmt: skip
        environment = os.environ | settings.environment() | {"CARAFE_HOME": str(settings.home), "CARAFE_PORT": str(self._port)}
        arguments = [interpreter(), "-m", "flask_carafe.cli.web", msgspec.json.encode(options).decode()]
        self._web = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)

    async def _serve(self) -> int:
        self._announce()
        return await self._watch()

    async def _run(self, errand: Errand) -> int:
        """Do what the server was started for, until a signal."""
        doing, ended = asyncio.create_task(errand(base_url(self.settings.host, self._port))), asyncio.Event()
        doing.add_done_callback(lambda _: ended.set())
        await self._or_stop(ended)
        if doing.done():
            return await doing
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        return INTERRUPTED

    def _announce(self) -> None:
        base = base_url(self.settings.host, self._port)
        click.echo(f"\nServing on {click.style(base + '/', bold=True)}   (docs: {base}/docs, stop: Ctrl-C)", err=True)
        for entry in self._entries():
            if entry["state"] == "ready":
                click.echo(f"  {entry['name']}: {base}/models/{entry['name']}", err=True)
        line = curl_line(base, self._link.table, self._entries())
        if line:
            click.echo(f"\nTry it:\n  {line}\n", err=True)

    # While it runs

    async def _watch(self) -> int:
        """Keep server and steward alive until a signal."""
        crashes: list[float] = []
        while not self._stop.is_set():
            await self._or_stop(self._link.ended, timeout_s=0.2)
            if self._stop.is_set():
                break
            if self._link.ended.is_set():
                await self._reconnect()
            if self._web is not None and self._web.poll() is not None:
                crashes = [at for at in crashes if time.monotonic() - at < CRASH_WINDOW_S] + [time.monotonic()]
                if len(crashes) >= MOST_WEB_CRASHES:
                    click.secho("The web server keeps ending; its messages are above.", fg="red", err=True)
                    return 1
                click.secho("The web server has ended; it is started again.", fg="yellow", err=True)
                self._spawn_web()
            if self._watcher is not None:
                await self._take_over(self._watcher)
        return 0

    async def _reconnect(self) -> None:
        """The steward died: reach its successor and declare again, in case it knows nothing."""
        try:
            await self._link.connect()
            await self._link.declare(self.specs, self.default)
        except HostFault as exc:
            click.secho(f"No steward: {exc} Predictions go on; it is tried again.", fg="yellow", err=True)
            await self._or_stop(timeout_s=1.0)

    async def _take_over(self, watcher: Watcher) -> None:
        """``--dev``: changed models are loaded beside the old ones, changed code restarts the workers."""
        changes = await asyncio.to_thread(watcher.look)
        with contextlib.suppress(HostFault):
            if changes.specs is not None:
                self.specs = changes.specs
                await self._link.declare(self.specs, self.default)
            for name in changes.models:
                click.echo(f"{name} has changed; loading it again.", err=True)
                await self._link.ask({"op": "reload", "model": name})
        if changes.error:
            click.secho(changes.error, fg="yellow", err=True)
        if changes.code and self._web is not None:
            click.echo("Code has changed; the workers are started again.", err=True)
            self._web.send_signal(signal.SIGHUP)

    # The end

    async def _end(self) -> None:
        if self._web is not None and self._web.poll() is None:
            await self._drain()
        if self._web is not None:
            _signal_group(self._web.pid, signal.SIGKILL)  # workers that outlived their server
            await asyncio.to_thread(self._web.wait)
        await self._stop_steward()
        await self._link.close()
        (self.run_dir / DRAINING).unlink(missing_ok=True)

    async def _drain(self) -> None:
        """``/readyz`` says 503 for ``notice_s``, then accepted requests are finished; a second signal cuts it short."""
        assert self._web is not None
        (self.run_dir / DRAINING).touch(mode=0o600)
        notice_s = self.settings.notice_s
        if notice_s is None:
            notice_s = 0.0 if sys.stderr.isatty() else 5.0
        await self._unless_at_once(asyncio.sleep(notice_s))
        if self._errand is None:
            click.echo("Stopping: accepted requests are finished.", err=True)
        with contextlib.suppress(ProcessLookupError):
            self._web.send_signal(signal.SIGTERM)
        await self._unless_at_once(self._web_gone(self.settings.drain_s + 2.0))
        if self._at_once.is_set():
            _signal_group(self._web.pid, signal.SIGKILL)

    async def _web_gone(self, timeout_s: float) -> None:
        assert self._web is not None
        end = time.monotonic() + timeout_s
        while self._web.poll() is None and time.monotonic() < end:
            await asyncio.sleep(0.02)

    async def _unless_at_once(self, wait: Any) -> None:
        waits = [asyncio.ensure_future(wait), asyncio.ensure_future(self._at_once.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()

    async def _stop_steward(self) -> None:
        """Have the steward stop its hosts and leave, unless another application works with it; wait until it is gone."""
        with contextlib.suppress(HostFault):
            status = await self._link.ask({"op": "status"}, 5.0)
            for _ in range(20):  # our own workers may have ended so lately that their links are still there
                reply = await self._link.ask({"op": "stop", "unless_used": True}, 5.0)
                if reply["op"] == "stopping":
                    await Process(status["pid"], status["started"]).gone(10.0)
                    break
                await asyncio.sleep(0.05)
            else:
                await self._link.declare([], "")


@contextlib.contextmanager
def _only_one(directory: Path) -> Any:
    """One ``carafe serve`` per home: a second would declare the first one's models away."""
    with open(directory / "serve.lock", "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ConfigError("Another `carafe serve` runs with this home.", "Stop it, or give this one its own: --home DIR") from exc
        yield


def check_home(home: Path) -> None:
    """Make ``home`` if need be, and see that files can be written there.

    :raises ConfigError: they cannot.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise ConfigError(f"The home {home} cannot be written to: {reason}.", "Choose another: --home DIR") from exc


def free_port(host: str, port: int) -> int:
    """``port`` if it can be listened at, a free one for 0.

    :raises ConfigError: someone else listens there, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            reason = (exc.strerror or str(exc)).lower()
            raise ConfigError(f"Cannot listen at {host}:{port}: {reason}.", f"Choose another port: --port {port + 1 if port else 5001}") from exc
        return int(probe.getsockname()[1])


def _answers(host: str, port: int) -> bool:
    """Whether somebody takes connections and answers ``/livez``."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((address, port), timeout=2.0) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(12).startswith(b"HTTP/1.1 ")
    except OSError:
        return False


def _signal_group(leader: int, number: int) -> None:
    """Signal the session that we started; it is ours as long as its leader has not been waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
