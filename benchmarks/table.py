"""Figures of a run as a Markdown table: medians of rounds, and speed as a share of the prototype's in the same round."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

BASE = "prototype"


class Cell(TypedDict):
    """One server under one load in one round."""

    server: str
    model: str
    connections: int
    round: int
    per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def ratios(cells: Iterable[Cell], server: str, model: str, connections: int) -> list[float]:
    """Requests/s of ``server`` by those of the prototype, round by round."""
    by = {(c["server"], c["round"]): c["per_s"] for c in cells if (c["model"], c["connections"]) == (model, connections)}
    return [by[server, number] / by[BASE, number] for name, number in by if name == server and by.get((BASE, number))]


def lines(cells: list[Cell]) -> Iterator[str]:
    """The table, a line at a time.

    >>> cell = dict(model="lr", connections=64, round=0, p50_ms=2.0, p99_ms=3.0, failed=0)
    >>> for line in lines([Cell(server="ours", per_s=9000.0, **cell), Cell(server="prototype", per_s=10000.0, **cell)]):
    ...     print(line)
    | model | connections | server | requests/s | p50 ms | p99 ms | of the prototype |
    |---|---:|---|---:|---:|---:|---:|
    | lr | 64 | ours | 9,000 | 2.0 | 3.0 | 90% |
    | lr | 64 | prototype | 10,000 | 2.0 | 3.0 | 100% |
    """
    yield "| model | connections | server | requests/s | p50 ms | p99 ms | of the prototype |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    for model, connections, server in dict.fromkeys((c["model"], c["connections"], c["server"]) for c in cells):
        rounds = [c for c in cells if (c["model"], c["connections"], c["server"]) == (model, connections, server)]
        per_s, p50, p99 = (statistics.median(c[key] for c in rounds) for key in ("per_s", "p50_ms", "p99_ms"))
        share = ratios(cells, server, model, connections)
        failed = sum(c["failed"] for c in rounds)
        told = f"{statistics.median(share):.0%}" if share else ""
        yield f"| {model} | {connections} | {server} | {per_s:,.0f} | {p50:.1f} | {p99:.1f} | {told}{f' ({failed} failed)' if failed else ''} |"


if __name__ == "__main__":
    print("\n".join(lines([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()])))
