"""Packed rows back to values: for the journal, for Python functions, for tables of what was sent."""

from __future__ import annotations

from typing import Any

from . import layout
from .kinds import kind_of
from .model import Rows, Signature


def values(signature: Signature, rows: Rows, native: bool = False) -> list[dict[str, Any]]:
    """One dict per row, by field name, None where missing.

    :param native: True gives what a Python function would like (datetime objects); False what JSON can hold.
    """
    shown = []
    for field, column in zip(signature.fields, layout.unpack(signature, rows), strict=True):
        kind = kind_of(field)
        show = kind.native if native else kind.show
        shown.append([None if value is None else show(value, field) for value in column])
    names = [field.name for field in signature.fields]
    return [dict(zip(names, row, strict=True)) for row in zip(*shown, strict=True)]
