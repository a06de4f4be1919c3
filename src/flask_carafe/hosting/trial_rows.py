"""Rows for a trial: two unlike ones that the signature itself takes, and frames in which one field each is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..errors import InvalidInput, TrialFailed
from ..signature import Field, Rows, Signature
from ..signature.decode import Decoder
from ..signature.layout import pack, unpack
from ..signature.schema import trial_request

MOST_FIELDS = 200  # tried one by one for missing values; what lies beyond is tried together
CONSTANTS = (1, 5, 2, 10, 50, 100, -1)
OTHER_TEXT = "Another text, of other words."


def example(signature: Signature) -> dict[str, Any]:
    """One row by field name that needs no picture or document to be read."""
    return trial_request(signature)


def variant(signature: Signature) -> dict[str, Any]:
    """Another row, unlike :func:`example` wherever a field has room for it."""
    row = example(signature)
    return {field.name: _variant(field, row[field.name]) for field in signature.fields}


def candidates(signature: Signature) -> Iterator[dict[str, Any]]:
    """Rows to begin with: the example, its variant, then all numbers alike; some models answer only near what they saw."""
    row = example(signature)
    yield row
    yield variant(signature)
    for number in CONSTANTS:
        yield {field.name: _constant(field, row[field.name], number) for field in signature.fields}


def _constant(field: Field, value: Any, number: int) -> Any:
    is_free = field.kind in ("number", "integer") and not field.choices
    low, high = field.minimum, field.maximum
    return number if is_free and (low is None or number >= low) and (high is None or number <= high) else value


def with_examples(signature: Signature, row: dict[str, Any]) -> Signature:
    """The signature with the numbers of ``row`` as the examples of its fields, so that pages and docs show what is answered."""
    fields = [msgspec.structs.replace(f, example=row[f.name]) if f.kind in ("number", "integer") else f for f in signature.fields]
    return msgspec.structs.replace(signature, fields=tuple(fields))


def _variant(field: Field, value: Any) -> Any:
    if field.choices:
        return next((choice for choice in reversed(field.choices) if choice != value), value)
    if field.kind == "boolean":
        return not value
    if field.kind in ("text", "document") and isinstance(value, str):
        return OTHER_TEXT
    if field.kind in ("number", "integer") and isinstance(value, (int, float)):
        return _other_number(field, value)
    if isinstance(value, list) and all(isinstance(number, (int, float)) for number in value):
        return [number / 2 if field.dtype != "int64" else number // 2 for number in value]
    return value


def _other_number(field: Field, value: float) -> float:
    """Another number within the limits; where most values lie, if that is known."""
    for other in (field.high, field.low, value + 1, value - 1, field.maximum, field.minimum):
        if other is None or other == value or (field.kind == "integer" and other != int(other)):
            continue
        if (field.minimum is None or other >= field.minimum) and (field.maximum is None or other <= field.maximum):
            return int(other) if field.kind == "integer" else other
    return value


def packed(signature: Signature, rows: Sequence[dict[str, Any]]) -> Rows:
    """``rows`` as a request would bring them.

    :raises TrialFailed: the signature refuses its own example; a limit or an example written by hand does not fit.
    """
    try:
        ready = Decoder(signature).value(list(rows))
    except InvalidInput as exc:
        raise TrialFailed(f"The example of its own fields is refused: {exc}", "Give fields examples that fit, with fields or --sample.") from exc
    if not isinstance(ready, Rows):
        raise TrialFailed("Its example holds a file that only the media host reads.", "Give the field an example of plain values.")
    return ready


def one(signature: Signature, rows: Rows, index: int) -> Rows:
    """Row ``index`` of ``rows``, alone."""
    return pack(signature, [[column[index]] for column in unpack(signature, rows)], 1, False)


def part(signature: Signature, rows: Rows, start: int, stop: int) -> Rows:
    """Rows ``start`` to ``stop``, or to the end."""
    columns = [column[start:stop] for column in unpack(signature, rows)]
    return pack(signature, columns, len(columns[0]), False)


def with_gaps(signature: Signature, names: Sequence[str]) -> Iterator[tuple[list[str], Rows]]:
    """``(fields that are missing, one row)``: each of ``names`` alone up to the cap, the rest together.

    ``signature`` must take missing values in all of them.
    """
    whole = packed(signature, [example(signature)])
    columns = unpack(signature, whole)
    places = {field.name: at for at, field in enumerate(signature.fields)}
    groups = [[name] for name in names[:MOST_FIELDS]]
    if names[MOST_FIELDS:]:
        groups.append(list(names[MOST_FIELDS:]))
    for group in groups:
        gone = {places[name] for name in group}
        values = [[None] if at in gone else list(column) for at, column in enumerate(columns)]
        yield group, pack(signature, values, 1, False)


def joined(signature: Signature, rows: Sequence[Rows]) -> Rows:
    """Several rows as one."""
    columns = [unpack(signature, piece) for piece in rows]
    values = [[value for piece in columns for value in piece[at]] for at in range(len(signature.fields))]
    return pack(signature, values, len(rows), False)
