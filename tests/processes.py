"""For tests with real processes: a world of its own for each, and proof that nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from flask_carafe.hosting.process import Process, start_time

T = TypeVar("T")


def of_world(*places: Path) -> dict[Process, str]:
    """Living processes, with their command lines, that name one of ``places`` in anything they hold.

    That is: a working directory, an open file, the command line or the environment.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            held = [os.readlink(entry / "cwd"), *(os.readlink(fd) for fd in (entry / "fd").iterdir())]
            held += [(entry / name).read_bytes().replace(b"\0", b" ").decode(errors="replace") for name in ("cmdline", "environ")]
            started = start_time(int(entry.name))
            if started is not None and any(str(place) in text for place in places for text in held):
                found[Process(int(entry.name), started)] = held[-2]
    return found


def nothing_left(*places: Path, within_s: float = 5.0) -> dict[Process, str]:
    """What is still alive after ``within_s``; it is killed then, so that other tests have quiet."""
    end = time.monotonic() + within_s
    while (left := of_world(*places)) and time.monotonic() < end:
        time.sleep(0.05)
    for process in left:
        process.kill()
    return left


@contextlib.contextmanager
def run_base(name: str) -> Iterator[Path]:
    """A short directory for run directories, removed afterwards; a test's own would make sockets' names too long."""
    base = Path(f"/tmp/carafe-t{os.getpid()}-{name}")
    base.mkdir(mode=0o700, exist_ok=True)
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def until(look: Callable[[], T], seconds: float, what: str = "it") -> T:
    """The first true answer of ``look``; an assertion when there is none in ``seconds``."""
    end = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)
    return answer
