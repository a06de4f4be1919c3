"""Every kind of field through the journal: kept as the API would show it, hashed so that equal values stay equal, or not at all."""

from __future__ import annotations

import msgspec
import pytest

from flask_carafe.artifacts.journal import JournalRules
from flask_carafe.hosting.frames import ANSWER, COLUMN, HEADER, MAGIC, read_header
from flask_carafe.monitor.journal import Kept, Tape
from flask_carafe.serving.request import Request
from flask_carafe.signature import Output, Rows, Signature
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.unpack import values
from monitor.lines import records
from signature.signatures import ALL, PERSON_ROW

OUTPUT = Output(name="prediction", dtype="float64")
MIXED_ROWS = [
    {"grade": 1, "size": None, "open": "z", "code": 3, "count": None},
    {"grade": "one", "size": 2.5, "open": "a", "code": 1, "count": 7},
    {"grade": 1, "size": 2.5, "open": "z", "code": 3, "count": 7},
]
ROWS = {
    "iris": [[5.1, 3.5, 1.4, 0.2], [6.0, 3.5, 4.4, 1.2]],
    "gaps": [{"a": None, "b": 1}, {"a": 2, "b": 1}],
    "person": [PERSON_ROW, PERSON_ROW | {"age": None, "note": None, "city": "Oslo", "member": False}],
    "mixed": MIXED_ROWS,
    "review": [{"review": "great"}, {"review": "ü"}, {"review": "great"}],
}


def written(journal, name: str, **rules: object) -> tuple[list[dict], list[dict]]:
    """What was asked as the API shows it, and as the journal has it, row by row; the second half came in a request of its own."""
    signature: Signature = msgspec.structs.replace(ALL[name], outputs=(OUTPUT,))
    rows = Decoder(signature).value(ROWS[name])
    kept = Kept(signature, JournalRules(**rules), 1.0, lambda: b"key")
    tape = Tape(journal, name, 1, "", kept)
    pieces = [rows, Decoder(signature).value(ROWS[name][:1])]
    n = rows.n + 1
    body = COLUMN.pack(1, 0, 0, 1, 0, 8 * n) + bytes(8 * n)
    header = read_header(HEADER.pack(MAGIC, ANSWER, 0, 1, 1, n, len(body), 0))
    sent = [(Request(piece, (piece,), 0, 2.0, 0.0, print, f"id-{i}"), 0) for i, piece in enumerate(pieces)]
    tape.frame(sent, kept.question(pieces) if kept.is_whole else b"", header, body, 0.0, 1.0)
    asked = [row for piece in pieces for row in values(signature, Rows(piece.n, piece.chunks))]
    return asked, [record["inputs"] for record in records(journal)]


@pytest.mark.parametrize("name", ROWS)
def test_values_that_are_kept_come_back_as_the_api_shows_them(journal, name):
    asked, found = written(journal, name)
    assert found == asked


@pytest.mark.parametrize("name", ROWS)
def test_hashed_values_are_equal_where_the_values_are_and_nothing_else_is_told(journal, name):
    fields = [field.name for field in ALL[name].fields]
    asked, found = written(journal, name, fields=dict.fromkeys(fields, "hashed"))
    assert len(found) == len(asked)
    for field in fields:
        hashes = [None if row[field] is None else row[field]["hash"] for row in found]
        for i, one in enumerate(asked):
            for j, other in enumerate(asked):
                assert (hashes[i] == hashes[j]) == (one[field] == other[field] and type(one[field]) is type(other[field]))


@pytest.mark.parametrize("name", ROWS)
def test_with_one_field_dropped_the_others_are_as_they_were(journal, name):
    dropped, *rest = [field.name for field in ALL[name].fields]
    asked, found = written(journal, name, fields={dropped: "dropped"})
    assert found == [{field: row[field] for field in rest} for row in asked]
