"""What an engine's answers leave behind: counts for the metrics, records for the journal, both before anybody is told."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from ..config import Settings
from ..config.secret import key_for
from ..hosting.frames import Header
from ..monitor import Recorder
from ..monitor.journal import FOLDER, Journal, Kept, Limits, Tape
from ..signature import Rows
from .engine import Engine
from .lane import Lane
from .request import Answer, Request
from .table import Model


class Notes:
    """Listens to the lanes and calls of one engine.

    :param writes: whether a journal is written, if the settings have one.
    """

    def __init__(self, settings: Settings, recorder: Recorder, writes: bool) -> None:
        self.settings, self.recorder = settings, recorder
        self.journal: Journal | None = None
        self._key = b""
        # Of lanes, and of functions of the app, which have none: the Model of a host is made anew with each table.
        self._tapes: weakref.WeakKeyDictionary[Lane | Model, Tape | None] = weakref.WeakKeyDictionary()
        if writes and settings.journal:
            limits = Limits(settings.journal_segment_bytes, settings.journal_segment_s, settings.journal_keep_bytes)
            self.journal = Journal(settings.home / FOLDER, limits, recorder.lost)

    def attach(self, engine: Engine) -> None:
        """Hear of everything that ``engine`` answers from now on."""
        engine.on_lane, engine.on_call = self.lane, self.call
        engine.on_tick.append(lambda _: self.recorder.flush())
        if self.journal is not None:
            engine.on_tick.append(self.journal.tick)

    @property
    def state(self) -> str:
        """Of the journal, in a word: ``written``, ``failing`` or ``off``."""
        if self.journal is None:
            return "off"
        return "failing" if self.journal.trouble else "written"

    def close(self) -> None:
        """The end of this process: close the journal's file."""
        if self.journal is not None:
            self.journal.close()

    def lane(self, lane: Lane, model: Model) -> None:
        """A lane was made for ``model``."""
        count = self.recorder.frame
        tape = self._tapes[lane] = self._tape(model)

        def on_frame(sent: Sequence[tuple[Request, int]], asked: bytes, header: Header, body: bytes, sent_at: float, now: float) -> None:  # noqa: PLR0917
            count(lane.name, header.rows, now - sent_at)
            if tape is not None:
                tape.frame(sent, asked, header, body, sent_at, now)

        lane.on_frame = on_frame

    def call(self, model: Model, prediction_id: str, rows: Rows, answer: Answer, began: float) -> None:
        """A function of the app answered ``rows``, or a stream of a host; in any thread."""
        key = model.lane or model
        if key not in self._tapes:
            self._tapes[key] = self._tape(model)
        tape = self._tapes[key]
        if tape is not None:
            tape.call(prediction_id, rows, answer.columns[0].values, began)

    def _tape(self, model: Model) -> Tape | None:
        """Where the answers of ``model`` are written down; None where they are not."""
        entry = model.entry
        if self.journal is None or entry.signature is None or not entry.journal.on:
            return None
        share = self.settings.journal_sample if entry.journal.sample is None else entry.journal.sample
        return Tape(self.journal, entry.name, entry.version, entry.digest, Kept(entry.signature, entry.journal, share, self._hash_key))

    def _hash_key(self) -> bytes:
        self._key = self._key or key_for(self.settings, "carafe-journal")
        return self._key
