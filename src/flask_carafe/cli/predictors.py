"""What ``carafe predict`` asks of whoever answers, and how one bad row is told from the good ones around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ..errors import Detail
from .tables import Failed, Form, Outcome

FRAME_ROWS = 256
PATIENCE_S = 60.0  # with a host or a server that says "later"
Body = Callable[[Sequence[int]], bytes]  # the body that holds these rows of the piece


class Fields(NamedTuple):
    """What a model takes: all names, those that must be there, whether others are ignored."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    ignores_others: bool = False


class Refused(Exception):
    """A body was refused for what is in its rows: ``rows`` says what about which, if that is known."""

    def __init__(self, reason: str, rows: dict[int, str] | None = None) -> None:
        super().__init__(reason)
        self.rows = rows or {}


class Predictor(Protocol):
    """``fields`` and ``keys`` (the answer's columns) are None where they cannot be known beforehand."""

    fields: Fields | None
    keys: Sequence[str] | None
    most_rows: int

    def ask(self, form: Form, body: bytes, n: int) -> list[Outcome]:
        """Answer ``n`` rows. :raises Refused: for what is in them. :raises CarafeError: for anything else."""
        ...

    def close(self) -> None: ...


def settle(predictor: Predictor, form: Form, body: Body, rows: Sequence[int]) -> list[Outcome]:
    """An outcome for each of ``rows``: where a body is refused, only the rows at fault fail."""
    if not rows:
        return []
    try:
        return predictor.ask(form, body(rows), len(rows))
    except Refused as exc:
        if len(rows) == 1:
            return [Failed(exc.rows.get(0) or str(exc))]
        known = {rows[i]: reason for i, reason in exc.rows.items() if 0 <= i < len(rows)}
        if known:
            rest = [row for row in rows if row not in known]
            answers = iter(settle(predictor, form, body, rest))
            return [Failed(known[row]) if row in known else next(answers) for row in rows]
        half = len(rows) // 2
        return settle(predictor, form, body, rows[:half]) + settle(predictor, form, body, rows[half:])


def in_words(details: Sequence[Detail]) -> dict[int, str]:
    """Row -> what is wrong with it."""
    words: dict[int, list[str]] = {}
    for detail in details:
        text = f"{detail.field}: expected {detail.expected}, got {detail.got}" if detail.expected else detail.got
        words.setdefault(detail.row or 0, []).append(text or "the model failed on this row")
    return {row: "; ".join(texts) for row, texts in words.items()}


def without_place(message: str) -> str:
    """An error's sentence without ``Line 2:``, which counts in a body that nobody sees."""
    return re.sub(r"^(Line|Row) \d+: ", "", message)
