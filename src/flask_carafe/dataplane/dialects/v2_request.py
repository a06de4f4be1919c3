"""A V2 request read: JSON by a typed decode where that is sure, else completely; blobs behind it; or raw bytes without any JSON."""

from __future__ import annotations

import re
import types
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from math import prod
from typing import Any

import msgspec

from ...errors import BadRequest, InvalidInput
from ...signature import Field, strict
from ...signature.kinds.base import EXACT
from . import v2_tensors as tensors
from .v2_tensors import Tensor, wrong

MOST_TENSORS = 10_000
LEAST_TIMEOUT_US, MOST_TIMEOUT_US = 1_000, 3_600_000_000
Parameters = dict[str, Any]


class Asked(msgspec.Struct):
    """One output that the request names."""

    name: str
    parameters: Parameters | None = None


class _Input(msgspec.Struct, kw_only=True):
    name: str
    shape: list[int]
    datatype: str
    data: Any = msgspec.UNSET
    parameters: Parameters | None = None


class _Body(msgspec.Struct, kw_only=True):
    inputs: list[_Input]
    id: str | int | None = None
    parameters: Parameters | None = None
    outputs: list[Asked] | None = None


class _FastInput(_Input, forbid_unknown_fields=True, kw_only=True):
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _FastBody(_Body, forbid_unknown_fields=True, kw_only=True):
    inputs: list[_FastInput]  # type: ignore[assignment]


_decode = msgspec.json.Decoder(_FastBody).decode
_WHOLE = [name for name, number in tensors.NUMBERS.items() if number.most is not None]
_KINDS: dict[str, Any] = {"FP64": float, "FP32": float, "BYTES": str, "BOOL": bool} | dict.fromkeys(_WHOLE, int)
_OPENING = re.compile(rb"[\[\s]*")


@cache
def _data_decoder(datatype: str, depth: int) -> Callable[[msgspec.Raw], list[Any]]:
    """Reads data of ``datatype`` in so many lists. :raises KeyError: one that is not read fast."""
    kind = _KINDS[datatype]
    for _ in range(depth):
        kind = types.GenericAlias(list, (kind,))
    return msgspec.json.Decoder(kind).decode


class Call(msgspec.Struct):
    """What a request asks: its tensors, and how it wants its answer.

    ``outputs`` is None for all of them; ``timeout_s`` the deadline that stands in the body; ``id`` the client's own, if any.
    """

    inputs: list[Tensor]
    id: str = ""
    timeout_s: float | None = None
    outputs: list[Asked] | None = None
    is_binary: bool = False


def read(body: bytes, header: str | None, fields: Sequence[Field] = ()) -> Call:
    """The call in ``body``.

    :param header: ``Inference-Header-Content-Length``: where the JSON ends and blobs begin; None for JSON alone.
    :param fields: of the model, whose names an error goes by.
    :raises BadRequest: it is no such request.
    :raises InvalidInput: a tensor is not what its own datatype and shape say.
    """
    text, blobs = (body, b"") if header is None else tensors.split(body, header)
    return _fast(text, blobs) or _complete(text, blobs, fields)


def raw(name: str, datatype: str, shape: Sequence[int], body: bytes) -> Call:
    """The call of a body that is nothing but the bytes of one tensor; its batch is as long as the bytes are.

    :param shape: of the model's one input, -1 where it varies.
    """
    if datatype == tensors.BYTES:
        return Call([Tensor(name, datatype, (1,), [body])], is_binary=True)
    width = prod(shape[1:])
    n, left = divmod(len(body), width * tensors.size_bytes(datatype))
    if left:
        raise wrong(name, f"have {width * tensors.size_bytes(datatype):,} bytes of {datatype} for each row", f"{len(body):,} bytes")
    return Call([Tensor(name, datatype, (n, *shape[1:]), tensors.from_blob(name, datatype, body, n * width))], is_binary=True)


# ---- the two ways to read JSON


def _fast(text: bytes, blobs: bytes) -> Call | None:
    """None where a key may stand twice or a number was rounded, or where anything is wrong with the JSON: it makes no error of that."""
    try:
        body = _decode(text)
        inputs = [_fast_input(one) if isinstance(one.data, msgspec.Raw) else None for one in body.inputs]
    except (msgspec.MsgspecError, RecursionError, InvalidInput, ValueError, OverflowError, KeyError):
        return None
    inside = sum([value.count(":") for one in inputs if one is not None and one.datatype == tensors.BYTES for value in one.values])
    if b"\\u003" in text or text.count(b":") != _keys(body) + inside:
        return None
    return _call(body, inputs, blobs)


def _keys(body: _FastBody) -> int:
    """How many keys the decoded request had."""
    several: Iterable[Any] = (*body.inputs, *(body.outputs or ()))
    keys = 1 + (body.id is not None) + (body.outputs is not None) + (body.parameters is not None) + len(body.parameters or ())
    keys += sum([(one.parameters is not None) + len(one.parameters or ()) for one in several])
    return keys + sum([3 + (one.data is not msgspec.UNSET) for one in body.inputs]) + len(body.outputs or ())


