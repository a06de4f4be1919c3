"""Processes by pid *and* start time, cleaned environments, and the interpreter that children run.

A bare pid names nobody: by the time a signal is sent it may belong to a stranger. Here a process is its pid together
with the kernel's start time, checked behind a pidfd so that nothing can change between the look and the signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ALLOWED_VARIABLES = frozenset((
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHASHSEED", "KERAS_BACKEND",
))  # fmt: skip
ALLOWED_PREFIXES = ("LC_", "CUDA_VISIBLE_", "NVIDIA_VISIBLE_")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1")
ONE_THREAD["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # pandas imports pyarrow where it is, whose allocator has a thread: nothing could fork
PYTHON_VARIABLE = "CARAFE_PYTHON"
PR_SET_PDEATHSIG = 1


class Process(NamedTuple):
    """``started``: the kernel's start time in clock ticks since boot (on macOS: microseconds since the epoch)."""

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return start_time(self.pid) == self.started

    def send(self, number: int) -> bool:
        """Send a signal to this process and to no other; False when it is gone."""
        if not hasattr(os, "pidfd_open"):
            return self._send_by_pid(number)
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        except OSError:  # no descriptor left, or a kernel or container without pidfd: what hangs must end all the same
            return self._send_by_pid(number)
        try:
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _send_by_pid(self, number: int) -> bool:
        if not self.is_alive():
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)
            return True
        return False

    def kill(self) -> bool:
        return self.send(signal.SIGKILL)

    async def gone(self, timeout_s: float) -> bool:
        """Wait until the process has ended; False when it still runs after ``timeout_s``."""
        end = asyncio.get_running_loop().time() + timeout_s
        nap = 0.005
        while self.is_alive():
            if asyncio.get_running_loop().time() >= end:
                return False
            await asyncio.sleep(nap)
            nap = min(nap * 1.5, 0.1)
        return True


def start_time(pid: int) -> int | None:
    """The start time of a running process, or None when there is none (or only its zombie)."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _start_time_elsewhere(pid)
    except ProcessLookupError:
        return None
    fields = facts[facts.rindex(b")") + 2 :].split()  # the name in brackets may hold anything
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


def _start_time_elsewhere(pid: int) -> int | None:
    import psutil  # only where there is no /proc

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time() * 1e6)
    except psutil.Error:
        return None


def this_process() -> Process:
    return Process(os.getpid(), start_time(os.getpid()) or 0)


def interpreter() -> str:
    """The Python that children run: ``CARAFE_PYTHON``, else the one of ``sys.prefix``.

    ``sys.executable`` is of no use under uWSGI or Apache: there it names the server.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return os.path.abspath(named) if os.sep in named else named
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for prefix in (sys.prefix, sys.base_prefix):
        for name in (version, "python3", "python"):
            candidate = Path(prefix, "bin", name)
            if os.access(candidate, os.X_OK):
                return str(candidate)
    return sys.executable


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a child may know: an allow-list, so that no key, password or database address of the app reaches a model.

    ``PYTHONPATH`` carries this process's own path on: under mod_wsgi and uWSGI the interpreter alone does not know it.
    """
    kept = {key: value for key, value in os.environ.items() if key in ALLOWED_VARIABLES or key.startswith(ALLOWED_PREFIXES)}
    kept["PYTHONPATH"] = os.pathsep.join(_own_path())
    kept["PYTHONUNBUFFERED"] = "1"
    return kept | ONE_THREAD | dict(extra or {})


def _own_path() -> list[str]:
    """Entries of ``sys.path`` that are directories, without the standard library's own."""
    stdlib = os.path.dirname(os.__file__)
    own = (entry for entry in sys.path if os.path.isabs(entry) and os.path.isdir(entry) and not entry.startswith(os.path.join(stdlib, "lib-")))
    return list(dict.fromkeys(entry for entry in own if entry != stdlib))


def spawn(arguments: Sequence[str], *, log: Path | None, env: Mapping[str, str], fds: Iterable[int] = (), **more: Any) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own; its stdout and stderr are appended to ``log`` (None: ours).

    A file and no pipe: a pipe whose reader died would turn a model's ``print`` into an error.
    """
    if log is None:
        return subprocess.Popen(arguments, env=env, pass_fds=tuple(fds), stdin=subprocess.DEVNULL, start_new_session=True, **more)
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as file:
        return subprocess.Popen(
            arguments, env=env, pass_fds=tuple(fds), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, **more
        )


def peer_uid(connection: socket.socket) -> int:
    """The user id at the other end of a connected Unix socket (our own where the system cannot say)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)


def end_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send this process ``number`` when the process that started it ends; Linux only, else nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
