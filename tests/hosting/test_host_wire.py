"""The host's half of the frame format against the web side's: what one writes the other reads, and no bytes do harm."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_carafe.hosting import frames
from flask_carafe.hosting.host import wire
from flask_carafe.signature import Chunk, Output, Rows

FIXED = {1: ("d", st.floats()), 2: ("f", st.floats(width=32)), 3: ("q", st.integers(-(2**63), 2**63 - 1)), 4: ("?", st.booleans())}
VARIED = {5: st.text(), 6: st.one_of(st.integers(-(2**53), 2**53), st.text(), st.lists(st.booleans())), 7: st.binary()}


def encoded(dtype: int, value: Any) -> bytes:
    return value.encode() if dtype == 5 else msgspec.json.encode(value) if dtype == 6 else value


@st.composite
def columns(draw: Any, rows: int) -> tuple[int, int, list[Any], Chunk]:
    """A column's dtype, width, values (None where missing) and chunk."""
    dtype, width = draw(st.sampled_from([*FIXED, *VARIED])), draw(st.integers(1, 3))
    count = rows * width
    mask = bytes(draw(st.lists(st.booleans(), min_size=count, max_size=count))) if draw(st.booleans()) else None
    strategy = FIXED[dtype][1] if dtype in FIXED else VARIED[dtype]
    values = draw(st.lists(strategy, min_size=count, max_size=count))
    if dtype in FIXED:
        chunk = Chunk(data=struct.pack(f"<{count}{FIXED[dtype][0]}", *values), mask=mask)
    else:
        pieces = [encoded(dtype, value) for value in values]
        chunk = Chunk(data=b"".join(pieces), lengths=b"".join([struct.pack("<I", len(piece)) for piece in pieces]), mask=mask)
    return dtype, width, [None if mask and mask[i] else value for i, value in enumerate(values)], chunk


@given(st.data())
def test_what_the_web_side_packs_the_host_reads(data: Any) -> None:
    rows = data.draw(st.integers(1, 9))
    made = data.draw(st.lists(columns(rows), min_size=1, max_size=4))
    packed = frames.pack_predict(7, [Rows(n=rows, chunks=tuple(chunk for *_, chunk in made))], [one[0] for one in made], [one[1] for one in made])
    cut = data.draw(st.integers(0, len(packed)))
    reader = wire.Reader()
    found = reader.feed(packed[:cut]) + reader.feed(packed[cut:])
    assert len(found) == 1 and (found[0].frame_id, found[0].rows) == (7, rows)
    for (dtype, width, values, _), column in zip(made, found[0].columns, strict=True):
        assert (column.dtype, column.width) == (dtype, width)
        assert repr(column.values()) == repr(values)


@given(st.data(), st.integers(1, 5), st.integers(1, 5))
def test_frames_that_travel_together_keep_their_rows(data: Any, first: int, second: int) -> None:
    one = data.draw(columns(first))
    dtype, width, values, chunk = data.draw(columns(second).filter(lambda column: column[:2] == one[:2]))
    frame = [wire.Reader().feed(frames.pack_predict(1, [Rows(n=n, chunks=(c,))], [dtype], [width]))[0] for n, c in ((first, one[3]), (second, chunk))]
    assert repr(wire.join([frame[0].columns[0], frame[1].columns[0]]).values()) == repr(one[2] + values)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data: bytes) -> None:
    predict, control = frames.HEADER.pack(wire.MAGIC, 1, 0, 1, 1, 1, len(data), 0), frames.HEADER.pack(wire.MAGIC, 3, 0, 0, 1, 0, len(data), 0)
    for body in (data, predict + data, control + data):
        with contextlib.suppress(wire.WireError):
            wire.Reader().feed(body)


@given(st.binary(min_size=1, max_size=8), st.integers(0, 200))
def test_a_frame_with_other_bytes_somewhere_is_read_or_refused(noise: bytes, at: int) -> None:
    texts = Chunk(data=b"abc", lengths=struct.pack("<3I", 1, 1, 1), mask=b"\0\1\0")
    whole = frames.pack_predict(1, [Rows(n=3, chunks=(texts, Chunk(data=bytes(24))))], [5, 1], [1, 1])
    bent = whole[:at] + noise + whole[at + len(noise) :]
    try:
        for frame in wire.Reader(1 << 16).feed(bent):
            for column in frame.columns:
                column.values()
    except wire.WireError:
        pass


def test_a_frame_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(wire.WireError, match="at most 10 are read"):
        wire.Reader(10).feed(frames.HEADER.pack(frames.MAGIC, 1, 0, 1, 1, 1, 11, 0))


def test_answers_are_what_the_web_side_reads() -> None:
    outputs = [Output(name="a", dtype="int64"), Output(name="b", dtype="text", width=2)]
    made = [wire.Packed(wire.INT64, 1, struct.pack("<3q", 1, 2, 3)), wire.Packed(wire.TEXT, 2, ["ä".encode(), b"", b"x", b"y", b"z", b"w"])]
    body = wire.answer(9, 3, made, [[1, "model_error", "no"]])
    header = frames.read_header(body)
    found, errors = frames.read_answer(header, body[24:], outputs)
    assert [column.values for column in found] == [[1, 2, 3], ["ä", "", "x", "y", "z", "w"]] and errors == [(1, "model_error", "no")]
    part = wire.answer(9, 2, [column.part(1, 3) for column in made], ())
    found, errors = frames.read_answer(frames.read_header(part), part[24:], outputs)
    assert [column.values for column in found] == [[2, 3], ["x", "y", "z", "w"]] and not errors


def test_replies_tell_what_json_can_say() -> None:
    body = wire.reply(4, {"a": float("nan"), "b": (1, {2}), "c": b"x", 5: None})
    assert msgspec.json.decode(body[24:]) == {"a": None, "b": [1, [2]], "c": "b'x'", "5": None}
