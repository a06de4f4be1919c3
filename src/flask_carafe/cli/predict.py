"""``carafe predict``: the rows of a file through a model, piece by piece, each with its answer or its error."""

from __future__ import annotations

import contextlib
import csv
import io
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
import msgspec

from ..artifacts.spec import from_options, located
from ..errors import BadRequest, InvalidInput
from ..signature.check import NEAR, listed
from ..signature.tabular import other_separator
from .options import home_option, load_settings, model_options, name_of, parse_models
from .predict_here import FilePredictor, ServedPredictor
from .predict_http import HttpPredictor
from .predictors import Fields, Predictor, settle
from .tables import CsvSink, Failed, Form, NdjsonSink, Outcome, Output, Row, Sink, Source, form_of, is_standard

MOST_FAILURES_AT_FIRST = 10_000  # rows without one answer: by then it is the file or the model, not a row


@click.command("predict")
@click.argument("model_or_file", metavar="MODEL|FILE")
@click.option("-i", "--input-file", "source", metavar="FILE", help="CSV or NDJSON; - is stdin (default where something is piped in).")
@click.option("-o", "--output", "target", metavar="FILE", default="-", help="Where the answers go; - is stdout (default).")
@click.option("--format", "form", type=click.Choice(["csv", "ndjson"]), help="Of the input, where its name does not tell.")
@click.option("--url", help="Ask a server: http://127.0.0.1:5000")
@click.option("--quiet", is_flag=True, help="Neither progress nor summary.")
@home_option
@model_options
def predict(model_or_file: str, source: str | None, target: str, form: Form | None, quiet: bool, **more: Any) -> int:
    """Predict the rows of a file with MODEL, which is served here or at --url, or with a model FILE.

    \b
      carafe predict model.joblib -i rows.csv -o answers.csv
      carafe predict sentiment --url http://127.0.0.1:5000 < rows.ndjson

    The output has the input's columns, the answer's, and "error". Columns that are no field of the model are passed
    through where all of its fields are there. Exit code 1 when a row failed; the others have their answers.
    """
    source = _source(source)
    if source == target and not is_standard(source):
        raise click.UsageError("Input and output are the same file.")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_tidy_end())
        rows = _opened(source, form)
        stack.callback(rows.close)
        predictor = _predictor(model_or_file, **more)
        stack.callback(predictor.close)
        output = Output(target)
        stack.callback(output.close)
        run = Run(predictor, rows)
        sink = _sink(target, rows, output, predictor.keys)
        with _progress(rows, quiet) as advance:
            run.all(sink, advance)
        output.keep()
    if not quiet:
        run.summary()
    return 1 if run.failed else 0


