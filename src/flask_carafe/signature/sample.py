"""What a sample of rows tells about the fields: types, usual range, categories, an example, a reference for drift.

Read with the standard library, column by column, in one pass with bounded memory.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from ..errors import BadRequest, ConfigError
from .kinds import Wrong
from .kinds.number import read_decimal
from .tabular import read_text

MOST_ROWS = 100_000
MOST_CATEGORIES = 50
MOST_BYTES = 512 * 1024 * 1024
QUANTILES = 20
MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "null", "none"}  # as pandas reads cells
TRUTHS = {"true", "false"}  # likewise: yes and no stay words, and models were fitted with words


class ColumnSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column of a sample. ``kind`` is number, integer, boolean, category or text; numbers in ``edges`` are quantiles.

    ``edges`` (21 of them, from the least value to the greatest) and ``counts`` are what drift is measured against.
    """

    name: str
    kind: str
    rows: int
    missing: int = 0
    edges: tuple[float, ...] = ()
    counts: dict[str, int] = {}

    @property
    def low(self) -> float | None:
        """The 5th percentile."""
        return self.edges[1] if self.edges else None

    @property
    def high(self) -> float | None:
        """The 95th percentile."""
        return self.edges[-2] if self.edges else None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of a sample file, small enough to be kept beside the version; ``example`` is one whole row of cells."""

    rows: int
    columns: dict[str, ColumnSummary]
    example: dict[str, str] = {}


def read_sample(path: str | Path) -> Sample:
    """The summary of a CSV file with a header; at most 100,000 rows are read.

    :raises ConfigError: it cannot be opened, or is no CSV with a header and rows.
    """
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise ConfigError(f"sample: {Path(path).name} is larger than 512 MiB.", "Give a sample of it: some thousand rows are plenty.")
        text = read_text(Path(path).read_bytes(), "utf-8")
    except OSError as exc:
        raise ConfigError(f"sample: {Path(path).name} cannot be read: {exc.strerror}.") from exc
    except BadRequest as exc:
        raise ConfigError(f"sample: {Path(path).name}: {exc}", "Save it as CSV in UTF-8.") from exc
    return summarise(Path(path).name, io.StringIO(text, newline=""))


def summarise(name: str, lines: Iterable[str]) -> Sample:
    """The summary of CSV lines. :raises ConfigError: as :func:`read_sample`."""
    reader = csv.reader(lines)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        rows = []
        for row in reader:
            if row and len(row) == len(header):
                rows.append(row)
            elif row:
                raise ConfigError(f"sample: {name}, line {reader.line_num}: {len(row)} cells under a header of {len(header)}.")
            if len(rows) >= MOST_ROWS:
                break
    except csv.Error as exc:
        raise ConfigError(f"sample: {name} cannot be read at line {reader.line_num}: {exc}.") from exc
    if not rows:
        raise ConfigError(f"sample: {name} has no rows under a header.", "The first line names the columns, the others hold values.")
    columns = {title: _column(title, [row[place] for row in rows]) for place, title in enumerate(header)}
    return Sample(rows=len(rows), columns=columns, example=_example(header, rows))


def is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _example(header: list[str], rows: list[list[str]]) -> dict[str, str]:
    """The first row without a gap among the first thousand, else the one with the fewest."""
    best = min(rows[:1000], key=lambda row: sum(map(is_missing, row)))
    return {title: cell for title, cell in zip(header, best, strict=True) if not is_missing(cell)}


def _column(title: str, cells: list[str]) -> ColumnSummary:
    present = [cell for cell in cells if not is_missing(cell)]
    facts: dict[str, Any] = {"name": title, "rows": len(cells), "missing": len(cells) - len(present)}
    numbers = _numbers(present)
    if numbers:
        kind = "integer" if all(isinstance(number, int) for number in numbers) else "number"
        return ColumnSummary(kind=kind, edges=_quantiles(numbers), **facts)
    counts = Counter(present)
    if present and all(cell.strip().lower() in TRUTHS for cell in counts):
        return ColumnSummary(kind="boolean", counts=dict(counts), **facts)
    if len(counts) <= MOST_CATEGORIES and len(counts) <= max(len(present) // 2, 1) and present:
        return ColumnSummary(kind="category", counts=dict(counts.most_common()), **facts)
    return ColumnSummary(kind="text", **facts)


def _numbers(cells: list[str]) -> list[int | float]:
    """All cells as numbers, or nothing when one of them is none."""
    numbers = []
    for cell in cells:
        try:
            numbers.append(read_decimal(cell, "number"))
        except Wrong:
            return []
    return numbers


def _quantiles(numbers: list[int | float]) -> tuple[float, ...]:
    """The least value, 19 quantiles between, and the greatest."""
    ordered = sorted(numbers)
    last = len(ordered) - 1
    return tuple(float(min(max(ordered[round(last * step / QUANTILES)], -1e308), 1e308)) for step in range(QUANTILES + 1))
