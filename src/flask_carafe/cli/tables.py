"""Rows from CSV and NDJSON files in pieces, and back with what the model said; nothing is held but one piece.

A row that cannot be used keeps its place and gets an error; a file that cannot be used is an error of the command.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Protocol

import msgspec

from ..errors import BadRequest

Form = Literal["csv", "ndjson"]
SUFFIXES: dict[str, Form] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
ERROR = "error"


class Failed(NamedTuple):
    """A row without an answer, and why."""

    reason: str


Outcome = dict[str, Any] | Failed


class Row(NamedTuple):
    """One row as it stands in the file. ``values``: a CSV line's cells, or a JSON value; ``line`` counts from 1."""

    line: int
    values: Any


def is_standard(path: str) -> bool:
    return path == "-"


def form_of(path: str, stream: Any = None) -> Form | None:
    """By the name, else by the first character of a buffered ``stream``: ``{`` or ``[`` is NDJSON."""
    known = SUFFIXES.get(Path(path).suffix.lower())
    if known or stream is None:
        return known
    begin = stream.peek(64).removeprefix(codecs.BOM_UTF8).lstrip()
    return "ndjson" if begin[:1] in (b"{", b"[") else "csv"


class Source:
    """The rows of one file. ``header`` has the names of a CSV's columns and is empty for NDJSON."""

    def __init__(self, path: str, form: Form | None = None) -> None:
        """
        :param path: ``-`` for stdin.
        :raises BadRequest: a CSV without a header, or text that is not UTF-8.
        """
        self.name = "stdin" if is_standard(path) else path
        self._stream: Any = sys.stdin.buffer if is_standard(path) else open(path, "rb")  # noqa: SIM115 - closed by close()
        self.form: Form = form or form_of(path, self._stream) or "csv"
        self.header: list[str] = []
        self._rows = self._csv() if self.form == "csv" else self._ndjson()
        if self.form == "csv":
            try:
                self.header = next(self._rows).values
            except BaseException:
                self.close()
                raise

    @property
    def size_bytes(self) -> int:
        """0 where it cannot be known."""
        try:
            return os.fstat(self._stream.fileno()).st_size
        except (OSError, io.UnsupportedOperation):
            return 0

    @property
    def read_bytes(self) -> int:
        """How far into the file we are, as far as that can be known."""
        try:
            return os.lseek(self._stream.fileno(), 0, os.SEEK_CUR)
        except (OSError, io.UnsupportedOperation):
            return 0

    def pieces(self, size: int) -> Iterator[list[Row]]:
        """The rows, ``size`` at a time."""
        while piece := list(itertools.islice(self._rows, size)):
            yield piece

    def close(self) -> None:
        self._rows.close()
        if self._stream is not sys.stdin.buffer:
            self._stream.close()

    def _csv(self) -> Generator[Row, None, None]:
        text = io.TextIOWrapper(self._stream, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, strict=True)
        try:
            header = next(reader, None)
            if not header:
                raise BadRequest(f"{self.name} is empty; its first line must name the columns.")
            yield Row(1, [name.strip() for name in header])
            while True:
                line = reader.line_num + 1
                cells = next(reader)
                if cells:
                    yield Row(line, cells)
        except StopIteration:
            return
        except csv.Error as exc:
            raise BadRequest(f"{self.name} is not CSV that can be read at line {max(reader.line_num, 1)}: {exc}.") from exc
        except UnicodeDecodeError as exc:
            raise BadRequest(f"{self.name} is not UTF-8 near line {reader.line_num + 1}.") from exc
        finally:
            text.detach()

    def _ndjson(self) -> Generator[Row, None, None]:
        for line, raw in enumerate(self._stream, 1):
            text = raw.removeprefix(codecs.BOM_UTF8) if line == 1 else raw
            if text.strip():
                yield Row(line, text)


