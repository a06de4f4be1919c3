"""Requests per second and latency of several servers, in rounds that take turns.

Servers that stand still use nothing, so ours and the prototype are all up while they are asked in turn. Rivals keep threads and
watchers busy, so each of them is started for its turn and is alone.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from loading import SERVER_CPU, trained, wrk
from servers import Server
from table import Cell

T = TypeVar("T")
LINE = "{model:5} {connections:4} {server:14} {per_s:9,.0f}/s  p50 {p50_ms:8.2f}  p99 {p99_ms:8.2f} ms"


class Plan(NamedTuple):
    """What to measure; seconds of a cell and of the load before it."""

    servers: Mapping[str, type[Server]]
    models: Sequence[str]
    connections: Sequence[int]
    rounds: int
    seconds: int
    warmup: int
    is_alone: bool = False


def measure(plan: Plan, work: Path) -> Iterator[Cell]:
    """Every cell, told on stderr as it comes; the order of the servers changes with each round."""
    for model in plan.models:
        for cell in _alone(plan, model, work) if plan.is_alone else _together(plan, model, work):
            print(LINE.format(**cell), file=sys.stderr)
            yield cell


def _together(plan: Plan, model: str, work: Path) -> Iterator[Cell]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_server(name, kind, model, work)) for name, kind in plan.servers.items()]
        for server in servers:
            wrk(server, 16, plan.warmup)
        for connections in plan.connections:
            for number in range(plan.rounds):
                for server in _turned(servers, number):
                    yield _cell(server, connections, number, plan.seconds)


def _alone(plan: Plan, model: str, work: Path) -> Iterator[Cell]:
    """A server that does not come up is told, and the others go on."""
    for number in range(plan.rounds):
        for name, kind in _turned(list(plan.servers.items()), number):
            try:
                with _server(name, kind, model, work) as server:
                    wrk(server, 16, plan.warmup)
                    for connections in plan.connections:
                        yield _cell(server, connections, number, plan.seconds)
            except (RuntimeError, OSError) as exc:
                print(f"{name}, {model}: {exc}", file=sys.stderr)


def _server(name: str, kind: type[Server], model: str, work: Path) -> Server:
    return kind(model, trained(), work / f"{name}-{model}", SERVER_CPU)


def _turned(these: Sequence[T], number: int) -> Sequence[T]:
    return these if number % 2 == 0 else these[::-1]


def _cell(server: Server, connections: int, number: int, seconds: int) -> Cell:
    found = wrk(server, connections, seconds)
    return Cell(
        server=server.name, model=server.model, connections=connections, round=number, per_s=found["requests"] / found["seconds"],
        p50_ms=found["p50_ms"], p99_ms=found["p99_ms"], failed=int(found["failed"]),
    )  # fmt: skip
