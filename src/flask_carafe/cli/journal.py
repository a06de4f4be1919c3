"""``carafe journal``: the predictions that were made, on the terminal or into a file. Reads what is on disk; no server is asked."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from ..config import Settings
from ..errors import BadRequest, NotFound
from ..monitor.journal import FOLDER
from ..monitor.journal.export import records, write_csv, write_ndjson
from ..monitor.journal.library import Follower, Wanted, last, segments, with_id
from .options import home_option, json_option, load_settings
from .output import columns_of, cut, padded
from .tables import Output

LOOK_EVERY_S = 0.25
SPANS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
AGO = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|min|h|d)")
NAMES_OF_ANSWER = ("error", "prediction")
model_option = click.option("--model", default="", metavar="NAME", help="Only of this model.")


@click.group("journal", context_settings={"help_option_names": ["-h", "--help"]})
def journal() -> None:
    """Show the predictions that were made, or write them to a file.

    \b
      carafe journal tail --follow
      carafe journal show 01a1fe1d-aef6-7d9d-9fac-00dc57040e1d
      carafe journal export --model sentiment --since 1d -o yesterday.csv
    """


@journal.command("tail")
@click.option("-n", "rows", type=click.IntRange(0), default=20, show_default=True, help="How many of the last rows.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is predicted from now on.")
@click.option("--json", "as_json", is_flag=True, help="Write NDJSON with everything that was kept.")
@model_option
@home_option
def tail(rows: int, follow: bool, as_json: bool, model: str, home: str | None) -> None:
    """Print the last predictions."""
    folder, wanted = _folder(load_settings(home=home)), Wanted(model)
    show = _as_json if as_json else Table()
    began = time.time()
    frames = last(folder, wanted, rows)
    found = list(records(frames))[-rows:] if rows else []
    show(found)
    if not found and not follow:
        click.echo(_nothing(folder, model), err=True)
    if follow:
        _follow(Follower(folder, wanted, frames[-1].at if frames else began), show)


def _follow(follower: Follower, show: Callable[[Iterable[dict[str, Any]]], None]) -> None:
    with contextlib.closing(follower):
        while True:
            show(records(follower.new()))
            sys.stdout.flush()
            time.sleep(LOOK_EVERY_S)


@journal.command("show")
@click.argument("prediction_id", metavar="ID")
@json_option
@home_option
def show(prediction_id: str, as_json: bool, home: str | None) -> None:
    """Print all that was kept of one prediction.

    ID is what its answer had in X-Prediction-Id.
    """
    folder = _folder(load_settings(home=home))
    found = [record for record in records(with_id(folder, prediction_id)) if record["id"] == prediction_id]
    if not found:
        raise NotFound(f"prediction {prediction_id} in {folder}")
    found.sort(key=lambda record: record["row"])
    if as_json:
        _as_json(found)
        return
    for record in found:
        for key, value in record.items():
            shown = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
            click.echo(f"{click.style(padded(printable(key), 14), dim=True)}  {printable(shown)}")
        click.echo()


@journal.command("export")
@click.option("-o", "--output", "target", metavar="FILE", default="-", help="Where to; - is stdout (default).")
@click.option("--since", metavar="TIME", help="From then on: 2026-11-21T08:00 (UTC), or 90m, 24h, 7d ago.")
@click.option("--until", metavar="TIME", help="Up to then.")
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), help="Where the output's name does not tell; else ndjson.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format ndjson.")
@click.option("--quiet", is_flag=True, help="Neither progress nor summary.")
@model_option
@home_option
def export(  # noqa: PLR0917
    target: str, since: str | None, until: str | None, form: str | None, as_json: bool, quiet: bool, model: str, home: str | None
) -> None:
    """Write predictions to a file, a line a row.

    They come in the order in which they were answered.
    """
    if as_json and form == "csv":
        raise click.UsageError("--json and --format csv exclude each other.")
    form = "ndjson" if as_json else form
    folder = _folder(load_settings(home=home))
    now = time.time()
    wanted = Wanted(model, moment(since, now) if since else 0.0, moment(until, now) if until else float("inf"))
    write = write_csv if (form or Path(target).suffix.lstrip(".")) == "csv" else write_ndjson
    output = Output(target)
    try:
        with _progress(folder, quiet) as advance:
            count = _written(write, folder, wanted, output.stream, advance)
        output.keep()
    finally:
        output.close()
    if not quiet:
        click.echo(f"{count:,} row{'s' * (count != 1)}" if count else _nothing(folder, model), err=True)


def _written(write: Callable[..., int], folder: Path, wanted: Wanted, stream: IO[str], advance: Callable[[int], Any]) -> int:
    try:
        return write(folder, wanted, stream, advance)
    except PermissionError as exc:
        raise BadRequest(f"{exc.filename} cannot be read: {exc.strerror}.") from exc


@contextlib.contextmanager
def _progress(folder: Path, quiet: bool) -> Iterator[Callable[[int], Any]]:
    """A bar on stderr where somebody looks, by bytes."""
    if quiet or not sys.stderr.isatty():
        yield lambda size: None
        return
    with click.progressbar(length=sum([shelf.size for shelf in segments(folder)]), label="Reading", file=sys.stderr, show_pos=False) as bar:
        yield bar.update


def moment(text: str, now: float) -> float:
    """Unix seconds of a time as people write it: ISO 8601, UTC where it names no zone, or so long before ``now``.

    :raises BadRequest: neither.

    >>> moment("1970-01-02", 0.0), moment("90m", 10_000.0)
    (86400.0, 4600.0)
    """
    ago = AGO.fullmatch(text.strip())
    if ago:
        return now - float(ago[1]) * SPANS[ago[2]]
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadRequest(f"{text!r} is no time; write 2026-11-21T08:00, or 90m, 24h, 7d for so long ago.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _folder(settings: Settings) -> Path:
    return settings.home / FOLDER


def _nothing(folder: Path, model: str) -> str:
    of = f" of model {model!r}" if model else ""
    return f"No predictions{of} in {folder}."


def _as_json(found: Iterable[dict[str, Any]]) -> None:
    for record in found:
        click.echo(msgspec.json.encode(record, enc_hook=str))


class Table:
    """Rows under one header, in columns as wide as what has come so far."""

    WIDTHS = {"time (UTC)": 19, "model": 8, "version": 7, "ms": 8, "answer": 24}
    RIGHT = 3  # the place of the milliseconds
    LONGEST = 100

    def __init__(self) -> None:
        self._is_begun = False
        self._widths = list(self.WIDTHS.values())

    def __call__(self, found: Iterable[dict[str, Any]]) -> None:
        """Print ``found``."""
        rows = [self._cells(record) for record in found]
        for row in rows:
            self._widths = [max(width, min(columns_of(cell), self.LONGEST)) for width, cell in zip(self._widths, row, strict=False)]
        if rows and not self._is_begun:
            self._is_begun = True
            click.echo(click.style(self._line([*self.WIDTHS, "inputs"]), dim=True))
        for row in rows:
            click.echo(self._line(row))

    def _cells(self, record: dict[str, Any]) -> list[str]:
        answer = next((record[name] for name in NAMES_OF_ANSWER if name in record), None)
        inputs = ", ".join([f"{name}={_short(value)}" for name, value in record["inputs"].items()])
        late = " (late)" if record.get("late") else ""
        at, answered = record["at"][:19].replace("T", " "), "" if answer is None else _short(answer, self.LONGEST if "error" in record else 60)
        cells = [at, record["model"], str(record["version"]), f"{record['latency_ms']:.2f}", answered + late, inputs]
        return [printable(cell) for cell in cells]

    def _line(self, cells: list[str]) -> str:
        shown = [padded(cut(cell, width), width) for cell, width in zip(cells, self._widths, strict=False)]
        shown[self.RIGHT] = shown[self.RIGHT].strip().rjust(self._widths[self.RIGHT])
        begin = "  ".join(shown)
        return f"{begin}  {cut(cells[-1], 120)}".rstrip()


def printable(text: str) -> str:
    """``text`` without what could steer a terminal."""
    return "".join([c if c.isprintable() else " " for c in text])


def _short(value: Any, width: int = 60) -> str:
    """A value in a table; hashes by their first digits."""
    if isinstance(value, dict) and "hash" in value:
        return f"#{str(value['hash'])[:8]}"
    return cut(value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode(), width)
