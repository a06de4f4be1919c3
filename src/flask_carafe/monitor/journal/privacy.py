"""What of a frame may be kept: fields hashed or left out, large values as a hash, answers left out, a share of all predictions.

Where everything is kept, frames are written as they travelled and nothing here runs. What stands for a value is JSON:
``{"hash": "…"}`` for a hashed one, ``{"hash": "…", "bytes": 40960}`` for one that is too large to keep. Hashes are
keyed (BLAKE2b, RFC 7693) with a secret of the home: equal values stay equal, and nobody finds a value by trying without the secret.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Literal
from zlib import crc32

import msgspec

from ...artifacts.journal import JournalRules
from ...hosting.frames import ARRAYS, COLUMN, DTYPES, HAS_ERRORS, Header, pack_predict
from ...signature import Chunk, Field, Rows, Signature
from ...signature.kinds import kind_of
from ...signature.layout import columns as frame_columns
from ...signature.packing import pack_column, unpack_column, unpack_matrix

LARGE_BYTES = 16 << 10  # a value beyond it stands as its hash, unless its field is said to be kept in full
BLOBS = ("image", "document")
WIDE = {"float64": 8, "float32": 4, "int64": 8, "bool": 1}  # bytes a number
HASH_BYTES = 16
JSON = DTYPES["json"]
encode = msgspec.json.Encoder(order="deterministic").encode
How = Literal["full", "hashed", "dropped", "blob", ""]  # "": in full unless it is large


class Kept:
    """What of the rows of one version is kept, and how.

    :param share: of predictions, from 0 to 1.
    :param key: of the hashes, up to 64 bytes; asked for when the first is made.
    """

    def __init__(self, signature: Signature, rules: JournalRules, share: float, key: Callable[[], bytes]) -> None:
        self.signature, self.rules, self.share, self._key = signature, rules, share, key
        self.hows = [how_of(field, rules) for field in signature.fields]
        self.is_changed = any(how not in ("full", "") for how in self.hows)  # every frame, not only some with large values
        self.is_whole = not self.is_changed and rules.answer == "full" and share >= 1.0
        self.is_matrix = signature.layout == "matrix" and not self.is_changed
        self.may_be_large = any(how == "" and field.dtype not in WIDE for how, field in zip(self.hows, signature.fields, strict=True))
        columns = frame_columns(signature)
        self.dtypes, self.widths = [DTYPES[dtype] for dtype, _ in columns], [width for _, width in columns]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns that are written; empty for a matrix that is kept as it is."""
        if self.is_matrix:
            return ()
        return tuple([field.name for field, how in zip(self.signature.fields, self.hows, strict=True) if how != "dropped"])

    @property
    def told(self) -> Signature:
        """The signature as the journal has it: without examples, which may be somebody's values, and without fields that are left out."""
        whole = zip(self.signature.fields, self.hows, strict=True)
        fields = [msgspec.structs.replace(field, example=None) for field, how in whole if how != "dropped"]
        return msgspec.structs.replace(self.signature, fields=tuple(fields))

    def leaves(self, asked: bytes) -> bool:
        """Whether a frame may be written as it is; decided without looking at a row."""
        return self.is_whole and not (self.may_be_large and len(asked) > LARGE_BYTES)

    def wants(self, prediction_id: str) -> bool:
        """Whether this prediction is in the share that is kept: the same everywhere and for all its rows."""
        return self.share >= 1.0 or crc32(prediction_id.encode()) < self.share * 2**32

    # ---- questions

    def question(self, pieces: Sequence[Rows]) -> bytes:
        """A predict frame of ``pieces`` with what may be kept of them."""
        if not self.is_changed and not self._has_large(pieces):
            return pack_predict(0, pieces, self.dtypes, self.widths)
        n = sum([piece.n for piece in pieces])
        columns = [self._column(field, how, self._chunks(at, pieces), n) for at, (field, how) in enumerate(self._with_how()) if how != "dropped"]
        rows = Rows(n, tuple([chunk for chunk, _, _ in columns]))
        return pack_predict(0, [rows], [dtype for _, dtype, _ in columns], [width for _, _, width in columns])

    def _with_how(self) -> list[tuple[Field, How]]:
        return list(zip(self.signature.fields, self.hows, strict=True))

    def _has_large(self, pieces: Sequence[Rows]) -> bool:
        if not self.may_be_large:
            return False
        return any(
            max(_lengths(piece.chunks[at]), default=0) > LARGE_BYTES
            for at, (field, how) in enumerate(self._with_how())
            if how == "" and field.dtype not in WIDE
            for piece in pieces
        )

    def _chunks(self, at: int, pieces: Sequence[Rows]) -> Chunk:
        """The values of field number ``at`` in all ``pieces``, as one column."""
        fields = self.signature.fields
        if self.signature.layout != "matrix":
            return _joined([piece.chunks[at] for piece in pieces], [piece.n * fields[at].width for piece in pieces])
        rows = [row for piece in pieces for row in unpack_matrix(piece.chunks[0], fields[0].dtype, len(fields))]
        return pack_column(fields[0].dtype, [row[at] for row in rows])

    def _column(self, field: Field, how: How, chunk: Chunk, n: int) -> tuple[Chunk, int, int]:
        """One column as it is written: chunk, dtype, width."""
        if how == "hashed":
            show = kind_of(field).show
            values = unpack_column(chunk, field, n)
            return pack_column("json", [None if value is None else self._hashed(encode(show(value, field))) for value in values]), JSON, 1
        if how == "blob":
            return pack_column("json", [None if raw is None else self._blob(raw) for raw in raw_values(chunk, field, n)]), JSON, 1
        if how == "" and field.dtype not in WIDE and max(_lengths(chunk), default=0) > LARGE_BYTES:
            raws, values = raw_values(chunk, field, n), unpack_column(chunk, field, n)
            parts = [self._blob(raw) if raw and len(raw) > LARGE_BYTES else value for raw, value in zip(raws, values, strict=True)]
            return pack_column("json", parts), JSON, 1
        return chunk, DTYPES[field.dtype], field.width

    def _hashed(self, raw: bytes) -> dict[str, Any]:
        return {"hash": blake2b(raw, digest_size=HASH_BYTES, key=self._key()).hexdigest()}

    def _blob(self, raw: bytes) -> dict[str, Any]:
        return self._hashed(raw) | {"bytes": len(raw)}

    # ---- answers

    def answer(self, header: Header, body: bytes, spans: Sequence[tuple[int, int]]) -> tuple[Header, bytes]:
        """Header and body of an answer with what may be kept of it.

        :param spans: first row and number of rows of the pieces that are kept, in order.
        """
        rows = sum([n for _, n in spans])
        columns = split_answer(header, body)
        errors = columns.pop() if header.flags & HAS_ERRORS else None
        if self.rules.answer == "dropped":
            columns = []
        elif rows != header.rows:
            columns = [_picked(column, spans) for column in columns]
        if errors is not None:
            columns.append(self._errors(errors, spans))
        heads = [COLUMN.pack(dtype, 0, 0, width, len(lengths), len(data)) for dtype, width, lengths, data in columns]
        body = b"".join([*heads, *[part for _, _, lengths, data in columns for part in (lengths, data)]])
        return header._replace(columns=len(columns), rows=rows, size=len(body)), body

    def _errors(self, column: Answered, spans: Sequence[tuple[int, int]]) -> Answered:
        """The failed rows that are kept, renumbered; what the model said may quote a value, and goes with the values."""
        at, kept = 0, []
        found = msgspec.json.decode(column[3], type=list[tuple[int, str, str]])
        for first, n in spans:
            kept += [(row - first + at, code, "" if self.is_changed else text) for row, code, text in found if first <= row < first + n]
            at += n
        text = encode(kept)
        return column[0], column[1], struct.pack("<I", len(text)), text


