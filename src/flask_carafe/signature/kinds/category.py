"""``category``: one of a list of choices, which may be texts, numbers or booleans and stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from ..model import DType, Field, Scalar
from .base import EXACT, Control, Kind, Wrong, exact_float, shown
from .number import read_decimal
from .text import encodable

MOST_LISTED = 10
MOST_COMPARED = 300
MOST_RADIO = 3


def spell(choice: Scalar) -> str:
    """The one rule by which a class or choice becomes text: str as it is, numbers by repr, true and false."""
    if isinstance(choice, str):
        return choice
    return ("true" if choice else "false") if isinstance(choice, bool) else repr(choice)


def choices_dtype(choices: tuple[Scalar, ...]) -> DType:
    """How such choices travel: as their common type, as JSON where they have none."""
    types = {type(choice) for choice in choices}
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int64" if all(-(2**63) <= choice < 2**63 for choice in choices) else "json"  # type: ignore[operator]
    if types and types <= {int, float}:
        return "float64"
    return "text" if types <= {str} else "json"


def same(raw: Any, choice: Scalar) -> bool:
    """Whether they are one value: 1 and 1.0 are, 1 and true are not."""
    return raw == choice and isinstance(raw, bool) == isinstance(choice, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Category(Kind):
    name, expected = "category", "category"

    def schema(self, field: Field) -> dict[str, Any]:
        if field.closed and field.choices:
            return {"enum": list(field.choices)}
        types = {"text": "string", "bool": "boolean", "int64": "integer", "float64": "number", "float32": "number"}
        schema: dict[str, Any] = {"type": types[field.dtype]} if field.dtype in types else {"type": ["string", "number", "boolean"]}
        return schema | ({"examples": list(field.choices[:MOST_LISTED])} if field.choices else {})

    def from_json(self, raw: Any, field: Field) -> Any:
        for choice in field.choices:
            if same(raw, choice):
                return float(choice) if field.dtype in ("float64", "float32") else choice
        if field.closed and field.choices:
            raise self._unknown(raw, field)
        return self._open(raw, field)

    def from_text(self, text: str, field: Field) -> Any:
        for form in (text, text.strip()):
            for choice in field.choices:
                if spell(choice) == form:
                    return self.from_json(choice, field)
        return self.from_json(self._typed(text, field), field)

    def is_blank(self, text: str, field: Field) -> bool:
        return not text.strip() and text not in field.choices

    def from_cells(self, cells: Sequence[str], field: Field) -> list[Any] | None:
        """As the base does, looking at every distinct cell once."""
        read: dict[str, Any] = {}
        for cell in set(cells):
            one = super().from_cells([cell], field)
            if one is None:
                return None
            read[cell] = one[0]
        return [read[cell] for cell in cells]

    def _typed(self, text: str, field: Field) -> Any:
        """A cell that spells none of the choices, as the type that they have."""
        if field.dtype in ("int64", "float64", "float32"):
            return read_decimal(text, "number")
        if field.dtype == "bool" and text.strip().lower() in ("true", "false"):
            return text.strip().lower() == "true"
        return text

    def _open(self, raw: Any, field: Field) -> Any:
        """A value beyond the known choices, held to their type."""
        if field.dtype == "text" and isinstance(raw, str):
            return encodable(raw)
        if field.dtype == "int64" and is_number(raw) and -(2**63) <= raw < 2**63 and raw == int(raw):
            return int(raw)
        if field.dtype in ("float64", "float32") and is_number(raw):
            return exact_float(raw, field)
        if field.dtype == "bool" and isinstance(raw, bool):
            return raw
        if field.dtype == "json" and (isinstance(raw, (str, bool)) or (is_number(raw) and abs(raw) <= EXACT)):
            return encodable(raw) if isinstance(raw, str) else raw
        noun = {"text": "text", "bool": "true or false", "json": "a text, a number, true or false"}.get(field.dtype, "a number")
        raise Wrong(noun, shown(raw), noun)

    def _unknown(self, raw: Any, field: Field) -> Wrong:
        """Says what there is: all choices when they are few, else ten and how many more; the nearest first."""
        known = [shown(choice) for choice in field.choices[:MOST_LISTED]]
        rest = len(field.choices) - len(known)
        must = "one of " + ", ".join(known) + (f" and {rest} more" if rest > 0 else "")
        spelled = [spell(choice) for choice in field.choices[:MOST_COMPARED]]
        near = get_close_matches(str(raw)[:100], spelled, n=1) if isinstance(raw, (str, int, float)) else []
        if near:
            nearest = next(choice for choice in field.choices if spell(choice) == near[0])
            must += f" (nearest: {shown(nearest)})"
        return Wrong(must, shown(raw), must)

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        texts = {choice for choice in field.choices if isinstance(choice, str)}
        if field.dtype == "text" and field.closed and len(texts) == len(field.choices) > 0:
            return Literal[tuple(texts)], None
        if field.dtype == "text" and not field.closed:
            return str, None
        return super().fast(field)

    def show(self, value: Any, field: Field) -> Any:
        if isinstance(value, float) and value.is_integer():
            return next((choice for choice in field.choices if same(value, choice)), value)
        return value

    def control(self, field: Field) -> Control:
        options = tuple((spell(choice), spell(choice)) for choice in field.choices)
        value = spell(self.example(field))
        if not field.closed:
            return Control(control="combo", attributes={"type": "text"}, options=options, value=value)
        if len(options) <= MOST_RADIO and not field.nullable:
            return Control(control="radio", options=options, value=value)
        return Control(control="select", options=((("", "unknown"),) if field.nullable else ()) + options, value=value)

    def example(self, field: Field) -> Any:
        if field.example is not None:
            return field.example
        if field.choices:
            return field.choices[0]
        return {"text": "text", "bool": False, "int64": 0}.get(field.dtype, 0.0)
