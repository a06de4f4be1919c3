"""Tensors of the Open Inference Protocol V2: datatypes, JSON data and binary blobs, to flat row-major Python values and back.

Source: Open Inference Protocol, "Tensor Data"; Triton's binary tensor data extension.
"""

from __future__ import annotations

import struct
import sys
from array import array
from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import msgspec

from ...errors import BadRequest, Detail, InvalidInput
from ...signature.check import name_of
from ...signature.kinds import shown
from ...signature.kinds.base import EXACT, MOST_FLOAT32

BYTES, BOOL = "BYTES", "BOOL"
MOST_RANK, MOST_EXTENT = 32, 2**32
LENGTH, SINGLE = struct.Struct("<I"), struct.Struct("<f")


class Number(NamedTuple):
    """How a datatype lies in memory: its code for :mod:`array`, its bytes, and the whole numbers that it holds (None for floats)."""

    code: str
    size: int
    least: int | None = None
    most: int | None = None


def _whole(code: str, bits: int, signed: bool) -> Number:
    return Number(code, bits // 8, -(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1)


NUMBERS = {
    "UINT8": _whole("B", 8, False), "UINT16": _whole("H", 16, False), "UINT32": _whole("I", 32, False), "UINT64": _whole("Q", 64, False),
    "INT8": _whole("b", 8, True), "INT16": _whole("h", 16, True), "INT32": _whole("i", 32, True), "INT64": _whole("q", 64, True),
    "FP16": Number("e", 2), "BF16": Number("", 2), "FP32": Number("f", 4), "FP64": Number("d", 8),
}  # fmt: skip
FLOATS = ("FP16", "BF16", "FP32", "FP64")
BINARY_ONLY = ("FP16", "BF16")
KNOWN = (BOOL, *NUMBERS, BYTES)
DTYPES = {"float64": "FP64", "float32": "FP32", "int64": "INT64", "bool": BOOL}  # of fields and outputs; the others are BYTES


class Tensor(msgspec.Struct, gc=False):
    """One tensor: ``prod(shape)`` values, flat and row-major.

    Values are Python's own, None where JSON had ``null``, NaN where a binary float was one; BYTES are str from JSON and
    bytes from a blob.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]
    content_type: str = ""


def wrong(name: str, must: str, got: str, hint: str = "", *, expected: str = "") -> InvalidInput:
    """The refusal of a tensor as a whole.

    :param must: a verb and what follows it.
    :param expected: the same for programs; without it all of ``must`` but the verb.
    """
    detail = Detail(field=name[:100], expected=expected or must.partition(" ")[2], got=got, row=None)
    return InvalidInput(f"{name_of(name)} must {must}, got {got}.", [detail], hint)


def wrong_value(field: str, row: int, expected: str, got: str, must: str) -> InvalidInput:
    """The refusal of one value; the sentence counts rows from 0 as all others do."""
    return InvalidInput(f"Row {row}: {name_of(field)} must be {must}, got {got}.", [Detail(field=field[:100], expected=expected, got=got, row=row)])


def checked_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """``shape`` if it is one. :raises InvalidInput: no dimension, too many, or one that is negative or beyond 32 bits."""
    if not 0 < len(shape) <= MOST_RANK or min(shape) < 0 or max(shape) >= MOST_EXTENT:
        raise wrong(name, "have a shape of one or more sizes, the batch first", str(list(shape))[:60], expected="one or more sizes, the batch first")
    return tuple(shape)


# ---- JSON


def flattened(name: str, data: Any, shape: Sequence[int]) -> list[Any]:
    """``data`` as one flat list, whether it came nested as its shape says or flat already.

    :raises InvalidInput: another number of values than the shape has, or ragged lists.
    """
    values = data
    if not isinstance(values, list):
        raise wrong(name, "have a list as its data", shown(data), expected="list")
    for extent in shape[1:]:
        if not values or not isinstance(values[0], list):
            break
        if not all(isinstance(part, list) and len(part) == extent for part in values):
            raise wrong(name, f"be nested as its shape {list(shape)} says", "lists of other lengths", expected=f"lists nested as {list(shape)}")
        values = list(chain.from_iterable(values))
    if len(values) != prod(shape):
        raise wrong(name, f"have {prod(shape):,} values, as its shape {list(shape)} says", f"{len(values):,}", expected=f"{prod(shape):,} values")
    return values


def from_json(name: str, datatype: str, values: list[Any], shape: Sequence[int], fields: Sequence[str] = ()) -> Sequence[Any]:
    """JSON values as ``datatype`` has them: a float of 32 bits is rounded to one, so that it is the same as its binary form.

    :param fields: the names of what stands side by side in one row, if they are known; else an error has the tensor's own.
    :raises InvalidInput: a value that this datatype does not hold; the first of them is told.
    """
    fits, expected, must = _rule(datatype)
    for at, value in enumerate(values):
        if value is not None and not fits(value):
            row, place = divmod(at, prod(shape[1:]))
            field = fields[place] if len(fields) == prod(shape[1:]) else name
            raise wrong_value(field, row, expected, shown(value), f"{must} ({datatype})")
    if datatype == BYTES:
        return values
    if datatype == BOOL:
        return [None if value is None else bool(value) for value in values]
    if NUMBERS[datatype].most is not None:
        return [value if value is None else int(value) for value in values] if {*map(type, values)} - {int} else values
    return [value if value is None else _float(value, datatype) for value in values]


def _rule(datatype: str) -> tuple[Callable[[Any], bool], str, str]:
    """Whether a JSON value is one of ``datatype``, and how that is called: for programs, and after "must be"."""
    if datatype == BYTES:
        return lambda value: isinstance(value, str), "text", "a text"
    if datatype == BOOL:
        return lambda value: isinstance(value, (bool, int)) and value in (0, 1), "boolean", "true or false"
    number = NUMBERS[datatype]
    if number.most is None or number.least is None:
        most = MOST_FLOAT32 if datatype == "FP32" else float("inf")
        return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and -most <= value <= most, "number", "a number"
    least, highest = number.least, number.most

    def fits(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= highest and value == int(value)

    return fits, f"integer from {least} to {highest}", f"an integer from {least} to {highest}"


def _float(value: int | float, datatype: str) -> int | float:
    """As the datatype has it; a whole number that a double cannot hold stays one, so that the field refuses it."""
    if datatype == "FP32":
        return SINGLE.unpack(SINGLE.pack(value))[0]  # type: ignore[no-any-return]
    return value if abs(value) > EXACT else float(value)


# ---- binary


def from_blob(name: str, datatype: str, blob: bytes, count: int) -> Sequence[Any]:
    """The ``count`` values of a blob: little-endian, row-major, no padding.

    :raises InvalidInput: its length is not what datatype and shape make.
    """
    if datatype == BYTES:
        return _read_texts(name, blob, count)
    size = size_bytes(datatype)
    if len(blob) != count * size:
        raise wrong(name, f"be {count * size:,} bytes of {datatype}", f"{len(blob):,} bytes")
    if datatype == BOOL:
        if blob and max(blob) > 1:
            raise wrong(name, "hold BOOL values, each a byte 0 or 1", f"a byte {max(blob)}", expected="bytes 0 or 1")
        return [byte == 1 for byte in blob]
    if datatype == "FP16":
        return struct.unpack(f"<{count}e", blob)
    if datatype == "BF16":  # the upper half of a float of 32 bits
        wide = bytearray(2 * len(blob))
        wide[2::4], wide[3::4] = blob[::2], blob[1::2]
        return _array("f", bytes(wide))
    return _array(NUMBERS[datatype].code, blob)


def size_bytes(datatype: str) -> int:
    """Bytes of one value; of any datatype but BYTES."""
    return 1 if datatype == BOOL else NUMBERS[datatype].size


def _array(code: str, blob: bytes) -> array[Any]:
    values = array(code, blob)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _read_texts(name: str, blob: bytes, count: int) -> list[bytes]:
    texts, at = [], 0
    for _ in range(count):
        length = LENGTH.unpack_from(blob, at)[0] if at + 4 <= len(blob) else -1
        if length < 0 or at + 4 + length > len(blob):
            break
        texts.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    if len(texts) != count or at != len(blob):
        raise wrong(name, f"hold {count:,} BYTES, each after its length in 4 bytes", f"{len(blob):,} bytes that do not divide so")
    return texts


def to_blob(datatype: str, values: Sequence[Any]) -> bytes:
    """``values`` as a binary tensor has them; BYTES may be str or bytes."""
    if datatype == BOOL:
        return bytes(map(bool, values))
    if datatype == BYTES:
        parts = [value.encode() if isinstance(value, str) else value for value in values]
        return b"".join([part for text in parts for part in (LENGTH.pack(len(text)), text)])
    packed = array(NUMBERS[datatype].code, values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def to_json(datatype: str, values: Sequence[Any]) -> list[Any]:
    """``values`` as JSON has them: bytes in base64."""
    if datatype == BYTES and any(isinstance(value, bytes) for value in values):
        return [b64encode(value).decode() if isinstance(value, bytes) else value for value in values]
    return list(values)


def known_datatype(name: str, datatype: str) -> str:
    """``datatype`` if it is one. :raises InvalidInput: the names of those that are."""
    if datatype not in KNOWN:
        raise wrong(name, f"have a datatype that is known here ({', '.join(KNOWN)})", repr(datatype[:30]), expected=", ".join(KNOWN))
    return datatype


def split(body: bytes, header: str) -> tuple[bytes, bytes]:
    """The JSON and the blobs of a binary request, whose header says how long the JSON is.

    :raises BadRequest: it says nothing sensible.
    """
    if not (header.isascii() and header.isdigit() and len(header) <= 12) or int(header) > len(body):
        raise BadRequest(f"Inference-Header-Content-Length must be a number of bytes up to the body's {len(body):,}, got {header[:20]!r}.")
    return body[: int(header)], body[int(header) :]
