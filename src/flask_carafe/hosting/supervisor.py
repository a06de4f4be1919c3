"""Starts, watches, adopts and stops hosts. What they serve is the steward's business.

One zygote per environment (now: the interpreter at hand). A host is forked from it, or started fresh where the
zygote cannot fork: a library that starts threads when imported, a system without fork, a zygote that is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import HostFault, HostLost
from .handle import HostHandle, connect
from .host.libraries import ALLOWED
from .process import Process, clean_environment, interpreter, spawn, start_time
from .records import HostRecord, HostRecords
from .tail import LogTail
from .zygote_client import SCRIPT, CannotFork, Zygote

log = logging.getLogger(__name__)
START_TIMEOUT_S = 30.0  # an interpreter from a cold disk; a fork takes milliseconds
ADOPT_TIMEOUT_S = 12.0  # a host may be in the middle of a frame for as long as the hang limit
TAIL_EVERY_S = 0.2
FORKS = sys.platform != "darwin"  # libraries of macOS do not survive a fork
ZYGOTE_PAUSE_S = 0.2  # before a dead zygote is replaced: one that dies of what it imports must not spin


def importable(modules: Sequence[str]) -> list[str]:
    """Those of ``modules`` that a zygote may import: of allow-listed libraries that are installed, never a user's code."""
    tops: dict[str, bool] = {}
    for module in modules:
        top = module.partition(".")[0]
        if top not in tops:
            tops[top] = top in ALLOWED and importlib.util.find_spec(top) is not None
    return [module for module in dict.fromkeys(modules) if tops[module.partition(".")[0]]]


