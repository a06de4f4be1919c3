"""One setting's value: from text or YAML to its type, and back to what people read."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

PREFIX = "CARAFE_"
KIB, MIB = 1 << 10, 1 << 20
SIZES: dict[str, float] = {"": 1, "b": 1, "k": KIB, "kib": KIB, "m": MIB, "mib": MIB, "g": 1 << 30, "gib": 1 << 30}
SIZES |= {"byte": 1, "bytes": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}
SPANS: dict[str, float] = {"": 1.0, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
TRUTHS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Problem(Exception):
    """One value that cannot be used: ``Problem(expected)``; the caller knows the key and the value."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row of the table. ``unit`` is told by the name: ``_s`` seconds, ``_bytes`` bytes."""

    name: str
    default: Any
    type: Any
    help: str
    group: str
    least: float | None = None
    most: float | None = None
    secret: bool = False
    layers: tuple[str, ...] = ()  # where it may stand, if not everywhere

    @property
    def key(self) -> str:
        """As in the environment and in ``app.config``."""
        return PREFIX + self.name.upper()

    @property
    def unit(self) -> str:
        return "s" if self.name.endswith("_s") else "bytes" if self.name.endswith("_bytes") else ""

    @property
    def shown_default(self) -> str:
        """The default as people write it: ``16 MiB``, ``2 s``."""
        return show(self, self.default)


def convert(setting: Setting, raw: Any, base: Path | None = None) -> Any:
    """``raw`` as the setting's type: text as in the environment, or a value as YAML and Python give it.

    :raises Problem: what was expected.
    """
    wanted, optional = setting.type, False
    if get_origin(wanted) in (Union, types.UnionType):
        wanted, optional = get_args(wanted)[0], True
    if optional and (raw is None or raw == ""):
        return None
    value = _converted(setting, wanted, raw, base or Path.cwd())
    if isinstance(value, int | float) and not isinstance(value, bool):
        _check_range(setting, value)
    return value


def _converted(setting: Setting, wanted: Any, raw: Any, base: Path) -> Any:
    if wanted is Path:
        return _path(raw, base)
    if wanted is bool:
        return _truth(raw)
    if wanted is int or wanted is float:
        return _number(setting, wanted, raw)
    if wanted is str:
        return _text(raw, may_be_empty=not setting.default)
    if get_origin(wanted) is Literal:
        return _choice(raw, get_args(wanted))
    return _texts(raw) if get_origin(wanted) is tuple else _mapping(raw)


def _path(raw: Any, base: Path) -> Path:
    if not isinstance(raw, str | os.PathLike) or not os.fspath(raw) or "\0" in str(raw):
        raise Problem("a path")
    try:
        return Path(os.path.abspath(base / Path(raw).expanduser()))
    except RuntimeError:  # ~NAME, and there is no such user
        raise Problem("a path; there is no user of that name") from None


def _truth(raw: Any) -> bool:
    truth = raw if isinstance(raw, bool) else TRUTHS.get(str(raw).strip().lower())
    if truth is None:
        raise Problem("true or false")
    return truth


def _number(setting: Setting, wanted: type, raw: Any) -> int | float:
    units: Mapping[str, float] = {"bytes": SIZES, "s": SPANS}.get(setting.unit, {"": 1})
    number = "a whole number" if wanted is int else "a number"
    expected = {"bytes": 'a size such as "16 MiB"', "s": 'a time such as "2 s" or "500 ms"'}.get(setting.unit, number)
    if isinstance(raw, str):
        parts = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e[-+][0-9]+)?)\s*([A-Za-z]*)\s*", raw)
        if not parts or parts[2].lower() not in units:
            raise Problem(expected)
        raw = float(parts[1]) * units[parts[2].lower()]
        raw = int(raw) if wanted is int and raw == int(raw) else raw
    if isinstance(raw, bool) or not isinstance(raw, int if wanted is int else int | float) or not abs(raw) < 1e15:
        raise Problem(expected)
    return wanted(raw)  # type: ignore[no-any-return]


def _text(raw: Any, may_be_empty: bool) -> str:
    if not isinstance(raw, str) or "\0" in raw:
        raise Problem("a text")
    if not raw and not may_be_empty:  # an empty variable means "not given", so no child process could be told of it
        raise Problem("a text that is not empty")
    return raw


def _choice(raw: Any, choices: tuple[str, ...]) -> str:
    text = str(raw).strip().lower()
    if text not in choices:
        raise Problem("one of " + ", ".join(choices))
    return text


def _texts(raw: Any) -> tuple[str, ...]:
    items = raw.split(",") if isinstance(raw, str) else raw
    if not isinstance(items, list | tuple | set) or not all(isinstance(item, str) and not set(item) & set(",\0") for item in items):
        raise Problem("a list of texts without commas in them")
    return tuple(item.strip() for item in items if item.strip())


def _mapping(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise Problem("a mapping of names, written in carafe.yaml or app.config")
    return {str(key): value for key, value in raw.items()}


def _check_range(setting: Setting, value: float) -> None:
    if setting.least is not None and value < setting.least:
        raise Problem(f"at least {show(setting, setting.least)}")
    if setting.most is not None and value > setting.most:
        raise Problem(f"at most {show(setting, setting.most)}")


def nearest(name: str, known: Iterable[str], spelled: Callable[[str], str] = str) -> str:
    """``" (did you mean X?)"`` or nothing."""
    close = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f" (did you mean {spelled(close[0])}?)" if close else ""


def show(setting: Setting, value: Any) -> str:
    """A value as people write it: ``16 MiB``, ``500 ms``, ``a, b``; secrets only as ``(set)``."""
    if value in (None, "", (), {}):
        return ""
    if setting.secret:
        return "(set)"
    if setting.unit == "bytes":
        return show_size(int(value))
    if setting.unit == "s":
        return f"{value:g} s" if value >= 1 or value == 0 else f"{value * 1000:g} ms"
    if isinstance(value, dict | tuple | list):
        return ", ".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_size(size: int) -> str:
    """``16 MiB``, ``1.6 MiB``, ``512 bytes``.

    >>> show_size(16 * 1024 * 1024), show_size(1_700_000), show_size(512)
    ('16 MiB', '1.6 MiB', '512 bytes')
    """
    for name, factor in (("GiB", 1 << 30), ("MiB", MIB), ("KiB", KIB)):
        if size >= factor:
            return f"{round(size / factor, 1):g} {name}"
    return f"{size} bytes"
