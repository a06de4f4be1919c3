"""A file of counters that one process writes through shared memory and others read at any time.

Little-endian, blocks of one size; a block is one series and never moves:

======  ======  ===================================================================================
header  64 B    ``<4sII``: magic ``CRFM``, format, number of blocks; the rest is zero
block   512 B   ``<HH``: kind, bytes of labels; then the labels (JSON, a list of texts); at 384: 16 float64
======  ======  ===================================================================================

A value is one aligned 8-byte store, so it needs no lock against readers; a block is filled before it is counted.
The owner holds an ``flock`` on its file: who can take that lock knows that the owner is gone, whatever pids say.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import struct
import time
import weakref
from pathlib import Path

import msgspec

HEADER = struct.Struct("<4sII")
MAGIC, FORMAT = b"CRFM", 1
HEADER_BYTES, BLOCK_BYTES, VALUES_AT, WIDTH = 64, 512, 384, 16
BLOCK = struct.Struct("<HH")
MOST_LABEL_BYTES = VALUES_AT - BLOCK.size
FIRST_BLOCKS, MOST_BLOCKS = 128, 4096

Series = tuple[int, tuple[str, ...]]  # kind, labels
Values = dict[Series, list[float]]


class MappedFile:
    """The writing side. ``cells`` holds all values; :meth:`block` says where those of a series begin."""

    def __init__(self, directory: Path | None, room: int = FIRST_BLOCKS) -> None:
        """
        :param directory: where the file goes; None counts for this process alone, seen by nobody else.
        :param room: blocks to begin with; the file grows to :data:`MOST_BLOCKS`.
        :raises OSError: the file cannot be made.
        """
        self.path: Path | None = None
        self._descriptor = -1
        self._blocks = 0
        self._room = room
        if directory is not None:
            self._create(directory)
        size = HEADER_BYTES + self._room * BLOCK_BYTES
        self._map = mmap.mmap(self._descriptor, size) if self.path else mmap.mmap(-1, size)
        HEADER.pack_into(self._map, 0, MAGIC, FORMAT, 0)
        self.cells = memoryview(self._map).cast("d")

    def _create(self, directory: Path) -> None:
        path = directory / f"{os.getpid()}-{time.time_ns():x}.map"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # who looks whether we live holds it for an instant
            _reserve(descriptor, HEADER_BYTES + self._room * BLOCK_BYTES)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self.path, self._descriptor = path, descriptor
        self._let_go = weakref.finalize(self, os.close, descriptor)  # with it the lock

    def block(self, kind: int, labels: tuple[str, ...]) -> int | None:
        """Index in ``cells`` of a new series' first value, or None when the file is full or the labels are too long."""
        text = msgspec.json.encode(labels)
        if len(text) > MOST_LABEL_BYTES or (self._blocks == self._room and not self._grow()):
            return None
        at = HEADER_BYTES + self._blocks * BLOCK_BYTES
        self._map[at + BLOCK.size : at + BLOCK.size + len(text)] = text
        BLOCK.pack_into(self._map, at, kind, len(text))
        self._blocks += 1
        HEADER.pack_into(self._map, 0, MAGIC, FORMAT, self._blocks)
        return (at + VALUES_AT) // 8

    def _grow(self) -> bool:
        room = min(self._room * 2, MOST_BLOCKS)
        size = HEADER_BYTES + room * BLOCK_BYTES
        try:
            if room == self._room:
                return False
            if self.path:
                _reserve(self._descriptor, size)
        except OSError:  # a full disk: the series that there are go on
            return False
        self.cells.release()
        try:
            self._map.resize(size)
            self._room = room
        except (OSError, SystemError):  # no mremap on this system
            return False
        finally:
            self.cells = memoryview(self._map).cast("d")
        return True

    def snapshot(self) -> bytes:
        """What this process has counted, for :func:`parse`; a plain copy, so counting waits for no parsing."""
        return self._map[: HEADER_BYTES + self._blocks * BLOCK_BYTES]

    def copy_to(self, directory: Path) -> MappedFile:
        """The same series, values and indices in a new file; nobody may write meanwhile.

        :raises OSError: the file cannot be made.
        """
        new = MappedFile(directory, self._room)
        new._map[:] = self._map[:]
        new._blocks = self._blocks
        return new

    @property
    def is_visible(self) -> bool:
        """Whether others still find this file: something that tidies temporary folders may have removed it."""
        try:
            return self.path is None or self.path.stat().st_ino == os.fstat(self._descriptor).st_ino
        except OSError:
            return False

    def close(self) -> None:
        """Let go; the file stays, for its numbers to be folded into the past."""
        self.cells.release()
        self._map.close()
        if self.path:
            self._let_go()


def _reserve(descriptor: int, size: int) -> None:
    """Make ``size`` bytes real: a store into a hole of a full disk would be a SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        have = os.fstat(descriptor).st_size
        os.pwrite(descriptor, bytes(size - have), have)


def parse(data: bytes) -> Values:
    """The series of a file's bytes. Blocks that are torn or make no sense are left out; never raises."""
    values: Values = {}
    if len(data) < HEADER_BYTES:
        return values
    magic, form, blocks = HEADER.unpack_from(data)
    if magic != MAGIC or form != FORMAT:
        return values
    for at in range(HEADER_BYTES, min(len(data), HEADER_BYTES + blocks * BLOCK_BYTES) - BLOCK_BYTES + 1, BLOCK_BYTES):
        series = _series(data, at)
        numbers = struct.unpack_from(f"<{WIDTH}d", data, at + VALUES_AT)
        if series and all(math.isfinite(number) and number >= 0 for number in numbers):
            add(values, series, numbers)
    return values


def _series(data: bytes, at: int) -> Series | None:
    kind, size = BLOCK.unpack_from(data, at)
    if size > MOST_LABEL_BYTES:
        return None
    try:
        return kind, msgspec.json.decode(data[at + BLOCK.size : at + BLOCK.size + size], type=tuple[str, ...])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def add(values: Values, series: Series, numbers: list[float] | tuple[float, ...]) -> None:
    """Sum ``numbers`` into ``values[series]``."""
    have = values.get(series)
    values[series] = list(numbers) if have is None else [a + b for a, b in zip(have, numbers, strict=True)]
