"""Rows that came column by column, or as one block of numbers: checked at the speed of C wherever nothing is wrong with them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import isfinite, isnan
from typing import Any

from .kinds.base import EXACT
from .model import Chunk, Field, Rows, Signature
from .packing import pack_array

FLOATS = ("float64", "float32")


class NumberBlock:
    """Takes ``n`` rows of ``width`` numbers each, row-major, into the one frame column of a signature; made once.

    :attr:`width` is 0 where the signature is no such thing: then :meth:`rows` is not to be asked.
    """

    def __init__(self, signature: Signature) -> None:
        fields = signature.fields
        self.dtype = fields[0].dtype if fields else ""
        self.width = _width(signature)
        self.bounds = [(at, field) for at, field in enumerate(fields) if field.minimum is not None or field.maximum is not None]
        self.nullable = all(field.nullable and not field.shape for field in fields)

    def rows(self, values: Sequence[float], n: int) -> Rows | None:
        """The rows, packed; None when any value needs a closer look: it is missing, not finite, very large or out of range.

        :param values: ``n * width`` floats, NaN where one is missing.
        """
        present = values.tolist() if isinstance(values, array) else values  # numbers are made once, and not again by each look at them
        if isnan(sum(present)) and self.nullable:
            present = [value for value in present if value == value]
        if present and not (isfinite(sum(present)) and min(present) > -EXACT and max(present) < EXACT):
            return None
        if not all(self._is_within(values[at :: self.width], field) for at, field in self.bounds):
            return None
        return Rows(n, (Chunk(pack_array(self.dtype, values)),))

    @staticmethod
    def _is_within(column: Sequence[float], field: Field) -> bool:
        if isnan(sum(column)):
            column = [value for value in column if value == value]
        least, most = min(column, default=0.0), max(column, default=0.0)
        return not column or ((field.minimum is None or field.minimum <= least) and (field.maximum is None or most <= field.maximum))


def _width(signature: Signature) -> int:
    fields = signature.fields
    if signature.layout == "matrix" and all(field.kind == "number" and field.dtype in FLOATS for field in fields):
        return len(fields)
    if len(fields) == 1 and fields[0].shape and fields[0].dtype in FLOATS and fields[0].minimum is None and fields[0].maximum is None:
        return fields[0].width
    return 0


def as_missing(values: Sequence[Any]) -> Sequence[Any]:
    """``values`` with None in place of NaN."""
    return [None if value != value else value for value in values]
