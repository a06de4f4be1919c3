"""Write docs/benchmarks.md from the results that the suites of run.py have left.   python benchmarks/report.py"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from embedded import COMMANDS
from figures import FIGURES, Figure
from loading import RESULTS
from rivals import environments
from table import Cell, kept, middle, share

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
Cells = Sequence[Cell]
NAMES = {
    "ours": "**Carafe**", "prototype": "bare prototype", "fastapi": "FastAPI by hand", "flask": "Flask by hand (gunicorn)", "mlserver": "MLServer",
    "mlflow": "MLflow", "bentoml": "BentoML", "litserve": "LitServe", "ray": "Ray Serve", "view": "Flask view", "door": "middleware",
}  # fmt: skip
HEAD = """\
# Benchmarks

<!-- Written by benchmarks/report.py from what benchmarks/run.py --suite all has found; change it there. -->
One row a request over kept-alive connections, unless a line says otherwise. A server and all of its processes share one CPU, the load
generator ([wrk](https://github.com/wg/wrk)) has another. Everything that Carafe does by default is on: validation, ids, metrics, the journal.
Every server has the same model files and one worker; those that can gather requests into batches do. Before a server is measured, each
of its answers is compared with the model's own. `benchmarks/README.md` says how to
measure again.

The models: `lr`, scaler and logistic regression on 30 numbers, the cheapest call; `rf`, a forest of 100 trees; `text`, tf-idf over 20,000
words and logistic regression.
"""
MEASURED = """\
The figures are medians of {rounds} rounds that take turns, on {machine}.
"""
NOTHING = """\
No suite has been run for this page yet.
"""
RIVALS = """\
## Beside other servers

Requests per second as a multiple of what FastAPI by hand (`async def`, typed request and answer, the model on top) answers in the same
round; behind it the 99th percentile of latency in ms.
"""
ABSENT = """\
TensorFlow Serving and Triton serve no scikit-learn models from their files and are no Python packages; they are not here. Each of the
others has an environment of its own with pinned versions:
{versions}. With all of its processes on one CPU
Ray Serve has less than it is made for.
"""
SPEED = """\
## Beside a bare prototype

The prototype (`benchmarks/prototype/`) has the same shape, an event loop in front of a model process, and nothing else: no
limits, no deadlines, no error path, no ids, no metrics. What is wanted at 64 connections: 75 % of its requests/s on `lr` and `text`, 85 % on
`rf`, p99 within 1.6 times. `named` takes five columns by name, which a ColumnTransformer makes ready
over a data frame.
"""
VIEWS = """\
## Inside a Flask app

`carafe.serve(…)` in an app under three servers with 64 threads: through ordinary Flask views, and through the middleware
(`CARAFE_DOOR=wsgi`). Requests/s of `lr` as a share of a bare Flask view that always says the same, under the same server. Wanted of the views at 64
connections: 65 %.
"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table; all columns but the first aligned right."""
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def machine() -> str:
    """Words for this machine, without its name.

    >>> machine().startswith(str(os.cpu_count()))
    True
    """
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
        return f"{os.cpu_count()} CPUs ({kind}), {platform.system()}, Python {platform.python_version()}, scikit-learn {version('scikit-learn')}"
    return f"{os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}, scikit-learn {version('scikit-learn')}"


def columns(cells: Cells) -> list[tuple[str, int]]:
    return list(dict.fromkeys((cell["model"], cell["connections"]) for cell in cells))


def servers(cells: Cells) -> list[str]:
    return list(dict.fromkeys(cell["server"] for cell in cells))


def told(cells: Cells, server: str, base: str, style: str) -> list[str]:
    """A server's cells: speed as a share of ``base`` in ``style``, and p99."""
    texts = []
    for model, connections in columns(cells):
        part, found = share(cells, server, model, connections, base), middle(cells, server, model, connections)
        failed = ", failing" if found and found["failed"] else ""
        texts.append(f"{part:{style}}{'×' if style != '.0%' else ''} ({found['p99_ms']:.1f}{failed})" if part is not None and found else "-")
    return texts


def rivals(cells: Cells) -> Iterator[str]:
    yield RIVALS
    order = sorted(servers(cells), key=lambda name: -(share(cells, name, *columns(cells)[-1], "fastapi") or 0.0))
    head = ["", *(f"{model}, {connections} conn." for model, connections in columns(cells))]
    yield from table(head, [[NAMES[name], *told(cells, name, "fastapi", ".1f")] for name in order])
    yield ABSENT.format(versions=", ".join(environments.version(name) for name in environments.NAMES))


def speed(cells: Cells) -> Iterator[str]:
    yield SPEED
    head = ["model", "connections", "of its requests/s", "requests/s", "p50 ms", "p99 ms", "its p50 ms", "its p99 ms"]
    rows = []
    for model, connections in columns(cells):
        part = share(cells, "ours", model, connections)
        found, base = (middle(cells, server, model, connections) for server in ("ours", "prototype"))
        if part is not None and found and base:
            times = [f"{whose[key]:.2f}" for whose in (found, base) for key in ("p50_ms", "p99_ms")]
            rows.append([f"`{model}`", str(connections), f"{part:.0%}", f"{found['per_s']:,.0f}", *times])
    yield from table(head, rows)


def views(cells: Cells) -> Iterator[str]:
    yield VIEWS
    head = ["", *(f"{connections} conn." for _, connections in columns(cells))]
    rows = []
    for server in COMMANDS:
        for kind in ("view", "door"):
            parts = [share(cells, f"{kind}-{server}", model, connections, f"bare-{server}") for model, connections in columns(cells)]
            rows.append([f"{NAMES[kind]}, {server}", *(f"{part:.0%}" if part is not None else "-" for part in parts)])
    yield from table(head, rows)


def figures() -> Iterator[str]:
    """What is no table of servers."""
    found: list[Figure] = [figure for name in FIGURES for figure in _figures(RESULTS / f"{name}.json")]
    if found:
        yield "## Further figures\n"
        yield from table(["", "measured", "wanted"], [[figure["name"], figure["found"], figure["wanted"]] for figure in found])


def _figures(path: Path) -> list[Figure]:
    return json.loads(path.read_text()) if path.exists() else []


def page() -> Iterator[str]:
    parts: list[tuple[Callable[[Cells], Iterator[str]], list[Cell]]] = [
        (rivals, kept("rivals")), (speed, kept("speed") + kept("named")), (views, kept("views")),
    ]  # fmt: skip
    yield HEAD
    rounds = [cell["round"] + 1 for _, cells in parts for cell in cells]
    yield MEASURED.format(rounds=max(rounds), machine=machine()) if rounds else NOTHING
    for part, cells in parts:
        if cells:
            yield from part(cells)
    yield from figures()


if __name__ == "__main__":
    PAGE.write_text("\n".join(page()).rstrip() + "\n")
    print(PAGE, file=sys.stderr)
