"""``datetime``: ISO 8601, a date alone allowed, no offset meaning UTC; travels as int64 microseconds since 1970."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..model import Field
from .base import Control, Kind, Wrong, shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Since 1970 in UTC; a naive one is taken as UTC."""
    return ((instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND


def instant(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def spell_instant(value: int) -> str:
    """ISO 8601 with ``Z``: ``2026-03-01T12:30:00Z``."""
    return instant(value).replace(tzinfo=None).isoformat() + "Z"


class Datetime(Kind):
    name, expected = "datetime", "date"

    def schema(self, field: Field) -> dict[str, Any]:
        return {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}

    def from_json(self, raw: Any, field: Field) -> int:
        if not isinstance(raw, str):
            raise Wrong(self.expected, shown(raw), "a date such as 2026-03-01 or 2026-03-01T12:30:00Z")
        return self.from_text(raw, field)

    def from_text(self, text: str, field: Field) -> int:
        try:
            return microseconds(datetime.fromisoformat(text.strip()))
        except (ValueError, OverflowError):
            raise Wrong(self.expected, shown(text), "a date such as 2026-03-01 or 2026-03-01T12:30:00Z") from None

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        return str, lambda text: self.from_text(text, field)

    def show(self, value: Any, field: Field) -> Any:
        return None if value is None else spell_instant(value)

    def native(self, value: Any, field: Field) -> Any:
        return None if value is None else instant(value)

    def control(self, field: Field) -> Control:
        value = str(self.example(field))
        return Control(control="datetime", attributes={"type": "datetime-local", "step": 1}, value=value.removesuffix("Z"))

    def example(self, field: Field) -> str:
        return str(field.example) if field.example is not None else "2026-03-01T12:30:00Z"
