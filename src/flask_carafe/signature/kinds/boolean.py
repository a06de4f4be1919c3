"""``boolean``: true or false. In forms a hidden companion says ``false`` where the box is left empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..model import Field
from .base import Control, Kind, Wrong, shown

WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "0.0"), False),
}


class Boolean(Kind):
    name, expected = "boolean", "boolean"

    def schema(self, field: Field) -> dict[str, Any]:
        return {"type": "boolean"}

    def from_json(self, raw: Any, field: Field) -> bool:
        if not isinstance(raw, bool):
            raise Wrong(self.expected, shown(raw), "true or false")
        return raw

    def from_text(self, text: str, field: Field) -> bool:
        value = WORDS.get(text.strip().lower())
        if value is None:
            raise Wrong(self.expected, shown(text), "true or false")
        return value

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        return bool, None

    def show(self, value: Any, field: Field) -> Any:
        return value if value is None else bool(value)

    def control(self, field: Field) -> Control:
        if field.nullable:
            return Control(control="select", options=(("", "unknown"), ("true", "yes"), ("false", "no")))
        return Control(control="checkbox", attributes={"type": "checkbox", "value": "true"}, value="true" if self.example(field) else "")

    def example(self, field: Field) -> bool:
        return bool(field.example) if field.example is not None else False
