"""The server's own process: Granian with our options, tied to the life of the process that started it.

``python -m flask_carafe.cli.web '{"host": …, "port": …}'`` is started by ``carafe serve`` and by nobody else. The
application is loaded by name in each worker, as any server does it.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

import msgspec

from ..hosting.process import end_with_parent

TARGET = "flask_carafe.application:create_door"  # called without arguments in each worker; gives the RSGI application
BACKLOG = 2048
BACKPRESSURE = 8192  # connections a worker holds at once: slow ones cost nothing, so that they must not keep others out
MOST_FILES = 65_536


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``carafe serve`` tells its server. Times in seconds."""

    host: str
    port: int
    workers: int
    header_timeout_s: float = 10.0
    drain_s: float = 30.0
    parent: int = 0
    target: str = TARGET


def main(text: str) -> None:
    """Serve until SIGTERM; accepted requests are finished within ``drain_s``."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server import Server

    options = msgspec.json.decode(text, type=WebOptions)
    follow(options.parent)
    _raise_file_limit()
    os.register_at_fork(after_in_child=_end_on_sigterm)
    server = Server(
        options.target,
        address=options.host,
        port=options.port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=options.workers,
        blocking_threads=1,
        runtime_threads=1,
        backlog=BACKLOG,
        backpressure=BACKPRESSURE,
        http1_settings=HTTP1Settings(header_read_timeout=int(options.header_timeout_s * 1000)),
        respawn_failed_workers=True,
        respawn_interval=0.2,
        workers_kill_timeout=max(1, int(options.drain_s)),
        log_enabled=True,
        log_level=LogLevels.warning,
        log_access=False,
    )
    server.serve(target_loader=_Loader(options.target), wrap_loader=False)


def _raise_file_limit() -> None:
    """As many connections as the system allows, not as many as a shell allows by default (1,024)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _end_on_sigterm() -> None:
    """A worker that is told to end while it starts must end: until it has handlers of its own it has its parent's, which do nothing there."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Loader:
    """Loads the application inside a worker; picklable, since workers are spawned."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __call__(self) -> Any:
        follow(os.getppid())
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)()


def follow(parent: int) -> None:
    """End this process when ``parent`` has ended: by the kernel's word on Linux, by looking every second elsewhere."""
    if not parent:
        return
    end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), name="carafe-follow", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
