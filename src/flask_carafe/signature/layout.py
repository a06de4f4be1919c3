"""How a signature lies in a frame: which columns, and what becomes of clean values on the way there and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .kinds import kind_of
from .model import Chunk, Field, Rows, Signature
from .packing import NAN, pack_array, unpack_column, unpack_matrix


def columns(signature: Signature) -> list[tuple[str, int]]:
    """``(dtype, width)`` of each frame column in order; a matrix is one column."""
    if signature.layout == "matrix":
        return [(signature.fields[0].dtype, len(signature.fields))]
    return [(field.dtype, field.width) for field in signature.fields]


def pack(signature: Signature, values: Sequence[Sequence[Any]], n: int, scalar: bool) -> Rows:
    """Clean values, one sequence of ``n`` per field, as rows of a frame."""
    if signature.layout == "matrix":
        return Rows(n, (_pack_matrix(signature, values),), scalar)
    chunks = [kind_of(field).pack(column, field) for field, column in zip(signature.fields, values, strict=True)]
    return Rows(n, tuple(chunks), scalar)


def _pack_matrix(signature: Signature, values: Sequence[Sequence[Any]]) -> Chunk:
    flat = [NAN if value is None else value for row in zip(*values, strict=True) for value in row]
    return Chunk(pack_array(signature.fields[0].dtype, flat))


def unpack(signature: Signature, rows: Rows) -> list[list[Any]]:
    """The values as they travelled, one list per field, None where missing."""
    fields: tuple[Field, ...] = signature.fields
    if signature.layout == "matrix":
        lists = unpack_matrix(rows.chunks[0], fields[0].dtype, len(fields))
        return [list(column) for column in zip(*lists, strict=True)] if lists else [[] for _ in fields]
    return [unpack_column(chunk, field, rows.n) for chunk, field in zip(rows.chunks, fields, strict=True)]
