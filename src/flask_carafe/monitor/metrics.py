"""Counting predictions: a few stores into shared memory per request, in the process that answers.

``prometheus_client``'s own multiprocess mode wants an environment variable before its first import and wraps every
registry in the process, which cannot be asked of somebody else's app; so each worker has a file of its own
(:mod:`.mapped`), and :mod:`.scrape` sums them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from bisect import bisect_left
from collections import deque
from pathlib import Path

from . import past
from .mapped import MappedFile, Values, add, parse

log = logging.getLogger(__name__)

FOLDER = "metrics"  # in the run directory
REQUESTS, FRAMES, LOST = 1, 2, 3  # kinds of series
LABELS = {REQUESTS: 4, FRAMES: 1, LOST: 1}  # kind -> how many labels, the model first
# Cells of REQUESTS: one per upper bound in seconds, one for what took longer, the sum of seconds, rows.
# How many requests there were is the sum of the first ones: what need not be stored costs nothing.
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SUM, ROWS = len(BUCKETS) + 1, len(BUCKETS) + 2
FRAME_ROWS, FRAME_SECONDS = 1, 2  # after the count of frames
OK = "ok"  # code of an answer that is no error
MOST_SOON = 4096  # requests that may wait to be counted where nothing ticks
Key = tuple[str, str, str, str]  # model, version, door, code
OTHER = "_other"  # every label of what came when there was no room for one more series


class Recorder:
    """Counters of this process. Any thread may count; nothing is opened before the first count, and nothing is shared over a fork."""

    def __init__(self, run_dir: Path | None) -> None:
        """
        :param run_dir: of the home, the same for all its processes. None, or one that cannot be written:
            this process counts for itself alone.
        """
        self._directory = run_dir / FOLDER if run_dir else None
        self._forget()
        RECORDERS.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._file: MappedFile | None = None
        self._requests: dict[Key, int] = {}
        self._soon: deque[tuple[Key, int, float]] = deque()
        self._frames: dict[str, int] = {}
        self._rest: dict[tuple[int, tuple[str, ...]], int] = {}

    def request(self, model: str, version: str, door: str, code: str, rows: int, seconds: float) -> None:  # noqa: PLR0917 - on the hot path
        """One request was answered; about a microsecond.

        :param model: a model that there is, or ``""``: what a client makes up must not become a series.
        :param door: ``loop``, ``flask``, ``wsgi``, or ``call`` for Python.
        :param code: ``"ok"``, or the stable code of the error that was answered.
        :param seconds: from the request's body to its answer.
        """
        key = (model, version, door, code)
        with self._lock:
            at = self._at(key)
            cells = self._file.cells  # type: ignore[union-attr]  # _at opened it
            cells[at + bisect_left(BUCKETS, seconds)] += 1.0
            cells[at + SUM] += seconds
            cells[at + ROWS] += rows

    def soon(self, key: Key, rows: int, seconds: float) -> None:
        """As :meth:`request` with ``(model, version, door, code)``, counted by the next :meth:`flush`: a tenth of the cost, many at a time."""
        self._soon.append((key, rows, seconds))
        if len(self._soon) > MOST_SOON:
            self.flush()

    def flush(self) -> None:
        """Count what was said :meth:`soon`. For a clock that ticks some dozen times a second: a killed process loses as little."""
        if self._soon:
            with self._lock:
                self._settle()

    def _settle(self) -> None:
        said, pop = self._soon, self._soon.popleft
        sums: dict[Key, list[float]] = {}
        for _ in range(len(said)):  # others may go on saying; only who holds the lock takes
            key, rows, seconds = pop()
            sum_ = sums.get(key)
            if sum_ is None:
                sum_ = sums[key] = [0.0] * (ROWS + 1)
            sum_[bisect_left(BUCKETS, seconds)] += 1.0
            sum_[SUM] += seconds
            sum_[ROWS] += rows
        for key, numbers in sums.items():
            at = self._at(key)
            cells = self._file.cells  # type: ignore[union-attr]  # _at opened it
            for i, number in enumerate(numbers):
                if number:
                    cells[at + i] += number

    def _at(self, key: Key) -> int:
        at = self._requests.get(key)
        if at is None:
            at = self._requests[key] = self._series(REQUESTS, key)
        return at

    def frame(self, model: str, rows: int, seconds: float) -> None:
        """One frame of ``rows`` rows came back from a host after ``seconds``."""
        with self._lock:
            at = self._frames.get(model)
            if at is None:
                at = self._frames[model] = self._series(FRAMES, (model,))
            cells = self._file.cells  # type: ignore[union-attr]
            cells[at] += 1.0
            cells[at + FRAME_ROWS] += rows
            cells[at + FRAME_SECONDS] += seconds

    def lost(self, model: str, predictions: int) -> None:
        """``predictions`` of ``model`` were answered and could not be written to the journal."""
        with self._lock:
            at = self._series(LOST, (model,))
            self._file.cells[at] += predictions  # type: ignore[union-attr]

    def read(self) -> Values:
        """The sum over all processes of the home, living and gone."""
        with self._lock:
            self._settle()
            own, path = (self._file.snapshot(), self._file.path) if self._file else (b"", None)
            if self._file and self._directory and not self._file.is_visible:
                self._move(self._file, self._directory)
                path = self._file.path
        values = past.collect(self._directory, path) if self._directory else {}
        for series, numbers in parse(own).items():
            add(values, series, numbers)
        return values

    def close(self) -> None:
        """Let the file go; its numbers stay in the sum. What is counted after this is seen by nobody."""
        with self._lock:
            self._settle()
            file, self._directory = self._file, None
            self._forget()
        if file:
            file.close()

    def after_fork(self) -> None:
        """In the child: forget the parent's file without touching the parent's lock on it."""
        file = self._file
        self._forget()
        if file:
            file.close()

    def _series(self, kind: int, labels: tuple[str, ...]) -> int:
        """Where a series counts; when the file is full, all further ones share one. Opens the file."""
        if self._file is None:
            self._file = self._opened()
            self._rest = {(kind, other): self._block(kind, other) for kind, width in LABELS.items() for other in [(OTHER,) * width]}
        at = self._rest.get((kind, labels))
        if at is None:
            found = self._file.block(kind, labels)
            at = self._rest[kind, labels] = self._rest[kind, (OTHER,) * LABELS[kind]] if found is None else found
        return at

    def _block(self, kind: int, labels: tuple[str, ...]) -> int:
        at = self._file.block(kind, labels) if self._file else None
        assert at is not None, "a new file has room"
        return at

    def _opened(self) -> MappedFile:
        try:
            file = MappedFile(self._directory)
            if self._directory is not None:
                past.fold(self._directory)
        except OSError as exc:
            log.warning("metrics of this process are not shared with the others: %s", exc.strerror)
            file = MappedFile(None)
        return file

    def _move(self, old: MappedFile, directory: Path) -> None:
        """Something removed our file, as programs do that tidy temporary folders: count on in a new one."""
        with contextlib.suppress(OSError):
            self._file = old.copy_to(directory)
            old.close()


def _after_fork() -> None:
    for recorder in list(RECORDERS):
        recorder.after_fork()


RECORDERS: weakref.WeakSet[Recorder] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
