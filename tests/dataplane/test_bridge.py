"""Long answers of Flask behind the loop: sent part by part, as their client takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, Response, current_app, stream_with_context

from flask_carafe.dataplane.bridge import Bridge

WORDS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
GET: dict[str, Any] = {
    "method": "GET", "path": "/", "query_string": "", "scheme": "http", "http_version": "1.1", "client": "", "server": "localhost:80", "headers": {},
}  # fmt: skip


class Client:
    """An RSGI protocol and its transport; leaves before part number ``stays``."""

    def __init__(self, log: list[Any], stays: int = 100) -> None:
        self.log, self.stays = log, stays

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Client:
        return self

    async def send_bytes(self, part: bytes) -> None:
        if not self.stays:
            raise RuntimeError("the client has left")
        self.stays -= 1
        self.log.append(part)


def ask(client: Client) -> None:
    """One request to an application that writes down what it makes, and that it was ended."""
    app = Flask("events")

    @app.get("/")
    def events() -> Response:
        def body() -> Iterator[bytes]:
            try:
                for word in WORDS:
                    client.log.append(f"{current_app.name} makes")
                    yield word
            finally:
                client.log.append("ended")

        return Response(stream_with_context(body()), content_type="text/event-stream")

    bridge = Bridge(app, 4)
    asyncio.run(bridge.respond(SimpleNamespace(**GET), b"", client))
    bridge.stop()


@pytest.mark.parametrize("stays", [0, 1, 100])
def test_each_event_leaves_before_the_next_is_made_and_nothing_is_left_open(stays):
    log: list[Any] = []
    ask(Client(log, stays))
    expected = [told for word in WORDS for told in ("events makes", word)]
    assert log == (expected if stays > len(WORDS) else [*expected[: 2 * stays], "events makes"]) + ["ended"]
