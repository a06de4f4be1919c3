"""``carafe bench``: how fast a model answers over HTTP, at several numbers of connections, and what keeps it from more."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import psutil

from ..artifacts.spec import ModelSpec
from ..config import Settings
from ..errors import ConfigError
from ..hosting.ensure import is_steward_there
from ..hosting.rundir import run_dir
from ..operations.bench import Bench, Level, Pids, Server
from ..operations.bottleneck import limit
from ..operations.declare import declared_models
from .bench_rows import rows_of
from .options import home_option, json_option, load_settings, model_options
from .output import heading, line, milliseconds, print_json
from .serve import named_specs, run
from .steward_link import StewardLink

CONNECTIONS = "1,16,64"
MOST_CONNECTIONS = 1024
MOST_SECONDS = 600.0
HEADS = ("connections", "requests/s", "p50", "p99", "rows a frame", "web", "model", "load")


@click.command("bench")
@click.argument("model_or_file", metavar="MODEL|FILE")
@click.option("-i", "--input-file", "source", metavar="FILE", help="CSV or NDJSON with rows to ask in turn (default: the model's example).")
@click.option("--url", help="Measure a server that runs: http://127.0.0.1:5000")
@click.option("--connections", default=CONNECTIONS, show_default=True, help="How many ask at the same time, level by level.")
@click.option("--seconds", type=click.FloatRange(0.1, MOST_SECONDS), default=3.0, show_default=True, help="Length of a level.")
@click.option("--workers", type=int, help="Processes that answer HTTP, of a server for a FILE (default: 2).")
@home_option
@json_option
@model_options
def bench(model_or_file: str, source: str | None, url: str | None, connections: str, seconds: float, **more: Any) -> int:
    """Measure MODEL, which a server at --url has, or a model FILE.

    \b
      carafe bench model.joblib -i rows.csv
      carafe bench sentiment --url http://127.0.0.1:5000

    A FILE, or a MODEL of carafe.yaml, is served for the length of the command, on a free port of this machine and with a home of its own.
    Each connection sends one row and asks again as soon as it was answered. Every answer is compared with the one that the
    row got alone. Exit code 1 when a request failed.
    """
    plan = functools.partial(_measured, source=source, levels=_levels(connections), seconds=seconds, as_json=more.pop("as_json"))
    if url:
        return _running(model_or_file, url, plan, **more)
    return _served(model_or_file, plan, **more)


def _levels(text: str) -> list[int]:
    """:raises click.UsageError: not numbers of connections."""
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = [0]
    if not all(0 < level <= MOST_CONNECTIONS for level in levels):
        raise click.UsageError(f"--connections must be whole numbers from 1 to {MOST_CONNECTIONS:,}, as {CONNECTIONS}; got {text!r}.")
    return levels


# ---- whom to ask

Measure = Callable[[Server, Callable[[], Awaitable[Pids]]], Coroutine[Any, Any, int]]


def _running(name: str, url: str, measure: Measure, *, home: str | None, workers: int | None, model: dict[str, Any]) -> int:
    """Measure a server that somebody else runs."""
    if model or workers:
        raise click.UsageError("Options that describe a model or its server go with a model file, not with --url.")
    server = Server(url, name)
    settings = load_settings(home=home)
    return asyncio.run(measure(server, functools.partial(_pids_at, settings.home, server)))


def _served(asked: str, measure: Measure, *, home: str | None, workers: int | None, model: dict[str, Any]) -> int:
    """Serve what was named for as long as it is measured."""
    settings = load_settings(home=home, workers=workers)
    spec = _spec(asked, settings, model)
    with _home_of_its_own() as folder:
        settings = settings.overridden({"home": str(folder), "host": "127.0.0.1", "port": 0, "notice_s": 0.0})

        async def errand(base: str) -> int:
            return await measure(Server(base + settings.url_prefix, spec.name), functools.partial(_pids, folder, spec.name))

        return run(settings, [spec], named=[spec.name], errand=errand)


def _spec(asked: str, settings: Settings, model: dict[str, Any]) -> ModelSpec:
    declared = {spec.name: spec for spec in declared_models(settings)}
    if asked in declared and not model:
        return declared[asked]
    if not Path(asked).exists() and not any(sign in asked for sign in "./,=:"):
        raise ConfigError(f"Here is no file {asked!r}, and no model of that name in carafe.yaml.", "For a model that a server has, give its --url.")
    (spec,) = named_specs([asked], model).values()
    return spec


@contextlib.contextmanager
def _home_of_its_own() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="carafe-bench-") as name:
        folder = Path(name)
        try:
            yield folder
        finally:
            shutil.rmtree(run_dir(folder), ignore_errors=True)


async def _pids(home: Path, name: str) -> Pids:
    """The web workers of a home and the hosts of one of its models, as its steward knows them."""
    link = StewardLink(home)
    await link.connect()
    try:
        status = await link.ask({"op": "status"})
    finally:
        await link.close()
    workers = (found["pid"] for found in status["links"] if found["role"] == "worker")
    hosts = (host["pid"] for entry in status["models"] if entry["name"] == name for host in entry["hosts"])
    return Pids(tuple(workers), tuple(hosts))


async def _pids_at(home: Path, server: Server) -> Pids:
    """The processes behind an address, if they are of this machine and this home."""
    if not home.exists() or not is_steward_there(run_dir(home)):
        return Pids()
    found = await _pids(home, server.model)
    return found if any(_listens(pid, server.port) for pid in found.web) else Pids()


def _listens(pid: int, port: int) -> bool:
    """Whether the process, or the one that it was forked from, listens at ``port``."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in filter(None, (process, process.parent())):
            if any(found.status == psutil.CONN_LISTEN and found.laddr.port == port for found in one.net_connections("tcp")):
                return True
    return False


