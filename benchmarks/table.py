"""Cells of a suite as a Markdown table: medians of rounds, and speed as a share of another server's in the same round.   python table.py SUITE"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

RESULTS = Path(os.environ.get("BENCH_RESULTS") or Path(__file__).resolve().parent / "results")
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


def ratios(cells: Iterable[Cell], server: str, model: str, connections: int, base: str = BASE) -> list[float]:
    """Requests/s of ``server`` by those of ``base``, round by round."""
    by = {(c["server"], c["round"]): c["per_s"] for c in cells if (c["model"], c["connections"]) == (model, connections)}
    return [by[server, number] / by[base, number] for name, number in by if name == server and by.get((base, number))]


def share(cells: Iterable[Cell], server: str, model: str, connections: int, base: str = BASE) -> float | None:
    """The median of :func:`ratios`; None where there are none."""
    found = ratios(cells, server, model, connections, base)
    return statistics.median(found) if found else None


def middle(cells: Iterable[Cell], server: str, model: str, connections: int) -> dict[str, float]:
    """The medians of ``per_s``, ``p50_ms`` and ``p99_ms`` over the rounds, and the sum of ``failed``; empty where there are none."""
    rounds = [c for c in cells if (c["server"], c["model"], c["connections"]) == (server, model, connections)]
    if not rounds:
        return {}
    found = {key: statistics.median(c[key] for c in rounds) for key in ("per_s", "p50_ms", "p99_ms")}  # type: ignore[literal-required]
    return found | {"failed": sum(c["failed"] for c in rounds)}


def lines(cells: list[Cell], base: str = BASE) -> Iterator[str]:
    """The table, a line at a time.

    >>> cell = dict(model="lr", connections=64, round=0, p50_ms=2.0, p99_ms=3.0, failed=0)
    >>> for line in lines([Cell(server="ours", per_s=9000.0, **cell), Cell(server="prototype", per_s=10000.0, **cell)]):
    ...     print(line)
    | model | connections | server | requests/s | p50 ms | p99 ms | of prototype |
    |---|---:|---|---:|---:|---:|---:|
    | lr | 64 | ours | 9,000 | 2.0 | 3.0 | 90% |
    | lr | 64 | prototype | 10,000 | 2.0 | 3.0 | 100% |
    """
    yield f"| model | connections | server | requests/s | p50 ms | p99 ms | of {base} |"
    yield "|---|---:|---|---:|---:|---:|---:|"
    for model, connections, server in dict.fromkeys((c["model"], c["connections"], c["server"]) for c in cells):
        found, part = middle(cells, server, model, connections), share(cells, server, model, connections, base)
        told = f"{part:.0%}" if part is not None else ""
        failed = f" ({found['failed']:.0f} failed)" if found["failed"] else ""
        yield f"| {model} | {connections} | {server} | {found['per_s']:,.0f} | {found['p50_ms']:.1f} | {found['p99_ms']:.1f} | {told}{failed} |"


def kept(suite: str) -> list[Cell]:
    """The cells that a suite has left; none where it has not been run."""
    path = RESULTS / f"{suite}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    print("\n".join(lines(kept(sys.argv[1]))))
