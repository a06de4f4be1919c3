"""Values as TensorFlow Serving's clients write them: bytes as ``{"b64": …}``, and a scalar in a list of one."""

from __future__ import annotations

from typing import Any

from ...errors import BadRequest
from ...signature import Signature
from ...signature.kinds import Blob
from ...signature.kinds.image import read_base64


def with_bytes(found: dict[str, Any], body: bytes, signature: Signature) -> dict[str, Any]:
    """``found`` with every ``{"b64": …}`` read: as the bytes of a file where the model takes files, else as text in UTF-8.

    :raises BadRequest: no base64, or no UTF-8.
    """
    if b'"b64"' not in body or signature.field("b64"):
        return found
    takes_files = any(field.kind in ("image", "document") for field in signature.fields)
    return {key: _read(value, takes_files) for key, value in found.items()}


def _read(value: Any, takes_files: bool) -> Any:
    if isinstance(value, list):
        return [_read(item, takes_files) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {"b64"}:
        return {key: _read(item, takes_files) for key, item in value.items()}
    data = read_base64(value["b64"]) if isinstance(value["b64"], str) else None
    if data is None:
        raise BadRequest("A b64 does not hold base64.")
    if takes_files:
        return Blob(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadRequest("A b64 holds bytes that are no text in UTF-8, and this model takes no files.") from None


def simple_row(row: Any, signature: Signature) -> Any:
    """An object row whose scalars stand bare: tensors of one row have a dimension that fields do not."""
    if not isinstance(row, dict):
        return row
    scalars = _scalars(signature)
    return {name: _alone(value) if name in scalars else value for name, value in row.items()}


def simple_columns(data: Any, signature: Signature) -> Any:
    """The same, column by column."""
    if not isinstance(data, dict):
        return data
    scalars = _scalars(signature)
    return {name: [_alone(value) for value in column] if isinstance(column, list) and name in scalars else column for name, column in data.items()}


def _scalars(signature: Signature) -> set[str]:
    return {field.name for field in signature.fields if not field.shape}


def _alone(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
