"""Columns of a table made for another server: which of them is which field.

There a table may have more columns than the model takes, and a model that knows no names takes them by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .model import Signature

ONLY = {"text": "text", "document": "document", "image": "image", "vector": "values", "tensor": "values"}  # what the only field is called


def made_up(place: int) -> str:
    """The name of a field that has none, not even by its kind."""
    return f"feature_{place + 1}"


def is_nameless(signature: Signature) -> bool:
    """Neither the model nor a person has named these fields: all names are ours."""
    fields = signature.fields
    if signature.named:
        return False
    if len(fields) == 1 and fields[0].name == ONLY.get(fields[0].kind):
        return True
    return all(field.name == made_up(place) for place, field in enumerate(fields))


def place_columns(names: Sequence[Any], signature: Signature) -> list[str | None] | None:
    """The field of each column, None for one that is left out; None altogether when the names must be checked as they are.

    Columns are left out only where every field has its own, so that a misspelt name is never lost.

    >>> from .model import Field
    >>> two = Signature(fields=(Field(name="age", kind="number"), Field(name="city", kind="text")), named=True)
    >>> place_columns(["index", "city", "age"], two)
    [None, 'city', 'age']
    >>> place_columns(["agee", "city"], two)
    """
    fields = [field.name for field in signature.fields]
    known = set(fields)
    found = [name for name in names if isinstance(name, str) and name in known]
    if len(found) == len(fields) == len(set(found)):
        return [name if isinstance(name, str) and name in known else None for name in names]
    if not found and len(names) == len(fields) and is_nameless(signature):
        return list(fields)
    return None
