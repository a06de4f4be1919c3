"""What "Call it" says: the fields as a table, the shapes of a request, limits, and what can go wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..config import show_size
from ..globals import current_carafe
from ..operations.openapi import ERRORS, example_answer, example_events, shapes
from ..operations.predict import Prediction
from ..serving.table import Model
from ..signature import Field
from ..signature.kinds import kind_of
from .controls import ICONS, KIND_WORDS, Control, as_text
from .figures import duration, figure
from .snippets import pretty, snippets

MOST_CHOICES = 24
MOST_SHOWN = 12  # entries of a list or an object in an example; what is copied as a call is whole
LONGEST = 100  # characters of an example; pictures in base64 are cut


class Told(NamedTuple):
    """What the page says of one prediction beside its answer."""

    id: str
    took_ms: float


class FieldRow(NamedTuple):
    name: str
    kind: str
    icon: str
    values: str
    missing: str
    example: str


def told(made: Prediction | None) -> Told | None:
    return Told(made.id, made.seconds * 1000) if made else None


def start_words(controls: Sequence[Control]) -> str:
    """How to begin, for a page that has no answer yet."""
    kinds = {control.widget for control in controls}
    if kinds == {"canvas"}:
        return "Draw a picture or choose one, and ask."
    if kinds == {"file"}:
        return "Choose a file and ask."
    return "The form starts with an example: ask, or change it first."


def call_page(model: Model, url: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page shows; the calls send ``row`` to ``url``."""
    signature = model.entry.signature
    assert signature is not None
    others = [value for key, value in shapes(model).items() if key != "row"]
    count = len(signature.fields)
    return {
        "snippets": snippets(url, row, signature.fields, signature.streams),
        "answer_example": example_events(model).rstrip() if signature.streams else cut_json(example_answer(model)),
        "rows": [field_row(field) for field in signature.fields],
        "fields_note": f"{count:,} field{'s' * (count != 1)}; {'others are ignored' if signature.extra == 'ignore' else 'others are refused'}",
        "shapes": [cut_json(shape) for shape in others],
        "limits": limits(model),
        "errors": list(ERRORS.items()),
    }


def limits(model: Model) -> list[tuple[str, str]]:
    """What one request may be and how long it may take."""
    settings = current_carafe.settings
    return [
        ("Body", show_size(settings.max_body_bytes)),
        ("Rows a request", "1" if model.streams else f"{settings.max_rows:,}"),
        ("Deadline", f"{duration(settings.predict_timeout_s * 1000)}, or what X-Request-Timeout-Ms says"),
        ("Hang limit", f"{duration(model.entry.timeout_ms)}, then the model’s process is replaced"),
        ("Waiting", f"{settings.queue_rows:,} rows"),
    ]


def field_row(field: Field) -> FieldRow:
    """One field in words."""
    icon = ICONS.get(field.kind, field.kind)
    missing = "yes, as null" if field.nullable else "no"
    return FieldRow(field.name or '""', KIND_WORDS.get(field.kind, field.kind), icon, range_words(field), missing, _example(field))


def range_words(field: Field) -> str:
    """Which values a field takes."""
    parts = [field.description] if field.description else []
    if field.choices:
        names = [as_text(choice) for choice in field.choices[:MOST_CHOICES]]
        rest = len(field.choices) - len(names)
        parts.append(", ".join(names) + (f" and {rest:,} more" if rest else "") + ("" if field.closed else "; others are accepted"))
    ends = [f"at least {figure(field.minimum)}"] * (field.minimum is not None) + [f"at most {figure(field.maximum)}"] * (field.maximum is not None)
    parts += [", ".join(ends)] if ends else []
    if field.low is not None and field.high is not None and not ends:
        parts.append(f"mostly {figure(field.low)} to {figure(field.high)}")
    if field.kind == "image":
        parts.append(f"a PNG, JPEG, WebP, GIF or BMP file, the same in base64, or {field.width:,} numbers")
    elif field.shape:
        parts.append(" × ".join(f"{extent:,}" for extent in field.shape) + " numbers")
    return "; ".join(parts) or {
        "document": "a PDF, Word or text file, or the text itself",
        "datetime": "ISO 8601, UTC where no offset is given",
        "boolean": "true or false",
    }.get(field.kind, "any")


def _example(field: Field) -> str:
    if field.kind == "image":
        return "a file"
    text = json.dumps(kind_of(field).example(field), ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"


def cut_json(value: Any, most: int = MOST_SHOWN) -> str:
    """JSON over lines, with long texts and lists cut short."""
    return pretty({key: _cut(item, most) for key, item in value.items()})


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, Mapping):
        shown = {key: _cut(item, most) for key, item in list(value.items())[:most]}
        return shown | ({"…": "…"} if len(value) > most else {})
    if isinstance(value, list | tuple):
        return [_cut(item, most) for item in value[:most]] + ["…"] * (len(value) > most)
    return value if not isinstance(value, str) or len(value) <= LONGEST else value[:60] + "…"
