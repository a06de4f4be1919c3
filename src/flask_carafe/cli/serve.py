"""``carafe serve``: from model files to pages, an API and a curl line that works, with one command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..access import may_listen
from ..artifacts.hints import nearest
from ..artifacts.intake import opened
from ..artifacts.mlflow import is_mlflow
from ..artifacts.spec import ModelSpec, from_options, limited, located
from ..config import Settings
from ..errors import ConfigError
from ..operations.declare import declared_models
from .options import home_option, load_settings, model_options, parse_models
from .running import Errand, Serving
from .watching import files_of


@click.command("serve")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", help="Address to listen at (default: 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen at (default: 5000; 0 takes a free one).")
@click.option("--workers", type=int, help="Processes that answer HTTP (default: 2).")
@click.option("--threads", type=int, help="Threads per worker for pages (default: 16).")
@home_option
@click.option("--config", metavar="FILE", help="Configuration file (default: ./carafe.yaml, if there is one).")
@click.option("--dev", is_flag=True, default=None, help="Load models and code again when their files change.")
@click.option("--public", is_flag=True, default=None, help="Let everybody who reaches this server ask for predictions.")
@model_options
def serve(models: tuple[str, ...], model: dict[str, Any], **command_line: Any) -> int:
    """Serve MODELs: files, chains of files, or Python functions.

    \b
      carafe serve model.joblib                        named "model", and the default one
      carafe serve spam=cv.pkl,clf.pkl iris=iris.onnx  named, and chained
      carafe serve shop.pricing:predict_price          a function or class
      carafe serve                                     what carafe.yaml holds

    Options that describe a model (--fields, --labels, ...) need exactly one MODEL.
    """
    settings = load_settings(**command_line)
    may_listen(settings.host, settings.public)
    named = named_specs(models, model)
    specs = [*(spec for spec in declared_models(settings) if spec.name not in named), *named.values()]
    if not specs:
        raise ConfigError("There is nothing to serve.", "Name a model file: carafe serve model.joblib - or write carafe.yaml, or try: carafe demo")
    check_routes(specs)
    check_default(settings, specs)
    return run(settings, specs, named=list(named), default=default_of(settings, named))


def run(settings: Settings, specs: Sequence[ModelSpec], *, named: Sequence[str] = (), default: str = "", errand: Errand | None = None) -> int:
    """Serve ``specs`` until a signal, or the end of ``errand``; the exit code. Paths in ``specs`` are absolute.

    :param named: models whose refusal ends the run.
    """
    specs = [limited(spec, settings) for spec in specs]
    for spec in specs:
        for path in files_of(spec):
            with opened(Path(path) / "MLmodel" if is_mlflow(path) else path):
                pass  # a file that is not there is told before anything is started
    return asyncio.run(Serving(settings, specs, named=named, default=default, errand=errand).run())


def named_specs(models: Sequence[str], options: dict[str, Any]) -> dict[str, ModelSpec]:
    """The specs of models on the command line, by name.

    :raises click.UsageError: options that describe one model, with none or several.
    """
    parsed = parse_models(models)
    if options and len(parsed) != 1:
        given = ", ".join("--" + key.replace("_", "-") for key in options)
        raise click.UsageError(f"Options that describe one model ({given}) need exactly one MODEL; here are {len(parsed)}.")
    return {name: located(from_options(name, files=files, **options), Path.cwd()) for name, files in parsed.items()}


def default_of(settings: Settings, named: dict[str, ModelSpec]) -> str:
    """The model that ``/predict`` asks: as configured, else the only one named here."""
    return settings.default_model or (next(iter(named)) if len(named) == 1 else "")


def check_default(settings: Settings, specs: Sequence[ModelSpec]) -> None:
    """:raises ConfigError: the default model is none of those that are served."""
    names = [spec.name for spec in specs]
    if settings.default_model and settings.default_model not in names:
        hint = nearest(settings.default_model, names)
        raise ConfigError(f"default_model: there is no model {settings.default_model!r} among those to serve.", hint)


def check_routes(specs: Sequence[ModelSpec]) -> None:
    """Two models must not answer at one path.

    :raises ConfigError: they would.
    """
    taken: dict[str, str] = {}
    for spec in specs:
        for route in spec.routes:
            if taken.setdefault(route, spec.name) != spec.name:
                raise ConfigError(f"{taken[route]} and {spec.name} would both answer at {route}.", "Give one of them another route.")
