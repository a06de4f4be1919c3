"""The processes of a server, whoever started them, and what they have used.

Each carries a mark in its environment. Hosts get a cleaned environment in which ``LC_…`` is let through, hence its name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "LC_BENCH"
# part of the command line -> role
ROLES = {"flask_carafe.cli.web": "web", "granian": "web", "hosting/host/__main__.py": "host", "prototype/host.py": "host"}


def marked(mark: str) -> Iterator[psutil.Process]:
    """Every process with :data:`MARK` set to ``mark``: children, and what left its parent."""
    wanted = f"{MARK}={mark}".encode()
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                yield psutil.Process(pid)


def role(process: psutil.Process) -> str:
    """``web``, ``host``, or ``rest``: the steward, whatever holds the signals."""
    words = " ".join(process.cmdline())
    return next((found for part, found in ROLES.items() if part in words), "rest")


def cpu_us(mark: str) -> dict[str, int]:
    """CPU time that the processes have used so far, by role, in microseconds; the kernel tells it in steps of 10 ms."""
    used = {"web": 0, "host": 0, "rest": 0}
    for process in marked(mark):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used[role(process)] += round((times.user + times.system) * 1e6)
    return used


def pinned(cpu: int | None) -> list[str]:
    """What to put before a command so that it and its children stay on one CPU."""
    return ["taskset", "-c", str(cpu)] if cpu is not None else []


CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
