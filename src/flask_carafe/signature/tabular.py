"""Rows in lines: CSV under a header of field names, and NDJSON."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from ..errors import MOST_DETAILS, BadRequest, Detail, InvalidInput, TooManyRows, WrongMediaType
from . import strict
from .check import NEAR, Checker, listed, name_of
from .kinds.number import DECIMAL
from .model import Rows
from .packing import encode_json
from .pending import Pending
from .places import place_columns
from .refusal import refusal
from .shapes import Raw

UNICODE = {"utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii"}
WESTERN = {f"iso8859-{part}" for part in (1, 2, 5, 7, 9, 15)} | {f"cp125{part}" for part in range(5)} | {"koi8-r"}
EASTERN = {"gb2312", "gbk", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"}
CHARSETS = UNICODE | WESTERN | EASTERN
MISSING = {"NaN", "nan", "NA", "N/A", "null", "NULL", "None"}  # what other tools write in place of a number that is not there
COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


def read_text(body: bytes, charset: str) -> str:
    """The text of a body, without its byte order mark.

    :raises WrongMediaType: a charset that is unknown, or known and not read here (utf-7).
    :raises BadRequest: bytes that are not in it, with their place.
    """
    try:
        name = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        name = ""
    if name not in CHARSETS:
        raise WrongMediaType(f"charset={charset[:40]}")
    for magic, kind in COMPRESSED.items():
        if body.startswith(magic):
            raise malformed(f"The body is {kind}-compressed, not text.")
    try:
        return body.decode("utf-8-sig" if name == "utf-8" else name)
    except UnicodeDecodeError as exc:
        raise malformed(f"The body is not {name.upper()}: byte {exc.start} cannot be read.") from None
    except UnicodeError:
        raise malformed(f"The body is not {name.upper()}.") from None


def malformed(sentence: str, hint: str = "Send text in UTF-8, its first line naming the fields.") -> BadRequest:
    """A table that cannot be read; its hint is about tables, not about JSON objects."""
    error = BadRequest(sentence)
    error.hint = hint
    return error


def read_csv(body: bytes, charset: str, checker: Checker, foreign: bool = False) -> Rows | Pending:
    """See :meth:`Decoder.csv`. Errors name the line of the file."""
    text = read_text(body, charset)
    if "\0" in text:
        raise malformed(f"The CSV holds a NUL character at position {text.index(chr(0)):,}.")
    lines = _lines(csv.reader(io.StringIO(text, newline=""), strict=True))
    _, header = next(lines, (0, []))
    names = (place_columns(header, checker.signature) if foreign else None) or _header(header, checker)
    blanks = _blanks(names, checker) if foreign else []
    rows: list[list[str]] = []
    numbers: list[int] = []
    width = len(names)
    for number, cells in lines:
        if len(cells) != width:
            words = f"{width} cells"
            sentence = f"Line {number}: a row must have {words} as the header has, got {len(cells)}."
            raise refusal(sentence, expected=words, got=f"{len(cells)} cells", row=len(rows))
        if len(rows) >= checker.max_rows:
            raise TooManyRows(max(text.count("\n"), len(rows) + 1), checker.max_rows)
        rows.append([blank(cell) for blank, cell in zip(blanks, cells, strict=True)] if blanks else cells)
        numbers.append(number)
    columns = {name: column for name, column in zip(names, zip(*rows, strict=True), strict=False) if name is not None}
    return checker.cells(columns, len(rows), lambda row: f"Line {numbers[row]}", lambda: [_named(names, cells) for cells in rows])


def _blanks(names: list[str | None], checker: Checker) -> list[Callable[[str], str]]:
    """What makes a cell of each column empty where it holds another tool's word for a missing value; texts keep every word."""
    wordless = {field.name for field in checker.signature.fields if field.kind in ("number", "integer", "boolean", "datetime")}
    return [_blank if name in wordless else str for name in names]


def _blank(cell: str) -> str:
    return "" if cell.strip() in MISSING else cell


