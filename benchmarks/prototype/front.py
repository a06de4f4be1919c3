"""The data plane at its barest: what an event loop in front of a model process can reach. No limit, no deadline, no error path.

    granian --interface rsgi --workers 1 front:app      HOST_SOCKET: where host.py listens; KIND: numbers, text, named

Rows that arrive in one turn of the loop leave as one frame; while a frame is under way the next rows gather. Carafe's
own data plane has the same shape, and its speed is told as a share of this.
"""

from __future__ import annotations

import asyncio
import math
import os
import struct
from array import array
from typing import Any

import msgspec

HEAD = struct.Struct("<II")  # rows, bytes of the body
MOST_ROWS = 256
JSON = [("content-type", "application/json")]


class Numbers(msgspec.Struct):
    features: list[float]


class Words(msgspec.Struct):
    text: str


class Passenger(msgspec.Struct):
    pclass: int
    sex: str
    age: float | None
    fare: float
    embarked: str


KIND = os.environ.get("KIND", "numbers")
read: Any = msgspec.json.Decoder({"text": Words, "named": Passenger}.get(KIND, Numbers)).decode
write = msgspec.json.Encoder().encode


def texts(values: list[str]) -> bytes:
    """A u32 length for each text, and then their UTF-8."""
    encoded = [value.encode() for value in values]
    return array("I", map(len, encoded)).tobytes() + b"".join(encoded)


def numbers(values: list[Any]) -> bytes:
    return array("d", [math.nan if value is None else value for value in values]).tobytes()


def frame(rows: list[Any]) -> bytes:
    """Rows as the host reads them: float64 row-major, or texts, or the columns of passengers one after the other."""
    if KIND == "text":
        body = texts([row.text for row in rows])
    elif KIND == "named":
        columns = (numbers([row.pclass for row in rows]), numbers([row.age for row in rows]), numbers([row.fare for row in rows]))
        body = b"".join([*columns, texts([row.sex for row in rows]), texts([row.embarked for row in rows])])
    else:
        body = b"".join([array("d", row.features).tobytes() for row in rows])
    return HEAD.pack(len(rows), len(body)) + body


class Pipe(asyncio.Protocol):
    """One connection to the host, at most one frame on it."""

    def __init__(self) -> None:
        self.gathered: list[tuple[Any, asyncio.Future[list[float]]]] = []
        self.away: list[tuple[Any, asyncio.Future[list[float]]]] = []
        self.is_due = False
        self.unread = bytearray()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, row: Any) -> asyncio.Future[list[float]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[float]] = loop.create_future()
        self.gathered.append((row, answer))
        if not self.away and not self.is_due:
            self.is_due = True
            loop.call_soon(self.leave)
        return answer

    def leave(self) -> None:
        self.is_due = False
        self.away, self.gathered = self.gathered[:MOST_ROWS], self.gathered[MOST_ROWS:]
        self.transport.write(frame([row for row, _ in self.away]))

    def data_received(self, data: bytes) -> None:
        self.unread += data
        if len(self.unread) < HEAD.size or len(self.unread) < HEAD.size + HEAD.unpack_from(self.unread)[1]:
            return
        rows, size = HEAD.unpack_from(self.unread)
        numbers = array("d", bytes(self.unread[HEAD.size : HEAD.size + size])).tolist()
        del self.unread[: HEAD.size + size]
        waiting, self.away, width = self.away, [], len(numbers) // rows
        for number, (_, answer) in enumerate(waiting):
            if not answer.done():
                answer.set_result(numbers[number * width : (number + 1) * width])
        if self.gathered:
            self.leave()


class Front:
    pipe: Pipe | None = None

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if self.pipe is None:
            _, self.pipe = await asyncio.get_running_loop().create_unix_connection(Pipe, os.environ["HOST_SOCKET"])
        chances = await self.pipe.ask(read(await protocol()))
        best = chances.index(max(chances))
        protocol.response_bytes(200, JSON, write({"prediction": [best], "probabilities": [chances], "version": 1}))


app = Front()
