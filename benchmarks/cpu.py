"""CPU time per request, process by process: what a change costs, on a machine too busy for a clock.

    python benchmarks/cpu.py --models lr --connections 64 --seconds 3

A clock tells what else the machine did; CPU time hardly does. Ours and the prototype are loaded in turns, the medians count.
A starved server answers in smaller frames, which cost more a row: ``--first`` lets servers and load go before other work.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from loading import SERVER_CPU, trained, wrk
from servers import SERVERS, Server
from usage import cpu_us

ROLES = ("web", "host", "rest")
HEAD = """\
| model | connections | server | web µs | host µs | rest µs | all µs | of the prototype | requests |
|---|---:|---|---:|---:|---:|---:|---:|---:|"""


def spent(server: Server, connections: int, seconds: int) -> dict[str, float]:
    """Microseconds of CPU for a request, by role, and how many requests there were."""
    before = cpu_us(server.mark)
    found = wrk(server, connections, seconds)
    after = cpu_us(server.mark)
    if found["failed"]:
        raise RuntimeError(f"{server.name}: {found['failed']:.0f} requests failed")
    return {role: (after[role] - before[role]) / found["requests"] for role in ROLES} | {"requests": found["requests"]}


def lines(model: str, connections: int, rounds: dict[str, list[dict[str, float]]]) -> Iterator[str]:
    """A line of the table for each server.

    >>> rounds = {name: [dict(web=web, host=10.0, rest=0.0, requests=9000.0)] for name, web in (("ours", 30.0), ("prototype", 15.0))}
    >>> for line in lines("lr", 64, rounds):
    ...     print(line)
    | lr | 64 | ours | 30.0 | 10.0 | 0.0 | 40.0 | 1.60 | 9,000 |
    | lr | 64 | prototype | 15.0 | 10.0 | 0.0 | 25.0 | 1.00 | 9,000 |
    """
    middle = {name: {key: statistics.median(found[key] for found in several) for key in several[0]} for name, several in rounds.items()}
    total = {name: sum(found[role] for role in ROLES) for name, found in middle.items()}
    for name, found in middle.items():
        share = f"{total[name] / total['prototype']:.2f}" if "prototype" in total else ""
        figures = " | ".join(f"{found[role]:.1f}" for role in ROLES)
        yield f"| {model} | {connections} | {name} | {figures} | {total[name]:.1f} | {share} | {found['requests']:,.0f} |"


def measure(model: str, arguments: argparse.Namespace, work: Path) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(SERVERS[name](model, trained(), work / name, SERVER_CPU)) for name in arguments.only]
        for server in servers:
            wrk(server, 16, 1)
        for connections in arguments.connections:
            rounds: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
            for number in range(arguments.rounds):
                for server in servers if number % 2 == 0 else servers[::-1]:
                    rounds[server.name].append(spent(server, connections, arguments.seconds))
            yield from lines(model, connections, rounds)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=["ours", "prototype"], help=f"servers, of {','.join(SERVERS)}")
    parser.add_argument("--models", type=lambda text: text.split(","), default=["lr"], help="of lr,rf,text")
    parser.add_argument("--connections", type=lambda text: list(map(int, text.split(","))), default=[64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--first", action="store_true", help="at a higher priority than other processes (for root)")
    return parser.parse_args(arguments)


def main() -> int:
    arguments = parse()
    if arguments.first:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    print(HEAD)
    with tempfile.TemporaryDirectory(prefix="carafe-bench-") as work:
        for model in arguments.models:
            for line in measure(model, arguments, Path(work)):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
