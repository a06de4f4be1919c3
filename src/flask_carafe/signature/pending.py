"""Rows whose pictures and documents are still files: what the media host must read, and what becomes of its answer."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from ..errors import MOST_DETAILS, Detail, InvalidInput
from . import layout
from .kinds import Blob
from .kinds.image import conversion
from .model import Chunk, Field, Rows, Signature


class Answered(Protocol):
    """A column as :mod:`flask_carafe.hosting.frames` reads it: flat Python values."""

    @property
    def values(self) -> Sequence[Any]: ...


class RowFault(Protocol):
    """Something wrong with one row of a frame: ``(row, code, message)``."""

    @property
    def row(self) -> int: ...
    @property
    def message(self) -> str: ...


class MediaRequest(NamedTuple):
    """The files of one field: what is wanted of them (as JSON), their bytes, and the rows that they came from."""

    column: int
    field: Field
    wanted: dict[str, Any]
    blobs: list[bytes]
    rows: list[int]

    def refusal(self, faults: Iterable[RowFault]) -> InvalidInput:
        """The error that says which of these files could not be read, and why."""
        found = list(faults)[:MOST_DETAILS]
        name = self.field.name
        expected = f"{'picture' if self.field.kind == 'image' else 'document'} that can be read"
        details = [Detail(field=name, expected=expected, got=fault.message[:200], row=self.rows[fault.row]) for fault in found]
        return InvalidInput(f"{name} cannot be read: {details[0].got}" if details else f"{name} cannot be read.", details)


class Pending:
    """Checked rows, some of whose values are still the bytes of files.

    ``media`` lists what the media host must read. :meth:`complete` takes its answers, in the same order.
    """

    def __init__(self, signature: Signature, values: list[list[Any]], n: int, scalar: bool) -> None:
        self.signature, self.values, self.n, self.scalar = signature, values, n, scalar
        self.media = [request for request in map(self._request, range(len(values))) if request.blobs]

    def _request(self, column: int) -> MediaRequest:
        field, values = self.signature.fields[column], self.values[column]
        rows = [i for i, value in enumerate(values) if isinstance(value, Blob)]
        wanted = conversion(field) if field.kind == "image" else {"kind": "document"}
        return MediaRequest(column, field, wanted, [values[i].data for i in rows], rows)

    def complete(self, answers: Sequence[Chunk | Answered]) -> Rows:
        """The rows with every file read: one answer per entry of ``media``, float32 x width or text, one value a file.

        :raises InvalidInput: an answer of another size than the field has.
        """
        for request, answer in zip(self.media, answers, strict=True):
            read = _texts(answer) if request.field.kind == "document" else _pictures(answer, request.field.width)
            if len(read) != len(request.rows) or any(isinstance(value, list) and len(value) != request.field.width for value in read):
                raise InvalidInput(f"{request.field.name} was read as another size than the model takes.", ())
            for row, value in zip(request.rows, read, strict=True):
                self.values[request.column][row] = value
        return layout.pack(self.signature, self.values, self.n, self.scalar)


class PendingTable(Pending):
    """The bytes of a whole table in ``format`` (parquet, stream, file), of which nothing has been read yet.

    :param read: what becomes of its columns: names, values by column, and how many rows there are.
    """

    def __init__(self, body: bytes, format: str, most_rows: int, read: Callable[[Columns], Rows | Pending]) -> None:
        self.body, self.read, self.scalar, self.media = body, read, False, []
        self.wanted = {"kind": "table", "format": format, "most_rows": most_rows}


class Columns(msgspec.Struct):
    """A table as the media host tells it."""

    names: list[str]
    columns: list[list[Any]]
    n: int


def _pictures(answer: Chunk | Answered, width: int) -> list[list[float]]:
    numbers = array("f", answer.data).tolist() if isinstance(answer, Chunk) else list(answer.values)
    return [numbers[i : i + width] for i in range(0, len(numbers), width)]


def _texts(answer: Chunk | Answered) -> list[str]:
    if not isinstance(answer, Chunk):
        return list(answer.values)
    texts, at = [], 0
    for length in struct.unpack(f"<{len(answer.lengths or b'') // 4}I", answer.lengths or b""):
        texts.append(answer.data[at : at + length].decode())
        at += length
    return texts
