"""Frames as the host reads and writes them; the layout is told in ``hosting/frames.py``, the twin of this file.

Nothing here needs numpy. A column's values stay bytes until a runtime builds what its model takes.
"""

import json
import struct

MAGIC = b"CRF1"
HEADER = struct.Struct("<4sBBHIIII")
COLUMN = struct.Struct("<BBHIII")
PREDICT, ANSWER, CONTROL, REPLY = 1, 2, 3, 4
STREAM, PART, CREDIT, CANCEL = 5, 6, 7, 8
HAS_ERRORS = 1
HAS_BITMAP = 1
MOST_BYTES = 1 << 30
MOST_ROWS = 1 << 20
MOST_COLUMNS = 1 << 15
MOST_CREDIT = 1 << 10

FLOAT64, FLOAT32, INT64, BOOL, TEXT, JSON, BYTES = 1, 2, 3, 4, 5, 6, 7
DTYPES = {"float64": 1, "float32": 2, "int64": 3, "bool": 4, "text": 5, "json": 6, "bytes": 7}
SIZES = {FLOAT64: 8, FLOAT32: 4, INT64: 8, BOOL: 1}  # bytes of one value; the others carry their length
FORMATS = {FLOAT64: "d", FLOAT32: "f", INT64: "q", BOOL: "B"}


class WireError(Exception):
    """The peer did not keep to the format: its connection is closed."""


class Frame(object):
    """One frame: ``columns`` of a predict or stream frame, or the decoded JSON ``message`` of a control frame.

    ``rows`` of a credit frame is how many values more may be sent.
    """

    __slots__ = ("columns", "frame_id", "kind", "message", "rows")

    def __init__(self, kind, frame_id, rows, columns, message):
        self.kind, self.frame_id, self.rows, self.columns, self.message = kind, frame_id, rows, columns, message


