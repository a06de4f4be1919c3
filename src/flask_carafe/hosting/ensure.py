"""Reach the steward of a home, and start one where there is none. Any worker may, and one of them will."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import HostFault
from .process import PYTHON_VARIABLE, clean_environment, interpreter, peer_uid, spawn
from .rundir import BASE_VARIABLE, run_dir

SOCKET_NAME, LOG_NAME = "steward.sock", "steward.log"
MOST_LOG_BYTES = 4 << 20
STEWARD_VARIABLES = ("CARAFE_LOG_FORMAT", "CARAFE_LOG_LEVEL", "_CARAFE_STEWARD_IDLE_S", "_CARAFE_HOST_IDLE_S")


def steward_socket(directory: Path) -> Path:
    """Where the steward of a run directory listens."""
    return directory / SOCKET_NAME


def ensure_steward(home: str | os.PathLike[str], *, wait_s: float = 15.0, log_to_stderr: bool = False) -> Path:
    """The socket that the steward of ``home`` listens at; one is started where there is none.

    Blocks for up to ``wait_s``: call it in a thread. Processes that need one at the same time start one, not several.

    :raises HostFault: none could be started; the message has its last words.
    """
    directory = run_dir(home)
    end = time.monotonic() + wait_s
    if not is_steward_there(directory):
        with _locked(directory / "start.lock", end):
            _start_until_there(home, directory, end, log_to_stderr)
    return steward_socket(directory)


def _start_until_there(home: str | os.PathLike[str], directory: Path, end: float, log_to_stderr: bool) -> None:
    while not is_steward_there(directory):
        if time.monotonic() > end:
            raise HostFault(f"The steward could not be started: {_last_words(directory)}")
        _start(home, directory, log_to_stderr)
        wait_end = min(end, time.monotonic() + 5.0)
        while time.monotonic() < wait_end and not is_steward_there(directory):
            time.sleep(0.02)


def is_steward_there(directory: Path) -> bool:
    """Whether a process of this user listens at the steward's socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(5.0)
            connection.connect(str(steward_socket(directory)))
        except OSError:
            return False
        return peer_uid(connection) == os.getuid()


def _start(home: str | os.PathLike[str], directory: Path, log_to_stderr: bool) -> None:
    """Start a steward that is nobody's child: the process started here forks once more and ends."""
    passed = {name: os.environ[name] for name in STEWARD_VARIABLES if name in os.environ}
    passed |= {name: made for name, made in ((PYTHON_VARIABLE, interpreter()), (BASE_VARIABLE, str(directory.parent))) if os.environ.get(name)}
    arguments = [interpreter(), "-m", "flask_carafe.steward", "--home", os.path.abspath(home), "--detach"]
    log = None if log_to_stderr else directory / LOG_NAME
    if log is not None:
        shorten(log)
    process = spawn(arguments, log=log, env=clean_environment(passed), cwd="/")
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10.0)


@contextlib.contextmanager
def _locked(path: Path, end: float) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; given up at ``end`` (monotonic seconds).

    :raises HostFault: someone else held it all the time.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not try_lock(descriptor):
            if time.monotonic() > end:
                raise HostFault("Another process has been starting the steward for too long.")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file if it is free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def shorten(log: Path) -> bool:
    """Move what a log over 4 MiB holds to ``<name>.1``; whoever appends to it goes on in the empty file. False where it is short."""
    if not log.exists() or log.stat().st_size <= MOST_LOG_BYTES:
        return False
    with contextlib.suppress(OSError):  # on a full disk the old lines are what goes
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True


def _last_words(directory: Path) -> str:
    with contextlib.suppress(OSError):
        lines = (directory / LOG_NAME).read_text(errors="replace").strip().splitlines()
        if lines:
            return lines[-1][:300]
    return "it said nothing"
