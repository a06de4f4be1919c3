"""Load over HTTP/1.1, in a process of its own: each connection asks again as soon as it was answered.

``python -m flask_carafe.operations.load`` reads a :class:`Plan` from stdin and is started by :mod:`.bench` alone. It
writes ``begin`` when every connection has been answered for a while, ``tick`` every :data:`TICK_S`, ``end`` when the time is over,
and then a :class:`Counts`. Every answer is compared with the one that its row got when it was asked alone.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import re
import ssl
import sys
import time
from typing import Any

import msgspec

TICK_S = 0.25
WARM_UP_S = 0.5
PAUSE_S = 0.05  # of a connection whose request failed
OPEN_S = 10.0
MOST_HEAD_BYTES = 64 * 1024
TOLERANCE = 1e-9  # a batch may be summed in another order than a single row
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSING = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
CHANGING = frozenset(("id", "version"))  # keys of an answer that are no part of what the model said


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, and for how long. ``answers`` belong to ``bodies``, as :func:`said` has them."""

    host: str
    port: int
    tls: bool = False
    path: str
    bodies: list[str]
    answers: list[Any]
    connections: int
    seconds: float


class Counts(msgspec.Struct, kw_only=True):
    """What came of it; times in seconds. ``failed``: by status, ``connection`` where there was none. ``cpu_s``: of the load itself."""

    answered: int
    seconds: float
    p50_s: float
    p99_s: float
    slowest_s: float
    failed: dict[str, int]
    first_failure: str
    different: int
    cpu_s: float


def said(body: bytes) -> Any:
    """What the model said in an answer, without the ids that differ each time.

    :raises ValueError: it is no JSON.
    """
    answer = msgspec.json.decode(body)
    return {key: value for key, value in answer.items() if key not in CHANGING} if isinstance(answer, dict) else answer


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, floats within :data:`TOLERANCE`.

    >>> same({"prediction": 1, "probabilities": [0.1, 0.9]}, {"prediction": 1, "probabilities": [0.1 + 1e-15, 0.9]})
    True
    >>> same({"prediction": 1}, {"prediction": 2}), same([1], [1, 2]), same({"a": 1}, {"b": 1})
    (False, False, False)
    """
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


class Load:
    """All connections of one plan, and what they have counted since :meth:`begin`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests = [request(plan, body.encode()) for body in plan.bodies]
        self.turns = itertools.cycle(range(len(self.requests)))
        self.known: list[bytes] = [b""] * len(self.requests)  # how a right answer begins, up to its id
        self.is_over = False
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        self.times_s: list[float] = []
        self.failed: dict[str, int] = {}
        self.first_failure = ""
        self.different = 0
        self.began, self.began_cpu = time.perf_counter(), time.process_time()

    def answered(self, row: int, body: bytes, seconds: float) -> None:
        self.times_s.append(seconds)
        known = self.known[row]
        if not known or not body.startswith(known):
            self._look_closely(row, body)

    def _look_closely(self, row: int, body: bytes) -> None:
        try:
            is_right = same(self.plan.answers[row], said(body))
        except ValueError:
            is_right = False
        self.different += not is_right
        begins, found, _ = body.partition(b'"id":')
        if is_right and found:
            self.known[row] = begins

    def lost(self, why: str, words: str) -> None:
        """A request got no answer, or one that is no 200."""
        self.failed[why] = self.failed.get(why, 0) + 1
        self.first_failure = self.first_failure or words

    def counts(self) -> Counts:
        self.is_over = True
        seconds, cpu_s, times = time.perf_counter() - self.began, time.process_time() - self.began_cpu, sorted(self.times_s)
        p50, p99, slowest = (times[min(len(times) - 1, int(len(times) * part))] if times else 0.0 for part in (0.5, 0.99, 1.0))
        return Counts(
            answered=len(times), seconds=seconds, p50_s=p50, p99_s=p99, slowest_s=slowest, failed=self.failed,
            first_failure=self.first_failure, different=self.different, cpu_s=cpu_s,
        )  # fmt: skip


def request(plan: Plan, body: bytes) -> bytes:
    """The bytes of one POST."""
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    head = f"POST {plan.path} HTTP/1.1\r\nHost: {host}:{plan.port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection with one request on it; ``ended`` is set when the server closes it, as some do after each answer."""

    def __init__(self, load: Load) -> None:
        self.load, self.ended = load, asyncio.Event()
        self.unread, self.is_asking = b"", False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        if self.load.is_over or self.transport.is_closing():
            return
        self.row, self.began, self.is_asking = next(self.load.turns), time.perf_counter(), True
        self.transport.write(self.load.requests[self.row])

    def data_received(self, data: bytes) -> None:
        self.unread = data = self.unread + data if self.unread else data
        end = data.find(b"\r\n\r\n")
        if end < 0 and len(data) < MOST_HEAD_BYTES:
            return
        length = LENGTH.search(data, 0, end) if end >= 0 else None
        if length is None:
            self._lost("unreadable", "an answer came without Content-Length, as by a proxy that compresses; ask the server itself")
            self.transport.abort()
        elif len(data) >= end + 4 + int(length[1]):
            self.unread, self.is_asking = b"", False
            if CLOSING.search(data, 0, end + 2):
                self.transport.close()
            self._done(data[9:12].decode("latin-1"), data[end + 4 :])

    def _done(self, status: str, body: bytes) -> None:
        if status == "200":
            self.load.answered(self.row, body, time.perf_counter() - self.began)
            self.ask()
        else:
            self._lost(status, f"{status}: {body[:300].decode(errors='replace')}")
            asyncio.get_running_loop().call_later(PAUSE_S, self.ask)

    def _lost(self, why: str, words: str) -> None:
        self.is_asking = False
        self.load.lost(why, words)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_asking and not self.load.is_over:
            self._lost("connection", f"the server closed a connection that waited for its answer{f' ({exc})' if exc else ''}")
        self.ended.set()


async def keep_asking(load: Load) -> None:
    """One client: connect, ask until the server closes the connection, connect again."""
    loop, plan = asyncio.get_running_loop(), load.plan
    context = ssl.create_default_context() if plan.tls else None
    while not load.is_over:
        try:
            opening = loop.create_connection(lambda: Connection(load), plan.host, plan.port, ssl=context)
            _, connection = await asyncio.wait_for(opening, OPEN_S)
        except (OSError, TimeoutError) as exc:
            load.lost("connection", f"no connection could be made: {exc or 'it took too long'}")
            await asyncio.sleep(PAUSE_S)
        else:
            await connection.ended.wait()


async def run(plan: Plan) -> Counts:
    """Ask by ``plan``; tell stdout how it goes."""
    load = Load(plan)
    clients = [asyncio.create_task(keep_asking(load)) for _ in range(plan.connections)]
    await asyncio.sleep(min(WARM_UP_S, plan.seconds))
    tell("begin")
    load.begin()
    while (left := load.began + plan.seconds - time.perf_counter()) > 0:
        await asyncio.sleep(min(TICK_S, left))
        tell("tick")
    counts = load.counts()
    tell("end")
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    return counts


def tell(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    gc.disable()  # what is made in these seconds fits in memory, and nothing else shall be measured
    tell(msgspec.json.encode(asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)))).decode())
