"""Figures as people read them: 1,277 and 6.4 ms and 83.2 %."""

from __future__ import annotations

import math
from typing import Any

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def in_words(count: int) -> str:
    """Small counts as a word.

    >>> in_words(3), in_words(1277)
    ('three', '1,277')
    """
    return WORDS[count] if 0 <= count < len(WORDS) else f"{count:,}"


def figure(value: Any, digits: int = 6) -> str:
    """A number with separators and at most ``digits`` significant places; anything else as text.

    >>> figure(1277), figure(0.30000000000000004), figure(1234567.891), figure(1e-9), figure(True), figure(None)
    ('1,277', '0.3', '1,234,568', '1e-09', 'true', 'missing')
    """
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value and (size < 1e-4 or size >= 1e15):
        return f"{value:.{digits}g}"
    places = max(0, digits - 1 - (math.floor(math.log10(size)) if size else 0))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float | None) -> str:
    """
    >>> percent(0.8321), percent(0.99999), percent(0.00001), percent(1.0), percent(0.0), percent(None)
    ('83.2 %', '> 99.9 %', '< 0.1 %', '100 %', '0 %', 'missing')
    """
    if share is None:
        return "missing"
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    text = f"{100 * share:.1f}"
    return {"100.0": "> 99.9 %", "0.0": "< 0.1 %"}.get(text, f"{text} %")


def duration(ms: float) -> str:
    """
    >>> duration(6.412), duration(0.31), duration(1284.0)
    ('6.4 ms', '0.3 ms', '1.28 s')
    """
    return f"{figure(round(ms / 1000, 2))} s" if ms >= 1000 else f"{ms:.1f} ms"


def size(count: int) -> str:
    """
    >>> size(512), size(16 * 1024 * 1024), size(1536)
    ('512 bytes', '16 MiB', '1.5 KiB')
    """
    value, unit = float(count), "bytes"
    for bigger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, bigger
    return f"{figure(round(value, 1))} {unit}"
