"""``carafe steward``: be the steward of a home in the foreground (for a service manager), or ask the one there is."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import click

from ..errors import HostFault
from ..hosting.ensure import is_steward_there
from ..hosting.process import interpreter
from ..hosting.rundir import run_dir
from .options import home_option, json_option, load_settings
from .output import line, milliseconds, print_json
from .steward_link import StewardLink

MARKS: dict[str, Any] = {"ready": "ok", "loading": "warn"}


@click.command("steward")
@home_option
@click.option("--status", is_flag=True, help="Say what the steward of this home does, and end.")
@click.option("--stop", is_flag=True, help="End the steward of this home and its hosts.")
@json_option
def steward(home: str | None, status: bool, stop: bool, as_json: bool) -> None:
    """Run the process that owns the model hosts of a home, or ask the one that runs.

    It is started by itself when it is needed; run it yourself where a service manager shall look after it.
    """
    if status and stop:
        raise click.UsageError("--status and --stop do not go together.")
    settings = load_settings(home=home)
    if not status and not stop:
        os.environ.update(settings.environment())
        program = interpreter()
        os.execv(program, [program, "-m", "flask_carafe.steward", "--home", str(settings.home), "--stay"])
    if not is_steward_there(run_dir(settings.home)):
        raise HostFault(f"No steward runs for {settings.home}.")
    reply = _without_tokens(asyncio.run(_ask(settings.home, {"op": "stop" if stop else "status"})))
    if as_json:
        print_json(reply)
    elif stop:
        click.echo("The steward was told to stop.", err=True)
    else:
        _tell(reply)


async def _ask(home: Path, message: dict[str, Any]) -> dict[str, Any]:
    link = StewardLink(home)
    await link.connect()
    try:
        return await link.ask(message)
    finally:
        await link.close()


def _without_tokens(value: Any) -> Any:
    """What a host's socket asks for is nobody else's to read in a log."""
    if isinstance(value, dict):
        return {key: _without_tokens(item) for key, item in value.items() if key != "token"}
    return [_without_tokens(item) for item in value] if isinstance(value, list) else value


def _tell(reply: dict[str, Any]) -> None:
    click.echo(line("ok", "steward", f"pid {reply['pid']}, up for {milliseconds(reply['uptime_s'])}, revision {reply['revision']}"))
    for entry in reply["models"]:
        pids = ", ".join(f"pid {host['pid']}" for host in entry["hosts"])
        text = f"{entry['state']}{': ' + entry['reason'] if entry['reason'] else ''}"
        click.echo(line(MARKS.get(entry["state"], "bad"), entry["name"], text + (f" ({pids})" if pids else ""), entry.get("hint", "")))
