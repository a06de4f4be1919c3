"""The control of each field: which one, what it starts from, what it says. Templates draw them; no HTML here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..signature import Field
from ..signature.kinds import kind_of
from .figures import figure

MOST_CONTROLS = 40  # beyond it one box to paste into
MOST_LISTED = 10  # known values of a text box: its own list shows none while a value is in it
ODD = ("", "_charset_", "isindex")  # names with a meaning of their own in HTML forms
KIND_WORDS = {"number": "number", "integer": "whole number", "boolean": "yes or no", "text": "text", "document": "document"}
ICONS = {"integer": "number", "tensor": "vector"}


class Choice(NamedTuple):
    value: str
    label: str
    is_chosen: bool = False


class Slider(NamedTuple):
    """Ends and step of a range; the ends are where most values lie, not a limit."""

    low: float
    high: float
    step: float
    value: float


class Control(msgspec.Struct, kw_only=True):
    """One field as a page shows it.

    ``widget`` names a macro in ``templates/carafe/_macros/controls.html``; ``name`` is the form key, ``value`` its text.
    """

    field: Field
    widget: str
    name: str
    id: str
    note: str
    icon: str
    value: str = ""
    hint: str = ""
    keyboard: str = ""
    choices: Sequence[Choice] = ()
    slider: Slider | None = None
    kept: str = ""  # a picture that was sent before, as a data: URL
    attributes: Mapping[str, str | int | float] = {}
    error: str = ""

    @property
    def label(self) -> str:
        """The field's own name: what the API calls it, so that page and call agree."""
        return self.field.name or "(no name)"

    @property
    def described_by(self) -> str:
        """Ids of the texts that belong to this control."""
        return " ".join([f"{self.id}-hint"] * bool(self.hint) + [f"{self.id}-wrong"] * bool(self.error))


def form_key(field: Field, index: int) -> str:
    """The name of the field's input: the field's own, unless HTML gives that a meaning."""
    is_odd = field.name in ODD or field.name.startswith("carafe:") or any(letter in field.name for letter in "\r\n\0")
    return f"carafe:field:{index}" if is_odd else field.name


