"""Measure Carafe: beside a prototype of its shape, beside other servers, and by itself.   python benchmarks/run.py [--suite speed] …

Server, steward and host together on CPU 0, the load generator (wrk) on CPU 1, one row a request over kept-alive connections
unless a suite says otherwise. Machines are noisy, so what counts is the share of another server's speed in the same round, and of
that the median. Before a server is measured each of its answers is compared with the model's own.

suites:
  speed    ours and the prototype: lr, rf and text
  named    ours and the prototype: columns by name, made ready over a data frame
  views    ours in a Flask app under Granian, gunicorn and waitress, beside a bare Flask view
  rivals   ours and other servers of the same models, each in an environment of its own (--setup makes them)
  rows     100 rows a request, as a share of the bare frame exchange
  memory   a web worker after load
  start    from the command to the first prediction
  pages    predictions while pages are opened

What a suite found is kept in benchmarks/results/ (or $BENCH_RESULTS), and the environments of the rivals; python benchmarks/report.py
writes docs/benchmarks.md from it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from embedded import EMBEDDED
from figures import FIGURES, How
from loading import LOAD_CPU, SERVER_CPU
from rivals import environments
from rivals.servers import RIVALS
from servers import SERVERS, Server
from speed import Plan, measure
from table import RESULTS, Cell, kept, lines, share


class Suite(NamedTuple):
    """A table: which servers, models and connections; ``base`` is what speeds are shares of."""

    servers: Mapping[str, type[Server]]
    models: Sequence[str]
    connections: Sequence[int]
    base: str = "prototype"
    is_alone: bool = False


SUITES = {
    "speed": Suite(SERVERS, ("lr", "rf", "text"), (1, 64, 256)),
    "named": Suite(SERVERS, ("named",), (1, 64)),
    "views": Suite(EMBEDDED, ("lr",), (1, 64), base="bare-granian"),
    "rivals": Suite(SERVERS | RIVALS, ("lr", "rf", "text"), (1, 64), base="fastapi", is_alone=True),
}


def words(text: str) -> list[str]:
    return text.split(",")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=words, default=["speed"], help=f"of {','.join([*SUITES, *FIGURES])}, or all")
    parser.add_argument("--only", type=words, help="servers by name (default: all of the suite)")
    parser.add_argument("--models", type=words, help="of those of the suite")
    parser.add_argument("--connections", type=lambda text: list(map(int, words(text))))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.0, help="exit 1 when a model at 64 connections has less than this share, as 0.65")
    parser.add_argument("--keep", action="store_true", help="keep what an earlier run left of other servers and models")
    parser.add_argument("--first", action="store_true", help="at a higher priority than other processes (for root)")
    parser.add_argument("--setup", action="store_true", help="make the environments of the rivals (some GB), and end")
    found = parser.parse_args(arguments)
    if found.suite == ["all"]:
        found.suite = [*SUITES, *FIGURES]
    if unknown := set(found.suite) - {*SUITES, *FIGURES}:
        parser.error(f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join([*SUITES, *FIGURES])}")
    return found


def compared(name: str, arguments: argparse.Namespace, work: Path) -> list[Cell]:
    """Measure a suite of servers; its table goes to stdout, its cells to a file that grows as they come."""
    suite, cells = SUITES[name], []
    wanted = {key: kind for key, kind in suite.servers.items() if key in (arguments.only or suite.servers) and is_there(key)}
    plan = Plan(
        wanted, arguments.models or suite.models, arguments.connections or suite.connections, rounds=arguments.rounds,
        seconds=arguments.seconds, warmup=arguments.warmup, is_alone=suite.is_alone,
    )  # fmt: skip
    others = [cell for cell in kept(name) if arguments.keep and not (cell["server"] in plan.servers and cell["model"] in plan.models)]
    with (RESULTS / f"{name}.jsonl").open("w") as file:
        for cell in itertools.chain(others, measure(plan, work)):
            cells.append(cell)
            file.write(json.dumps(cell) + "\n")
            file.flush()
    print("\n".join(lines(cells, suite.base)), flush=True)
    return cells


def is_there(name: str) -> bool:
    """Whether a server can be started; a rival needs its environment."""
    if name not in RIVALS or environments.is_made(name):
        return True
    print(f"{name} is left out: python benchmarks/run.py --setup makes its environment.", file=sys.stderr)
    return False


def figured(name: str, arguments: argparse.Namespace, work: Path) -> bool:
    """Measure a suite of figures; whether all are as wanted."""
    found = FIGURES[name](How(arguments.rounds, arguments.seconds, work))
    (RESULTS / f"{name}.json").write_text(json.dumps(found, indent=1))
    for figure in found:
        print(f"{figure['name']}: {figure['found']} (wanted: {figure['wanted']}){'' if figure['holds'] else '  <- not so'}", flush=True)
    return all(figure["holds"] for figure in found)


def too_slow(cells: list[Cell], least: float) -> list[str]:
    """What stays below ``least`` of the prototype at 64 connections, in words."""
    shares = {model: share(cells, "ours", model, 64) for model in dict.fromkeys(cell["model"] for cell in cells)}
    slow = {model: part for model, part in shares.items() if part is not None and part < least}
    return [f"{model}: {part:.0%} of the prototype, at least {least:.0%} is wanted" for model, part in slow.items()]


def main() -> int:
    arguments = parse()
    if arguments.setup:
        for name in arguments.only or environments.NAMES:
            environments.make(name)
        return 0
    if not shutil.which("wrk"):
        print("wrk is needed (on Debian: apt install wrk).", file=sys.stderr)
        return 2
    if SERVER_CPU is None or LOAD_CPU is None:
        print("Fewer than two CPUs, or no taskset: nothing is pinned, and the figures mean less.", file=sys.stderr)
    else:
        os.sched_setaffinity(0, {LOAD_CPU})
    if arguments.first:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers are stopped
    RESULTS.mkdir(exist_ok=True)
    slow: list[str] = []
    with tempfile.TemporaryDirectory(prefix="carafe-bench-", ignore_cleanup_errors=True) as work:
        for name in arguments.suite:
            if name in FIGURES:
                figured(name, arguments, Path(work))
            else:
                slow += too_slow(compared(name, arguments, Path(work)), arguments.least)
    print("\n".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