class Supervisor:
    """The hosts of one run directory.

    ``idle_s``: how long a host outlives its last connection.
    """

    def __init__(self, run_dir: Path, *, python: str = "", idle_s: float = 15.0) -> None:
        self.run_dir, self.python, self.idle_s = run_dir, python or interpreter(), idle_s
        self.hosts: dict[str, HostHandle] = {}
        self._records = HostRecords(run_dir)
        self._zygote: Zygote | None = None
        self._zygote_lock = asyncio.Lock()
        self._stopping = False
        self._unforkable: set[str] = set()  # modules that start threads when imported, or end the zygote: their hosts are started fresh
        self._children: list[subprocess.Popen[bytes]] = []
        self._number = self._records.next_number()
        self._tails: dict[str, LogTail] = {}
        self._tailing: asyncio.Task[None] | None = None
        self._watching: set[asyncio.Task[None]] = set()

    @property
    def zygote_pid(self) -> int | None:
        """The pid of the zygote, while there is one."""
        return self._zygote.pid if self._zygote and not self._zygote.closed.is_set() else None

    async def start_host(self, modules: Sequence[str] = (), *, limits: dict[str, Any] | None = None) -> HostHandle:
        """Start an empty host with ``modules`` imported beforehand where that is possible, and greet it.

        :raises HostFault: it could not be started; the message says why.
        """
        self._follow_logs()
        host_id = f"h{self._number}"
        self._number += 1
        self._tails[host_id] = LogTail(self._records.path(host_id, "log"), host_id)
        try:
            handle = await self._start(self._order(host_id, limits or {}), importable(modules))
        except (HostFault, HostLost, asyncio.CancelledError):
            self._forget(host_id)
            raise
        except OSError as exc:
            self._forget(host_id)
            raise HostFault(f"A host could not be started in {self.run_dir}: {exc}") from exc
        return self._keep(handle)

    def _order(self, host_id: str, limits: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": host_id,
            "socket": str(self._records.path(host_id, "sock")),
            "token": secrets.token_hex(16),
            "uid": os.getuid(),
            "directory": str(self._records.private_directory(host_id)),
            "log": str(self._records.path(host_id, "log")),
            "limits": {"idle_s": self.idle_s, **limits},
        }

    async def _start(self, order: dict[str, Any], modules: list[str]) -> HostHandle:
        forked = None
        if FORKS and not self._unforkable.intersection(modules):
            forked = await self._try_fork(order, modules)
        return forked or await self._start_fresh(order)

    async def _try_fork(self, order: dict[str, Any], modules: list[str]) -> HostHandle | None:
        """A forked host, or None where it must be started fresh; twice, since the zygote may have died in the middle."""
        for _ in range(2):
            try:
                return await self._fork(order, modules)
            except CannotFork as exc:
                log.info("Host %s is started fresh: %s", order["id"], exc)
                return None
            except HostLost:
                log.warning("The zygote ended while it was to start host %s.", order["id"])
        self._unforkable.update(modules)
        return None

    async def _fork(self, order: dict[str, Any], modules: list[str]) -> HostHandle:
        async with self._zygote_lock:
            zygote = await self._ready_zygote(modules)
            pid, started = await zygote.fork(order)
        return await self._greet(order, Process(pid, started))

    def private_file(self, handle: HostHandle, name: str) -> Path:
        """Where a host writes the file ``name``; what lies there is as little to be trusted as all that it says."""
        return self._records.path(handle.id, "dir") / name

    async def warm(self, modules: Sequence[str]) -> None:
        """Have a zygote with ``modules`` imported, so that the next host is there in milliseconds."""
        if not FORKS:
            return
        wanted = [module for module in importable(modules) if module not in self._unforkable]
        with contextlib.suppress(HostFault, HostLost, CannotFork):
            async with self._zygote_lock:
                await self._ready_zygote(wanted)

    async def _ready_zygote(self, modules: list[str]) -> Zygote:
        """The zygote with ``modules`` imported; one that got threads from them is put away and they are remembered."""
        if self._stopping:
            raise HostFault("The hosts are being stopped.")
        if self._zygote is None or self._zygote.closed.is_set():
            await self._replace_zygote()
        zygote = self._zygote
        assert zygote is not None
        new = [module for module in modules if module not in zygote.imported]
        await zygote.import_modules(modules)
        if zygote.threads > 1:
            self._unforkable.update(new)  # what was imported before has started none
            self._zygote = None
            await zygote.close()
            raise CannotFork(f"importing {', '.join(modules)} started {zygote.threads - 1} threads")
        return zygote

    async def _replace_zygote(self) -> None:
        if self._zygote is not None:
            log.warning("The zygote (pid %d) has ended; another is started.", self._zygote.pid)
            await self._zygote.close()
        self._tails.setdefault("zygote", LogTail(self.run_dir / "zygote.log", "zygote", from_end=True))
        zygote = self._zygote = await Zygote.start(self.python, self.run_dir / "zygote.log", clean_environment())
        self._background(self._watch_zygote(zygote), "carafe-watch-zygote")

    async def _watch_zygote(self, zygote: Zygote) -> None:
        """When the zygote dies its successor imports at once what it knew: a crashed host must not wait for that."""
        await zygote.closed.wait()
        if self._zygote is zygote and not self._stopping:
            await asyncio.sleep(ZYGOTE_PAUSE_S)
            await self.warm(sorted(zygote.imported))

    def _background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _start_fresh(self, order: dict[str, Any]) -> HostHandle:
        reading, writing = os.pipe()
        try:
            os.write(writing, msgspec.json.encode(order))  # far below a pipe's 64 KiB
            os.close(writing)
            arguments = [self.python, str(SCRIPT), "--host", "--spec-fd", str(reading)]
            process = await asyncio.to_thread(
                spawn, arguments, log=Path(order["log"]), env=clean_environment(), fds=[reading], cwd=order["directory"]
            )
        except OSError as exc:
            raise HostFault(f"The interpreter {self.python} cannot be started: {exc}") from exc
        finally:
            os.close(reading)
        self._children.append(process)
        return await self._greet(order, Process(process.pid, start_time(process.pid) or 0))

    async def _greet(self, order: dict[str, Any], process: Process) -> HostHandle:
        """Connect as soon as the host listens; a process that nobody greets is killed."""
        try:
            return await self._greeted(order, process)
        except BaseException:  # it did not listen, it is not what it should be, or nobody wants it any more
            process.kill()
            raise

    async def _greeted(self, order: dict[str, Any], process: Process) -> HostHandle:
        end = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while not is_listening(order["socket"]):
            if not process.is_alive():
                raise HostFault(f"Host {order['id']} ended while it started: {self._last_words(order['id'])}")
            if asyncio.get_running_loop().time() > end:
                raise HostFault(f"Host {order['id']} did not start within {START_TIMEOUT_S:g} s.")
            await asyncio.sleep(0.005)
        handle = await connect(f"unix:{order['socket']}", order["token"], timeout_s=START_TIMEOUT_S)
        if not handle.process.started:  # the host cannot tell on this system
            handle.process = handle.process._replace(started=process.started)
        if (handle.process, handle.id) != (process, order["id"]):
            await handle.let_go()
            raise HostFault(f"Another process answers in place of host {order['id']}.")
        return handle

    def _last_words(self, host_id: str) -> str:
        with contextlib.suppress(OSError):
            lines = self._records.path(host_id, "log").read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:300]
        return "it said nothing"

    def _keep(self, handle: HostHandle) -> HostHandle:
        self.hosts[handle.id] = handle
        record = HostRecord(id=handle.id, pid=handle.pid, started=handle.process.started, address=handle.address, token=handle.token)
        try:
            self._records.add(record)
        except OSError as exc:
            log.error("Host %s cannot be written down, so a successor of this steward would not find it: %s", handle.id, exc)
        self._background(self._watch(handle), f"carafe-watch-{handle.id}")
        return handle

    async def _watch(self, handle: HostHandle) -> None:
        """End of file on the control connection is the end of the host; a process that lives on without it is killed."""
        await handle.closed.wait()
        if not await handle.process.gone(0.5):
            handle.kill()
            await handle.process.gone(2.0)
        self._reap()
        self._forget(handle.id)

    def _forget(self, host_id: str) -> None:
        self.hosts.pop(host_id, None)
        tail = self._tails.pop(host_id, None)
        if tail is not None:
            tail.step()
        self._records.forget(host_id)

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]

    async def adopt(self) -> dict[str, HostHandle]:
        """Take over hosts that a steward before this one started: by socket, token and start time, never by a bare pid.

        Hosts that run but do not answer are killed; records of processes that are gone are removed.
        """
        self._follow_logs()
        adopted = await asyncio.gather(*(self._adopt(record) for record in self._records.all()))
        return {handle.id: handle for handle in adopted if handle is not None}

    async def _adopt(self, record: HostRecord) -> HostHandle | None:
        if record.process.is_alive():
            try:
                handle = await connect(record.address, record.token, timeout_s=ADOPT_TIMEOUT_S)
                if (handle.process, handle.id) == (record.process, record.id):  # what it says of itself names files of ours
                    self._tails[record.id] = LogTail(self._records.path(record.id, "log"), record.id, from_end=True)
                    return self._keep(handle)
                await handle.let_go()
            except HostFault as exc:
                log.warning("Host %s (pid %d) cannot be adopted and is ended: %s", record.id, record.pid, exc)
            record.process.kill()
            await record.process.gone(2.0)
        self._records.forget(record.id)
        return None

    async def stop_host(self, handle: HostHandle, timeout_s: float = 2.0) -> None:
        """End one host after the frame at hand, for which it has ``timeout_s``; returns when the process is gone."""
        await handle.stop(timeout_s)
        self._reap()
        self._forget(handle.id)

    async def stop(self) -> None:
        """End every host and the zygote, and wait until they are gone; none is started any more."""
        self._stopping = True
        await asyncio.gather(*(self.stop_host(handle) for handle in list(self.hosts.values())))
        async with self._zygote_lock:
            zygote, self._zygote = self._zygote, None
        if zygote is not None:
            await zygote.close()
        await asyncio.gather(*self._watching)
        if self._tailing is not None:
            self._tailing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tailing
            self._tailing = None
        await asyncio.to_thread(self._end_children)

    def _end_children(self) -> None:
        for child in self._children:
            child.kill()
            child.wait()
        self._children = []

    def _follow_logs(self) -> None:
        if self._tailing is None:
            self._tailing = asyncio.create_task(self._tail(), name="carafe-tail")

    async def _tail(self) -> None:
        while True:
            for tail in list(self._tails.values()):
                tail.step()
            await asyncio.sleep(TAIL_EVERY_S)


def is_listening(path: str) -> bool:
    """Whether a socket takes connections: one that was bound a moment ago has a name and refuses them."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
