"""How commands look: marks, tables, sizes; the same in colour on a terminal and plain in a pipe."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import click
import msgspec

Mark = Literal["ok", "warn", "bad", "note"]
SIGNS = {"ok": ("✓", "+", "green"), "warn": ("!", "!", "yellow"), "bad": ("✗", "x", "red"), "note": ("·", "-", "")}


def print_json(data: Any) -> None:
    """``data`` to stdout, indented; structs and dataclasses as objects."""
    click.echo(msgspec.json.format(msgspec.json.encode(data, enc_hook=str), indent=2).decode())


def mark(kind: Mark) -> str:
    """``✓``, ``!``, ``✗`` or ``·`` in its colour; plain letters where the terminal cannot show them."""
    sign, plain, colour = SIGNS[kind]
    return click.style(sign if can_show(sign) else plain, fg=colour or None, bold=kind != "note")


def can_show(text: str) -> bool:
    """Whether stdout's encoding has ``text``."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def line(kind: Mark, label: str, text: str = "", hint: str = "", width: int = 16) -> str:
    """``✓ label           text``, the hint on a line of its own below."""
    row = f"{mark(kind)} {padded(label, width)}  {text}".rstrip()
    return f"{row}\n  {' ' * width}  {click.style(hint, dim=True)}" if hint else row


def heading(text: str) -> str:
    return click.style(text, bold=True)


def columns_of(text: str) -> int:
    """Columns that ``text`` takes on a terminal; styles take none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in click.unstyle(text))


def padded(text: str, width: int) -> str:
    return text + " " * max(0, width - columns_of(text))


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` characters."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str] = (), indent: str = "") -> str:
    """Aligned columns, two spaces between; the last one is cut at the terminal's edge when it is a terminal."""
    texts = [[str(cell) for cell in row] for row in rows]
    heads = [[click.style(head, dim=True) for head in headers]] if headers else []
    lines = heads + texts
    if not lines:
        return ""
    widths = [max(columns_of(row[i]) for row in lines if i < len(row)) for i in range(max(map(len, lines)))]
    edge = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    shown = []
    for row in lines:
        *first, last = row or [""]
        begin = indent + "".join(padded(cell, widths[i]) + "  " for i, cell in enumerate(first))
        room = edge - columns_of(begin)
        shown.append((begin + (cut(last, room) if edge and room > 10 and last == click.unstyle(last) else last)).rstrip())
    return "\n".join(shown)


def milliseconds(seconds: float) -> str:
    """``0.3 ms``, ``12 ms``, ``1.2 s``.

    >>> milliseconds(0.0003), milliseconds(0.012), milliseconds(1.23)
    ('0.3 ms', '12 ms', '1.2 s')
    """
    if seconds >= 1:
        return f"{seconds:.1f} s"
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
