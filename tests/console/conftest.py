"""Pages over a shelf of models; an application as an embedded Carafe would hang it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from console.models import SHELF, entries, stand_in_answer
from flask_carafe.api.openapi import blueprint as api_blueprint
from flask_carafe.config import Settings
from flask_carafe.console import blueprint, register
from flask_carafe.errors import ModelFailed
from flask_carafe.operations import predict as operation
from flask_carafe.serving.table import Model
from flask_carafe.state import CarafeState

MakeApp = Callable[..., Flask]


def make_app(home: Path, prefix: str = "", names: set[str] | None = None, whole: bool = False, **settings: object) -> Flask:
    """An app with pages; ``whole`` makes their error pages those of the application."""
    app = Flask("host_of_pages", static_folder=None)
    state = CarafeState(Settings(home=home, url_prefix=prefix, **settings), hosted=False)  # type: ignore[arg-type]
    app.extensions["carafe"] = SimpleNamespace(state=state, prefix=prefix)
    for name, (entry, _) in entries().items():
        if names is None or name in names:
            state.engine.table.models[name] = Model(entry, 10_000)
    app.register_blueprint(blueprint, url_prefix=prefix or None)
    app.register_blueprint(api_blueprint, url_prefix=prefix or None)
    if whole:
        register(app)
    return app


@pytest.fixture(scope="session", autouse=True)
def answers() -> Iterator[None]:
    """Models answer out of their sleeves; one sentence makes any of them fail."""
    patch = pytest.MonkeyPatch()
    shelf = {name: answer for name, (_, answer) in entries().items()}

    real = operation.ask_blocking

    def answer(engine: Any, model: Model, rows: Any, timeout_s: float, id: str = "") -> object:
        if model.entry.digest != SHELF:
            return real(engine, model, rows, timeout_s, id)
        if b"please fail" in b"".join(chunk.data for chunk in getattr(rows, "chunks", ())):
            raise ModelFailed(model.entry.name) from ValueError("asked to")
        return stand_in_answer(model, rows, shelf[model.entry.name])

    patch.setattr(operation, "ask_blocking", answer)
    yield
    patch.undo()


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return make_app(tmp_path, whole=True)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def made(tmp_path: Path) -> MakeApp:
    """Apps of other shapes: ``made(prefix="/ml", names={"loan"})``."""
    return lambda **options: make_app(tmp_path, **options)
