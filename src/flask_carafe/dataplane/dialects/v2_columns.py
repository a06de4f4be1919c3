"""Tensors to rows of a signature, and a signature as the tensors that it wants.

One tensor ``[n, k]`` holds whole rows of a model of ``k`` fields, whatever its name. Else each tensor is one field, found by name,
``[n]`` or ``[n, 1]``; or ``[n, …]`` where one value of the field has a shape of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from math import prod
from typing import Any

from ...errors import Detail, InvalidInput
from ...serving.table import Model
from ...signature import Field, Rows, Signature
from ...signature.check import NEAR, encodable, listed, name_of
from ...signature.columnar import as_missing
from ...signature.kinds import Blob
from ...signature.kinds.image import picture_shape, read_base64
from ...signature.pending import Pending
from .v2_tensors import BYTES, DTYPES, FLOATS, Tensor, wrong, wrong_value

INPUT = "input"  # what the one tensor of a model without names of its own is called
CONTENT_TYPES = ("", "np", "pd", "str", "base64", "datetime")
FILES = (b"%PDF-", b"PK\x03\x04")


# ---- what a model wants


def is_matrix(signature: Signature) -> bool:
    """Whether a model of several numbers is described as one tensor: it has no names of its own for them."""
    return len(signature.fields) > 1 and signature.layout == "matrix" and not signature.named


def input_specs(signature: Signature) -> list[dict[str, Any]]:
    """``name``, ``datatype`` and ``shape`` of each input, -1 for the batch."""
    fields = signature.fields
    if is_matrix(signature):
        return [{"name": INPUT, "datatype": DTYPES[fields[0].dtype], "shape": [-1, len(fields)]}]
    return [{"name": field.name, "datatype": _datatype(field), "shape": [-1, *_value_shape(field)]} for field in fields]


def _datatype(field: Field) -> str:
    if field.kind in ("image", "document", "datetime", "text"):
        return BYTES
    return "INT64" if field.kind == "integer" else DTYPES.get(field.dtype, BYTES)


def _value_shape(field: Field) -> tuple[int, ...]:
    return () if field.kind == "image" else field.shape


# ---- what a request holds


def to_rows(model: Model, tensors: Sequence[Tensor]) -> Rows | Pending:
    """Checked rows.

    :raises InvalidInput: a tensor that is no field, of a shape that no row has, or of another batch than the first; a wrong value.
    :raises TooManyRows: more rows than one request may have.
    """
    decoder = model.usable_decoder()
    signature = decoder.signature
    if not tensors:
        raise InvalidInput("inputs is empty.", [Detail(field="inputs", expected="at least one tensor", got="none", row=None)])
    for tensor in tensors:
        if tensor.content_type not in CONTENT_TYPES:
            known = ", ".join(CONTENT_TYPES[1:])
            raise wrong(tensor.name, f"have a content_type that is known here ({known})", repr(tensor.content_type[:30]), expected=known)
    n = _batch(tensors)
    decoder.count(n)
    block = _block(signature, tensors, decoder.block.width)
    rows = None if block is None else decoder.numbers(block.values, n)
    return rows or decoder.columns(_columns(signature, tensors), n)


def _batch(tensors: Sequence[Tensor]) -> int:
    """How many rows there are, the same in every tensor."""
    first = tensors[0]
    for tensor in tensors:
        if tensor.shape[0] != first.shape[0]:
            rows = f"{first.shape[0]:,} rows"
            raise wrong(tensor.name, f"have {rows} as {name_of(first.name)}", f"{tensor.shape[0]:,}", expected=rows)
    return first.shape[0]


def _block(signature: Signature, tensors: Sequence[Tensor], width: int) -> Tensor | None:
    """The one tensor of floats that holds all values of all rows, if the request is such a one."""
    one = tensors[0]
    if len(tensors) > 1 or not width or one.datatype not in FLOATS or prod(one.shape[1:]) != width:
        return None
    if isinstance(one.values, list) and {*map(type, one.values)} != {float}:  # JSON may hold null, and whole numbers beyond a double
        return None
    return one if len(signature.fields) == 1 or len(one.shape) == 2 else None


def _columns(signature: Signature, tensors: Sequence[Tensor]) -> dict[str, Sequence[Any]]:
    fields, one = signature.fields, tensors[0]
    if len(tensors) == 1 and len(fields) > 1 and len(one.shape) == 2 and one.shape[1] == len(fields):
        k = len(fields)
        return {field.name: _values(one, field, one.values[at::k]) for at, field in enumerate(fields)}
    return {field.name: _column(tensor, field) for tensor, field in _by_field(signature, tensors)}


def _by_field(signature: Signature, tensors: Sequence[Tensor]) -> list[tuple[Tensor, Field]]:
    """Each tensor with its field: by name; by position where the model knows no names; the only one whatever it is called.

    One that is no field is left out where the model ignores what it does not know.
    """
    fields, names = signature.fields, [tensor.name for tensor in tensors]
    known = {field.name: field for field in fields}
    if len(set(names)) != len(names):
        twice, times = Counter(names).most_common(1)[0]
        raise wrong(twice, "stand once among the inputs", f"{times} of them", expected="one input of this name")
    if len(tensors) == len(fields) and known.keys().isdisjoint(names) and (len(fields) == 1 or not signature.named):
        return list(zip(tensors, fields, strict=True))
    if known.keys().isdisjoint(names):
        _refuse_shape(signature, tensors)
    for tensor in tensors:
        if tensor.name not in known and signature.extra == "forbid":
            raise _unknown(tensor, list(known))
    return [(tensor, known[tensor.name]) for tensor in tensors if tensor.name in known]


def _refuse_shape(signature: Signature, tensors: Sequence[Tensor]) -> None:
    """A single tensor that is no field was meant to hold whole rows."""
    k, one = len(signature.fields), tensors[0]
    if len(tensors) == 1 and k > 1:
        hint = f"Or send one tensor for each field: {listed([field.name for field in signature.fields])}."
        raise wrong(one.name, f"have the shape [n, {k}], a row for each prediction", str(list(one.shape)), hint, expected=f"shape [n, {k}]")


def _unknown(tensor: Tensor, names: list[str]) -> InvalidInput:
    name = encodable(tensor.name[:100])
    near = get_close_matches(name, names[:1000], 1, NEAR)
    hint = f"Did you mean {near[0]!r}?" if near else f"The inputs are: {listed(names)}."
    got = f"{tensor.datatype} {list(tensor.shape)}"
    return InvalidInput(f"There is no input {name!r}.", [Detail(field=name, expected="an input of this model", got=got, row=None)], hint)


def _column(tensor: Tensor, field: Field) -> Sequence[Any]:
    """One value for each row."""
    n, rest = tensor.shape[0], tensor.shape[1:]
    if prod(rest) == 1 and (not field.shape or tensor.datatype == BYTES):
        return _values(tensor, field, tensor.values)
    shapes = {field.shape, picture_shape(field) if field.kind == "image" else field.shape, (field.width,)}
    if not field.shape or tensor.datatype == BYTES or rest not in shapes:
        wanted = " or ".join(str(["n", *shape]).replace("'", "") for shape in sorted(shapes, key=len)) if field.shape else "[n] or [n, 1]"
        raise wrong(tensor.name, f"have the shape {wanted}", str(list(tensor.shape)), expected=f"shape {wanted}")
    width = field.width
    return [list(tensor.values[at : at + width]) for at in range(0, n * width, width)]


def _values(tensor: Tensor, field: Field, values: Sequence[Any]) -> Sequence[Any]:
    """The values of one field as JSON would hold them: NaN is a missing number where one may be missing, bytes are text or a file."""
    if tensor.datatype == BYTES:
        return [value if value is None else _text(tensor, field, value, at) for at, value in enumerate(values)]
    if tensor.datatype in FLOATS and field.nullable:
        return as_missing(values)
    return values


def _text(tensor: Tensor, field: Field, value: str | bytes, at: int) -> Any:
    """One BYTES value: text, or the bytes of a picture or document."""
    if tensor.content_type == "base64" or (field.kind == "image" and isinstance(value, str)):
        data = read_base64(value if isinstance(value, str) else value.decode("ascii", "replace"))
        if data is None:
            raise wrong_value(field.name, at, "base64", "something else", "base64")
        return Blob(data) if field.kind in ("image", "document") else _utf8(field, data, at)
    if isinstance(value, str):
        return value
    is_file = field.kind == "image" or (field.kind == "document" and value.startswith(FILES))
    return Blob(value) if is_file else _utf8(field, value, at)


def _utf8(field: Field, data: bytes, at: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        raise wrong_value(field.name, at, "text in UTF-8", f"another byte at {exc.start}", "text in UTF-8") from None
