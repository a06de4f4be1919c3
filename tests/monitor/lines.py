"""A model's line into a journal, for tests: a lane, a channel and a host that answers each row with its nonce."""

from __future__ import annotations

import struct
from time import monotonic

from flask_carafe.artifacts.journal import JournalRules
from flask_carafe.hosting.frames import DTYPES, read_header
from flask_carafe.monitor.journal import Journal, Kept, Tape
from flask_carafe.monitor.journal.library import segments
from flask_carafe.monitor.journal.reader import Frame, read
from flask_carafe.serving.channel import Channel
from flask_carafe.serving.lane import Lane
from flask_carafe.signature import Field, Output, Rows, Signature
from flask_carafe.signature.layout import columns, pack
from serving.test_lane_machine import scripted_answer

PLAIN = Signature(
    fields=(Field(name="nonce", kind="number"), Field(name="word", kind="text", dtype="text"), Field(name="n", kind="integer", dtype="int64")),
    outputs=(Output(name="prediction", kind="integer", dtype="int64"),),
)


KINDS = Signature(
    fields=(
        Field(name="nonce", kind="number"),
        Field(name="email", kind="text", dtype="text", nullable=True, example="eve@example.org"),
        Field(name="salary", kind="number"),
        Field(name="photo", kind="image", shape=(2, 2)),
        Field(name="essay", kind="text", dtype="text"),
    ),
    outputs=(Output(name="prediction", kind="integer", dtype="int64"),),
)


class Line:
    """A lane with one channel, whose host answers each row with its nonce; nonces that 11 divides fail."""

    def __init__(self, tape: Tape, signature: Signature = PLAIN, most_rows: int = 256) -> None:
        self.signature = signature
        self.lane = Lane("m", "1", columns(signature), signature.outputs, most_rows, 10.0)
        self.lane.frame_rows = most_rows
        self.lane.on_frame = tape.frame
        self.channel = Channel(self.lane, "h")
        self.told: dict[str, object] = {}
        self.later_s = 0.0

    def now(self) -> float:
        """The clock of everything here; ``later_s`` puts it forward."""
        return monotonic() + self.later_s

    def rows(self, *nonces: float) -> Rows:
        return pack(self.signature, [list(nonces), [f"w{nonce:g}" for nonce in nonces], [None] * len(nonces)], len(nonces), False)

    def ask(self, prediction_id: str, *nonces: float, **more: float) -> None:
        now = self.now()
        patience_s = more.get("patience_s", 2.0)
        self.lane.arrive(self.rows(*nonces), now + patience_s, now, lambda outcome: self.told.update({prediction_id: outcome}), prediction_id)

    def turn(self) -> None:
        """Send and answer frames until nothing waits."""
        while (frame := self.channel.send(self.now())) is not None:
            self.channel.answer(*nonce_answer(frame), self.now())


class KindsLine(Line):
    """Rows with a text that may be missing or large, and a picture.

    :param essay: what the last field has, unless the nonce is 2.
    """

    def __init__(self, tape: Tape, signature: Signature, essay: str = "short") -> None:
        super().__init__(tape, signature)
        self.essay = essay

    def rows(self, *nonces: float) -> Rows:
        long = ["x" * 20_000 if nonce == 2 else self.essay for nonce in nonces]
        emails = [None if nonce == 3 else "ada@example.org" for nonce in nonces]
        photos = [[1.0, 2.0, 3.0, nonce] for nonce in nonces]
        return pack(self.signature, [list(nonces), emails, [1e5] * len(nonces), photos, long], len(nonces), False)


def nonce_answer(frame: bytes) -> tuple[object, bytes]:
    """The answer of a host that reads the first column alone."""
    header = read_header(frame)
    at = 24 + 16 * header.columns
    first = b"".join([frame[:24], struct.pack("<BBHIII", DTYPES["float64"], 0, 0, 1, 0, 8 * header.rows), frame[at : at + 8 * header.rows]])
    return scripted_answer(first)


def frames(journal: Journal) -> list[Frame]:
    return [frame for shelf in segments(journal.folder) for frame in read(shelf.path)]


def records(journal: Journal) -> list[dict[str, object]]:
    return [record for frame in frames(journal) for record in frame.records()]


def tape(journal: Journal, signature: Signature = PLAIN, share: float = 1.0, **rules: object) -> Tape:
    return Tape(journal, "m", 1, "digest", Kept(signature, JournalRules(**rules), share, lambda: b"key"))
