"""Options that several commands share: what describes a model, and where the home is."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ..config import Settings

Function = TypeVar("Function", bound=Callable[..., Any])

# option, keyword of artifacts.spec.from_options, help, more
MODEL_OPTIONS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("--fields", "fields", "Names of the inputs, in the model's order: age,city", {}),
    ("--labels", "labels", "What people call the classes: ham,spam or 0=ham,1=spam", {}),
    ("--columns", "columns", "JSON or pickle with the list of one-hot columns that the model was fitted on.", {"metavar": "FILE"}),
    ("--code", "code", "Python file with functions that the model file looks for in __main__.", {"metavar": "FILE"}),
    ("--input", "input", "How an input is made: image:28x28:L:invert:0-1, text, document, vector:64, tensor:3x224x224", {}),
    ("--sample", "sample", "CSV with typical rows: names, ranges and examples are taken from it.", {"metavar": "FILE"}),
    ("--examples", "examples", "CSV with inputs and the prediction expected; the model must give it.", {"metavar": "FILE"}),
    ("--routes", "routes", "More paths at which the model answers: /api", {}),
    ("--outputs", "outputs", "What the model's numbers are, where it does not say.", {"type": click.Choice(["logits", "probabilities"])}),
    ("--compile", "compile", "Serve the model as an ONNX graph made from it, if that answers the same.", {"type": click.Choice(["onnx"])}),
    ("--timeout-ms", "timeout_ms", "The model's process is replaced when one batch takes longer.", {"type": int}),
    ("--max-batch-rows", "max_batch_rows", "Most rows in one call of the model.", {"type": int}),
    ("--model-threads", "threads", "Threads that the model may compute with.", {"type": int}),
    ("--extra", "extra", "A key that is no field: an error (forbid, the default) or passed over.", {"type": click.Choice(["forbid", "ignore"])}),
    ("--required", "required", "While this model has no host the server says that it is not ready.", {"is_flag": True, "default": None}),
    ("--journal", "journal", "What the journal keeps: off, or name=hashed,city=dropped", {}),
    ("--description", "description", "A sentence for the model's page.", {}),
    ("--strict-versions", "strict_versions", "Refuse a file saved by another minor version of its library.", {"is_flag": True, "default": None}),
)  # fmt: skip


def model_options(function: Function) -> Function:
    """Add the options that describe a model; the command gets the given ones as ``model``, a mapping for ``from_options``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        given = {key: kwargs.pop("model_" + key) for _, key, _, _ in MODEL_OPTIONS}
        return function(*args, model={key: value for key, value in given.items() if value is not None}, **kwargs)

    decorated: Any = wrapper
    for option, key, text, more in reversed(MODEL_OPTIONS):
        decorated = click.option(option, "model_" + key, help=text, **more)(decorated)
    return decorated  # type: ignore[no-any-return]


def home_option(function: Function) -> Function:
    """``--home DIR``; the command gets ``home``, None when it was not given."""
    return click.option("--home", metavar="DIR", help="Folder of all state (default: ./.carafe, or CARAFE_HOME).")(function)


def json_option(function: Function) -> Function:
    """``--json``; the command gets ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout, for machines.")(function)


def load_settings(**command_line: Any) -> Settings:
    """The settings of this call. Under ``flask carafe …`` those of the app, so that both doors see the same home.

    :param command_line: by setting's name; None where the option was not given.
    """
    context = click.get_current_context(silent=True)
    script: Any = context.find_root().obj if context else None
    if not hasattr(script, "load_app"):
        return Settings.load(command_line=command_line)
    app = script.load_app()
    if "carafe" in app.extensions:
        settings: Settings = app.extensions["carafe"].state.settings
        return settings.overridden(command_line)
    defaults = {"home": Path(app.instance_path) / "carafe", "url_prefix": "/carafe"}
    return Settings.load(command_line=command_line, app_config=app.config, directory=Path(app.root_path), defaults=defaults)


def parse_models(arguments: Sequence[str]) -> dict[str, list[str]]:
    """``NAME=file1,file2`` and bare files -> name -> files. A bare file is named after its stem, a chain after its last file.

    :raises click.UsageError: two models of one name, or a name that no model may have.

    >>> parse_models(["spam=cv.pkl,clf.pkl", "models/my iris (2).onnx", "shop.pricing:predict_price"])
    {'spam': ['cv.pkl', 'clf.pkl'], 'my-iris-2': ['models/my iris (2).onnx'], 'predict_price': ['shop.pricing:predict_price']}
    """
    models: dict[str, list[str]] = {}
    for argument in arguments:
        name, files = _one_model(argument)
        if name in models:
            raise click.UsageError(f"Two models would be called {name!r}; name them: NAME={files[0]}")
        models[name] = files
    return models


def _one_model(argument: str) -> tuple[str, list[str]]:
    if Path(argument).exists():  # a path may hold "=" and ","
        return name_of(argument), [argument]
    name, equals, rest = argument.rpartition("=") if "=" in argument.split("/", maxsplit=1)[0] else ("", "", argument)
    files = [file.strip() for file in rest.split(",") if file.strip()]
    if not files:
        raise click.UsageError(f"{argument!r} names no file; write NAME=FILE or FILE.")
    if equals and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise click.UsageError(f"A model cannot be called {name!r}; letters, digits, '.', '_' and '-' will do.")
    return name or name_of(files[-1]), files


def name_of(file: str) -> str:
    """A model's name from its file: the stem, with what a name cannot hold made ``-``."""
    last = Path(file).name
    stem = last.rpartition(":")[2] if re.fullmatch(r"[\w./-]+:[A-Za-z_]\w*", last) else last.split(".")[0] or last
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "model"
