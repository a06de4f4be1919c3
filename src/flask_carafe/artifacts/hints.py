"""How people write down what a model file does not say: labels, fields and the making of pictures, as typed parts.

Every parser takes what a command line (text), ``carafe.yaml`` (lists, mappings) or Python hands over, and raises
:exc:`~flask_carafe.errors.ConfigError` that says what it got and what it wants.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..errors import ConfigError
from ..signature import Field, Scalar

KINDS = ("number", "integer", "boolean", "category", "text", "datetime", "image", "document", "vector", "tensor")
FIELD_KEYS = tuple(key for key in Field.__struct_fields__ if key != "name")
MODES = ("L", "RGB")
LAYOUTS = ("hw", "hwc", "chw")
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
SCALE = re.compile(r"(-?\d+(?:\.\d+)?)(?:-|\.\.)(-?\d+(?:\.\d+)?)")
EXTENTS = re.compile(r"\d{1,8}(x\d{1,8}){0,7}")
TENSOR_DTYPES = ("float32", "float64", "int64")
INPUT_KINDS = ("image", "text", "document", "vector", "tensor")
MOST_NUMBERS = 25_000_000
INPUT_EXAMPLE = "for example image:28x28:L:invert:0-1, vector:64, tensor:3x224x224, text or document"


class InputHint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one field is made from; ``width`` and ``height`` in pixels, 0 where the model's own shape decides.

    ``field`` is empty where the hint is for the model's only such field. ``scale`` maps 0..255 to its two ends.
    """

    kind: Literal["image", "text", "document", "vector", "tensor"]
    field: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    invert: bool = False
    scale: tuple[float, float] | None = None
    layout: str = ""
    flatten: bool = False
    shape: tuple[int, ...] = ()  # of a vector or tensor, as is dtype
    dtype: str = ""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or lists all of them when none is near."""
    words = list(known)
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(words)}."


def python_names(reference: str) -> str:
    """A hint for ``file.py:name`` that the file does not have: the nearest function or class of it, or all of them."""
    path, _, name = reference.rpartition(":")
    try:
        body = ast.parse(Path(path).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        body = []
    known = [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")]
    return nearest(name, known) if known else "Name a function or a class that is defined there."


def split(text: str) -> list[str]:
    """The parts of comma-separated text, quotes respected: ``a,"b, c"`` is two."""
    return [part.strip() for part in next(csv.reader([text], skipinitialspace=True), [])]


def read_labels(value: Any) -> tuple[Scalar, ...] | dict[str, Scalar]:
    """``ham,spam`` or a list: labels by position. ``0=ham,1=spam`` or a mapping: by class, its keys as text."""
    if isinstance(value, Mapping):
        return {_class_text(key): _label(label) for key, label in value.items()}
    parts = _structured(value, "labels") if isinstance(value, str) else value
    if isinstance(parts, Mapping):
        return read_labels(parts)
    if not isinstance(parts, (list, tuple)) or not parts:
        raise ConfigError(f"labels: got {value!r}, expected ham,spam or 0=ham,1=spam.")
    pairs = [part.partition("=") if isinstance(part, str) else (part, "", "") for part in parts]
    if all(equals for _, equals, _ in pairs):
        return _label_mapping([(key.strip(), label.strip()) for key, _, label in pairs])
    if isinstance(value, str) and any(equals for _, equals, _ in pairs):
        raise ConfigError(f"labels: got {value!r}: some are written class=label and some are not.", "Write all of them one way.")
    return tuple(_label(part) for part in parts)


def _label_mapping(pairs: list[tuple[str, str]]) -> dict[str, Scalar]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ConfigError("labels: one class is named twice.", "Write each class once, as in 0=ham,1=spam.")
    return dict(mapping)


def _class_text(key: Any) -> str:
    """A class as the text that a command line would hold: ``True`` is ``true``, ``1`` is ``1``."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def _label(value: Any) -> Scalar:
    if isinstance(value, (str, int, float, bool)):
        return value
    raise ConfigError(f"labels: got {value!r}, expected a text or a number for each label.")


def read_fields(value: Any) -> tuple[str, ...] | dict[str, Any]:
    """``a,b,c`` or a list: names by position. A mapping: name -> kind, or name -> what is known of the field."""
    if isinstance(value, str):
        value = _structured(value, "fields")
    if isinstance(value, Mapping):
        return {_field_name(name): _field_facts(str(name), facts) for name, facts in value.items()}
    if not isinstance(value, (list, tuple)) or not value:
        raise ConfigError(f"fields: got {value!r}, expected names (age,city) or a mapping of name to kind.")
    names = tuple(_field_name(name) for name in value)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"fields: {twice[0]!r} is named twice.", "Every field needs a name of its own.")
    return names


