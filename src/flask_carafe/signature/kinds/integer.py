"""``integer``: exact to 64 bits; where it may be missing it travels as a double and is exact to 2^53."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from ..model import Field
from .base import EXACT, Control, Kind, Wrong, check_range, shown
from .number import middle, number_control, range_schema, read_decimal


def bounds(field: Field) -> tuple[int, int]:
    """The whole numbers that this field takes, ends included."""
    least, most = (-(2**63), 2**63 - 1) if field.dtype == "int64" else (-EXACT, EXACT)
    if field.dtype == "float32":
        least, most = -(2**24), 2**24
    if field.minimum is not None:
        least = max(least, math.ceil(field.minimum))
    if field.maximum is not None:
        most = min(most, math.floor(field.maximum))
    return least, most


class Integer(Kind):
    name, expected = "integer", "integer"

    def schema(self, field: Field) -> dict[str, Any]:
        return range_schema("integer", field)

    def from_json(self, raw: Any, field: Field) -> int:
        if isinstance(raw, float) and raw.is_integer() and abs(raw) <= EXACT:
            raw = int(raw)  # JSON knows one kind of number, and 3.0 is a whole one
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise Wrong(self.expected, shown(raw), "a whole number" if isinstance(raw, float) else "an integer")
        check_range(raw, field, raw)
        least, most = bounds(field)
        if not least <= raw <= most:
            raise Wrong(self.expected, shown(raw), f"an integer between {least} and {most}")
        return raw

    def from_text(self, text: str, field: Field) -> int:
        return self.from_json(read_decimal(text, self.expected), field)

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        least, most = bounds(field)
        return Annotated[int, msgspec.Meta(ge=least, le=most)], None

    def show(self, value: Any, field: Field) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def control(self, field: Field) -> Control:
        return number_control(field, "1", self.example(field))

    def example(self, field: Field) -> int:
        return field.example if field.example is not None else math.floor(middle(field))
