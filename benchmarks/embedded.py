"""Carafe inside a Flask app under servers that people have, beside a bare Flask view under the same server with the same options."""

from __future__ import annotations

import sys
from typing import Any

from servers import HERE, Server

THREADS = 64


def granian(port: int, app: str) -> list[Any]:
    options = ["--interface", "wsgi", "--workers", 1, "--blocking-threads", THREADS, "--no-ws", "--log-level", "warning"]
    return ["granian", *options, "--host", "127.0.0.1", "--port", port, app]


def gunicorn(port: int, app: str) -> list[Any]:
    return ["gunicorn", "-k", "gthread", "-w", 1, "--threads", THREADS, "--log-level", "warning", "-b", f"127.0.0.1:{port}", app]


def waitress(port: int, app: str) -> list[Any]:
    return ["waitress", "--host", "127.0.0.1", "--port", port, "--threads", THREADS, app]


COMMANDS = {"granian": granian, "gunicorn": gunicorn, "waitress": waitress}


class UnderServer(Server):
    """An app of ``apps/`` under a foreign server."""

    server, app, door = "", "", ""

    def start(self) -> None:
        command = COMMANDS[self.server](self.port, f"{self.app}:app")
        ours = {"CARAFE_HOME": str(self.work / "home"), "CARAFE_PUBLIC": "1", "CARAFE_DOOR": self.door} if self.door else {}
        place = {"MODEL": self.model, "MODELS": str(self.models), "PYTHONPATH": str(HERE / "apps")}
        self.spawn([sys.executable, "-m", *command], **place, **ours)


class View(UnderServer):
    """``carafe.serve(…)`` in an app, asked through its Flask views."""

    app, door, target = "embedded_app", "flask", "/predict"


class Door(View):
    """The same before Flask: the middleware."""

    door = "wsgi"


class Bare(UnderServer):
    """A Flask view that says the same every time: what Flask and the server alone can do."""

    app, target, is_checked = "bare_app", "/predict", False


KINDS: dict[str, type[UnderServer]] = {"view": View, "door": Door, "bare": Bare}
EMBEDDED: dict[str, type[Server]] = {
    f"{kind}-{server}": type(f"{base.__name__}Of{server}", (base,), {"name": f"{kind}-{server}", "server": server})
    for server in COMMANDS
    for kind, base in KINDS.items()
}
