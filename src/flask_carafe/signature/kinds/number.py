"""``number``: a finite double, or a float32 where the model computes in it. Missing travels as NaN."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from ..model import Field
from ..packing import shortest
from .base import EXACT, Control, Kind, Wrong, check_range, exact_float, plain, shown

DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
PLAIN = re.compile(r"[0-9eE+.,-]*")  # what is made of these and read by float() is a decimal as above
WHOLE = re.compile(r"[+-]?[0-9]{1,300}")


def read_decimal(text: str, expected: str) -> int | float:
    """A number in plain decimal notation; ``nan``, ``inf``, ``1_000`` and ``1,5`` are none. :raises Wrong: as it says."""
    text = text.strip()
    if WHOLE.fullmatch(text):
        return int(text)
    if not DECIMAL.fullmatch(text):
        raise Wrong(expected, shown(text))
    return float(text)


def round_example(value: float, field: Field) -> float:
    """``value`` to four significant digits, so that an example can be read; the trace that a mean leaves near 0 is 0."""
    span = field.high - field.low if field.low is not None and field.high is not None else 0.0
    return 0.0 if abs(value) < (1e-9 * span or 1e-12) else float(f"{value:.4g}")


def clamp(value: float, field: Field) -> float:
    if field.minimum is not None and value < field.minimum:
        return field.minimum
    if field.maximum is not None and value > field.maximum:
        return field.maximum
    return value


def middle(field: Field) -> float:
    """A likely value: the middle of what is known of the field's range, 0 when nothing is."""
    low, high = (field.low, field.high) if field.low is not None else (field.minimum, field.maximum)
    guess = (low + high) / 2 if low is not None and high is not None else low if low is not None else 0.0
    return clamp(guess, field)


def range_schema(kind: str, field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    if field.minimum is not None:
        schema["minimum"] = field.minimum
    if field.maximum is not None:
        schema["maximum"] = field.maximum
    return schema


def number_control(field: Field, step: str, example: Any) -> Control:
    attributes: dict[str, str | int | float] = {"type": "number", "step": step, "inputmode": "decimal" if step == "any" else "numeric"}
    for key, bound in (("min", field.minimum), ("max", field.maximum)):
        if bound is not None:
            attributes[key] = plain(bound)
    if field.low is not None and field.high is not None and field.low < field.high:
        attributes |= {"data-low": plain(field.low), "data-high": plain(field.high)}
    return Control(control="number", attributes=attributes, value="" if example is None else str(example))


class Number(Kind):
    name, expected = "number", "number"

    def schema(self, field: Field) -> dict[str, Any]:
        return range_schema("number", field)

    def from_json(self, raw: Any, field: Field) -> float:
        if isinstance(raw, bool) or not isinstance(raw, (int, float)):
            raise Wrong(self.expected, shown(raw))
        number = exact_float(raw, field)
        check_range(number, field, raw)
        return number

    def from_text(self, text: str, field: Field) -> float:
        return self.from_json(read_decimal(text, self.expected), field)

    def from_cells(self, cells: Sequence[str], field: Field) -> list[Any] | None:
        """As the base does, at the speed of C where every cell is a plain decimal that no rounding can have changed."""
        present = [cell for cell in cells if cell] if "" in cells else cells
        if not present or not PLAIN.fullmatch(",".join(present)) or (len(present) < len(cells) and not field.nullable):
            return super().from_cells(cells, field)
        try:
            numbers = list(map(float, present))
        except ValueError:
            return super().from_cells(cells, field)
        least, most = min(numbers), max(numbers)
        within = (field.minimum is None or field.minimum <= least) and (field.maximum is None or most <= field.maximum)
        if not (within and -EXACT < least <= most < EXACT):
            return super().from_cells(cells, field)
        if len(present) == len(cells):
            return numbers
        found = iter(numbers)
        return [next(found) if cell else None for cell in cells]

    def from_values(self, values: Sequence[Any], field: Field) -> list[Any] | None:
        """As the base does, at the speed of C where all are floats that no rounding can have changed."""
        if not {*map(type, values)} <= {float, int}:
            return super().from_values(values, field)
        least, most = min(values, default=0), max(values, default=0)
        within = (field.minimum is None or field.minimum <= least) and (field.maximum is None or most <= field.maximum)
        if not (within and -EXACT < least <= most < EXACT and math.isfinite(sum(values))):
            return super().from_values(values, field)
        return list(values)

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        if field.minimum is None and field.maximum is None:
            return float, None
        return Annotated[float, msgspec.Meta(ge=field.minimum, le=field.maximum)], None

    def show(self, value: Any, field: Field) -> Any:
        return shortest(value) if field.dtype == "float32" else value

    def control(self, field: Field) -> Control:
        return number_control(field, "any", self.example(field))

    def example(self, field: Field) -> float:
        return field.example if field.example is not None else round_example(middle(field), field)
