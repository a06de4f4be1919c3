"""The state of one stream of a host: credit, the two clocks, closing, and a host that is not to be trusted. No socket is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from struct import pack
from typing import Any

import msgspec
import pytest

from flask_carafe.errors import DeadlineExceeded, HostFault, HostLost, InvalidInput, ModelFailed, ModelHung
from flask_carafe.hosting.frames import ANSWER, CANCEL, COLUMN, CREDIT, DTYPES, HAS_ERRORS, HEADER, PART, REPLY, STREAM, Header, read_header
from flask_carafe.serving.host_stream import END, WINDOW, HostStream
from flask_carafe.serving.lane import Lane
from flask_carafe.signature import Chunk, Output, Rows

NOW, HANG_S = 1000.0, 10.0
JSON = DTYPES["json"]


def asked(now: float = NOW, patience: float = 2.0) -> HostStream:
    """A stream that was greeted and has been given its first credit."""
    lane = Lane("m", "1", [("float64", 1)], [Output(name="prediction", kind="json", dtype="json")], 1, HANG_S)
    stream = HostStream(lane, Rows(1, (Chunk(pack("<d", 1.0)),)), now + patience, now)
    kinds = [header.kind for header in frames(stream.send(now))]
    assert kinds == [STREAM, CREDIT]
    stream.answer(Header(REPLY, 0, 0, 1, 0, 0), b"", now)
    return stream


def frames(said: bytes | None) -> Iterator[Header]:
    while said:
        header = read_header(said)
        yield header
        said = said[HEADER.size + header.size :]


def body(*columns: Any) -> bytes:
    texts = [msgspec.json.encode(column) for column in columns]
    heads = [COLUMN.pack(JSON, 0, 0, 1, 4, len(text)) for text in texts]
    return b"".join([*heads, *[part for text in texts for part in (pack("<I", len(text)), text)]])


def give(stream: HostStream, value: Any, now: float = NOW) -> None:
    data = body(value)
    stream.answer(Header(PART, 0, 1, 1, 1, len(data)), data, now)


def end(stream: HostStream, *error: Any) -> None:
    data = body(None, [[0, *error]]) if error else COLUMN.pack(JSON, 0, 0, 1, 0, 0)
    stream.answer(Header(ANSWER, HAS_ERRORS if error else 0, 2 if error else 1, 1, 1 if error else 0, len(data)), data, NOW)


def read(stream: HostStream, values: int = 1) -> list[Any]:
    async def some() -> list[Any]:
        return [await stream.next() for _ in range(values)]

    return asyncio.run(some())


def test_values_are_read_in_order_up_to_the_end() -> None:
    stream = asked()
    for number in range(3):
        give(stream, number)
    end(stream)
    assert read(stream, 5) == [0, 1, 2, END, END]


def test_credit_is_given_for_what_was_read_and_for_no_more() -> None:
    stream = asked()
    assert stream.credit == WINDOW
    for number in range(WINDOW):
        give(stream, number)
    assert stream.send(NOW) is None
    assert read(stream, WINDOW // 2 - 1)
    assert stream.send(NOW) is None
    assert read(stream)
    assert [(header.kind, header.rows) for header in frames(stream.send(NOW))] == [(CREDIT, WINDOW // 2)]
    with pytest.raises(HostFault):
        for number in range(WINDOW):
            give(stream, number)


def test_the_deadline_ends_a_stream_without_a_value_and_cancels_it() -> None:
    stream = asked(patience=2.0)
    assert not stream.tick(NOW + 2.0)
    assert [header.kind for header in frames(stream.send(NOW))] == [CANCEL]
    with pytest.raises(DeadlineExceeded):
        read(stream)


def test_after_the_first_value_only_the_hang_limit_counts() -> None:
    stream = asked(patience=2.0)
    give(stream, 0, NOW + 1)
    assert not stream.tick(NOW + 10.9)
    stream.answer(Header(PART, 0, 0, 1, 0, 0), b"", NOW + 10.9)  # the host is alive, at another's step
    assert not stream.tick(NOW + 20)
    assert stream.tick(NOW + 21)
    assert read(stream) == [0]
    with pytest.raises(ModelHung):
        read(stream)


def test_a_host_without_credit_owes_nothing() -> None:
    stream = asked()
    for number in range(WINDOW):
        give(stream, number)
    assert not stream.tick(NOW + 1000)
    read(stream, WINDOW)
    assert stream.send(NOW + 1000)  # credit, from now on it does
    assert not stream.tick(NOW + 1009)
    assert stream.tick(NOW + 1010)


def test_a_stream_that_was_left_is_waited_for_until_its_host_has_closed_it() -> None:
    stream = asked()
    over: list[bool] = []
    stream.over = lambda: over.append(True)
    give(stream, 0)
    stream.close()
    assert [header.kind for header in frames(stream.send(NOW))] == [CANCEL]
    give(stream, 1)  # it was on its way
    assert not stream.tick(NOW + 9)
    assert not over
    end(stream)
    assert over
    hung = asked()
    hung.close()
    assert hung.tick(NOW + 10)


def test_an_error_of_the_model_comes_after_what_it_yielded() -> None:
    stream = asked()
    give(stream, 0)
    end(stream, "model_error", "Traceback\nValueError: no")
    assert read(stream) == [0]
    with pytest.raises(ModelFailed):
        read(stream)
    refused = asked()
    end(refused, "invalid_value", "no such colour")
    with pytest.raises(InvalidInput, match="no such colour"):
        read(refused)


def test_a_lost_host_is_told_as_one() -> None:
    stream = asked()
    stream.lost()
    with pytest.raises(HostLost):
        read(stream)


@pytest.mark.parametrize(
    "header",
    [
        Header(PART, 0, 1, 2, 1, 0), Header(PART, 0, 1, 1, 2, 0), Header(REPLY, 0, 0, 1, 0, 0), Header(PART, 0, 1, 1, 0, 3),
        Header(PART, HAS_ERRORS, 2, 1, 1, 0), Header(PART, 0, 1, 1, 1, 0), Header(ANSWER, 0, 3, 1, 0, 0), Header(STREAM, 0, 1, 1, 1, 0),
    ],
)  # fmt: skip
def test_a_host_that_speaks_nonsense_ends_the_stream(header: Header) -> None:
    stream = asked()
    with pytest.raises(HostFault):
        stream.answer(header, bytes(header.size), NOW)
    with pytest.raises(HostFault):
        read(stream)
