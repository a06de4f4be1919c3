"""Figures that are no table: requests of many rows, memory, start, pages beside load. Each is a function with one line of result."""

from __future__ import annotations

import contextlib
import http.client
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypedDict

from loading import SERVER_CPU, trained, wrk
from servers import HERE, ONE_THREAD, Ours
from usage import marked, pinned, role

LIBRARIES = re.compile(r"/(numpy|scipy|sklearn|pandas|pyarrow|torch|onnxruntime|xgboost|lightgbm)/")
PAGES_PER_S, MOST_VIEWERS = 20, 32
MANY_CONNECTIONS = 16  # of 100 rows each: 64 of them are more than may wait
MODEL_ALONE = "import sys, joblib; model = joblib.load(sys.argv[1]); model.predict_proba([[0.0] * 30])"


class Figure(TypedDict):
    """One line: what was measured, the figure in words, what is wanted, and whether it is so."""

    name: str
    found: str
    wanted: str
    holds: bool


class How(NamedTuple):
    """How often, how long a load lasts in seconds, and where logs and homes go."""

    rounds: int
    seconds: int
    work: Path


@contextlib.contextmanager
def ours(how: How, model: str = "lr") -> Iterator[Ours]:
    with Ours(model, trained(), how.work / f"ours-{model}", SERVER_CPU) as server:
        yield server


def rows(how: How) -> list[Figure]:
    """Requests of 100 rows over HTTP, as a share of what the host does when it is given the frames as they are."""
    shares = []
    with ours(how, "many") as server:
        wrk(server, MANY_CONNECTIONS, how.seconds)
        for _ in range(how.rounds):
            found = loaded(server, MANY_CONNECTIONS, how.seconds)
            shares.append(found["requests"] / found["seconds"] / exchanged(server, how.seconds))
    share = statistics.median(shares)
    return [Figure(name="100 rows of 30 numbers a request, of the bare frame exchange", found=f"{share:.0%}", wanted="≥ 60 %", holds=share >= 0.6)]


def loaded(server: Ours, connections: int, seconds: int) -> dict[str, float]:
    """As :func:`wrk`. :raises RuntimeError: a request failed, so that the figure says nothing."""
    found = wrk(server, connections, seconds)
    if found["failed"]:
        raise RuntimeError(f"{found['failed']:.0f} of {found['requests']:.0f} requests failed")
    return found


def exchanged(server: Ours, seconds: int) -> float:
    """Exchanges a second with the host of ``server``, from its CPU."""
    command = [*pinned(SERVER_CPU), sys.executable, HERE / "exchange.py", server.home, server.model, server.bodies, str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(how: How) -> list[Figure]:
    """A web worker after load: its resident memory, and the libraries that are mapped into it."""
    sizes, mapped = [], set()
    for model in ("lr", "text"):
        with ours(how, model) as server:
            wrk(server, 256, how.seconds)
            for process in marked(server.mark):
                if role(process) == "web" and not any(role(child) == "web" for child in process.children()):
                    sizes.append(process.memory_info().rss / 2**20)
                    mapped |= set(LIBRARIES.findall(Path(f"/proc/{process.pid}/maps").read_text()))
    found = ", ".join(sorted(mapped)) or "none"
    return [
        Figure(name="memory of a web worker after load", found=f"{max(sizes):.0f} MiB", wanted="≤ 80 MiB", holds=max(sizes) <= 80),
        Figure(name="model libraries in a web worker", found=found, wanted="none", holds=not mapped),
    ]


def start(how: How) -> list[Figure]:
    """From ``carafe serve`` to the first prediction, without what the model's own import and first prediction take."""
    took = []
    for number in range(how.rounds):
        began = time.monotonic()
        alone = [*pinned(SERVER_CPU), sys.executable, "-c", MODEL_ALONE, trained() / "lr.joblib"]
        subprocess.run(alone, check=True, env={"PATH": "/usr/bin:/bin", **ONE_THREAD})
        own = time.monotonic() - began
        with ours(how._replace(work=how.work / f"start-{number}")) as server:
            took.append(server.started_s - own)
    middle = statistics.median(took)
    return [Figure(name="start to first prediction, over the model's own import", found=f"{middle:.1f} s", wanted="≤ 1 s", holds=middle <= 1.0)]


def pages(how: How) -> list[Figure]:
    """Predictions at 64 connections with and without somebody who opens 20 pages a second."""
    p50, p99 = [], []
    with ours(how) as server:
        wrk(server, 64, how.seconds)
        for number in range(how.rounds):
            loads = [lambda: loaded(server, 64, how.seconds), lambda: viewed(server, lambda: loaded(server, 64, how.seconds))]
            order = (0, 1) if number % 2 == 0 else (1, 0)
            found = {which: loads[which]() for which in order}
            p50.append(found[1]["p50_ms"] / found[0]["p50_ms"])
            p99.append(found[1]["p99_ms"] / found[0]["p99_ms"])
    low, high = statistics.median(p50), statistics.median(p99)
    name = f"{PAGES_PER_S} page views a second beside load"
    return [
        Figure(name=f"{name}: p50", found=f"{low:.2f} x", wanted="as without", holds=low <= 1.15),
        Figure(name=f"{name}: p99", found=f"{high:.2f} x", wanted="within 3 x", holds=high <= 3.0),
    ]


def viewed(server: Ours, load: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What ``load`` gives while pages are opened, one each time that it is due whether or not the last one came.

    :raises RuntimeError: a page was not answered.
    """
    over, views = threading.Event(), list[Future[int]]()
    with ThreadPoolExecutor(MOST_VIEWERS) as viewers:

        def view() -> None:
            while not over.wait(1 / PAGES_PER_S):
                views.append(viewers.submit(page, server))

        clock = threading.Thread(target=view)
        clock.start()
        try:
            found = load()
        finally:
            over.set()
            clock.join()
    seen = {done.result() for done in views}
    if seen != {200}:
        raise RuntimeError(f"{len(views)} pages were opened, with status {sorted(seen)}")
    return found


def page(server: Ours) -> int:
    """Open the model's page; its status."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", f"/models/{server.model}")
        response = connection.getresponse()
        response.read()
        return response.status


FIGURES: dict[str, Callable[[How], list[Figure]]] = {"rows": rows, "memory": memory, "start": start, "pages": pages}