def _fast_input(one: _FastInput) -> Tensor:
    """:raises ValueError, msgspec.MsgspecError, KeyError, InvalidInput: not sure."""
    data, shape = one.data, tensors.checked_shape(one.name, one.shape)
    opening = _OPENING.match(data)  # type: ignore[arg-type]
    depth = opening[0].count(b"[") if opening else 0
    if depth not in (1, len(shape)):
        raise ValueError("Nested otherwise than its shape.")
    values = _data_decoder(one.datatype, depth)(data)  # type: ignore[arg-type]
    flat: Any = tensors.flattened(one.name, values, shape)
    if flat and one.datatype in ("FP64", "FP32") and not (min(flat) > -EXACT and max(flat) < EXACT):
        raise ValueError("A number may have been rounded.")
    if one.datatype == "FP32":
        flat = array("f", flat).tolist()
    elif one.datatype in _WHOLE:
        array(tensors.NUMBERS[one.datatype].code, flat)  # OverflowError where one does not fit
    return Tensor(one.name, one.datatype, shape, flat, _content_type(one))


def _complete(text: bytes, blobs: bytes, fields: Sequence[Field] = ()) -> Call:
    parsed = strict.parse(text)
    try:
        body = msgspec.convert(parsed, _Body)
    except msgspec.ValidationError as exc:
        raise BadRequest(f"This is not a V2 inference request: {_lower(str(exc))}.") from None
    names = [field.name for field in fields] if len(body.inputs) == 1 else []
    inputs = [_input(one, names) if one.data is not msgspec.UNSET else None for one in body.inputs]
    return _call(body, inputs, blobs)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _input(one: _Input, fields: Sequence[str]) -> Tensor:
    shape = tensors.checked_shape(one.name, one.shape)
    datatype = tensors.known_datatype(one.name, one.datatype)
    if datatype in tensors.BINARY_ONLY:
        raise wrong(one.name, f"be sent in binary form, as {datatype} has no other", "JSON data", expected="binary data")
    values = tensors.from_json(one.name, datatype, tensors.flattened(one.name, one.data, shape), shape, fields)
    return Tensor(one.name, datatype, shape, values, _content_type(one))


# ---- what both have in common


def _call(body: _Body, inputs: Sequence[Tensor | None], blobs: bytes) -> Call:
    if len(body.inputs) > MOST_TENSORS:
        raise BadRequest(f"A request has at most {MOST_TENSORS:,} inputs, got {len(body.inputs):,}.")
    at, found = 0, []
    for one, tensor in zip(body.inputs, inputs, strict=True):
        size = _blob_size(one, tensor)
        if tensor is None:
            tensor = _from_blob(one, blobs[at : at + size])
            at += size
        found.append(tensor)
    if at != len(blobs):
        raise BadRequest(f"The inputs' binary_data_size together say {at:,} bytes behind the JSON, got {len(blobs):,}.")
    parameters = body.parameters or {}
    _refuse_sequences(parameters)
    identity = "" if body.id is None else str(body.id)
    return Call(found, identity, _timeout_s(parameters), body.outputs, _flag(parameters, "binary_data_output"))


def _blob_size(one: _Input, tensor: Tensor | None) -> int:
    """Bytes that this input has behind the JSON."""
    parameters = one.parameters or {}
    if "shared_memory_region" in parameters:
        raise wrong(one.name, "be sent with the request", "a region of shared memory, which is not offered here", expected="data in the request")
    size = parameters.get("binary_data_size")
    if size is None and tensor is None:
        raise wrong(one.name, "have data, or parameters.binary_data_size", "neither")
    if size is not None and (tensor is not None or not isinstance(size, int) or isinstance(size, bool) or size < 0):
        got = "both" if tensor is not None else repr(size)[:30]
        raise wrong(one.name, "have data or parameters.binary_data_size, a number of bytes", got)
    return size or 0


def _from_blob(one: _Input, blob: bytes) -> Tensor:
    shape = tensors.checked_shape(one.name, one.shape)
    datatype = tensors.known_datatype(one.name, one.datatype)
    count = prod(shape)
    if count > len(blob):
        raise wrong(one.name, f"have {count:,} values, as its shape {list(shape)} says", f"{len(blob):,} bytes", expected=f"{count:,} values")
    return Tensor(one.name, datatype, shape, tensors.from_blob(one.name, datatype, blob, count), _content_type(one))


def _content_type(one: _Input) -> str:
    found = (one.parameters or {}).get("content_type") or ""
    return found if isinstance(found, str) else repr(found)


def _refuse_sequences(parameters: Parameters) -> None:
    """Models here keep nothing between requests; to answer as if they did would be a lie."""
    if parameters.get("sequence_id") not in (None, 0, ""):
        sentence = "sequence_id is given, and this model keeps nothing from one request to the next."
        raise InvalidInput(sentence, (), "Leave sequence_id, sequence_start and sequence_end away.")


def _timeout_s(parameters: Parameters) -> float | None:
    """``timeout`` in microseconds; 0 means the server's own."""
    timeout = parameters.get("timeout")
    if timeout is None or timeout == 0:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise InvalidInput(f"timeout must be a whole number of microseconds, got {repr(timeout)[:40]}.", ())
    return max(LEAST_TIMEOUT_US, min(timeout, MOST_TIMEOUT_US)) / 1e6


def _flag(parameters: Parameters, name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} must be true or false, got {repr(value)[:40]}.", ())
    return value
