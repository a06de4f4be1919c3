"""An application whose models yield, for the doors: ``door()`` for the loop, ``app()`` for a WSGI server."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Flask

from flask_carafe import Carafe
from flask_carafe.dataplane.loop import LoopDoor

carafe = Carafe(url_prefix="")


@carafe.model("count")
def count(to: int, pause_s: float = 0.0, mark: str = "") -> Iterator[int]:
    """Counts; writes down in the file ``mark`` that it was ended, and how far it came."""
    number = 0
    try:
        for number in range(to):
            yield number
            time.sleep(pause_s)
    finally:
        if mark:
            Path(mark).write_text(str(number))


@carafe.model("say")
def say(text: str) -> Iterator[str]:
    for word in text.split(" "):
        if word == "raise":
            raise ValueError("the secret is in /etc/passwd")
        yield word


@carafe.model("relay")
def relay(go: str) -> Iterator[str]:
    """Says "ready", and "gone" when there is a file ``go``."""
    yield "ready"
    while not Path(go).exists():
        time.sleep(0.01)
    yield "gone"


@carafe.model("heavy")
def heavy(parts: int, size: int = 1 << 16, mark: str = "") -> Iterator[str]:
    """Texts of ``size`` bytes; the file ``mark`` holds how many were made."""
    for number in range(parts):
        if mark:
            Path(mark).write_text(str(number + 1))
        yield "x" * size


def app() -> Flask:
    made = Flask(__name__, instance_path=os.environ["CARAFE_HOME"])
    carafe.init_app(made)
    return made


def door() -> LoopDoor:
    made = app()
    return LoopDoor(made, made.extensions["carafe"].state)
