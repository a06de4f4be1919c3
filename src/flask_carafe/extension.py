"""The extension: configuration to state, and the faces hung on the app. It wires; :meth:`CarafeState.start` runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask

from .access import refuse_undeclared
from .api import health, openapi
from .artifacts.spec import from_options, located
from .config import Settings
from .console import blueprint as pages
from .dataplane import views
from .dataplane.cors import register as register_cors
from .dataplane.dialects import v1_views, v2_views
from .dataplane.wsgi import WsgiDoor
from .globals import current_carafe
from .operations.declare import declared_models
from .operations.predict import predict_value
from .serving.functions import declare
from .state import CarafeState

BLUEPRINTS = (pages, views.blueprint, v1_views.blueprint, v2_views.blueprint, openapi.blueprint, health.blueprint)
DEFAULT_PREFIX = "/carafe"
QUEUES = ("celery", "rq", "dramatiq", "huey_consumer")
NO_SERVER = {"shell", "routes"}  # commands of flask, wherever they stand behind its options


class Model:
    """Base of models written as a class: ``load()`` once, then ``predict(rows)`` with a list of mappings."""

    def load(self) -> None:
        """Get ready; called once in each process that predicts, at the first need."""

    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """One prediction for each row, in order."""
        raise NotImplementedError


class AppCarafe:
    """What one app has in ``app.extensions["carafe"]``."""

    def __init__(self, state: CarafeState, prefix: str) -> None:
        self.state, self.prefix = state, prefix


class Carafe:
    """Carafe for a Flask app: ``Carafe(app)``, or ``Carafe()`` and later ``init_app(app)``.

    The app is never kept here: one object may serve several apps, and they share nothing but what was declared on it.

    :param app: the app to hang Carafe on.
    :param settings: settings by name, as ``url_prefix="/ml"``; they win over the environment and ``app.config``.
    """

    Model = Model

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        self._settings = settings
        self._specs: list[Any] = []
        self._functions: list[Any] = []
        self._states: list[CarafeState] = []
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Hang Carafe's routes and pages on ``app``. No process, thread or socket is made yet.

        :raises RuntimeError: the app already has a Carafe.
        :raises ConfigError: a setting that is unknown or ill-typed.
        """
        if "carafe" in app.extensions:
            raise RuntimeError("This app already has a Carafe; use that one.")
        settings = Settings.load(
            command_line=self._settings, app_config=app.config, directory=Path(app.root_path),
            defaults={"home": Path(app.instance_path) / "carafe", "url_prefix": DEFAULT_PREFIX},
        )  # fmt: skip
        state = CarafeState(settings, sender=self, hosted=runs_hosts(app))
        self.install(app, state)

    def install(self, app: Flask, state: CarafeState) -> None:
        """Hang the faces on ``app`` for a ``state`` that stands."""
        prefix = state.settings.url_prefix
        app.extensions["carafe"] = AppCarafe(state, prefix)
        for blueprint in BLUEPRINTS:
            register_cors(app, blueprint.name, state.settings.cors_origins)
            app.register_blueprint(blueprint, url_prefix=prefix or None)
        refuse_undeclared(app, [blueprint.name for blueprint in BLUEPRINTS])
        if state.settings.door == "wsgi":
            app.wsgi_app = WsgiDoor(app.wsgi_app, state, prefix)  # type: ignore[method-assign]
        self._states.append(state)
        state.on_routes.append(lambda routes: views.add_routes(app, routes, prefix))
        for spec in [*declared_models(state.settings, Path(app.root_path)), *self._specs]:
            state.declare(spec)
        for function in self._functions:
            state.declare_function(function)

    # ---- declarations

    def serve(self, name: str, files: Any, **options: Any) -> None:
        """Serve a model file, or a chain of files, under ``name``; a new version only if the bytes or options changed.

        :param files: a path, or ``[vectorizer, model]`` chained.
        :param options: as on the command line: ``fields``, ``labels``, ``sample``, ``routes``, …
        """
        base = Path(sys._getframe(1).f_globals.get("__file__") or "app.py").resolve().parent
        spec = located(from_options(name, files=files, **options), base)
        self._specs.append(spec)
        for state in self._states:
            state.declare(spec)

    def model(self, name: str, **options: Any) -> Callable[[Any], Any]:
        """Make the decorated function (or class) a model; its type hints are its signature, unless ``fields=`` says more."""

        def decorate(target: Any) -> Any:
            function = declare(name, target, **options)
            self._functions.append(function)
            for state in self._states:
                state.declare_function(function)
            return target

        return decorate

    # ---- use

    def predict(self, name: str, data: Any, *, version: int | None = None, timeout_s: float | None = None) -> dict[str, Any]:
        """Ask a model from a view: same checks, batching and answer as over HTTP. Needs an app context.

        :param data: a mapping for one row (the prediction is a value), or rows (the prediction is a list).
        """
        return predict_value(current_carafe, name, data, version=version, timeout_s=timeout_s)


def runs_hosts(app: Flask) -> bool:
    """No process is started under a test run, ``flask shell`` or a task queue, unless the app says so."""
    if app.config.get("TESTING"):
        return False
    path = Path(sys.argv[0]) if sys.argv else Path()
    program = path.parent.name if path.name == "__main__.py" else path.stem  # python -m celery, celery, huey_consumer.py
    return program not in QUEUES and not (program == "flask" and not NO_SERVER.isdisjoint(sys.argv[1:]))
