"""The ready-made application: what ``carafe serve`` runs, and what a foreign server is pointed at."""

from __future__ import annotations

from typing import Any

from flask import Flask

from .config import Settings
from .console import register
from .dataplane.loop import LoopDoor
from .extension import Carafe
from .logs import setup
from .state import CarafeState


def create_app(settings: Settings | None = None) -> Flask:
    """A Flask application that is nothing but Carafe, at the root of the site.

    For ``gunicorn "flask_carafe.application:create_app()"`` and its like.

    :param settings: read from the environment and ``carafe.yaml`` if not given.
    """
    settings = settings or Settings.load(defaults={"url_prefix": ""})
    setup(settings.log_format, settings.log_level)
    app = Flask("flask_carafe", static_folder=None, instance_path=str(settings.home.absolute()))
    if settings.trusted_hosts:
        app.config["TRUSTED_HOSTS"] = list(settings.trusted_hosts)
    Carafe().install(app, CarafeState(settings, sender=app))
    register(app)
    return app


def create_door(settings: Settings | None = None) -> LoopDoor:
    """The RSGI application that ``carafe serve`` gives to Granian: predictions on the loop, the rest to Flask."""
    app = create_app(settings)
    carafe: Any = app.extensions["carafe"]
    return LoopDoor(app, carafe.state, carafe.prefix)
