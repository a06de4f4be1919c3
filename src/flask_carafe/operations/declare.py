"""Declared models: from ``carafe.yaml``, ``app.config`` or a call to specs whose paths are whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..artifacts.hints import split
from ..artifacts.spec import SIDE_FILES, ModelSpec, from_options, python_reference
from ..config import Settings
from ..errors import ConfigError


def declared_models(settings: Settings) -> list[ModelSpec]:
    """The models that the settings name, in their order.

    :raises ConfigError: an unknown option or an ill-typed one, with the model's name.
    """
    specs = []
    for name, said in settings.models.items():
        options = {"files": said} if isinstance(said, (str, list, tuple)) else said
        if not isinstance(options, Mapping):
            raise ConfigError(f"models.{name}: got {said!r}, expected a file, a list of files or a mapping with files.")
        specs.append(from_options(name, **with_base(dict(options), settings.models_base)))
    return specs


def with_base(options: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """``options`` of a model with relative paths made whole: they begin at ``base``. Python references stay as they are."""
    made = dict(options)
    files = made.get("files")
    if files:
        parts = split(files) if isinstance(files, str) else [files] if isinstance(files, os.PathLike) else list(files)
        made["files"] = [_whole(part, base) for part in parts]
    for key in SIDE_FILES:
        if made.get(key):
            made[key] = str(base / made[key])
    return made


def _whole(file: Any, base: Path) -> str:
    reference = python_reference(str(file))
    if reference is None:
        return str(base / file)
    module, _, name = str(file).rpartition(":")
    return f"{base / module}:{name}" if module.endswith(".py") else str(file)