def as_text(value: Any) -> str:
    """A JSON value as a form shows it.

    >>> as_text(None), as_text(True), as_text(3.0), as_text([1, 2.5]), as_text("a")
    ('', 'true', '3', '1, 2.5', 'a')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, list | tuple):
        flat = all(not isinstance(item, list | tuple | dict) for item in value)
        return ", ".join(as_text(item) for item in value) if flat else json.dumps(value)
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, dict) else str(value)


def build_controls(fields: Sequence[Field], values: Mapping[str, str], errors: Mapping[str, str], kept: Mapping[str, str]) -> list[Control]:
    """The controls of a form.

    :param values: form text by field name; a field without one shows nothing.
    :param errors: what is wrong, in words, by field name.
    :param kept: pictures sent before, as ``data:`` URLs, by field name.
    """
    return [
        _control(field, index, values.get(field.name, ""), errors.get(field.name, ""), kept.get(field.name, "")) for index, field in enumerate(fields)
    ]


def _control(field: Field, index: int, value: str, error: str, kept: str) -> Control:
    said = kind_of(field).control(field)
    control = Control(
        field=field, widget=said.control, name=form_key(field, index), id=f"f{index}", note=KIND_WORDS.get(field.kind, field.kind),
        icon=ICONS.get(field.kind, field.kind), value=value, error=error, kept=kept, hint=field.description, attributes=said.attributes,
        choices=[Choice(option, label, option == value) for option, label in said.options],
    )  # fmt: skip
    DRESS.get(said.control, _plain)(control)
    if field.nullable and said.control not in ("checkbox", "select", "radio"):
        _hint(control, "may be left empty" if "empty" not in field.description else "")
    control.hint = control.hint[:1].upper() + control.hint[1:]
    return control


def _plain(control: Control) -> None:
    """Nothing to add."""


def _hint(control: Control, text: str) -> None:
    control.hint = "; ".join(filter(None, (control.hint, text)))


def _number(control: Control) -> None:
    field = control.field
    control.slider = _slider(field, control.value)
    _hint(control, _bounds(field))
    lowest = field.minimum if field.minimum is not None else field.low
    if lowest is not None and lowest >= 0:  # keypads of phones have no minus
        control.keyboard = "numeric" if field.kind == "integer" else "decimal"


def _bounds(field: Field) -> str:
    low, high = (None if end is None else figure(float(end)) for end in (field.minimum, field.maximum))
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""


def _slider(field: Field, value: str) -> Slider | None:
    """A range somewhat wider than where most values lie, wide enough for the value at hand, and never beyond the limits."""
    low = field.low if field.low is not None else field.minimum
    high = field.high if field.high is not None else field.maximum
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        return None
    now = _number_in(value, field.example, (low + high) / 2)
    low, high, room = min(low, now), max(high, now), (high - low) / 4
    grid = _nice_step((high - low) / 5, field.kind == "integer")
    left = 0.0 if 0 <= low <= room else _tidy(math.floor((low - room) / grid) * grid)
    right = 0.0 if -room <= high <= 0 else _tidy(math.ceil((high + room) / grid) * grid)
    left, right = max(left, _or(field.minimum, left)), min(right, _or(field.maximum, right))
    step = _nice_step((right - left) / 100, field.kind == "integer")
    return Slider(left, right, step, now) if left < right else None


def _or(limit: float | None, otherwise: float) -> float:
    return otherwise if limit is None else limit


def _number_in(*candidates: Any) -> float:
    """The first of ``candidates`` that is a finite number, also as text; the last one always is."""
    for candidate in candidates:
        try:
            number = float(candidate)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number) and abs(number) < 1e15:
            return number
    return 0.0


def _nice_step(rough: float, whole: bool) -> float:
    """The 1, 2 or 5 times a power of ten that is nearest below ``rough``.

    >>> _nice_step(0.037, False), _nice_step(37, True), _nice_step(0.2, True)
    (0.02, 20.0, 1.0)
    """
    power = 10.0 ** math.floor(math.log10(rough))
    step = _tidy(next(times for times in (5, 2, 1) if times * power <= rough * 1.0000001) * power)
    return max(1.0, step) if whole else step


def _tidy(value: float) -> float:
    return float(f"{value:.12g}")


def _choices(control: Control) -> None:
    if control.field.kind == "category":
        control.note = f"one of {len(control.field.choices):,}"


def _combo(control: Control) -> None:
    control.note = control.field.kind
    if control.choices:
        known = [choice.label for choice in control.choices[:MOST_LISTED]]
        rest = len(control.choices) - len(known)
        _hint(control, "known: " + ", ".join(known) + (f" and {rest:,} more" if rest else ""))
        _hint(control, "other values are accepted")


def _datetime(control: Control) -> None:
    is_date = control.attributes.get("type") == "date"
    control.note = "date" if is_date else "date and time, UTC"
    control.value = control.value[:10] if is_date else control.value.replace(" ", "T").removesuffix("Z").removesuffix("+00:00")


def _file(control: Control) -> None:
    if control.field.kind == "image":
        _image(control)


def _image(control: Control) -> None:
    field = control.field
    extents = field.shape[:2] if len(field.shape) >= 2 else ()
    width = field.options.get("width") or (extents[1] if extents else 0)
    height = field.options.get("height") or (extents[0] if extents else 0)
    tone = "grey" if field.options.get("mode", "L" if len(field.shape) == 2 else "RGB") == "L" else "colour"
    control.note = f"{width} × {height}, {tone}" if width and height else f"picture, {tone}"
    if control.value.startswith("data:image/"):
        control.kept, control.value = control.value, ""


def _numbers(control: Control) -> None:
    field = control.field
    shape = " × ".join(f"{extent:,}" for extent in field.shape)
    control.note = f"{shape} numbers"
    _hint(control, "separated by commas, spaces or line ends" if len(field.shape) < 2 else "as nested JSON lists, or all in a row")


DRESS = {
    "number": _number, "select": _choices, "radio": _choices, "combo": _combo, "datetime": _datetime, "file": _file, "canvas": _file,
    "numbers": _numbers,
}  # fmt: skip
