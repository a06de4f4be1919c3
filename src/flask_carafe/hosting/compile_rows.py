"""Rows on which a compiled model is held against the one that it was made from: corners of the inputs, splits of its trees, chance."""

from __future__ import annotations

import csv
import io
import math
import random
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..artifacts.intake import opened
from ..signature import Field, Signature
from ..signature.kinds import Wrong, kind_of
from ..signature.layout import unpack
from . import trial_rows

CHANCE_ROWS = 1000
MOST_SAMPLE_ROWS, MOST_SAMPLE_BYTES = 1000, 64 << 20
MOST_CHOICES = 50
MOST_CORNERED = 400  # fields; each brings some rows, and each row all fields
UNSEEN = "a category that was never seen"
Row = list[Any]


def corners(signature: Signature, edges: Sequence[Sequence[float]]) -> Iterator[Row]:
    """Rows in the order of the fields: middles, ends, zeros, tiny, huge, every category, an unseen one, missing values."""
    base = _base(signature)
    ranges = _ranges(signature, edges)
    yield base
    for pick in (lambda low, high: (low + high) / 2, lambda low, high: low, lambda low, high: high, lambda low, high: 0.0):
        yield [_number(field, pick(*ranges[at])) if at in ranges else base[at] for at, field in enumerate(signature.fields)]
    count = len(signature.fields)
    for at in sorted(random.Random(2).sample(range(count), min(count, MOST_CORNERED))):
        field = signature.fields[at]
        for value in _corners_of(field, ranges.get(at)):
            yield [*base[:at], value, *base[at + 1 :]]
    if any(field.nullable for field in signature.fields):
        yield [None if field.nullable else base[at] for at, field in enumerate(signature.fields)]


def _base(signature: Signature) -> Row:
    whole = trial_rows.packed(signature, [trial_rows.example(signature)])
    return [column[0] for column in unpack(signature, whole)]


def _corners_of(field: Field, ends: tuple[float, float] | None) -> list[Any]:
    values: list[Any] = list(field.choices[:MOST_CHOICES])
    if field.choices and not field.closed:
        values.append(UNSEEN if field.dtype == "text" else _number(field, 1 + max(value for value in field.choices if not isinstance(value, str))))
    if ends is not None:
        low, high = ends
        size = max(abs(low), abs(high), 1.0)
        values += [_number(field, value) for value in (low, high, 0.0, 1e-9, -1e-9, -size, 1000 * size, -1000 * size)]
    if field.kind == "boolean":
        values += [_truth(field, False), _truth(field, True)]
    return [*values, None] if field.nullable else values


def at_splits(signature: Signature, edges: Sequence[Sequence[float]]) -> Iterator[Row]:
    """Rows with one value at a split of a tree, one step of float64 and one of float32 to each side of it; the rest by chance."""
    chance, ranges = random.Random(1), _ranges(signature, edges)
    for place, split in edges:
        at, field = int(place), signature.fields[int(place)]
        for value in dict.fromkeys(_number(field, near) for near in _around(split)):
            row = _chance_row(signature, ranges, chance)
            row[at] = value
            yield row


def _around(value: float) -> tuple[float, ...]:
    """``value`` and its neighbours.

    >>> [round(near - 1, 8) for near in _around(1.0)]
    [0.0, 0.0, -0.0, -6e-08, 1.2e-07]
    """
    small = struct.unpack("<f", struct.pack("<f", value))[0]
    step = 2.0 ** (math.frexp(small)[1] - 24) if small else 1e-45
    below = small - step / (2 if math.frexp(small)[0] == 0.5 else 1)
    return (value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf), below, small + step)


def by_chance(signature: Signature, edges: Sequence[Sequence[float]], count: int = CHANCE_ROWS) -> Iterator[Row]:
    """``count`` rows from all over the inputs and a little beyond; one value in twenty is missing where that is allowed."""
    chance, ranges = random.Random(0), _ranges(signature, edges)
    for _ in range(count):
        yield _chance_row(signature, ranges, chance)


def _chance_row(signature: Signature, ranges: dict[int, tuple[float, float]], chance: random.Random) -> Row:
    row: Row = []
    for at, field in enumerate(signature.fields):
        if field.nullable and chance.random() < 0.05:
            row.append(None)
        elif field.choices:
            row.append(chance.choice(field.choices))
        elif at in ranges:
            low, high = ranges[at]
            row.append(_number(field, low + (1.2 * chance.random() - 0.1) * (high - low)))
        else:
            row.append(_truth(field, chance.random() < 0.5))
    return row


def _ranges(signature: Signature, edges: Sequence[Sequence[float]]) -> dict[int, tuple[float, float]]:
    """Where values of each number lie: as the signature says, else where trees split, else around its example."""
    splits: dict[int, list[float]] = {}
    for place, value in edges:
        splits.setdefault(int(place), []).append(value)
    base, made = _base(signature), {}
    for at, field in enumerate(signature.fields):
        if field.kind not in ("number", "integer") or field.choices:
            continue
        known = [*splits.get(at, ()), *(end for end in (field.low, field.high) if end is not None)]
        middle = float(base[at] or 0.0)
        low, high = (min(known), max(known)) if len(set(known)) > 1 else (middle - max(1.0, abs(middle)), middle + max(1.0, abs(middle)))
        made[at] = (low, high)
    return made


def _number(field: Field, value: float) -> Any:
    """``value`` as this field may hold it: within its limits, whole where it must be."""
    value = max(value, field.minimum) if field.minimum is not None else value
    value = min(value, field.maximum) if field.maximum is not None else value
    if field.kind == "integer" or field.dtype == "int64":
        return round(value) if field.dtype == "int64" else float(round(value))
    return float(value)


def _truth(field: Field, value: bool) -> Any:
    return value if field.dtype == "bool" else float(value)


def of_sample(path: str, signature: Signature) -> list[Row]:
    """Rows of the sample that this signature takes, up to 1,000; other columns and other rows are passed over."""
    with opened(Path(path)) as file:
        text = file.read(MOST_SAMPLE_BYTES).decode("utf-8-sig", "replace")
    rows = []
    for cells in csv.DictReader(io.StringIO(text, newline="")):
        try:
            rows.append([_cell(field, cells.get(field.name)) for field in signature.fields])
        except Wrong:
            continue
        if len(rows) == MOST_SAMPLE_ROWS:
            break
    return rows


def _cell(field: Field, text: str | None) -> Any:
    kind = kind_of(field)
    if text is None or kind.is_blank(text, field):
        if not field.nullable:
            raise Wrong("a value", "nothing", "a value")
        return None
    return kind.from_text(text, field)
