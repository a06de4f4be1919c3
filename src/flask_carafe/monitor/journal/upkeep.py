"""What keeps the journal's folder in order, whoever does it: segments of processes that are gone, and the limit on all of them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import time
from pathlib import Path

from . import format as form
from .segment import CLOSED, OPEN

log = logging.getLogger(__name__)
YOUNG_S = 60.0  # an empty file that is younger may be one that is being made


def tidy(folder: Path, keep_bytes: int) -> None:
    """Recover what processes left that are gone, then keep the limit. Never raises."""
    try:
        recover(folder)
        shrink(folder, keep_bytes)
    except OSError as exc:
        log.warning("The journal in %s cannot be kept in order: %s", folder, exc.strerror)


def recover(folder: Path) -> int:
    """Close the open segments whose writer is gone, without what was torn; how many there were."""
    return sum([_recovered(path) for path in sorted(folder.glob(f"*{OPEN}"))])


def _recovered(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = os.fstat(descriptor)
        if facts.st_nlink == 0 or (facts.st_size == 0 and time.time() - facts.st_mtime < YOUNG_S):
            return False
        end, frames = whole_bytes(descriptor, facts.st_size)
        if not frames:
            path.unlink()
            return False
        if end < facts.st_size:
            os.ftruncate(descriptor, end)
        os.fsync(descriptor)
        path.rename(path.with_suffix(CLOSED))
        return True
    except (BlockingIOError, FileNotFoundError):  # its writer lives, or somebody else was quicker
        return False
    finally:
        os.close(descriptor)


def whole_bytes(descriptor: int, size: int) -> tuple[int, int]:
    """How far a segment's records are whole, and how many of them are frames."""
    end = frames = 0
    if size:
        with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as data:
            while (record := form.read_record(data, end)) is not None:
                end = record.end
                frames += record.kind == form.FRAME
    return end, frames


def shrink(folder: Path, keep_bytes: int) -> int:
    """Remove the oldest closed segments until all segments together have at most ``keep_bytes``; how many went."""
    sizes, gone = {}, 0
    for path in sorted(folder.iterdir()):
        if path.suffix in (OPEN, CLOSED):
            with contextlib.suppress(FileNotFoundError):
                sizes[path] = path.stat().st_size
    total = sum(sizes.values())
    for path, size in sizes.items():
        if total <= keep_bytes:
            break
        if path.suffix == CLOSED:
            path.unlink(missing_ok=True)
            total -= size
            gone += 1
    return gone
