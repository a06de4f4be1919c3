"""Declared models: from ``carafe.yaml``, ``app.config`` or a call to specs whose paths are whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..artifacts.spec import ModelSpec, from_options, located, refuse_all
from ..config import APP, Settings
from ..errors import ConfigError


def declared_models(settings: Settings, folder: Path | None = None) -> list[ModelSpec]:
    """The models that the settings name, in their order.

    :param folder: where the relative paths of an app's own configuration begin.
    :raises ConfigError: an unknown option or an ill-typed one, with the model's name.
    """
    own = folder if settings.provenance("models") == APP else None
    return specs_of(settings.models, own or settings.models_base)


def specs_of(models: Mapping[str, Any], base: Path) -> list[ModelSpec]:
    """The specs of a ``models:`` mapping, paths made whole against ``base``; a bare path or list stands for ``files``."""
    specs, mistakes = list[ModelSpec](), list[ConfigError]()
    for name, said in models.items():
        options = {"files": said} if isinstance(said, (str, list, tuple)) else said
        if not isinstance(options, Mapping):
            mistakes.append(ConfigError(f"models.{name}: got {said!r}, expected a file, a list of files or a mapping with files."))
            continue
        try:
            specs.append(located(from_options(str(name), **{str(key): value for key, value in options.items()}), base))
        except ConfigError as exc:
            mistakes.append(exc)
    refuse_all(mistakes)
    return specs
