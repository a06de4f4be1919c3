"""Frames between a web worker (or the steward) and a host: versioned, length-checked, column by column.

Layout, little-endian throughout. The twin of this file on the other side of the socket is ``host/wire.py``.

===========  =====  ==========================================================================
header       24 B   ``<4sBBHIIII``: magic ``CRF1``, kind, flags, columns, frame id, rows, body bytes, 0
per column   16 B   ``<BBHIII``: dtype, flags (bit 0: has a bitmap), 0, width, lengths bytes, data bytes
then         …      for each column in turn: bitmap (if flagged), lengths (u32 each), data
===========  =====  ==========================================================================

Fixed dtypes hold ``rows * width`` values row-major. ``text``, ``json`` and ``bytes`` hold ``rows * width`` u32
lengths and then the bytes. The bitmap has one bit per value, least significant first, 1 where the value is missing.
Missing floats are NaN and need none. Control frames (hello, load, describe, …) have no columns: their body is JSON.
An answer with flag ``HAS_ERRORS`` carries one more column, dtype json, width 1, rows 1: ``[[row, code, message], …]``.

A stream frame is a predict frame of one row, answered value by value: each a part frame, laid out as an answer of one row. A
part of no rows and columns says that the host is alive and at other streams. An answer frame ends it: of no rows, or of one with
its error. Credit and cancel frames are headers alone; the ``rows`` of credit are values that the peer has room for beyond
those it said before. A connection carries one stream.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ..errors import HostFault
from ..signature import Chunk, Output, Rows

MAGIC = b"CRF1"
HEADER = struct.Struct("<4sBBHIIII")
COLUMN = struct.Struct("<BBHIII")
PREDICT, ANSWER, CONTROL, REPLY = 1, 2, 3, 4  # kinds
STREAM, PART, CREDIT, CANCEL = 5, 6, 7, 8
HAS_ERRORS = 1  # flag of an answer
HAS_BITMAP = 1  # flag of a column
MOST_BYTES = 1 << 30

DTYPES = {"float64": 1, "float32": 2, "int64": 3, "bool": 4, "text": 5, "json": 6, "bytes": 7}
NAMES = {code: name for name, code in DTYPES.items()}
ARRAYS = {1: ("d", 8), 2: ("f", 4), 3: ("q", 8), 4: ("B", 1)}  # dtype -> array type code, bytes a value
TO_DIGITS = bytes([48, 49]) + bytes(254)
TO_MASK = bytes(49) + b"\x01" + bytes(206)


class Header(NamedTuple):
    kind: int
    flags: int
    columns: int
    frame_id: int
    rows: int
    size: int


class RowError(NamedTuple):
    """One row that the host could not answer; ``code`` is ``model_error``, ``model_output_invalid`` or ``invalid_value``.

    ``message`` may hold a traceback, for the log alone; its last line is what people are told.
    """

    row: int
    code: str
    message: str

    @property
    def reason(self) -> str:
        """What went wrong, in one line."""
        lines = self.message.strip().splitlines()
        return lines[-1][:200] if lines else self.code


class Column(NamedTuple):
    """An answer's column as Python values: ``rows * width`` of them, flat."""

    dtype: int
    width: int
    values: list[Any]


