"""``carafe demo``: three small models trained on the spot and served, without any download."""

from __future__ import annotations

import time
from typing import Any

import click

from .. import demo as demonstration
from ..access import may_listen
from ..operations.declare import declared_models
from .options import home_option, load_settings
from .serve import run


@click.command("demo")
@click.option("--host", help="Address to listen at (default: 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen at (default: 5000; 0 takes a free one).")
@click.option("--workers", type=int, help="Processes that answer HTTP (default: 2).")
@click.option("--public", is_flag=True, default=None, help="Let everybody who reaches this server ask for predictions.")
@click.option("--train-only", is_flag=True, help="Train and save the models, and serve nothing.")
@home_option
def demo(train_only: bool, **command_line: Any) -> int:
    """Train three small models and serve them.

    \b
      sentiment   is a product review positive?   also at POST /api
      churn       will a customer leave?          named columns, categories, missing values
      digits      which digit is that?            draw one on its page

    They are trained at the first call, within a minute, and kept in the folder "demo" of the home.
    """
    settings = load_settings(**command_line)
    may_listen(settings.host, settings.public)
    folder = settings.home / "demo"
    began = time.monotonic()
    if not demonstration.is_trained(folder):
        click.echo("Training three models (this happens once) …", err=True)
        demonstration.train(folder, lambda line: click.echo(f"  {line}", err=True))
        click.echo(f"Trained in {time.monotonic() - began:.0f} s; they are in {click.format_filename(folder)}", err=True)
    if train_only:
        return 0
    settings = load_settings(**command_line | {"home": str(folder), "config": str(folder / demonstration.CONFIG)})
    return run(settings, declared_models(settings))
