"""Clean Python values to the bytes of a frame column and back, little-endian, by dtype alone."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from math import isnan
from typing import Any

import msgspec

from .model import Chunk, Field

CODES = {"float64": "d", "float32": "f", "int64": "q"}
NAN = float("nan")
FLOAT = struct.Struct("<f")
encode_json = msgspec.json.Encoder().encode


def shortest(value: float) -> float:
    """The double whose shortest text is also the shortest text of this float32: 0.1 and not 0.10000000149011612."""
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if abs(short) < 3.4e38 and FLOAT.unpack(FLOAT.pack(short))[0] == value:
            return short
    return float(f"{value:.9g}")


def pack_array(dtype: str, values: Sequence[Any]) -> bytes:
    """Fixed-width numbers without a gap."""
    if isinstance(values, array) and values.typecode == CODES[dtype]:
        packed = values[:] if sys.byteorder == "big" else values
    else:
        packed = array(CODES[dtype], values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def pack_column(dtype: str, values: Sequence[Any]) -> Chunk:
    """One column of clean single values; None is missing."""
    if dtype in ("float64", "float32"):
        return Chunk(pack_array(dtype, [NAN if value is None else value for value in values]))
    mask = bytes([value is None for value in values]) if None in values else None
    if dtype == "int64":
        return Chunk(pack_array(dtype, [value or 0 for value in values]), None, mask)
    if dtype == "bool":
        return Chunk(bytes([bool(value) for value in values]), None, mask)
    return _pack_texts(dtype, values, mask)


def pack_lists(dtype: str, width: int, values: Sequence[Any]) -> Chunk:
    """One column of flat lists of ``width`` numbers each; None is missing, number by number."""
    empty = [None] * width
    return pack_column(dtype, list(chain.from_iterable([empty if value is None else value for value in values])))


def _pack_texts(dtype: str, values: Sequence[Any], mask: bytes | None) -> Chunk:
    if dtype == "text":
        parts = [b"" if value is None else value.encode() for value in values]
    elif dtype == "json":
        parts = [encode_json(value) for value in values]
    else:
        parts = [b"" if value is None else value for value in values]
    return Chunk(b"".join(parts), struct.pack(f"<{len(parts)}I", *map(len, parts)), mask)


def unpack_column(chunk: Chunk, field: Field, n: int) -> list[Any]:
    """The values of one column again: None where missing, a flat list where the field has a shape."""
    if field.dtype in CODES:
        values: list[Any] = _read_array(CODES[field.dtype], chunk.data)
        if field.dtype != "int64":
            values = [None if isnan(value) else value for value in values]
    elif field.dtype == "bool":
        values = [byte != 0 for byte in chunk.data]
    else:
        values = _unpack_texts(chunk, field.dtype)
    if chunk.mask is not None:
        values = [None if missing else value for value, missing in zip(values, chunk.mask, strict=True)]
    width = field.width
    return [values[i * width : (i + 1) * width] for i in range(n)] if field.shape else values


def unpack_matrix(chunk: Chunk, dtype: str, width: int) -> list[list[Any]]:
    """The rows of a matrix column; None where a number is missing."""
    flat = [None if isnan(value) else value for value in _read_array(CODES[dtype], chunk.data)]
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def _read_array(code: str, data: bytes) -> list[Any]:
    packed = array(code, data)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()


def _unpack_texts(chunk: Chunk, dtype: str) -> list[Any]:
    lengths = struct.unpack(f"<{len(chunk.lengths or b'') // 4}I", chunk.lengths or b"")
    values, at = [], 0
    for length in lengths:
        part = chunk.data[at : at + length]
        values.append(part.decode() if dtype == "text" else msgspec.json.decode(part) if dtype == "json" else part)
        at += length
    return values
