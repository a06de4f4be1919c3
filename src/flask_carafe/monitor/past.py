"""What processes that are gone have counted: their files are summed into one, so counters never run backwards.

``past.json`` is replaced in one step and names the files that it holds, so a crash between the writing and the
removal of a file counts nothing twice. Readers take no lock: they read the files first and the past after.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .mapped import WIDTH, Values, add, parse

PAST, LOCK = "past.json", "past.lock"
MOST_NAMES = 4096  # of files folded in; older ones have long been removed
MOST_SERIES = 20_000  # of versions that nobody serves any more; beyond it the oldest go


class _Past(msgspec.Struct):
    folded: list[str] = []
    series: list[tuple[int, tuple[str, ...], list[float]]] = []


def collect(directory: Path, own: Path | None = None) -> Values:
    """The sum over all processes, living and gone, apart from the one that writes ``own``."""
    fold(directory)
    living = {path.name: data for path in _files(directory) if path != own and (data := _read(path)) is not None}
    past = _load(directory)
    values = _values(past)
    for name, data in living.items():
        if name not in past.folded:
            for series, numbers in parse(data).items():
                add(values, series, numbers)
    return values


def fold(directory: Path) -> int:
    """Sum the files whose owner is gone into the past and remove them; return how many. Never waits: one folder at a time is enough."""
    with _only_one(directory) as have_lock:
        if not have_lock:
            return 0
        past = _load(directory)
        gone = [path for path in _files(directory) if _is_abandoned(path)]
        new = {path.name: data for path in gone if path.name not in past.folded and (data := _read(path)) is not None}
        if new and not _write(directory, _with(past, new)):
            return 0
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[bool]:
    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield False
        return
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.map"))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # folded and removed since it was listed
        return None


def _is_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # A file without a header is being made at this moment: its lock comes right after its name.
        return _try_lock(descriptor) and (os.fstat(descriptor).st_size > 0 or _is_old(descriptor))
    finally:
        os.close(descriptor)


def _is_old(descriptor: int) -> bool:
    return time.time() - os.fstat(descriptor).st_mtime > 60


def _with(past: _Past, new: dict[str, bytes]) -> _Past:
    values = _values(past)
    for data in new.values():
        for series, numbers in parse(data).items():
            add(values, series, numbers)
    kept = list(values.items())[-MOST_SERIES:]
    return _Past([*past.folded, *new][-MOST_NAMES:], [(kind, labels, numbers) for (kind, labels), numbers in kept])


def _values(past: _Past) -> Values:
    return {(kind, labels): numbers for kind, labels, numbers in past.series if len(numbers) == WIDTH}


def _load(directory: Path) -> _Past:
    try:
        return msgspec.json.decode((directory / PAST).read_bytes(), type=_Past)
    except (OSError, msgspec.DecodeError):  # none yet, or not ours: counting begins anew, as after any reset
        return _Past()


def _write(directory: Path, past: _Past) -> bool:
    temporary = directory / f".{PAST}.{os.getpid()}"
    try:
        temporary.write_bytes(msgspec.json.encode(past))
        temporary.replace(directory / PAST)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True
