"""How fast a client takes what it is sent, told by its socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from types import SimpleNamespace

import pytest

from flask_carafe.dataplane import pace as room
from flask_carafe.dataplane.pace import FREE_BYTES, MOST_UNSEEN, Pace, SlowClient, connection_to, queued_bytes
from flask_carafe.dataplane.stream import Sender


@pytest.fixture(params=["127.0.0.1", "::1"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket, str]]:
    """A server's connection, its client's end, and the client's address as RSGI has it."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with (
        socket.create_server((request.param, 0), family=family) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
        closing(listener.accept()[0]) as connection,
    ):
        host, port = client.getsockname()[:2]
        yield connection, client, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def fill(connection: socket.socket) -> None:
    """Send until the kernel takes no more."""
    connection.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            connection.send(bytes(1 << 20))


def test_the_connection_to_a_client_is_found_and_what_it_has_not_read(pair):
    connection, _, address = pair
    found = connection_to(address)
    assert found is not None and found.getpeername() == connection.getpeername()
    assert queued_bytes(found) == 0
    fill(connection)
    assert queued_bytes(found) > 0
    found.close()
    assert connection_to("127.0.0.1:1") is None
    assert connection_to("nowhere") is None


def test_a_sender_waits_until_its_client_reads(pair):
    connection, client, address = pair
    fill(connection)

    async def sending() -> None:
        pace = Pace(address)
        waiting = asyncio.create_task(pace.sent_bytes(FREE_BYTES))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        client.setblocking(False)
        while not waiting.done():
            with suppress(BlockingIOError):
                client.recv(1 << 20)
            await asyncio.sleep(0.001)
        await waiting
        pace.close()

    asyncio.run(sending())


def test_a_client_that_never_reads_is_left(pair, monkeypatch):
    connection, _, address = pair
    fill(connection)
    monkeypatch.setattr(room, "PATIENCE_S", 0.1)
    pace = Pace(address)
    with pytest.raises(SlowClient):
        asyncio.run(pace.sent_bytes(FREE_BYTES))
    pace.close()


def test_a_client_that_cannot_be_seen_has_a_limit():
    pace = Pace("")
    asyncio.run(pace.sent_bytes(MOST_UNSEEN))
    with pytest.raises(SlowClient):
        asyncio.run(pace.sent_bytes(1))


def test_a_client_that_does_not_read_ends_its_stream_at_any_event(caplog):
    class Full:
        async def sent_bytes(self, size: int) -> None:
            raise SlowClient

    class Transport:
        async def send_bytes(self, data: bytes) -> None: ...

    sender = Sender(SimpleNamespace(model=SimpleNamespace(entry=SimpleNamespace(name="chatty"))), SimpleNamespace(client=""), None)
    sender.pace, sender.transport = Full(), Transport()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(sender._hand(b"event: end\n\n"))
    assert "chatty does not read" in caplog.text