@contextlib.contextmanager
def _tidy_end() -> Iterator[None]:
    """Let SIGTERM and a closed terminal unwind as Ctrl-C does: a host must be stopped, copies removed."""

    def leave(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _source(given: str | None) -> str:
    if given is None and sys.stdin.isatty():
        raise click.UsageError("Which rows? Give a file with -i, or pipe them in.")
    return given or "-"


def _opened(source: str, form: Form | None) -> Source:
    try:
        return Source(source, form)
    except OSError as exc:
        raise BadRequest(f"{source} cannot be read: {exc.strerror}.") from exc


def _predictor(asked: str, url: str | None, home: str | None, model: dict[str, Any]) -> FilePredictor | ServedPredictor | HttpPredictor:
    """Whoever answers for what was named; options that describe a model need a file."""
    is_file = not url and (Path(asked).exists() or any(sign in asked for sign in "/,=:"))
    if model and not is_file:
        raise click.UsageError("Options that describe a model go with a model file.")
    predictor: FilePredictor | ServedPredictor | HttpPredictor
    if is_file:
        ((name, files),) = parse_models([asked]).items()
        predictor = FilePredictor(located(from_options(name or name_of(asked), files=files, **model), Path.cwd()))
    elif url:
        predictor = HttpPredictor(url, asked)
    else:
        predictor = ServedPredictor(load_settings(home=home).home, asked)
    if predictor.unverified:
        click.secho(f"Unverified: {predictor.unverified}", fg="yellow", err=True)
    return predictor


def _sink(target: str, rows: Source, output: Output, keys: Sequence[str] | None) -> Sink:
    if (form_of(target) or rows.form) == "ndjson":
        return NdjsonSink(output.stream, rows.header)
    return CsvSink(output.stream, rows.header or ["input"], keys)


@contextlib.contextmanager
def _progress(rows: Source, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on stderr where somebody looks; by bytes, since nobody knows how many rows there will be."""
    if quiet or not sys.stderr.isatty() or not rows.size_bytes:
        yield lambda: None
        return
    with click.progressbar(length=rows.size_bytes, label="Predicting", file=sys.stderr, show_pos=False) as bar:
        yield lambda: bar.update(rows.read_bytes - bar.pos)


class Run:
    """One file through one model."""

    def __init__(self, predictor: Predictor, rows: Source) -> None:
        self._predictor, self._rows = predictor, rows
        self.done = self.failed = 0
        self.first_failure = ""
        self._began = time.monotonic()
        fields = predictor.fields
        self._columns, self._passed = _columns(rows.header, fields) if rows.form == "csv" else ([], [])
        self._fields = fields

    def all(self, sink: Sink, advance: Callable[[], None]) -> None:
        """Read, ask, write, until the file ends.

        :raises BadRequest: none of the first rows could be answered.
        """
        for piece in self._rows.pieces(self._predictor.most_rows):
            outcomes = self._outcomes(piece)
            sink.write(piece, outcomes)
            self._count(piece, outcomes)
            advance()
        sink.finish()

    def _count(self, piece: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
        self.done += len(piece)
        for row, outcome in zip(piece, outcomes, strict=True):
            if isinstance(outcome, Failed):
                self.failed += 1
                self.first_failure = self.first_failure or f"line {row.line}: {outcome.reason}"
        if self.failed == self.done >= MOST_FAILURES_AT_FIRST:
            raise BadRequest(f"All of the first {self.done:,} rows failed; {self.first_failure}")

    def _outcomes(self, piece: Sequence[Row]) -> list[Outcome]:
        lines = [self._line(row) for row in piece]
        sent = [line for line in lines if isinstance(line, bytes)]
        head = _csv_line([self._rows.header[i] for i in self._columns]) if self._rows.form == "csv" else b""

        def body(rows: Sequence[int]) -> bytes:
            return head + b"".join([sent[i] for i in rows])

        answers = iter(settle(self._predictor, self._rows.form, body, range(len(sent))))
        return [line if isinstance(line, Failed) else next(answers) for line in lines]

    def _line(self, row: Row) -> bytes | Failed:
        """The row as it is sent, or why it cannot be."""
        if self._rows.form == "ndjson":
            return self._without_others(row.values)
        if len(row.values) != len(self._rows.header):
            return Failed(f"{len(row.values)} cells, the header has {len(self._rows.header)}")
        return _csv_line([row.values[i] for i in self._columns])

    def _without_others(self, text: bytes) -> bytes:
        """The object without what is no field, where every field is in it; what cannot be read is refused by the model's decoder."""
        text = text.strip()
        names = self._fields.names if self._fields else ()
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = msgspec.json.decode(text)
            if names and isinstance(value, dict) and len(value) > len(names) and all(name in value for name in names):
                text = msgspec.json.encode({name: value[name] for name in names})
        return text + b"\n"

    def summary(self) -> None:
        """One line to stderr, and a second where rows failed."""
        seconds = time.monotonic() - self._began
        speed = f", {self.done / seconds:,.0f} rows/s" if self.done >= 100 and seconds > 0 else ""
        click.echo(f"{self.done:,} row{'s' * (self.done != 1)} in {seconds:.1f} s{speed}", err=True)
        if self._passed:
            click.echo(f"Not used by the model: {', '.join(self._passed)}", err=True)
        if self.failed:
            click.secho(f"{self.failed:,} failed; {self.first_failure}", fg="red", err=True)


def _columns(header: Sequence[str], fields: Fields | None) -> tuple[list[int], list[str]]:
    """Which columns are sent, and the names of those that are not.

    :raises InvalidInput: a field's column is missing or stands twice, or a column is no field and may be a field misspelt.
    """
    if fields is None:
        return list(range(len(header))), []
    others = [name for name in header if name not in fields.names]
    missing = [name for name in fields.required if name not in header]
    twice = sorted({name for name in header if header.count(name) > 1 and name in fields.names})
    may_be_meant = [name for name in fields.names if name not in header]
    strange = others if may_be_meant and not fields.ignores_others else []
    faults = [f"{words} {listed(names)}" for words, names in (("missing:", missing), ("more than once:", twice), ("not known:", strange)) if names]
    if faults:
        if sentence := other_separator(header, fields.names):
            raise InvalidInput(sentence)
        near = next(filter(None, (get_close_matches(name, may_be_meant, 1, NEAR) for name in strange)), None)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise InvalidInput(f"The columns do not fit the model; {'; '.join(faults)}.", (), f"{hint}The fields are: {listed(list(fields.names))}.")
    return [i for i, name in enumerate(header) if name in fields.names], others


def _csv_line(cells: Sequence[str]) -> bytes:
    """One line; a single empty cell is quoted, since a blank line is no row."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode("utf-8", "surrogatepass")
