"""The journal: what was answered is on disk before anybody is told, comes back as it was, and a disk in trouble costs no prediction."""

from __future__ import annotations

import struct
from time import monotonic

import pytest

from flask_carafe.hosting.frames import DTYPES, read_header
from flask_carafe.monitor.journal import Journal, Limits, Tape, facts_of
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


@pytest.fixture
def lost() -> dict[str, int]:
    return {}


@pytest.fixture
def journal(tmp_path, lost):
    def on_lost(model: str, predictions: int) -> None:
        lost[model] = lost.get(model, 0) + predictions

    journal = Journal(tmp_path / "journal", Limits(), on_lost)
    yield journal
    journal.close()


class Line:
    """A lane with one channel, whose host answers each row with its nonce; nonces that 11 divides fail."""

    def __init__(self, tape: Tape, signature: Signature = PLAIN, most_rows: int = 256) -> None:
        self.signature = signature
        self.lane = Lane("m", "1", columns(signature), signature.outputs, most_rows, 10.0)
        self.lane.frame_rows = most_rows
        self.lane.on_frame = tape.frame
        self.channel = Channel(self.lane, "h")
        self.told: dict[str, object] = {}

    def rows(self, *nonces: float) -> Rows:
        return pack(self.signature, [list(nonces), [f"w{nonce:g}" for nonce in nonces], [None] * len(nonces)], len(nonces), False)

    def ask(self, prediction_id: str, *nonces: float, **more: float) -> None:
        now = monotonic()
        patience_s = more.get("patience_s", 2.0)
        self.lane.arrive(self.rows(*nonces), now + patience_s, now, lambda outcome: self.told.update({prediction_id: outcome}), prediction_id)

    def turn(self) -> None:
        """Send and answer frames until nothing waits."""
        while (frame := self.channel.send(monotonic())) is not None:
            self.channel.answer(*nonce_answer(frame), monotonic())


def nonce_answer(frame: bytes) -> tuple[object, bytes]:
    """The answer of a host that reads the first column alone."""
    header = read_header(frame)
    at = 24 + 16 * header.columns
    first = b"".join([frame[:24], struct.pack("<BBHIII", DTYPES["float64"], 0, 0, 1, 0, 8 * header.rows), frame[at : at + 8 * header.rows]])
    return scripted_answer(first)


def frames(journal: Journal) -> list[Frame]:
    paths = sorted(journal.folder.iterdir())
    return [frame for path in paths for frame in read(path)]


def records(journal: Journal) -> list[dict[str, object]]:
    return [record for frame in frames(journal) for record in frame.records()]


def tape(journal: Journal, signature: Signature = PLAIN) -> Tape:
    return Tape(journal, facts_of("m", 1, "digest", signature))


def test_an_answer_is_on_disk_before_its_waiter_is_told(journal):
    line = Line(tape(journal))
    seen = []
    line.lane.arrive(line.rows(5.0), monotonic() + 2, monotonic(), lambda _: seen.extend(records(journal)), "id-5")
    line.turn()
    assert [(record["id"], record["inputs"], record["prediction"]) for record in seen] == [("id-5", {"nonce": 5.0, "word": "w5", "n": None}, 5)]


def test_requests_of_several_rows_pieces_and_errors_come_back_as_they_were_asked(journal):
    line = Line(tape(journal), most_rows=4)
    line.ask("one", 1.0)
    line.ask("many", *map(float, range(2, 13)))
    line.turn()
    found = {(record["id"], record["row"]): record for record in records(journal)}
    assert list(found) == [("one", 0), *[("many", row) for row in range(11)]] or len(found) == 12
    for (name, row), record in found.items():
        nonce = 1 if name == "one" else row + 2
        assert record["inputs"] == {"nonce": float(nonce), "word": f"w{nonce}", "n": None}
        answer = {"error": f"model_error: nonce {nonce}"} if nonce % 11 == 0 else {"prediction": nonce}
        assert {key: record[key] for key in ("prediction", "error") if key in record} == answer


def test_what_nobody_waited_for_any_more_is_marked(journal):
    line = Line(tape(journal))
    line.ask("stays", 1.0)
    line.ask("left", 2.0, patience_s=0.5)
    frame = line.channel.send(monotonic())
    line.channel.tick(monotonic() + 1.0)
    line.channel.answer(*nonce_answer(frame), monotonic())
    assert [(record["id"], record.get("late", False)) for record in records(journal)] == [("stays", False), ("left", True)]