def pack_bitmap(mask: bytes) -> bytes:
    """One bit per byte of ``mask`` (each 0 or 1), least significant bit first."""
    return int(mask[::-1].translate(TO_DIGITS), 2).to_bytes((len(mask) + 7) // 8, "little")


def unpack_bitmap(bitmap: bytes, count: int) -> bytes:
    """The mask again, one byte per value.

    >>> unpack_bitmap(pack_bitmap(bytes([0, 1, 1])), 3)
    b'\\x00\\x01\\x01'
    """
    return f"{int.from_bytes(bitmap, 'little'):0{count}b}"[::-1][:count].encode().translate(TO_MASK)


def pack_control(message: Any, frame_id: int = 0, kind: int = CONTROL) -> bytes:
    """A control frame with a JSON body."""
    body = msgspec.json.encode(message)
    return HEADER.pack(MAGIC, kind, 0, 0, frame_id, 0, len(body), 0) + body


def pack_word(kind: int, frame_id: int, rows: int = 0) -> bytes:
    """A frame that is nothing but its header: credit or cancel."""
    return HEADER.pack(MAGIC, kind, 0, 0, frame_id, rows, 0, 0)


def pack_predict(frame_id: int, pieces: Sequence[Rows], dtypes: Sequence[int], widths: Sequence[int], kind: int = PREDICT) -> bytes:
    """One predict (or stream) frame of all rows of ``pieces``, in order; ``dtypes`` and ``widths`` describe the columns."""
    rows = 0
    for piece in pieces:
        rows += piece.n
    heads: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for i, dtype in enumerate(dtypes):
        chunks = [piece.chunks[i] for piece in pieces]
        data = b"".join([chunk.data for chunk in chunks])
        lengths = b"".join([chunk.lengths or b"" for chunk in chunks]) if dtype >= 5 else b""
        flags, bitmap = 0, b""
        if any([chunk.mask is not None for chunk in chunks]):  # noqa: C419 - a list is faster than a generator here
            flags = HAS_BITMAP
            bitmap = pack_bitmap(b"".join([c.mask or bytes(p.n * widths[i]) for c, p in zip(chunks, pieces, strict=True)]))
        heads.append(COLUMN.pack(dtype, flags, 0, widths[i], len(lengths), len(data)))
        parts += (bitmap, lengths, data)
        size += COLUMN.size + len(bitmap) + len(lengths) + len(data)
    return b"".join((HEADER.pack(MAGIC, kind, 0, len(dtypes), frame_id, rows, size, 0), *heads, *parts))


def read_predict(frame: bytes) -> tuple[int, list[tuple[int, int, Chunk]]]:
    """What :func:`pack_predict` made: the number of rows, and dtype, width and packed values of each column.

    :raises HostFault: it is no such frame.
    """
    header = read_header(frame)
    at, columns = HEADER.size + header.columns * COLUMN.size, []
    if header.kind != PREDICT or len(frame) != HEADER.size + header.size or at > len(frame):
        raise HostFault("This is no frame of rows.")
    for i in range(header.columns):
        dtype, flags, _, width, n_lengths, n_data = COLUMN.unpack_from(frame, HEADER.size + i * COLUMN.size)
        values = header.rows * width
        n_mask = (values + 7) // 8 if flags & HAS_BITMAP else 0
        if at + n_mask + n_lengths + n_data > len(frame):
            raise HostFault("A frame's columns are longer than the frame.")
        mask = unpack_bitmap(frame[at : at + n_mask], values) if n_mask else None
        at += n_mask + n_lengths
        columns.append((dtype, width, Chunk(frame[at : at + n_data], frame[at - n_lengths : at] if dtype >= 5 else None, mask)))
        at += n_data
    return header.rows, columns


def read_header(data: bytes | bytearray | memoryview, limit: int = MOST_BYTES) -> Header:
    """The header at the start of ``data`` (at least 24 bytes).

    :raises HostFault: another magic or version, or a body over ``limit`` bytes.
    """
    magic, kind, flags, columns, frame_id, rows, size, _ = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise HostFault("The host speaks another frame format.")
    if size > limit:
        raise HostFault(f"The host announced a frame of {size:,} bytes; at most {limit:,} are read.")
    return Header(kind, flags, columns, frame_id, rows, size)


def read_answer(header: Header, body: bytes, outputs: Sequence[Output]) -> tuple[list[Column], list[RowError]]:
    """The columns of an answer, checked against what the version promised; the host is treated as hostile.

    :raises HostFault: a length, dtype, width or count that is not as promised.
    """
    extra = header.flags & HAS_ERRORS
    if header.columns != len(outputs) + extra:
        raise HostFault(f"The host answered {header.columns} columns in place of {len(outputs)}.")
    at, columns, errors = header.columns * COLUMN.size, [], []
    if at > len(body):
        raise HostFault("The host's answer is shorter than its own table of columns.")
    for i in range(header.columns):
        dtype, flags, _, width, n_lengths, n_data = COLUMN.unpack_from(body, i * COLUMN.size)
        is_error = i == len(outputs)
        rows = 1 if is_error else header.rows
        if flags or at + n_lengths + n_data > len(body):
            raise HostFault("The host's answer is not laid out as its header says.")
        column = _read_column(body, at, dtype, rows * width, n_lengths, n_data)
        at += n_lengths + n_data
        if is_error:
            errors = _read_errors(column, header.rows)
            continue
        output = outputs[i]
        if NAMES[dtype] != output.dtype or width != output.width:
            raise HostFault(f"The host answered {NAMES[dtype]} x {width} for {output.name!r}, which is {output.dtype} x {output.width}.")
        columns.append(Column(dtype, width, column))
    if at != len(body):
        raise HostFault("The host's answer has bytes left over.")
    return columns, errors


def _read_column(body: bytes, at: int, dtype: int, count: int, n_lengths: int, n_data: int) -> list[Any]:  # noqa: PLR0917
    kind = ARRAYS.get(dtype)
    if kind is not None:
        if n_lengths or n_data != count * kind[1]:
            raise HostFault("The host answered a column of the wrong length.")
        values: list[Any] = array(kind[0], body[at : at + n_data]).tolist()
        return [value != 0 for value in values] if dtype == 4 else values
    if dtype not in NAMES or n_lengths != 4 * count:
        raise HostFault("The host answered a column of an unknown dtype or the wrong length.")
    lengths = struct.unpack_from(f"<{count}I", body, at)
    if sum(lengths) != n_data:
        raise HostFault("The host answered texts of the wrong length.")
    at += n_lengths
    texts = []
    for length in lengths:
        texts.append(body[at : at + length])
        at += length
    return _decode_texts(dtype, texts)


def _decode_texts(dtype: int, texts: list[bytes]) -> list[Any]:
    try:
        if dtype == DTYPES["text"]:
            return [text.decode() for text in texts]
        if dtype == DTYPES["json"]:
            return [msgspec.json.decode(text) for text in texts]
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as exc:
        raise HostFault("The host answered text that cannot be read.") from exc
    return texts


def _read_errors(column: list[Any], rows: int) -> list[RowError]:
    try:
        errors = [RowError(int(row), str(code), str(message)[:2000]) for row, code, message in column[0]]
    except (TypeError, ValueError, IndexError) as exc:
        raise HostFault("The host's list of errors cannot be read.") from exc
    if any(not 0 <= error.row < rows for error in errors):
        raise HostFault("The host named a row that was not asked.")
    return errors