class Column(object):
    """``rows * width`` values: ``data`` and ``lengths`` as they came, ``mask`` a byte each, 1 where missing, or None."""

    __slots__ = ("data", "dtype", "lengths", "mask", "width")

    def __init__(self, dtype, width, data, lengths=b"", mask=None):
        self.dtype, self.width, self.data, self.lengths, self.mask = dtype, width, data, lengths, mask

    def pieces(self):
        """The bytes of each value of a column with lengths: a list of ``rows * width``."""
        data, pieces, at = bytes(self.data), [], 0
        for length in struct.unpack("<%dI" % (len(self.lengths) // 4), self.lengths):
            pieces.append(data[at : at + length])
            at += length
        return pieces

    def values(self):
        """Python values, flat, None where missing; float NaN stays NaN.

        :raises WireError: text that is not UTF-8, or JSON that cannot be read.
        """
        if self.dtype >= TEXT:
            values = _decoded(self.dtype, self.pieces())
        else:
            values = list(struct.unpack("<%d%s" % (len(self.data) // SIZES[self.dtype], FORMATS[self.dtype]), self.data))
            if self.dtype == BOOL:
                values = [value != 0 for value in values]
        if self.mask is not None:
            values = [None if missing else value for missing, value in zip(self.mask, values)]
        return values


def _decoded(dtype, pieces):
    try:
        if dtype == TEXT:
            return [piece.decode("utf-8") for piece in pieces]
        if dtype == JSON:
            return [json.loads(piece.decode("utf-8")) if piece else None for piece in pieces]
    except (ValueError, RecursionError) as exc:
        raise WireError("text that cannot be read: %s" % exc)
    return pieces


def join(columns):
    """One column out of the same column of several frames."""
    first = columns[0]
    if len(columns) == 1:
        return first
    mask = None
    if any(column.mask is not None for column in columns):
        mask = b"".join([column.mask if column.mask is not None else bytes(_count(column)) for column in columns])
    return Column(first.dtype, first.width, b"".join([c.data for c in columns]), b"".join([c.lengths for c in columns]), mask)


def _count(column):
    return len(column.lengths) // 4 if column.dtype >= TEXT else len(column.data) // SIZES[column.dtype]


def spread(bitmap, count):
    """A byte per value out of a bit per value, least significant first."""
    bits = bin(int.from_bytes(bitmap, "little") | (1 << (8 * len(bitmap))))[3:]
    return bits[::-1][:count].encode().translate(_FROM_DIGITS)


_FROM_DIGITS = bytes(48) + b"\x00\x01" + bytes(206)


class Reader(object):
    """Puts frames together out of what a socket gives; a frame that came whole is not copied."""

    def __init__(self, limit=MOST_BYTES):
        self.limit = limit
        self._parts, self._have, self._need = [], 0, 0

    def feed(self, data):
        """The frames that are complete now.

        :raises WireError: bytes that are no frame of ours, or one over ``limit``.
        """
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data, self._parts = b"".join(self._parts), []
        frames, at, end = [], 0, len(data)
        need = HEADER.size
        while end - at >= HEADER.size:
            need = HEADER.size + self._body_size(data, at)
            if end - at < need:
                break
            frames.append(read(data, at, need))
            at, need = at + need, HEADER.size
        if at < end:
            self._parts, self._have, self._need = [data[at:] if at else data], end - at, need
        return frames

    def _body_size(self, data, at):
        if data[at : at + 4] != MAGIC:
            raise WireError("not a frame of this format")
        size = HEADER.unpack_from(data, at)[6]
        if size > self.limit:
            raise WireError("a frame of %d bytes; at most %d are read" % (size, self.limit))
        return size


def read(data, at, size):
    """The frame of ``size`` bytes at ``data[at:]``.

    :raises WireError: lengths that do not add up, an unknown kind or dtype.
    """
    _, kind, flags, n_columns, frame_id, rows, _, spare = HEADER.unpack_from(data, at)
    if flags or spare:
        raise WireError("flags that are not known")
    if kind == CONTROL and not n_columns and not rows:
        return Frame(kind, frame_id, 0, [], _message(data[at + HEADER.size : at + size]))
    if kind in (CREDIT, CANCEL) and not n_columns and size == HEADER.size and rows <= MOST_CREDIT:
        return Frame(kind, frame_id, rows, [], None)
    most = {PREDICT: MOST_ROWS, STREAM: 1}.get(kind, 0)
    if not 0 < rows <= most or not 0 < n_columns <= MOST_COLUMNS:
        raise WireError("a frame of kind %d, %d columns, %d rows" % (kind, n_columns, rows))
    return Frame(kind, frame_id, rows, _columns(data, at + HEADER.size, at + size, n_columns, rows), None)


def _message(body):
    try:
        message = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WireError("a control frame that is no JSON")
    if not isinstance(message, dict):
        raise WireError("a control frame that is no JSON object")
    return message


def _columns(data, table, end, n_columns, rows):
    view, at, columns = memoryview(data), table + n_columns * COLUMN.size, []
    if at > end:
        raise WireError("a frame shorter than its table of columns")
    for i in range(n_columns):
        dtype, flags, _, width, n_lengths, n_data = COLUMN.unpack_from(data, table + i * COLUMN.size)
        count = rows * width
        n_bitmap = (count + 7) // 8 if flags == HAS_BITMAP else 0
        if flags not in (0, HAS_BITMAP) or not width or at + n_bitmap + n_lengths + n_data > end:
            raise WireError("a column that is not laid out as its frame says")
        mask = spread(data[at : at + n_bitmap], count) if n_bitmap else None
        at += n_bitmap
        lengths, content = data[at : at + n_lengths], view[at + n_lengths : at + n_lengths + n_data]
        at += n_lengths + n_data
        _check(dtype, count, lengths, n_data)
        columns.append(Column(dtype, width, content, lengths, mask))
    if at != end:
        raise WireError("bytes left over in a frame")
    return columns


def _check(dtype, count, lengths, n_data):
    size = SIZES.get(dtype)
    if size is not None:
        right = not lengths and n_data == count * size
    else:
        right = dtype in (TEXT, JSON, BYTES) and len(lengths) == 4 * count and sum(struct.unpack("<%dI" % count, lengths)) == n_data
    if not right:
        raise WireError("a column of the wrong length, or of an unknown dtype")


def reply(frame_id, message):
    """A reply frame with a JSON body; NaN and infinities are told as null."""
    body = json.dumps(plain(message), allow_nan=False).encode()
    return HEADER.pack(MAGIC, REPLY, 0, 0, frame_id, 0, len(body), 0) + body


def plain(value):
    """``value`` as JSON can carry it: numpy scalars become Python's, what JSON does not know becomes text."""
    if value is None or isinstance(value, (str, bool, int)) and type(value).__module__ == "builtins":
        return value
    if isinstance(value, float):
        value = float(value)
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)


class Packed(object):
    """One column of an answer: bytes of ``rows * width`` fixed values, or a list of that many encoded values."""

    __slots__ = ("data", "dtype", "width")

    def __init__(self, dtype, width, data):
        self.dtype, self.width, self.data = dtype, width, data

    def part(self, start, stop):
        """Rows ``start`` to ``stop`` as a column of their own."""
        size = self.width * SIZES.get(self.dtype, 1)
        return Packed(self.dtype, self.width, self.data[start * size : stop * size])


def stack(pieces):
    """One column out of pieces that follow each other."""
    first = pieces[0]
    data = [value for piece in pieces for value in piece.data] if first.dtype >= TEXT else b"".join([piece.data for piece in pieces])
    return Packed(first.dtype, first.width, data)


def blank(dtype, width, rows):
    """Values that stand where a row failed; nobody reads them."""
    if dtype >= TEXT:
        return Packed(dtype, width, [b"null" if dtype == JSON else b""] * (rows * width))
    return Packed(dtype, width, bytes(rows * width * SIZES[dtype]))


def word(kind, frame_id, rows):
    """A frame that is nothing but its header."""
    return HEADER.pack(MAGIC, kind, 0, 0, frame_id, rows, 0, 0)


def answer(frame_id, rows, columns, errors, kind=ANSWER):
    """An answer frame, or a part of a stream, as bytes; ``errors`` are ``[row, code, message]`` each."""
    heads, parts, size = [], [], 0
    count = len(columns) + (1 if errors else 0)
    if errors:
        columns = list(columns) + [Packed(JSON, 1, [json.dumps(errors).encode()])]
    for column in columns:
        data, lengths = column.data, b""
        if column.dtype >= TEXT:
            lengths = struct.pack("<%dI" % len(data), *[len(value) for value in data])
            data = b"".join(data)
        heads.append(COLUMN.pack(column.dtype, 0, 0, column.width, len(lengths), len(data)))
        parts += (lengths, data)
        size += COLUMN.size + len(lengths) + len(data)
    head = HEADER.pack(MAGIC, kind, HAS_ERRORS if errors else 0, count, frame_id, rows, size, 0)
    return b"".join([head] + heads + parts)
