"""A client that puts load on a server, in a process of its own: plain sockets, every answer looked at, nothing asked twice.

``python load_client.py closed '{"port": …}'`` asks on so many connections, each time when the last answer is there; ``open`` asks
at a rate, whatever comes back; ``echo`` pipelines rows that name themselves, some with hardly any time. What was seen goes to
standard output as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter, deque
from time import perf_counter
from typing import Any

Sent = tuple[float, Any]  # when a request was due, and what it was


class Connection(asyncio.Protocol):
    """One connection; requests are answered in the order in which they were sent."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd, self.buffer, self.sent = crowd, b"", deque[Sent]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes, due: float, about: Any = None) -> None:
        self.sent.append((due, about))
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            stop = end + 4 + int(head[at : head.find(b"\r\n", at) if b"\r\n" in head[at:] else len(head)])
            if len(self.buffer) < stop:
                break
            body, self.buffer = self.buffer[end + 4 : stop], self.buffer[stop:]
            due, about = self.sent.popleft()
            self.crowd.answered(self, int(head[9:12]), b"retry-after:" in head, body, perf_counter() - due, about)

    def connection_lost(self, exc: Exception | None) -> None:
        self.crowd.lost += len(self.sent)
        if self in self.crowd.free:
            self.crowd.free.remove(self)


class Crowd:
    """Connections, and what came back on them: seconds by status; answers that cannot be right."""

    def __init__(self, port: int, path: str) -> None:
        self.port, self.path = port, path
        self.seconds: dict[int, list[float]] = {}
        self.lost = self.wrong = self.without_retry = 0
        self.free = deque[Connection]()
        self.is_over = False

    def request(self, body: bytes, timeout_ms: int) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout-Ms: {timeout_ms}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(self), "127.0.0.1", self.port)
        return connection

    def answered(self, connection: Connection, status: int, has_retry: bool, body: bytes, seconds: float, about: Any) -> None:
        self.seconds.setdefault(status, []).append(seconds)
        self.without_retry += status in (429, 503) and not has_retry
        self.next(connection)

    def next(self, connection: Connection) -> None:
        """``connection`` has nothing to do."""
        self.free.append(connection)

    def told(self, **more: Any) -> dict[str, Any]:
        def at(times: list[float], part: float) -> float:
            return sorted(times)[min(len(times) - 1, int(part * len(times)))]

        counts = {str(status): {"n": len(times), "p50": at(times, 0.5), "p99": at(times, 0.99)} for status, times in self.seconds.items()}
        return {"answers": counts, "lost": self.lost, "wrong": self.wrong, "without_retry": self.without_retry, **more}


class Closed(Crowd):
    """Each connection asks again when it was answered."""

    def __init__(self, port: int, path: str, body: bytes, timeout_ms: int) -> None:
        super().__init__(port, path)
        self.asks = self.request(body, timeout_ms)

    def next(self, connection: Connection) -> None:
        if not self.is_over:
            connection.ask(self.asks, perf_counter())

    async def run(self, connections: int, seconds: float) -> None:
        for connection in [await self.connect() for _ in range(connections)]:
            self.next(connection)
        await asyncio.sleep(seconds)
        self.is_over = True


class Open(Crowd):
    """Requests come at their times; where every connection is busy, on a new one. ``good`` counts what was answered while they came."""

    good = 0

    async def run(self, body: bytes, timeout_ms: int, rate: float, seconds: float) -> None:
        self.free.extend([await self.connect() for _ in range(200)])
        request, began = self.request(body, timeout_ms), perf_counter()
        for i in range(int(rate * seconds)):
            due = began + i / rate
            if (ahead := due - perf_counter()) > 0:
                await asyncio.sleep(ahead)
            connection = self.free.popleft() if self.free else await self.connect()  # by turns, so that none idles until the server closes it
            connection.ask(request, due)
        self.good, until = len(self.seconds.get(200, ())), perf_counter() + timeout_ms / 1000 + 10.0
        while sum([len(times) for times in self.seconds.values()]) < int(rate * seconds) and perf_counter() < until:
            await asyncio.sleep(0.05)


class Echo(Crowd):
    """Every row names itself; one in a hundred has some milliseconds at most. An answer that names another row is wrong."""

    def __init__(self, port: int, path: str, total: int, deep: int, seed: int) -> None:
        super().__init__(port, path)
        self.total, self.deep, self.random, self.asked, self.done = total, deep, random.Random(seed), 0, asyncio.Event()
        self.hasty, self.others = Counter[int](), Counter[int]()

    def ask(self, connection: Connection) -> None:
        if self.asked < self.total:
            self.asked += 1
            is_hasty = self.random.random() < 0.01
            patience = self.random.choice([1, 1, 2, 4, 8]) if is_hasty else 60_000
            connection.ask(self.request(b'{"nonce":%d}' % self.asked, patience), perf_counter(), (self.asked, is_hasty))

    def answered(self, connection: Connection, status: int, has_retry: bool, body: bytes, seconds: float, about: Any) -> None:
        nonce, is_hasty = about
        (self.hasty if is_hasty else self.others)[status] += 1
        self.wrong += status == 200 and json.loads(body)["prediction"] != nonce
        if self.hasty.total() + self.others.total() == self.total:
            self.done.set()
        self.ask(connection)

    async def run(self, connections: int) -> None:
        for connection in [await self.connect() for _ in range(connections)]:
            for _ in range(self.deep):
                self.ask(connection)
        while self.hasty.total() + self.others.total() + self.lost < self.total:
            before = self.hasty.total() + self.others.total()
            await asyncio.wait([asyncio.ensure_future(self.done.wait())], timeout=30)
            if self.hasty.total() + self.others.total() == before:
                break  # nothing came for half a minute: that is told by the counts


async def main(mode: str, options: dict[str, Any]) -> dict[str, Any]:
    port, path, body = options["port"], options["path"], options.get("body", "").encode()
    if mode == "closed":
        closed = Closed(port, path, body, options["timeout_ms"])
        await closed.run(options["connections"], options["seconds"])
        return closed.told()
    if mode == "open":
        crowd = Open(port, path)
        await crowd.run(body, options["timeout_ms"], options["rate"], options["seconds"])
        return crowd.told(unanswered=int(options["rate"] * options["seconds"]) - sum(len(times) for times in crowd.seconds.values()), good=crowd.good)
    echo = Echo(port, path, options["total"], options["deep"], options["seed"])
    await echo.run(options["connections"])
    return echo.told(hasty=echo.hasty, others=echo.others)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))))
