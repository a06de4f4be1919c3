"""A real Chromium over a real server; pages fail the test when they break their own policy or raise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import request
from werkzeug.serving import make_server

from console.conftest import answers, make_app

__all__ = ["answers"]

RECEIVED: dict[str, tuple[str, bytes]] = {}  # files of the last form, by field


def note_files() -> None:
    """Remember what arrived; the views read it again."""
    if request.files:
        RECEIVED.clear()
        RECEIVED.update({name: (file.filename or "", file.read()) for name, file in request.files.items()})
        for file in request.files.values():
            file.seek(0)


@pytest.fixture
def received() -> dict[str, tuple[str, bytes]]:
    RECEIVED.clear()
    return RECEIVED


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, answers: None) -> Iterator[str]:
    """Where the shelf of models is served, under a prefix as inside an app."""
    app = make_app(Path(tmp_path_factory.mktemp("home")), prefix="/ml")
    app.before_request(note_files)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/ml"
    server.shutdown()
    thread.join()


@pytest.fixture
def open_page(chromium, site: str) -> Iterator[Callable[..., object]]:  # type: ignore[no-untyped-def]
    """``open_page("/models/loan")``; ``script=False`` for a browser without one."""
    contexts, faults = [], []

    def open_one(path: str, script: bool = True, width: int = 1280, scheme: str = "light") -> object:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(site + path)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture(autouse=True)
def _werkzeug_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR", logger="werkzeug")
