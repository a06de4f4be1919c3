"""The journal of one process: frames are appended before their answers leave, and nothing here can fail a prediction.

One system call a frame, into the page cache: what was written survives the end of this process by any signal, not a
power cut. A segment is brought to the disk (fsync) when it is closed, beside the requests, in a thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import msgspec

from . import format as form
from .segment import Segment
from .upkeep import tidy

log = logging.getLogger(__name__)
RETRY_S = 5.0  # after a disk was full, or a folder could not be written
LOOK_S = 1.0  # how often it is looked whether the file is still there


class Limits(msgspec.Struct, frozen=True):
    """When a segment is closed, and how many bytes of closed ones are kept."""

    segment_bytes: int = 16 << 20
    segment_s: float = 60.0
    keep_bytes: int = 1 << 30


class Journal:
    """Appends records to this process's own segment. Any thread may; nothing is opened before the first record.

    :param folder: ``journal`` in the home.
    :param on_lost: told the model and the number of predictions that could not be written.
    """

    def __init__(self, folder: Path, limits: Limits, on_lost: Callable[[str, int], None]) -> None:
        self.folder, self.limits, self.on_lost = folder, limits, on_lost
        self.trouble = ""  # why nothing can be written now
        self._models: list[tuple[str, bytes]] = []  # name, and the record that introduces it
        self._forget()
        JOURNALS.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._serial = 0
        self._until = self._look_at = self._again_at = 0.0
        self._lost = 0
        self._is_faulty = False

    def number(self, facts: form.Facts) -> int:
        """The number by which records of this process name a model."""
        with self._lock:
            number = len(self._models)
            self._models.append((facts.name, form.record(form.MODEL, msgspec.json.encode(facts), number)))
        return number

    def append(self, number: int, record: bytes, predictions: int, now: float) -> None:
        """Append one record of model ``number``. Never raises for what a disk does.

        :param now: on the clock of :func:`time.monotonic`.
        """
        with self._lock:
            segment = self._segment
            if segment is None:
                segment = self._opened(now)
                if segment is None:
                    self._count_lost({number: predictions})
                    return
            counts = segment.counts
            try:
                if number in counts:
                    segment.write(record)
                else:
                    segment.write(self._models[number][1] + record)
                    counts[number] = 0
            except OSError as exc:
                self._fail(exc, now)
                self._count_lost({number: predictions})
                return
            counts[number] += predictions
            if self.trouble:
                log.info("The journal is written again; %d predictions are missing in it.", self._lost)
                self.trouble, self._lost = "", 0
            if segment.size >= self.limits.segment_bytes:
                self._close()

    def lose(self, number: int, predictions: int, exc: Exception) -> None:
        """Count predictions that cannot be written for another reason than the journal's file."""
        if not self._is_faulty:
            self._is_faulty = True
            log.error("A prediction could not be journalled; more of the kind are only counted.", exc_info=exc)
        with self._lock:
            self._count_lost({number: predictions})

    def tick(self, now: float) -> None:
        """Close a segment that is old enough; notice one that somebody removed."""
        if self._segment is None or now < self._look_at:
            return
        with self._lock:
            self._look_at = now + LOOK_S
            if self._segment is None:
                return
            if not self._segment.is_there:
                log.warning("The journal's open segment was removed from %s; a new one is begun.", self.folder)
                self._count_lost(self._segment.counts)
                self._close()
            elif now >= self._until:
                self._close()

    def close(self) -> None:
        """Close the segment and wait for it; at the end of this process."""
        with self._lock:
            segment, self._segment = self._segment, None
            self._again_at = float("inf")
        if segment is not None:
            segment.seal()

    def after_fork(self) -> None:
        """In the child: the file is the parent's, and so is the lock on it."""
        segment = self._segment
        self._forget()
        if segment is not None:
            segment.drop()

    def _opened(self, now: float) -> Segment | None:
        if now < self._again_at:
            return None
        try:
            segment = self._segment = Segment(self.folder, self._serial)
        except OSError as exc:
            self._fail(exc, now)
            return None
        if not self._serial:  # what processes left behind that were killed, a predecessor of this one maybe
            self._beside(lambda: tidy(self.folder, self.limits.keep_bytes))
        self._serial += 1
        self._until, self._look_at = now + self.limits.segment_s, now + LOOK_S
        return segment

    def _fail(self, exc: OSError, now: float) -> None:
        self._again_at = now + RETRY_S
        if self._segment is not None:
            self._close()
        if not self.trouble:
            self.trouble = exc.strerror or str(exc)
            log.error("Predictions go on and are not journalled: %s. It is tried again every %g s.", self.trouble, RETRY_S)

    def _count_lost(self, counts: dict[int, int]) -> None:
        for number, predictions in counts.items():
            self._lost += predictions
            self.on_lost(self._models[number][0], predictions)

    def _close(self) -> None:
        """Leave the segment to a thread: bringing 16 MiB to a disk may take a while."""
        segment, self._segment = self._segment, None
        assert segment is not None

        def finish() -> None:
            segment.seal()
            tidy(self.folder, self.limits.keep_bytes)

        self._beside(finish)

    def _beside(self, work: Callable[[], object]) -> None:
        try:
            threading.Thread(target=work, name="carafe-journal", daemon=True).start()
        except RuntimeError:  # no thread to be had, or the interpreter is ending
            with contextlib.suppress(OSError):
                work()


JOURNALS: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    for journal in list(JOURNALS):
        journal.after_fork()


os.register_at_fork(after_in_child=_after_fork)
