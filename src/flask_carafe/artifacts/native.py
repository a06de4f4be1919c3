"""The files that libraries of boosted trees write themselves: what they say that they hold, and whether they are whole.

They hold numbers and names, no code. A file that was cut short is found here: LightGBM ends the process that loads one.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from ..errors import LoadFailed
from .intake import opened

SAVE_AGAIN = "Copy or save the file again."
TAIL_BYTES = 1 << 16
VERSION = re.compile(rb'"version"\s*:\s*\[([\d,\s]+)\]|version\[#L.{8}((?:[iU].){3})', re.DOTALL)
OBJECTIVE = re.compile(rb'objective.{1,40}?name(?:"\s*:\s*"|SL.{8})([a-z:_]+)', re.DOTALL)
INPUTS = re.compile(rb'num_feature(?:"\s*:\s*"|SL.{8})(\d+)', re.DOTALL)
MOST_HEADER = 64 << 20  # names and ranges of some million inputs


def read_native(path: str, kind: str, name: str) -> str:
    """What the file holds, in a few words; ``name`` is what people call it.

    :raises LoadFailed: it is cut short, or its numbers are none.
    """
    with opened(path) as file:
        try:
            return READERS[kind](file, name)
        except (ValueError, OverflowError, OSError) as exc:
            raise LoadFailed(f"{name} is damaged: its header cannot be read.", SAVE_AGAIN) from exc


def _lightgbm(file: BinaryIO, name: str) -> str:
    """``LightGBM model, binary, 100 trees of 4 inputs``; the header tells how long the text of each tree is."""
    head = file.read(MOST_HEADER)
    start = head.find(b"\nTree=") + 1
    facts = dict(line.strip().split(b"=", 1) for line in head[: start or len(head)].split(b"\n") if b"=" in line)
    sizes = [int(size) for size in facts.get(b"tree_sizes", b"").split() if size.isdigit()]
    file.seek(start + sum(sizes))
    if (sizes or not start) and b"end of trees" not in (file.read(12) if sizes else head):
        raise LoadFailed(f"{name} is not whole: it ends before the last of its trees.", SAVE_AGAIN)
    objective = facts.get(b"objective", b"").split(b" ")[0].decode("ascii", "replace") or "an objective of its own"
    return f"LightGBM model, {objective}, {_count(len(sizes), 'tree')} of {_count(len(facts.get(b'feature_names', b'').split()), 'input')}"


def _xgboost(file: BinaryIO, name: str) -> str:
    """``XGBoost 3.2.0 model, binary:logistic, 4 inputs``: the last that is written, in JSON and UBJSON alike."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    tail = file.read().rstrip()
    if not tail.endswith(b"}"):
        raise LoadFailed(f"{name} is not whole: it ends in the middle.", SAVE_AGAIN)
    version, objective, inputs = VERSION.search(tail), OBJECTIVE.search(tail), INPUTS.findall(tail)
    wrote = f"XGBoost {_dotted(version)}" if version else "XGBoost"
    facts = [f"{wrote} model", objective[1].decode() if objective else "", _count(int(inputs[-1]), "input") if inputs else ""]
    return ", ".join(filter(None, facts))


def _dotted(version: re.Match[bytes]) -> str:
    numbers = version[1].split(b",") if version[1] else version[2][1::2]
    return ".".join(str(int(number)) for number in numbers)


def _catboost(file: BinaryIO, name: str) -> str:
    """The file tells how long its trees are; what they hold is told by the library."""
    head = file.read(8)
    size = file.seek(0, os.SEEK_END)
    if len(head) < 8 or size < 8 + int.from_bytes(head[4:], "little"):
        raise LoadFailed(f"{name} is not whole: it ends before the last of its trees.", SAVE_AGAIN)
    return "CatBoost model"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


READERS = {"lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}
NATIVE_KINDS = frozenset(READERS)
