"""Measure Carafe beside the prototype, in rounds that take turns.   python benchmarks/run.py [--only ours,prototype] …

One row a request over kept-alive connections; server, steward and host together on CPU 0, the load generator (wrk) on
CPU 1. Machines are noisy, so what counts is the share of the prototype's speed in the same round, and of that the
median. Before a server is measured each of its answers is compared with the model's own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from loading import RESULTS, SERVER_CPU, trained, wrk
from servers import SERVERS
from table import Cell, lines, ratios

LINE = "{model:5} {connections:4} {server:10} {per_s:9,.0f}/s  p50 {p50_ms:7.2f}  p99 {p99_ms:7.2f} ms"


def measure(model: str, names: Sequence[str], arguments: argparse.Namespace, models: Path, work: Path) -> Iterator[Cell]:
    """Every cell of one model; all servers are up, and asked in turn, the first of a round changing."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(SERVERS[name](model, models, work / name, SERVER_CPU)) for name in names]
        for server in servers:
            wrk(server, 16, arguments.warmup)
        for connections in arguments.connections:
            for number in range(arguments.rounds):
                for server in servers if number % 2 == 0 else servers[::-1]:
                    found = wrk(server, connections, arguments.seconds)
                    yield Cell(
                        server=server.name, model=model, connections=connections, round=number, per_s=found["requests"] / found["seconds"],
                        p50_ms=found["p50_ms"], p99_ms=found["p99_ms"], failed=int(found["failed"]),
                    )  # fmt: skip


def words(text: str) -> list[str]:
    return text.split(",")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--only", type=words, default=list(SERVERS), help=f"servers, of {','.join(SERVERS)}")
    parser.add_argument("--models", type=words, default=["lr", "rf", "text"])
    parser.add_argument("--connections", type=lambda text: list(map(int, text.split(","))), default=[1, 64, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--least", type=float, default=0.0, help="exit 1 when a model at 64 connections has less than this share, as 0.65")
    return parser.parse_args(arguments)


def too_slow(cells: list[Cell], least: float) -> list[str]:
    """What stays below ``least`` of the prototype at 64 connections, in words."""
    slow = []
    for model in dict.fromkeys(cell["model"] for cell in cells):
        share = ratios(cells, "ours", model, 64)
        if share and statistics.median(share) < least:
            slow.append(f"{model}: {statistics.median(share):.0%} of the prototype, at least {least:.0%} is wanted")
    return slow


def main() -> int:
    arguments = parse()
    if not shutil.which("wrk"):
        print("wrk is needed (on Debian: apt install wrk).", file=sys.stderr)
        return 2
    if SERVER_CPU is None:
        print("Fewer than two CPUs, or no taskset: nothing is pinned, and the figures mean less.", file=sys.stderr)
    RESULTS.mkdir(exist_ok=True)
    models = trained()
    path, cells = RESULTS / time.strftime("%Y%m%d-%H%M%S.jsonl", time.gmtime()), []
    with tempfile.TemporaryDirectory(prefix="carafe-bench-") as work, path.open("w") as file:
        for model in arguments.models:
            for cell in measure(model, arguments.only, arguments, models, Path(work)):
                cells.append(cell)
                file.write(json.dumps(cell) + "\n")
                file.flush()
                print(LINE.format(**cell), file=sys.stderr)
    print("\n".join(lines(cells)))
    slow = too_slow(cells, arguments.least)
    print("\n".join(slow), file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
