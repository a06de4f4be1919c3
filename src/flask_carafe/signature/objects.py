"""Python objects to raw rows; arrays and frames are known by what they can do, their libraries are never imported."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from math import isnan
from typing import Any

from .kinds import Blob
from .model import Signature
from .shapes import ALIASES, Raw, single
from .shapes import interpret as interpret_body

MISSING = ("NAType", "NaTType")
ENVELOPES = ("rows", "features", "columns")


def interpret(data: Any, signature: Signature) -> Raw:
    """The raw rows of ``data``; a dict or a single value is one row, a flat list is one row by position.

    For a model of one field a flat list is several values of it, as ``["good", "bad"]``.
    """
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        rows = data.to_dict("records")
        if rows and all(isinstance(key, int) for key in rows[0]):
            return Raw([[simple(value) for value in row.values()] for row in rows], False)  # a frame without names goes by position
        return Raw([{str(key): simple(value) for key, value in row.items()} for row in rows], False)
    if hasattr(data, "to_dict"):
        data = data.to_dict()
    if isinstance(data, Mapping):
        row = {str(key): simple(value) for key, value in data.items()}
        return interpret_body(row, signature)
    plain = simple(data)
    if not isinstance(plain, list):
        return Raw([plain], True)
    return Raw(_rows(plain, signature), False)


def _rows(values: list[Any], signature: Signature) -> list[Any]:
    if not values or isinstance(values[0], (dict, list)):
        return values
    if single(signature) and not signature.fields[0].shape:
        return values
    if single(signature) and signature.fields[0].kind in ALIASES and isinstance(values[0], (str, Blob)):
        return values
    return [values]


def simple(value: Any) -> Any:
    """``value`` as JSON would hold it; bytes become a :class:`Blob`, NaN and the like None."""
    if value is None or isinstance(value, (str, bool)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return None if isnan(value) else float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Blob(bytes(value))
    if type(value).__name__ in MISSING:
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): simple(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [simple(item) for item in value]
    if hasattr(value, "tolist"):
        return simple(value.tolist()) if type(value.tolist()) is not type(value) else value
    return value
