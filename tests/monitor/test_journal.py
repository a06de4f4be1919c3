"""The journal: what was answered is on disk before anybody is told, comes back as it was, and nothing is kept that must not be."""

from __future__ import annotations

import struct
from time import monotonic

from flask_carafe.artifacts.journal import JournalRules
from flask_carafe.hosting.frames import DTYPES, read_header
from flask_carafe.monitor.journal import Kept, Tape
from flask_carafe.signature import Field, Signature
from flask_carafe.signature.layout import pack
from monitor.lines import KINDS, PLAIN, KindsLine, Line, nonce_answer, records, tape
from serving.test_lane_machine import scripted_answer


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


MATRIX = Signature(
    fields=tuple(Field(name=name, kind="number") for name in ("nonce", "salary", "age")), outputs=PLAIN.outputs, layout="matrix", named=True
)


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
    assert not any(secret in raw for secret in (b"ada@", b"eve@", b"salary", struct.pack("<d", 1e5), b"nonce 11"))


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
