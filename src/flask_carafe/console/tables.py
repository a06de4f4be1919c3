"""Many rows on a page: a CSV in, a table of answers out, and the same as a file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import request

from ..errors import BadRequest
from ..signature.kinds.category import spell
from .controls import as_text
from .figures import figure
from .sheet import ERROR, Sheet

MOST_SHOWN = 200
MOST_ANSWER_COLUMNS = 6  # prediction and the first probabilities; the file has all of them
KEPT_TEXT = 200_000  # characters of CSV that come back with the page
NUMBER = re.compile(r"-?\d[\d.,]*(e[+-]?\d+)?", re.IGNORECASE)


class Cell(NamedTuple):
    text: str
    is_number: bool


class Row(NamedTuple):
    answers: Sequence[Cell]
    inputs: Sequence[str]


class Table(NamedTuple):
    heading: str
    note: str
    answer_names: Sequence[str]
    input_names: Sequence[str]
    rows: Sequence[Row]


def read_csv_sent() -> tuple[bytes, str]:
    """The CSV of the submission at hand and, where it is small, its text to keep on the page; a file wins over the box.

    :raises BadRequest: neither was given.
    """
    file = request.files.get("file")
    body = file.read() if file and file.filename else b""
    pasted = request.form.get("text", "").replace("\r\n", "\n")
    if not body and not pasted.strip():
        raise BadRequest("Choose a CSV file, or paste some lines of it.")
    if not body:
        return pasted.strip("\n").encode() + b"\n", pasted
    kept = body.decode("utf-8-sig", "replace")
    return body, kept if len(kept) <= KEPT_TEXT else ""


def example_csv(row: Mapping[str, Any]) -> str:
    """The example as two lines of CSV: the names, and one row."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(row)
    writer.writerow([as_text(value) for value in row.values()])
    return lines.getvalue()


def show_table(sheet: Sheet, records: Sequence[Mapping[str, Any]], failed: int, took: str) -> Table:
    """The first rows as a page shows them; answers first, since they are what was asked for."""
    names = list(records[0]) if records else []
    shown_names = [name for i, name in enumerate(names) if i < MOST_ANSWER_COLUMNS or name == ERROR]
    rows = [
        Row([Cell(_answer(record.get(name)), isinstance(record.get(name), int | float)) for name in shown_names], [_short(cell) for cell in cells])
        for cells, record in zip(sheet.lines[:MOST_SHOWN], records[:MOST_SHOWN], strict=False)
    ]
    count = len(records) - failed
    heading = f"{count:,} answer{'s' * (count != 1)} in {took}"
    return Table(heading, _note(sheet, len(records), failed, len(names) - len(shown_names)), shown_names, sheet.header, rows)


def _note(sheet: Sheet, count: int, failed: int, hidden: int) -> str:
    """What the table does not show, and what was not asked."""
    notes = [f"{failed:,} row{'s' * (failed != 1)} without an answer"] if failed else []
    notes += [f"the first {MOST_SHOWN}"] if count > MOST_SHOWN else []
    notes += [f"{hidden:,} more columns are in the file"] if hidden else []
    notes += [f"not used by the model: {', '.join(map(_short, sheet.passed))}"] if sheet.passed else []
    return "; ".join(notes)


def _answer(value: Any) -> str:
    if value is None:  # a row without an answer: the column beside says why
        return "–"
    return figure(value, 4) if isinstance(value, float) else figure(value) if isinstance(value, bool) else as_text(value)


def _short(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= 80 else text[:79] + "…"


def write_csv(records: Sequence[Mapping[str, Any]], sheet: Sheet) -> bytes:
    """The rows as they were sent, with the answers behind them; no cell can be taken for a formula."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    width = len(sheet.header)
    writer.writerow([neutral(name) for name in (*sheet.header, *_apart(records[0], sheet.header))])
    for cells, record in zip(sheet.lines, records, strict=True):
        level = [*cells, *[""] * (width - len(cells))][:width]
        writer.writerow([neutral(cell(value)) for value in (*level, *record.values())])
    return lines.getvalue().encode()


def _apart(record: Mapping[str, Any], header: Sequence[str]) -> list[str]:
    """Names of answers, told apart from columns that are called the same."""
    return [f"model {name}" if name in header else name for name in record]


def cell(value: Any) -> str:
    """One value, nothing rounded."""
    return spell(value) if isinstance(value, str | int | float) else as_text(value)


def neutral(text: str) -> str:
    """A text that no spreadsheet runs; numbers stay numbers.

    Source: OWASP, CSV Injection.

    >>> neutral("=1+1"), neutral("-5.5"), neutral("@SUM(A1)"), neutral("-5+cmd"), neutral("Lagos")
    ("'=1+1", '-5.5', "'@SUM(A1)", "'-5+cmd", 'Lagos')
    """
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not NUMBER.fullmatch(text) else text
