"""What describes a model: the same as an option of the command line, a key of ``carafe.yaml`` and a keyword in Python."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..config import Settings
from ..errors import ConfigError
from ..signature import Scalar
from .hints import InputHint, nearest, read_fields, read_inputs, read_labels, split
from .intake import hash_file, hash_folder
from .journal import USUAL, JournalRules, read_journal
from .mlflow import is_mlflow

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DOTTED = re.compile(r"[A-Za-z_][\w.]*")
SIDE_FILES = ("code", "columns", "sample", "examples")
DEFAULT_TIMEOUT_MS = 10_000
OWN_PATHS = "models|assets|docs|openapi.json|livez|readyz|healthz|health|ping|metrics|console|api/v1|v1|v2|login|logout|account"
RESERVED = re.compile(rf"/(?:{OWN_PATHS})(?:/|$)")
LIMITS = {"replicas": (1, 64), "threads": (1, 256), "timeout_ms": (1, 3_600_000), "max_batch_rows": (1, 65_536)}


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One model as it was asked for; nothing here has been looked at on disk yet.

    ``files`` is a chain of files, or one ``package.module:function`` or ``file.py:Class`` (hosted Python).
    ``labels`` and ``fields`` go by position, or by class and name; classes are kept as text (``"1"``).
    """

    name: str
    files: tuple[str, ...]
    fields: tuple[str, ...] | dict[str, Any] = ()
    labels: tuple[Scalar, ...] | dict[str, Scalar] = ()
    columns: str = ""
    code: str = ""
    input: str = ""
    sample: str = ""
    examples: str = ""
    routes: tuple[str, ...] = ()
    outputs: Literal["", "logits", "probabilities"] = ""
    compile: Literal["", "onnx"] = ""
    env: str = "here"
    python: str = ""
    replicas: int = 1
    threads: int = 1
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    max_batch_rows: int = 256
    description: str = ""
    required: bool = False
    strict_versions: bool = False
    extra: Literal["forbid", "ignore"] = "forbid"
    journal: JournalRules = USUAL
    folder: str = ""  # where ``package.module`` is looked for; :func:`located` fills it in

    @property
    def inputs(self) -> tuple[InputHint, ...]:
        """``input`` as typed parts; it was checked when the spec was made."""
        return read_inputs(self.input)

    @property
    def is_python(self) -> bool:
        """Whether this is hosted Python and not a chain of files."""
        return len(self.files) == 1 and python_reference(self.files[0]) is not None


