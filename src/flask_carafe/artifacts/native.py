"""The files that libraries of boosted trees write themselves: what they say that they hold, and whether they are whole.

They hold numbers and names, no code. A file that was cut short is found here: LightGBM ends the process that loads one.
"""

from __future__ import annotations

from typing import BinaryIO

from ..errors import LoadFailed
from .intake import opened

SAVE_AGAIN = "Copy or save the file again."
MOST_HEADER = 64 << 20  # names and ranges of some million inputs


def read_native(path: str, kind: str) -> str:
    """What the file holds, in a few words.

    :raises LoadFailed: it is cut short.
    """
    with opened(path) as file:
        return READERS[kind](file, path)


def _lightgbm(file: BinaryIO, path: str) -> str:
    """``LightGBM model, binary, 100 trees of 4 inputs``; the header tells how long the text of each tree is."""
    head = file.read(MOST_HEADER)
    start = head.find(b"\nTree=") + 1
    facts = dict(line.strip().split(b"=", 1) for line in head[: start or len(head)].split(b"\n") if b"=" in line)
    sizes = [int(size) for size in facts.get(b"tree_sizes", b"").split() if size.isdigit()]
    file.seek(start + sum(sizes))
    if (sizes or not start) and b"end of trees" not in (file.read(12) if sizes else head):
        raise LoadFailed(f"{path} is not whole: it ends before the last of its trees.", SAVE_AGAIN)
    objective = facts.get(b"objective", b"").split(b" ")[0].decode("ascii", "replace") or "an objective of its own"
    return f"LightGBM model, {objective}, {_count(len(sizes), 'tree')} of {_count(len(facts.get(b'feature_names', b'').split()), 'input')}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


READERS = {"lightgbm": _lightgbm}
NATIVE_KINDS = frozenset(READERS)
