"""What a kind of field must say of itself; each kind is one file beside this one.

A value passes three states: *raw* (what JSON, a CSV cell, a form or an upload held), *clean* (a Python value that
is certain to fit the field) and *packed* (bytes of a frame column). A kind turns raw into clean and clean into packed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from ..model import Chunk, Field
from ..packing import pack_column

EXACT = 2**53  # every whole number up to here is exact as a double
MOST_FLOAT32 = 3.4028235e38
LONGEST_GOT = 60


class Wrong(Exception):
    """A raw value that does not fit; ``Wrong(expected, got)`` or ``Wrong(expected, got, must)``, all in words."""

    @property
    def expected(self) -> str:
        return str(self.args[0])

    @property
    def got(self) -> str:
        return str(self.args[1])

    @property
    def must(self) -> str:
        """What the sentence ``<field> must be …`` ends with."""
        if len(self.args) > 2:
            return str(self.args[2])
        return ("an " if self.expected[:1] in "aeiou" else "a ") + self.expected


class Upload(msgspec.Struct, frozen=True, gc=False):
    """One file of a multipart body. The name is only ever shown, never opened."""

    data: bytes
    filename: str = ""
    content_type: str = ""


class Blob(msgspec.Struct, frozen=True, gc=False):
    """The bytes of a picture or document that a media host has yet to read."""

    data: bytes


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a form shows for a field: words for the template, no HTML.

    ``control`` is one of number, checkbox, select, radio, combo (a text box with suggestions), textarea, datetime,
    file, canvas, numbers (a box for many numbers). ``attributes`` are those of the HTML element.
    """

    control: str
    attributes: dict[str, str | int | float] = {}
    options: tuple[tuple[str, str], ...] = ()  # (value, text) of a select, radio or combo
    value: str = ""
    help: str = ""


def shown(value: Any) -> str:
    """``value`` as an error quotes it: its repr, cut to a readable length."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Blob):
        value = value.data
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value):,} bytes"
    text = repr(value[: LONGEST_GOT + 1]) if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_GOT else text[: LONGEST_GOT - 1] + "…"


def plain(value: float) -> str:
    """A bound as people write it: ``0`` and not ``0.0``."""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(value)


def check_range(value: float, field: Field, got: Any) -> None:
    """:raises Wrong: ``value`` lies outside what the field declares."""
    if field.minimum is not None and value < field.minimum:
        least = f"at least {plain(field.minimum)}"
        raise Wrong(least, shown(got), least)
    if field.maximum is not None and value > field.maximum:
        most = f"at most {plain(field.maximum)}"
        raise Wrong(most, shown(got), most)


def exact_float(value: int | float, field: Field, expected: str = "number") -> float:
    """``value`` as the float that travels, refused where it would not stay what it is.

    :raises Wrong: not finite, a whole number beyond 2^53 that a double cannot hold, or too large for float32.
    """
    try:
        number = float(value)
    except OverflowError:
        raise Wrong(expected, shown(value), "a number that a double can hold") from None
    if not math.isfinite(number):
        raise Wrong(expected, shown(value), "a finite number")
    if isinstance(value, int) and number != value:
        raise Wrong(expected, shown(value), "a number that a double can hold exactly (whole numbers up to 2^53 always are)")
    if field.dtype == "float32" and abs(number) > MOST_FLOAT32:
        raise Wrong(expected, shown(value), "a number between -3.4e38 and 3.4e38, which is what this model computes in")
    return number


class Kind:
    """One kind of field. Nothing here keeps state: the field is handed to every method."""

    name: ClassVar[str]
    expected: ClassVar[str]  # the noun in "must be a …"
    takes_files: ClassVar[bool] = False

    def schema(self, field: Field) -> dict[str, Any]:
        """JSON Schema (2020-12) of one value that is not missing."""
        raise NotImplementedError

    def from_json(self, raw: Any, field: Field) -> Any:
        """The clean value of a parsed JSON value that is not null. :raises Wrong: it does not fit."""
        raise NotImplementedError

    def from_text(self, text: str, field: Field) -> Any:
        """The clean value of a CSV cell or form value that is not empty. :raises Wrong: it does not fit."""
        raise NotImplementedError

    def from_cells(self, cells: Sequence[str], field: Field) -> list[Any] | None:
        """The clean values of a whole CSV column, None where a cell is empty; None alone when any cell is not right."""
        try:
            values = [None if self.is_blank(cell, field) else self.from_text(cell, field) for cell in cells]
        except Wrong:
            return None
        return values if field.nullable or None not in values else None

    def from_values(self, values: Sequence[Any], field: Field) -> list[Any] | None:
        """The clean values of a column of JSON values, None where one is missing; None alone when any is not right."""
        try:
            clean = [None if value is None else self.from_json(value, field) for value in values]
        except Wrong:
            return None
        return clean if field.nullable or None not in clean else None

    def is_blank(self, text: str, field: Field) -> bool:
        """Whether a CSV cell or form value is no value: empty, or spaces only."""
        return not text.strip()

    def from_upload(self, upload: Upload, field: Field) -> Any:
        """The clean value of an uploaded file. :raises Wrong: this kind takes none, or not this one."""
        raise Wrong(self.expected, "a file")

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        """``(msgspec type, convert)``: what a value is decoded as, and what makes it clean (None: it already is)."""
        return Any, lambda raw: self.from_json(raw, field)

    def pack(self, values: Sequence[Any], field: Field) -> Chunk:
        """Clean values (None where missing) as one frame column."""
        return pack_column(field.dtype, values)

    def show(self, value: Any, field: Field) -> Any:
        """A value as it left the frame column, as JSON would hold it."""
        return value

    def native(self, value: Any, field: Field) -> Any:
        """A value as it left the frame column, as a Python function would like it."""
        return self.show(value, field)

    def control(self, field: Field) -> Control:
        raise NotImplementedError

    def example(self, field: Field) -> Any:
        """A value that JSON could hold and that this field takes."""
        raise NotImplementedError