Answered = tuple[int, int, bytes, bytes]  # a column of an answer: dtype, width, lengths, data


def how_of(field: Field, rules: JournalRules) -> How:
    """What becomes of a field's values."""
    said: How = rules.fields.get(field.name, "")
    if said:
        return said
    return "blob" if field.kind in BLOBS or field.width * WIDE.get(field.dtype, 0) > LARGE_BYTES else ""


def split_answer(header: Header, body: bytes) -> list[Answered]:
    """The columns of an answer that was checked, without decoding a value."""
    at, columns = header.columns * COLUMN.size, []
    for i in range(header.columns):
        dtype, _, _, width, n_lengths, n_data = COLUMN.unpack_from(body, i * COLUMN.size)
        columns.append((dtype, width, body[at : at + n_lengths], body[at + n_lengths : at + n_lengths + n_data]))
        at += n_lengths + n_data
    return columns


def _picked(column: Answered, spans: Sequence[tuple[int, int]]) -> Answered:
    """The rows in ``spans`` of one column."""
    dtype, width, lengths, data = column
    if dtype in ARRAYS:
        size = ARRAYS[dtype][1] * width
        return dtype, width, b"", b"".join([data[first * size : (first + n) * size] for first, n in spans])
    ends = [0]
    for (length,) in struct.iter_unpack("<I", lengths):
        ends.append(ends[-1] + length)
    kept = b"".join([lengths[4 * width * first : 4 * width * (first + n)] for first, n in spans])
    return dtype, width, kept, b"".join([data[ends[first * width] : ends[(first + n) * width]] for first, n in spans])


def _lengths(chunk: Chunk) -> tuple[int, ...]:
    return struct.unpack(f"<{len(chunk.lengths or b'') // 4}I", chunk.lengths or b"")


def _joined(chunks: Sequence[Chunk], counts: Sequence[int]) -> Chunk:
    """Columns end to end; ``counts`` are the numbers of their values."""
    if len(chunks) == 1:
        return chunks[0]
    has_mask = any(chunk.mask is not None for chunk in chunks)
    mask = b"".join([chunk.mask or bytes(count) for chunk, count in zip(chunks, counts, strict=True)]) if has_mask else None
    lengths = None if chunks[0].lengths is None else b"".join([chunk.lengths or b"" for chunk in chunks])
    return Chunk(b"".join([chunk.data for chunk in chunks]), lengths, mask)


def raw_values(chunk: Chunk, field: Field, n: int) -> list[bytes | None]:
    """The bytes of each row's value; None where it is missing as a whole."""
    data, width = chunk.data, field.width
    sizes = [width * WIDE[field.dtype]] * n if field.dtype in WIDE else [sum(_lengths(chunk)[i * width : (i + 1) * width]) for i in range(n)]
    values: list[bytes | None] = []
    at = 0
    for i, size in enumerate(sizes):
        missing = chunk.mask is not None and all(chunk.mask[i * width : (i + 1) * width])
        values.append(None if missing else data[at : at + size])
        at += size
    return values
