"""All segments of a home as one: merged by time, the last of them, and what comes next. Open ones are read as well."""

from __future__ import annotations

import contextlib
import heapq
import math
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from .reader import Frame, SegmentReader
from .segment import CLOSED, OPEN

HEX = re.compile("[0-9a-f]{12}")
MOST_WAIT_S = 2 * 3600.0  # no request waits longer for its answer
LEEWAY_S = 1.0  # a frame may be older than its file's last change or younger than its name by the time that writing takes


class Wanted(msgspec.Struct, frozen=True):
    """Which frames: of one model or all, from ``since`` on and before ``until`` (Unix seconds)."""

    model: str = ""
    since: float = 0.0
    until: float = math.inf

    def has(self, frame: Frame) -> bool:
        return self.since <= frame.at < self.until and self.model in ("", frame.facts.name)


class Shelf(msgspec.Struct, frozen=True):
    """One segment as it lies there. ``began_at`` is in its name, ``ended_at`` its last change, both Unix seconds."""

    path: Path
    began_at: float
    ended_at: float
    size: int
    is_open: bool

    @property
    def key(self) -> str:
        """The same before and after it was closed."""
        return self.path.stem


def segments(folder: Path) -> list[Shelf]:
    """The segments of a home in the order in which they were begun; files that are none are passed over."""
    found: dict[str, Shelf] = {}
    for path in folder.glob("*-*-*.*"):
        with contextlib.suppress(ValueError, FileNotFoundError):
            if path.suffix in (OPEN, CLOSED):
                facts = path.stat()
                found[path.stem] = Shelf(path, int(path.stem.split("-")[0], 16) / 1000, facts.st_mtime, facts.st_size, path.suffix == OPEN)
    return sorted(found.values(), key=lambda shelf: (shelf.began_at, shelf.key))


def opened(shelf: Shelf) -> SegmentReader | None:
    """A reader of a segment, also where it was closed since it was listed; None where it was removed."""
    for path in (shelf.path, shelf.path.with_suffix(CLOSED)):
        with contextlib.suppress(FileNotFoundError):
            return SegmentReader(path)
    return None


def merged(folder: Path, wanted: Wanted, advance: Callable[[int], Any] = lambda size: None) -> Iterator[Frame]:
    """All wanted frames, by time.

    :param advance: told the bytes of each segment when it has been read.
    """
    waiting = deque([shelf for shelf in segments(folder) if shelf.ended_at >= wanted.since - LEEWAY_S and shelf.began_at < wanted.until])
    heap: list[tuple[float, int, Frame, Iterator[Frame]]] = []
    serial = 0
    while waiting or heap:
        while waiting and (not heap or waiting[0].began_at - LEEWAY_S <= heap[0][0]):
            serial += 1
            _push(heap, serial, _frames(waiting.popleft(), wanted, advance))
        if heap:
            _, number, frame, stream = heapq.heappop(heap)
            yield frame
            _push(heap, number, stream)


def _push(heap: list[tuple[float, int, Frame, Iterator[Frame]]], serial: int, stream: Iterator[Frame]) -> None:
    frame = next(stream, None)
    if frame is not None:
        heapq.heappush(heap, (frame.at, serial, frame, stream))


def _frames(shelf: Shelf, wanted: Wanted, advance: Callable[[int], Any]) -> Iterator[Frame]:
    reader = opened(shelf)
    if reader is not None:
        with contextlib.closing(reader):
            yield from filter(wanted.has, reader)
    advance(shelf.size)


def last(folder: Path, wanted: Wanted, rows: int) -> list[Frame]:
    """The youngest frames, by time, that have at least ``rows`` rows together; fewer where there are no more."""
    kept: list[Frame] = []
    for shelf in sorted(segments(folder), key=lambda shelf: shelf.ended_at, reverse=True):
        have = sum([frame.n for frame in kept if frame.at >= shelf.ended_at + LEEWAY_S])
        if have >= rows:
            break
        kept += deque(_frames(shelf, wanted, lambda size: None), maxlen=rows)
    kept.sort(key=lambda frame: frame.at)
    return kept[-rows:] if rows else []


def with_id(folder: Path, prediction_id: str) -> Iterator[Frame]:
    """The frames with rows of one prediction. Its id tells when it was asked, so that few segments need be read."""
    digits = prediction_id.replace("-", "")[:12]
    since = int(digits, 16) / 1000 - LEEWAY_S if HEX.fullmatch(digits) else 0.0
    for frame in merged(folder, Wanted(since=since, until=since + MOST_WAIT_S if since else math.inf)):
        if any([piece.id == prediction_id for piece in frame.pieces]):  # noqa: C419 - a list is faster than a generator here
            yield frame


class Follower:
    """What is written from now on: ask :meth:`new` again and again.

    :param after: Unix seconds; frames up to then are passed over.
    """

    def __init__(self, folder: Path, wanted: Wanted, after: float) -> None:
        self.folder, self.wanted, self.after = folder, wanted, after
        self._readers: dict[str, SegmentReader] = {}
        self._done: set[str] = set()

    def new(self) -> list[Frame]:
        """Frames that were written since the last time, by time."""
        found: list[Frame] = []
        shelves = {shelf.key: shelf for shelf in segments(self.folder)}
        for key, shelf in shelves.items():
            if key in self._done or (not shelf.is_open and shelf.ended_at < self.after - LEEWAY_S):
                continue
            if key not in self._readers and (reader := opened(shelf)) is not None:
                self._readers[key] = reader
        for key, reader in list(self._readers.items()):
            found += [frame for frame in reader if frame.at > self.after and self.wanted.has(frame)]
            if key not in shelves or not shelves[key].is_open:  # it was closed before it was read just now
                self._readers.pop(key).close()
                self._done.add(key)
        self._done &= shelves.keys()
        return sorted(found, key=lambda frame: frame.at)

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()
