"""The group: commands found by name when they are called, errors told in one place.

Data goes to stdout and talk to stderr. Exit codes: 0 done, 1 failed, 2 misused.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

import click

from ..errors import CarafeError

# name -> what it does; the command is the object of that name in the module of that name.
# Help is kept here so that `carafe --help` imports none of them.
COMMANDS = {
    "serve": "Serve models: pages, an API and a curl line that works.",
    "demo": "Train three small models and serve them, without any download.",
    "check": "Look into a model file, load it in a process apart, and try it.",
    "predict": "Predict the rows of a file, with a served model or a model file.",
    "bench": "Measure how fast a model answers, and what keeps it from more.",
    "journal": "Show the predictions that were made, or write them to a file.",
    "doctor": "Say what works on this machine, and what to do about the rest.",
    "steward": "Run the process that owns the model hosts, or ask how it is.",
}
INTERRUPTED = 130  # as shells have it for SIGINT


class Failure(click.ClickException):
    """One of our errors as a command tells it: a red line, what to do next, details; exit 1."""

    def __init__(self, error: CarafeError) -> None:
        super().__init__(str(error))
        self.error = error

    def show(self, file: Any = None) -> None:
        click.secho(f"Error: {self.message}", fg="red", err=True)
        for detail in self.error.details:
            where = detail.field if detail.row is None else f"row {detail.row}, {detail.field}"
            click.echo(f"  {where}: expected {detail.expected}, got {detail.got}", err=True)
        if self.error.hint:
            click.echo(self.error.hint, err=True)


class LazyGroup(click.Group):
    """Commands by :data:`COMMANDS`, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"{__package__}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, 1)
            meant = f"did you mean {close[0]}?" if close else "there are: " + ", ".join(self.list_commands(ctx)) + "."
            raise click.UsageError(f"There is no command {name!r}; {meant}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Our errors become :class:`Failure`; a number that a command returns becomes the exit code, under ``flask`` too."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            code = super().invoke(ctx)
        except CarafeError as exc:
            raise Failure(exc) from exc
        if isinstance(code, int) and code:
            ctx.exit(code)
        return code


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        told = [f"{name} {importlib.metadata.version(name)}" for name in ("Flask-Carafe", "Flask", "Granian")]
        click.echo(", ".join([*told, f"Python {platform.python_version()}"]))
        ctx.exit()


@click.group("carafe", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print versions and end.")
def group() -> None:
    """Turn a trained model into a web application.

    \b
      carafe serve model.joblib          a page to try it, an API, a curl line
      carafe check model.joblib          what is in the file, and does it work here
      carafe predict model.joblib -i rows.csv -o answers.csv
    """


def main(args: Sequence[str] | None = None) -> int:
    """What the console script runs; the exit code."""
    try:
        code = group.main(list(sys.argv[1:] if args is None else args), prog_name="carafe", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read us has seen enough
        _let_go_of_stdout()
        return 1
    return code if isinstance(code, int) else 0


def _let_go_of_stdout() -> None:
    """Without this the interpreter complains at its end, when it flushes into the closed pipe."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