def _field_name(name: Any) -> str:
    if isinstance(name, (str, int, float)) and not isinstance(name, bool):
        return str(name)
    raise ConfigError(f"fields: got {name!r}, expected the name of a field.")


def _field_facts(name: str, facts: Any) -> dict[str, Any]:
    """``{"kind": …, …}`` from a kind's name or a mapping; unknown keys and kinds are refused."""
    if facts is None:
        return {}
    if isinstance(facts, str):
        facts = {"kind": facts}
    if not isinstance(facts, Mapping):
        raise ConfigError(f"fields.{name}: got {facts!r}, expected a kind or a mapping such as {{kind: number, minimum: 0}}.")
    for key in facts:
        if key not in FIELD_KEYS:
            raise ConfigError(f"fields.{name}: {key!r} is not known.", nearest(str(key), FIELD_KEYS))
    kind = facts.get("kind", "number")
    if kind not in KINDS:
        raise ConfigError(f"fields.{name}.kind: got {kind!r}, expected a kind of field.", nearest(str(kind), KINDS))
    return dict(facts)


def _structured(text: str, key: str) -> Any:
    """Comma-separated parts, or JSON where the text starts like it."""
    if not text.lstrip().startswith(("{", "[")):
        return split(text)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise ConfigError(f"{key}: starts like JSON but cannot be read as it: {exc}.") from exc


def read_inputs(text: str) -> tuple[InputHint, ...]:
    """The parts of ``input``: ``image:28x28:L:invert:0-1``, with ``name=`` before each where there are several."""
    return tuple(_input(part) for part in split(text) if part)


def _input(text: str) -> InputHint:
    name, equals, rest = text.rpartition("=")
    kind, *options = rest.split(":")
    if kind not in INPUT_KINDS:
        raise ConfigError(f"input: got {rest!r}, expected {', '.join(INPUT_KINDS[:-1])} or tensor.", nearest(kind, INPUT_KINDS))
    if kind in ("vector", "tensor"):
        return InputHint(kind=kind, field=name if equals else "", **_extents(text, kind, options))  # type: ignore[arg-type]
    if kind != "image" and options:
        raise ConfigError(f"input: {kind} takes no options, got {':'.join(options)!r}.", INPUT_EXAMPLE)
    facts: dict[str, Any] = {}
    for option in options:
        for key, value in _image_option(option).items():
            if key in facts:
                raise ConfigError(f"input: {text!r} says {key} twice.", INPUT_EXAMPLE)
            facts[key] = value
    return InputHint(kind=kind, field=name if equals else "", **facts)  # type: ignore[arg-type]


def _extents(text: str, kind: str, options: list[str]) -> dict[str, Any]:
    """The shape of one row and its dtype, from ``64`` of a vector, or ``3x224x224`` of a tensor, and ``int64`` after it."""
    extents = [int(extent) for extent in options[0].split("x")] if options and EXTENTS.fullmatch(options[0]) else []
    if not 0 < prod(extents or [0]) <= MOST_NUMBERS or len(options) > 2 or (kind == "vector" and len(extents) != 1):
        raise ConfigError(f"input: got {text!r}, expected the size of one row, of 1 to 25 million numbers.", INPUT_EXAMPLE)
    if options[1:] and options[1] not in TENSOR_DTYPES:
        raise ConfigError(f"input: got {options[1]!r}, expected {', '.join(TENSOR_DTYPES)}.", nearest(options[1], TENSOR_DTYPES))
    return {"shape": tuple(extents), "dtype": options[1] if options[1:] else ""}


def _image_option(option: str) -> dict[str, Any]:
    if match := SIZE.fullmatch(option):
        return _size(int(match[1]), int(match[2]))
    if option.upper() in MODES:
        return {"mode": option.upper()}
    if option in LAYOUTS:
        return {"layout": option}
    if option in ("invert", "flatten"):
        return {option: True}
    if match := SCALE.fullmatch(option):
        return {"scale": (float(match[1]), float(match[2]))}
    known = ("28x28", *MODES, "invert", "flatten", *LAYOUTS, "0-1")
    raise ConfigError(f"input: got {option!r} for an image, expected a size, a mode, invert, flatten, a layout or a scale.", nearest(option, known))


def _size(width: int, height: int) -> dict[str, Any]:
    if min(width, height) < 1 or width * height > 25_000_000:
        raise ConfigError(f"input: got {width}x{height} pixels, expected between 1 and 25 million.", INPUT_EXAMPLE)
    return {"width": width, "height": height}