# ---- measure and tell


async def _measured(
    server: Server, pids: Callable[[], Awaitable[Pids]], *, source: str | None, levels: Sequence[int], seconds: float, as_json: bool
) -> int:
    """Every level, then the table; the exit code."""
    schema = await asyncio.to_thread(server.schema)
    rows = rows_of(source, schema["request"]) if source else [schema["row"]]
    measure = Bench(server, rows, pids)
    await measure.ask_alone()
    with _progress(len(levels) * seconds) as advance:
        done = [await measure.level(connections, seconds, advance) for connections in levels]
    if as_json:
        print_json({"model": server.model, "rows": len(measure.bodies), "levels": done, "limit": limit(done)})
    else:
        _tell(server, _asked(source, len(measure.bodies), len(rows)), done)
    return 1 if any(level.counts.failed for level in done) or not all(level.counts.answered for level in done) else 0


@contextlib.contextmanager
def _progress(seconds: float) -> Iterator[Callable[[float], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=round(seconds * 100), label="Measuring", file=sys.stderr, show_pos=False) as bar:
        yield lambda part: bar.update(round(part * 100))


def _asked(source: str | None, used: int, rows: int) -> str:
    if not source:
        return "the model's example"
    if used < rows:
        return f"{used:,} of {rows:,} rows of {source} in turn (time for the expected answers ran out)"
    return f"{used:,} rows of {source} in turn"


def _tell(server: Server, asked: str, levels: Sequence[Level]) -> None:
    click.echo(f"{heading(server.model)}: one row a request, {asked}\n")
    click.echo(_table([HEADS, *(_cells(level) for level in levels)]) + "\n")
    for level in levels:
        counts, at = level.counts, f"at {level.connections} connection{'s' * (level.connections > 1)}"
        if counts.failed:
            told = ", ".join(f"{number:,} × {why}" for why, number in counts.failed.items())
            click.echo(line("bad", "failed", f"{at}: {told}", counts.first_failure))
        if counts.different:
            text = f"{counts.different:,} of {counts.answered:,} answers {at} are not what the row got alone"
            click.echo(line("warn", "different", text, "Is there chance in the model, or did its version change meanwhile?"))
    answered = sum(level.counts.answered for level in levels)
    if answered and not any(level.counts.failed or level.counts.different for level in levels):
        click.echo(line("ok", "answers", f"all {answered:,} as expected"))
    found = limit(levels)
    click.echo(line("warn" if found.what == "failures" else "note", "limit", found.text, found.hint))


def _cells(level: Level) -> tuple[str, ...]:
    counts, busy = level.counts, level.busy
    frame = f"{level.rows_a_frame:.1f}" if level.rows_a_frame is not None else "-"
    web, host = (f"{max(shares):.0%}" if shares else "-" for shares in ((busy.web, busy.hosts) if busy else ([], [])))
    own = f"{counts.cpu_s / counts.seconds:.0%}"
    return str(level.connections), f"{level.per_s:,.0f}", milliseconds(counts.p50_s), milliseconds(counts.p99_s), frame, web, host, own


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of figures: aligned right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([click.style(head, dim=True), *lines])
