"""The journal: what was answered is on disk before anybody is told, comes back as it was, and a disk in trouble costs no prediction."""

from __future__ import annotations

import struct
from time import monotonic

import pytest

from flask_carafe.artifacts.journal import JournalRules
from flask_carafe.hosting.frames import DTYPES, read_header
from flask_carafe.monitor.journal import Journal, Kept, Limits, Tape
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


def tape(journal: Journal, signature: Signature = PLAIN, share: float = 1.0, **rules: object) -> Tape:
    return Tape(journal, "m", 1, "digest", Kept(signature, JournalRules(**rules), share, lambda: b"key"))


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


KINDS = Signature(
    fields=(
        Field(name="nonce", kind="number"),
        Field(name="email", kind="text", dtype="text", nullable=True),
        Field(name="salary", kind="number"),
        Field(name="photo", kind="image", shape=(2, 2)),
        Field(name="essay", kind="text", dtype="text"),
    ),
    outputs=(Output(name="prediction", kind="integer", dtype="int64"),),
)
MATRIX = Signature(
    fields=tuple(Field(name=name, kind="number") for name in ("nonce", "salary", "age")), outputs=PLAIN.outputs, layout="matrix", named=True
)


class KindsLine(Line):
    def rows(self, *nonces: float) -> Rows:
        long = ["x" * 20_000 if nonce == 2 else "short" for nonce in nonces]
        emails = [None if nonce == 3 else "ada@example.org" for nonce in nonces]
        photos = [[1.0, 2.0, 3.0, nonce] for nonce in nonces]
        return pack(self.signature, [list(nonces), emails, [1e5] * len(nonces), photos, long], len(nonces), False)


def test_fields_are_hashed_dropped_or_kept_as_the_rules_say_and_large_values_stand_as_their_hash(journal):
    line = KindsLine(tape(journal, KINDS, fields={"email": "hashed", "salary": "dropped"}), KINDS)
    for nonce in (1, 2, 3):
        line.ask(f"id-{nonce}", nonce)
    line.ask("two", 1, 11)
    line.turn()
    found = {(record["id"], record["row"]): record for record in records(journal)}
    first, second, third = (found[f"id-{nonce}", 0]["inputs"] for nonce in (1, 2, 3))
    assert list(first) == ["nonce", "email", "photo", "essay"]
    assert first["email"] == second["email"] and len(first["email"]["hash"]) == 32 and third["email"] is None
    assert first["photo"]["bytes"] == 32 and first["photo"]["hash"] != second["photo"]["hash"]
    assert (first["essay"], second["essay"]["bytes"]) == ("short", 20_000)
    assert [found[f"id-{nonce}", 0]["prediction"] for nonce in (1, 2, 3)] == [1, 2, 3]
    assert found["two", 1]["error"] == "model_error: model_error"  # what the model said may quote a value
    raw = b"".join(path.read_bytes() for path in journal.folder.iterdir())
    assert b"ada@example" not in raw and struct.pack("<d", 1e5) not in raw and b"nonce 11" not in raw


def test_one_field_of_a_matrix_can_be_left_out(journal):
    line = Line(tape(journal, MATRIX, fields={"salary": "dropped", "age": "hashed"}), MATRIX)
    rows = pack(MATRIX, [[5.0, 6.0], [1e5, 2e5], [33.0, 33.0]], 2, False)
    line.lane.arrive(rows, monotonic() + 2, monotonic(), lambda _: None, "id")
    frame = line.channel.send(monotonic())
    line.channel.answer(*scripted_answer(matrix_nonces(frame)), monotonic())
    first, second = (record["inputs"] for record in records(journal))
    assert (first["nonce"], second["nonce"]) == (5.0, 6.0) and first["age"] == second["age"] and list(first) == ["nonce", "age"]


def matrix_nonces(frame: bytes) -> bytes:
    """As a frame of one column that holds the first number of each row."""
    header = read_header(frame)
    values = struct.unpack(f"<{3 * header.rows}d", frame[-24 * header.rows :])[::3]
    data = struct.pack(f"<{header.rows}d", *values)
    return b"".join([frame[:24], struct.pack("<BBHIII", DTYPES["float64"], 0, 0, 1, 0, len(data)), data])


def test_a_share_of_predictions_is_kept_with_all_their_rows_and_their_own_answers(journal):
    line = Line(tape(journal, share=0.5), most_rows=16)
    for nonce in range(1, 200, 2):
        line.ask(f"{nonce}", nonce, nonce + 1.0)
    line.turn()
    rows: dict[str, list[int]] = {}
    for record in records(journal):
        nonce = int(record["id"]) + record["row"]
        assert record["inputs"]["nonce"] == nonce
        assert record.get("prediction", nonce) == nonce and ("error" in record) == (nonce % 11 == 0)
        rows.setdefault(record["id"], []).append(record["row"])
    assert 20 < len(rows) < 80 and all(found == [0, 1] for found in rows.values())


def test_answers_that_are_not_kept_leave_their_errors(journal):
    line = Line(tape(journal, answer="dropped"))
    line.ask("good", 5.0)
    line.turn()
    line.ask("bad", 11.0)
    line.turn()
    good, bad = records(journal)
    assert "prediction" not in good and "error" not in good and bad["error"] == "model_error: nonce 11"


def test_a_fault_in_the_journal_costs_no_prediction(journal, lost):
    def broken() -> bytes:
        raise OSError("no secret to be had")

    line = KindsLine(Tape(journal, "m", 1, "", Kept(KINDS, JournalRules(fields={"email": "hashed"}), 1.0, broken)), KINDS)
    line.ask("id", 1.0)
    line.turn()
    assert line.told["id"].n == 1 and lost == {"m": 1}
