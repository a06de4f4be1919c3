"""``carafe serve --dev``: which files have changed since the last look. Polling: it works on every file system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

import flask_carafe

from ..artifacts.intake import files_in
from ..artifacts.mlflow import is_mlflow
from ..artifacts.spec import SIDE_FILES, ModelSpec, limited, python_reference
from ..config import Settings, read_yaml
from ..errors import CarafeError
from ..operations.declare import specs_of

Stamp = tuple[int, int]


class Changes(msgspec.Struct):
    """What a look found: models whose files changed, specs if ``carafe.yaml`` did, whether our code did."""

    models: list[str] = []
    specs: list[ModelSpec] | None = None
    code: bool = False
    error: str = ""


class Watcher:
    """Remembers time and size of every file that the models are made of, of ``carafe.yaml`` and of the code."""

    def __init__(self, specs: Sequence[ModelSpec], settings: Settings) -> None:
        self._specs, self._settings = list(specs), settings
        self._code = Path(flask_carafe.__file__).parent
        self._seen = self._last = self._stamps()

    def look(self) -> Changes:
        """Changes that a look before this one saw as well; a file that is being written is told when it stands still."""
        now, before = self._stamps(), self._last
        self._last = now
        if now != before:
            return Changes()
        changed = {path for path in now.keys() | self._seen.keys() if now.get(path) != self._seen.get(path)}
        if not changed:
            return Changes()
        self._seen = now
        found = Changes(models=[spec.name for spec in self._specs if changed.intersection(files_of(spec))])
        found.code = any(path.suffix == ".py" and path.is_relative_to(self._code) for path in changed)
        if self._settings.config in changed:
            self._read_again(found)
            self._seen = self._last = self._stamps()  # files of models that are new have not changed
        return found

    def _read_again(self, found: Changes) -> None:
        config = self._settings.config
        assert config is not None
        try:
            read = specs_of(read_yaml(config).get("models") or {}, config.parent)
            found.specs = [limited(spec, self._settings) for spec in read]
        except CarafeError as exc:
            found.error = f"carafe.yaml has changed, but cannot be used: {exc}"
            return
        kept = [spec for spec in self._specs if spec.name not in {new.name for new in found.specs}]
        self._specs = found.specs = kept + found.specs

    def _stamps(self) -> dict[Path, Stamp]:
        paths: set[Path] = set(self._code.rglob("*.py"))
        for spec in self._specs:
            paths.update(files_of(spec))
        if self._settings.config:
            paths.add(self._settings.config)
        return dict(_stamped(paths))


def _stamped(paths: Iterable[Path]) -> Iterable[tuple[Path, Stamp]]:
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            continue
        yield path, (facts.st_mtime_ns, facts.st_size)


def files_of(spec: ModelSpec) -> set[Path]:
    """Every file on disk that a model is made of."""
    files = {Path(getattr(spec, key)) for key in SIDE_FILES if getattr(spec, key)}
    for file in spec.files:
        reference = python_reference(file)
        files |= _in_folder(file) if is_mlflow(file) else {Path(file if reference is None else reference[0])}
    return files


def _in_folder(folder: str) -> set[Path]:
    """The files of an MLflow model; those that come later change the folder itself."""
    try:
        return {Path(folder), *files_in(folder)}
    except CarafeError:
        return {Path(folder)}