def _named(names: list[str | None], cells: list[str]) -> dict[str, str]:
    return {name: cell for name, cell in zip(names, cells, strict=True) if name is not None}


def _lines(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """``(line number, cells)`` of every line that is not blank."""
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            raise malformed(f"The CSV cannot be read at line {max(reader.line_num, 1)}: {exc}.") from None
        if cells:
            yield number, cells


def _header(header: list[str], checker: Checker) -> list[str | None]:
    """Field names of the columns, None for one that is ignored. :raises InvalidInput: it does not name the fields."""
    fields = checker.signature.fields
    known = checker.known
    if not header:
        raise refusal("The CSV is empty.", expected="a line of field names", got="nothing", hint=f"The fields are: {listed(checker.names)}.")
    if sentence := other_separator(header, known):
        raise refusal(f"Line 1: {sentence}", expected="commas", got="another separator")
    names = [cell if cell in known else cell.strip() for cell in header]
    if not known.intersection(names) and all(DECIMAL.fullmatch(name) for name in names):
        hint = f"Put a line of field names first: {listed(checker.names)}."
        raise refusal("The first line must name the fields, got numbers.", expected="field names", got="numbers", hint=hint)
    faults = [*islice(_strange_columns(names, checker), MOST_DETAILS)]
    present = set(names)
    for field in fields:
        if field.name not in present and not field.nullable:
            faults.append((f"The column {name_of(field.name)} is missing.", Detail(field=field.name, expected="a column", got="nothing"), ""))
    if faults:
        raise InvalidInput(f"Line 1: {faults[0][0]}", [detail for _, detail, _ in faults[:MOST_DETAILS]], faults[0][2])
    return [name if name in known else None for name in names]


def other_separator(header: Sequence[str], known: Container[str]) -> str:
    """What to say of a header that is one name because it has no commas; nothing where that is not so."""
    for sign, shown in ((";", "';'"), ("\t", "tabs"), ("|", "'|'")):
        if len(header) == 1 and header[0] not in known and sign in header[0].strip():
            return f"Values are separated by {shown}: use commas."
    return ""


def _strange_columns(names: list[str], checker: Checker) -> Iterator[tuple[str, Detail, str]]:
    """``(sentence, detail, hint)`` of every column that stands twice or names no field."""
    strict_names = checker.signature.extra == "forbid"
    for place, (name, count) in enumerate(Counter(names).items()):
        cut = name[:100]
        if count > 1 and (name in checker.known or strict_names):
            yield f"Two columns are called {cut!r}.", Detail(field=cut, expected="one column of each name", got=f"{count} of them"), ""
        elif name not in checker.known and strict_names:
            near = get_close_matches(cut, checker.names[:1000], 1, NEAR) if place < MOST_DETAILS else []
            hint = f"Did you mean {near[0]!r}?" if near else f"The fields are: {listed(checker.names)}."
            expected = "a field of this model" + (f" (nearest: {near[0]})" if near else "")
            yield f"There is no field {cut!r}.", Detail(field=cut, expected=expected, got="a column"), hint


def read_ndjson(body: bytes, checker: Checker) -> Rows | Pending:
    """See :meth:`Decoder.ndjson`. Blank lines are passed over."""
    rows: list[Any] = []
    numbers: list[int] = []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        if len(rows) >= checker.max_rows:
            raise TooManyRows(max(body.count(b"\n"), len(rows) + 1), checker.max_rows)
        try:
            rows.append(strict.parse(line))
        except BadRequest as exc:
            raise malformed(f"Line {number}: {exc}", "Send one JSON object or list a line.") from None
        numbers.append(number)
    return checker.rows(Raw(rows, False), place=lambda row: f"Line {numbers[row]}")


def harmless(value: Any) -> Any:
    """A cell that no spreadsheet runs; lists and objects as JSON."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return encode_json(value).decode() if isinstance(value, (list, dict)) else value