def from_options(name: str, /, **options: Any) -> ModelSpec:
    """The spec of model ``name`` from raw options: text from a command line, or what YAML and Python hold.

    ``None`` means that an option was not given.

    :raises ConfigError: which option, what it got, what it wants; for an unknown one the nearest known.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ConfigError(f"A model cannot be called {name!r}.", "Names have up to 64 letters, digits, '.', '_' and '-', a letter or digit first.")
    known = [key for key in ModelSpec.__struct_fields__ if key not in ("name", "folder")]
    given = {key.replace("-", "_"): value for key, value in options.items() if value is not None}
    mistakes = [ConfigError(f"Model {name!r}: {key!r} is not an option of a model.", nearest(key, known)) for key in given if key not in known]
    if not given.get("files"):
        mistakes.append(ConfigError(f"Model {name!r} has no files.", "Name at least one: a model file, or package.module:function."))
    read: dict[str, Any] = {}
    for key in filter(given.__contains__, known):
        try:
            read[key] = _read(key, given[key])
        except ConfigError as exc:
            mistakes.append(ConfigError(f"Model {name!r}: {exc.args[0]}", *exc.args[1:]))
    refuse_all(mistakes)
    return ModelSpec(name=name, **read)


def refuse_all(mistakes: Sequence[ConfigError]) -> None:
    """:raises ConfigError: the mistake, or all of them in one, a line each."""
    if len(mistakes) == 1:
        raise mistakes[0]
    if mistakes:
        raise ConfigError("\n".join(f"{mistake} {mistake.hint}".rstrip() for mistake in mistakes))


def _read(key: str, value: Any) -> Any:
    """One option as the type that :class:`ModelSpec` declares."""
    if key in READERS:
        return READERS[key](value) if value not in ("", [], (), {}) else READERS_EMPTY.get(key, ())
    if key in LIMITS:
        return _count(key, value)
    if key in ("required", "strict_versions"):
        return _truth(key, value)
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{key}: got {value!r}, expected text.")
    if key in CHOICES and value not in CHOICES[key]:
        raise ConfigError(f"{key}: got {value!r}, expected {' or '.join(filter(None, CHOICES[key]))}.", nearest(value, filter(None, CHOICES[key])))
    return value


def _files(value: Any) -> tuple[str, ...]:
    parts = split(value) if isinstance(value, str) else [value] if isinstance(value, Path) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, (str, Path)) and str(part) for part in parts):
        raise ConfigError(f"files: got {value!r}, expected the path of a file or a list of them.")
    files = tuple(str(part) for part in parts)
    if len(files) > 1 and any(python_reference(file) for file in files):
        raise ConfigError("files: a Python function or class stands alone, it cannot be chained.", "Call the other files from its code.")
    return files


def _routes(value: Any) -> tuple[str, ...]:
    parts = split(value) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise ConfigError(f"routes: got {value!r}, expected paths such as /api.")
    for route in parts:
        if not isinstance(route, str) or not re.fullmatch(r"/[^\s?#<>]*", route):
            raise ConfigError(f"routes: got {route!r}, expected a path that starts with '/', as /api.")
        if route == "/" or RESERVED.match(route):
            raise ConfigError(f"routes: {route!r} is a path of Carafe's own.", "Choose another, as /api.")
    return tuple(dict.fromkeys(parts))


def _input_text(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={hint}" for name, hint in value.items())
    if not isinstance(value, str):
        raise ConfigError(f"input: got {value!r}, expected text such as image:28x28:L or vector:64.")
    read_inputs(value)
    return value


def _count(key: str, value: Any) -> int:
    low, high = LIMITS[key]
    try:
        number = int(value) if not isinstance(value, (bool, float)) else None
    except (TypeError, ValueError):
        number = None
    if number is None or not low <= number <= high:
        raise ConfigError(f"{key}: got {value!r}, expected a whole number from {low:,} to {high:,}.")
    return number


def _truth(key: str, value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False, "": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    raise ConfigError(f"{key}: got {value!r}, expected true or false.")


READERS = {"files": _files, "fields": read_fields, "labels": read_labels, "routes": _routes, "input": _input_text, "journal": read_journal}
READERS_EMPTY: dict[str, Any] = {"input": "", "journal": USUAL}
CHOICES = {"outputs": ("", "logits", "probabilities"), "extra": ("forbid", "ignore"), "compile": ("", "onnx")}


def python_reference(text: str) -> tuple[str, str] | None:
    """``("package.module", "function")`` or ``("file.py", "Class")``; None where ``text`` is the path of a file."""
    place, colon, attribute = text.rpartition(":")
    if not colon or not all(part.isidentifier() for part in attribute.split(".")):
        return None
    return (place, attribute) if place.endswith(".py") or DOTTED.fullmatch(place) else None


def located(spec: ModelSpec, folder: str | Path) -> ModelSpec:
    """The same spec with every path made absolute against ``folder``, for a reader in another directory."""
    base = Path(folder).absolute()
    side = {key: str(base / getattr(spec, key)) for key in SIDE_FILES if getattr(spec, key)}
    files = tuple(_located_file(file, base) for file in spec.files)
    return msgspec.structs.replace(spec, files=files, folder=str(base) if spec.is_python else "", **side)


def limited(spec: ModelSpec, settings: Settings) -> ModelSpec:
    """The same spec within the settings: their hang limit where it names none of its own, and never more rows a frame than they allow."""
    is_own = spec.timeout_ms != DEFAULT_TIMEOUT_MS
    timeout_ms = spec.timeout_ms if is_own else max(1, round(settings.hang_limit_s * 1000))
    return msgspec.structs.replace(spec, timeout_ms=timeout_ms, max_batch_rows=min(spec.max_batch_rows, settings.max_batch_rows))


def _located_file(file: str, base: Path) -> str:
    reference = python_reference(file)
    if reference is None:
        return str(base / file)
    return f"{base / reference[0]}:{reference[1]}" if reference[0].endswith(".py") else file


def digest(spec: ModelSpec) -> str:
    """SHA-256, in hex, over the bytes of files, code and side files and over the options; paths and name do not count.

    :raises ArtifactRefused: a file that cannot be read or must not be (a folder, a pipe, a device).
    """
    options = msgspec.to_builtins(spec)
    for key in ("name", "files", "folder", *SIDE_FILES):
        options.pop(key, None)
    parts = {"files": [_file_digest(file) for file in spec.files], "options": options}
    parts |= {key: hash_file(getattr(spec, key)) for key in SIDE_FILES if getattr(spec, key)}
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def _file_digest(file: str) -> str:
    reference = python_reference(file)
    if reference is None:
        return hash_folder(file) if is_mlflow(file) else hash_file(file)
    return f"{hash_file(reference[0])}:{reference[1]}" if reference[0].endswith(".py") else file