class Sink(Protocol):
    """Where rows and outcomes go."""

    def write(self, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None: ...
    def finish(self) -> None: ...


class CsvSink:
    """The input's columns, the answer's, and ``error``.

    The header is written with the first answer, since only then the answer's columns are known.
    """

    def __init__(self, stream: IO[str], header: Sequence[str], keys: Sequence[str] | None) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._header, self._keys = list(header), list(keys) if keys is not None else None
        self._early: list[tuple[Row, Outcome]] = []
        if self._keys is not None:
            self._begin()

    def write(self, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
        pairs = [*self._early, *zip(rows, outcomes, strict=True)]
        if self._keys is None:
            first = next((outcome for outcome in outcomes if isinstance(outcome, dict)), None)
            if first is None:
                self._early = pairs
                return
            self._keys, self._early = list(first), []
            self._begin()
        self._writer.writerows(self._line(row, outcome) for row, outcome in pairs)

    def _begin(self) -> None:
        self._writer.writerow([*self._header, *(own_name(key, self._header) for key in (*(self._keys or ()), ERROR))])

    def _line(self, row: Row, outcome: Outcome) -> list[str]:
        values = row.values if isinstance(row.values, list) else [msgspec.json.encode(row.values).decode()]
        cells = [*values, *[""] * (len(self._header) - len(values))][: len(self._header)]
        if isinstance(outcome, Failed):
            return [*cells, *[""] * len(self._keys or ()), outcome.reason]
        return [*cells, *(as_cell(outcome.get(key)) for key in self._keys or ()), ""]

    def finish(self) -> None:
        if self._keys is None:
            self._keys = ["prediction"]
            self._begin()
            self._writer.writerows(self._line(row, outcome) for row, outcome in self._early)


class NdjsonSink:
    """The input's object with the answer's keys added, and ``error`` where there is no answer."""

    def __init__(self, stream: IO[str], header: Sequence[str]) -> None:
        self._stream, self._header = stream, list(header)

    def write(self, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
        for row, outcome in zip(rows, outcomes, strict=True):
            known = self._input(row)
            added = {ERROR: outcome.reason} if isinstance(outcome, Failed) else outcome
            line = known | {own_name(key, known): value for key, value in added.items()}
            self._stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n")

    def _input(self, row: Row) -> dict[str, Any]:
        if self._header:
            return dict(zip(self._header, row.values, strict=False))
        try:
            value = msgspec.json.decode(row.values)
        except (msgspec.DecodeError, UnicodeDecodeError):
            value = row.values.decode("utf-8", "replace").strip()
        return value if isinstance(value, dict) else {"input": value}

    def finish(self) -> None:
        """Every line was written with its piece."""


def own_name(key: str, taken: Sequence[str] | dict[str, Any]) -> str:
    """A name for an answer's column that the input has not: ``prediction``, else ``answer_prediction``."""
    while key in taken:
        key = "answer_" + key
    return key


def as_cell(value: Any) -> str:
    """A value as CSV holds it: numbers to the last digit, ``true``, lists and objects as JSON, nothing for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Output:
    """A file that appears whole or not at all; ``-`` is stdout."""

    def __init__(self, path: str) -> None:
        self._target: Path | None = None
        if is_standard(path):
            self.stream: IO[str] = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
            return
        target = Path(path)
        in_place = target.exists() and not target.is_file()  # a pipe or a device has no "whole"
        self._target = None if in_place else target
        self._part = target if in_place else target.with_name(f".{target.name}.{os.getpid()}.part")
        self.stream = self._part.open("w", encoding="utf-8", newline="")

    def keep(self) -> None:
        """All is written: make it what the path names."""
        self.stream.flush()
        if self._target:
            self._part.replace(self._target)

    def close(self) -> None:
        """End; what was not kept goes."""
        if self.stream.buffer is sys.stdout.buffer:  # type: ignore[attr-defined]
            self.stream.detach()  # type: ignore[attr-defined]
            return
        self.stream.close()
        if self._target:
            self._part.unlink(missing_ok=True)
