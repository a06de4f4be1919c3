"""``vector`` and ``tensor``: so many numbers, as one flat list or nested as their shape says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import msgspec

from ..model import Chunk, Field
from ..packing import pack_lists
from .base import EXACT, Control, Kind, Wrong, exact_float, shown
from .number import read_decimal

MOST_SHOWN_LENGTHS = 3


def shape_words(shape: Sequence[int]) -> str:
    """``64 numbers`` or ``3 x 8 x 8 numbers``."""
    return " x ".join(str(extent) for extent in shape) + " numbers"


def flatten(raw: Any, field: Field, expected: str) -> list[float]:
    """The numbers of a flat or nested list, in order, each checked. :raises Wrong: shape or a number is not right."""
    words = shape_words(field.shape)
    if not isinstance(raw, (list, tuple)):
        raise Wrong(f"{expected} of {words}", shown(raw), words)
    numbers: Sequence[Any] = raw
    if len(raw) and isinstance(raw[0], (list, tuple)):
        for depth in range(len(field.shape) - 1):
            if len(numbers) != prod(field.shape[: depth + 1]):
                raise Wrong(f"{expected} of {words}", shown(raw), words)
            numbers = _one_level(numbers, field.shape[depth + 1], words, expected)
    if len(numbers) != field.width:
        raise Wrong(f"{expected} of {words}", f"{len(numbers)} of them" if numbers is not raw else shown(raw), words)
    return _checked(numbers, field, expected)


def _one_level(rows: Sequence[Any], extent: int, words: str, expected: str) -> list[Any]:
    flat: list[Any] = []
    for row in rows:
        if not isinstance(row, (list, tuple)) or len(row) != extent:
            raise Wrong(f"{expected} of {words}", f"{shown(row)} inside", words)
        flat.extend(row)
    return flat


def _checked(numbers: Sequence[Any], field: Field, expected: str) -> list[float]:
    clean = []
    for position, number in enumerate(numbers):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise Wrong(f"{expected} of numbers", f"{shown(number)} at position {position}", f"{shape_words(field.shape)}")
        clean.append(number if field.dtype != "float32" and -EXACT <= number <= EXACT else exact_float(number, field))
    if field.dtype == "int64":
        if any(number != int(number) or not -(2**63) <= number < 2**63 for number in clean):
            raise Wrong(f"{expected} of whole numbers", "one that is not whole", "whole numbers")
        return [int(number) for number in clean]
    return clean


def nest(flat: list[Any], shape: Sequence[int]) -> list[Any]:
    """The flat list again as nested as its shape."""
    for extent in reversed(shape[1:]):
        flat = [flat[i : i + extent] for i in range(0, len(flat), extent)]
    return flat


def read_list(text: str, field: Field, expected: str) -> Any:
    """A cell: a JSON list, or numbers with spaces, commas or semicolons between. :raises Wrong: it is neither."""
    if text.lstrip().startswith("["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as exc:
            raise Wrong(expected, shown(text), shape_words(field.shape)) from exc
    return [read_decimal(part, "number") for part in text.replace(",", " ").replace(";", " ").split()]


def shape_schema(field: Field) -> dict[str, Any]:
    """Nested as the shape, or flat."""
    nested: dict[str, Any] = {"type": "integer" if field.dtype == "int64" else "number"}
    for extent in reversed(field.shape):
        nested = {"type": "array", "items": nested, "minItems": extent, "maxItems": extent}
    if len(field.shape) == 1:
        return nested
    flat = {"type": "array", "items": {"type": "number"}, "minItems": field.width, "maxItems": field.width}
    return {"anyOf": [nested, flat]}


class Vector(Kind):
    name, expected = "vector", "vector"

    def schema(self, field: Field) -> dict[str, Any]:
        return shape_schema(field)

    def from_json(self, raw: Any, field: Field) -> list[float]:
        return flatten(raw, field, self.expected)

    def from_text(self, text: str, field: Field) -> list[float]:
        return flatten(read_list(text, field, self.expected), field, self.expected)

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        return Any, lambda raw: flatten(raw, field, self.expected)

    def pack(self, values: Sequence[Any], field: Field) -> Chunk:
        return pack_lists(field.dtype, field.width, values)

    def show(self, value: Any, field: Field) -> Any:
        return None if not value or value[0] is None else nest(value, field.shape)

    def control(self, field: Field) -> Control:
        flat = flatten(self.example(field), field, self.expected)
        return Control(control="numbers", attributes={"rows": 4}, value=" ".join(f"{number:g}" for number in flat), help=shape_words(field.shape))

    def example(self, field: Field) -> Any:
        return field.example if field.example is not None else nest([0 if field.dtype == "int64" else 0.0] * field.width, field.shape)


class Tensor(Vector):
    name, expected = "tensor", "tensor"
