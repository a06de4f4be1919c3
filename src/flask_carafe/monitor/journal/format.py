"""The bytes of a journal segment: what is written on the path of a prediction, so that it need not be encoded twice.

Little-endian. A segment is a run of records, each whole in itself:

=======  =====  ==================================================================================================
head      8 B   ``<4sI``: magic ``CRJ1``, CRC-32 of everything of the record that follows
rest     10 B   ``<IIBB``: bytes of the payload, number of the model, kind, flags
payload    …    by kind
=======  =====  ==================================================================================================

``BEGIN`` starts a segment: JSON (:class:`Beginning`). Numbers of models before it mean nothing after it, so closed
segments may be joined end to end.
``MODEL`` says once per segment what a number means: JSON (:class:`Facts`).
``FRAME`` is one frame that was answered: ``<dfIIIIHH``: Unix time of the answer, seconds that the host took, pieces,
bytes of ids, bytes of the question, rows, columns and flags of the answer. Then, for each piece: seconds since its
request arrived (f32); with flag ``COUNTED`` its rows (u32, else one each); with ``SPLIT`` its first row in its request
(u32, else 0); with ``LATE`` one byte, 1 where nobody waited for it any more. Then the ids (UTF-8, a comma between),
the question as it travelled to the host (a predict frame, :mod:`flask_carafe.hosting.frames`), and the body of the
answer as it came back. With ``FROM_PYTHON`` the answer is a JSON list of predictions, one a row. Of a model whose
answers are not kept the answer is empty, unless rows failed.

Whoever reads stops at the first record that is cut short or whose CRC is wrong: what follows a torn write is nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import msgspec

from ...signature import Signature

MAGIC, FORMAT = b"CRJ1", 1
HEAD = struct.Struct("<4sI")
REST = struct.Struct("<IIBB")
META = struct.Struct("<dfIIIIHH")
FRAME_FRONT = struct.Struct("<IIBBdfIIIIHH")  # REST and META at once
PREFIX_BYTES = HEAD.size + REST.size
BEGIN, MODEL, FRAME = 1, 2, 3  # kinds
COUNTED, SPLIT, LATE, FROM_PYTHON = 1, 2, 4, 8  # flags of a frame


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote a segment, and since when (Unix seconds)."""

    format: int = FORMAT
    pid: int = 0
    began_at: float = 0.0


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a frame was asked of.

    ``fields`` names the columns of the questions in order; empty where they travelled as one matrix. Fields that are
    not kept are not among them; values that are not kept as they are stand as JSON, see :mod:`.privacy`.
    """

    name: str
    version: int = 1
    digest: str = ""
    signature: Signature
    fields: tuple[str, ...] = ()


def record(kind: int, payload: bytes, number: int = 0) -> bytes:
    """A record other than a frame."""
    rest = REST.pack(len(payload), number, kind, 0) + payload
    return HEAD.pack(MAGIC, crc32(rest)) + rest


def frame_record(  # noqa: PLR0917 - on the request path, where keywords cost
    number: int, flags: int, at: float, host_s: float, pieces: int, lists: bytes, ids: bytes, asked: bytes, rows: int, columns: int,
    answer_flags: int, answer: bytes,
) -> bytes:  # fmt: skip
    """The record of one frame.

    :param lists: ages, then counts, firsts and late marks where ``flags`` says so.
    """
    size = META.size + len(lists) + len(ids) + len(asked) + len(answer)
    front = FRAME_FRONT.pack(size, number, FRAME, flags, at, host_s, pieces, len(ids), len(asked), rows, columns, answer_flags)
    rest = b"".join((front, lists, ids, asked, answer))
    return HEAD.pack(MAGIC, crc32(rest)) + rest


class Record(msgspec.Struct):
    """One record as it stands in a file; ``end`` is where the next one begins."""

    kind: int
    flags: int
    number: int
    payload: bytes
    end: int


def read_record(data: bytes | memoryview, at: int) -> Record | None:
    """The record at ``at``, or None where none begins, where it is cut short, or where its bytes are not those that were written."""
    begin = at + PREFIX_BYTES
    if begin > len(data):
        return None
    magic, crc = HEAD.unpack_from(data, at)
    size, number, kind, flags = REST.unpack_from(data, at + HEAD.size)
    end = begin + size
    if magic != MAGIC or end > len(data) or crc32(data[at + HEAD.size : end]) != crc:
        return None
    return Record(kind, flags, number, bytes(data[begin:end]), end)


class Piece(msgspec.Struct, frozen=True):
    """One request's rows in a frame: ``n`` of them, the first of which is row ``first`` of the request.

    ``age_s``: seconds from the request's arrival to the answer. ``is_late``: nobody waited for it any more.
    """

    id: str
    first: int
    n: int
    age_s: float
    is_late: bool = False


class FrameData(msgspec.Struct, frozen=True):
    """The parts of a frame's record."""

    at: float
    host_s: float
    rows: int
    pieces: Sequence[Piece]
    asked: bytes
    answer: bytes
    columns: int
    answer_flags: int
    from_python: bool


def parse_frame(payload: bytes, flags: int) -> FrameData:
    """The parts of a frame's payload.

    :raises ValueError: its lengths contradict each other: it was not written by us.
    """
    try:
        return _parse_frame(payload, flags)
    except (struct.error, UnicodeDecodeError) as exc:
        raise ValueError(f"no frame: {exc}") from exc


def _parse_frame(payload: bytes, flags: int) -> FrameData:
    at, host_s, pieces, n_ids, n_asked, rows, columns, answer_flags = META.unpack_from(payload)
    place = META.size

    def numbers(code: str, size: int, otherwise: Any) -> Sequence[Any]:
        nonlocal place
        if otherwise is not None:
            return otherwise  # type: ignore[no-any-return]
        found = struct.unpack_from(f"<{pieces}{code}", payload, place)
        place += size * pieces
        return found

    if pieces * 4 > len(payload):
        raise ValueError("more pieces than bytes")
    ages = numbers("f", 4, None)
    counts = numbers("I", 4, None if flags & COUNTED else [1] * pieces)
    firsts = numbers("I", 4, None if flags & SPLIT else [0] * pieces)
    late = numbers("B", 1, None if flags & LATE else [0] * pieces)
    ids = payload[place : place + n_ids].decode().split(",")
    asked_at = place + n_ids
    if len(ids) != pieces or sum(counts) != rows or asked_at + n_asked > len(payload):
        raise ValueError("counts and lengths contradict each other")
    found = [Piece(*of) for of in zip(ids, firsts, counts, ages, map(bool, late), strict=True)]
    asked, answer = payload[asked_at : asked_at + n_asked], payload[asked_at + n_asked :]
    return FrameData(at, host_s, rows, found, asked, answer, columns, answer_flags, bool(flags & FROM_PYTHON))
