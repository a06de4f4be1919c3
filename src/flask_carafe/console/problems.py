"""An error as a page says it: the API's own words, and beside which field they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import CarafeError, Detail, InvalidInput
from ..signature import Signature

BARE = ("at ", "one of", "a ", "an ", "true ", "each ", "nothing")


class Said(NamedTuple):
    """One thing that is wrong, and the id of the control that it belongs to ('' for none)."""

    id: str
    text: str
    name: str = ""


class Problem(NamedTuple):
    title: str
    text: str
    hint: str
    code: str
    status: int
    fields: Sequence[Said] = ()
    others: Sequence[Said] = ()
    request_id: str = ""


TITLES = {
    422: "This cannot be answered as it is", 400: "This cannot be read", 413: "This is too much at once", 415: "This kind of file is not read here",
    429: "Too many are waiting", 503: "Not ready", 504: "No answer in time",
}  # fmt: skip


def problem_of(error: CarafeError, signature: Signature | None = None, request_id: str = "") -> Problem:
    """``error`` for a page whose form was built from ``signature``."""
    ids = {field.name: f"f{index}" for index, field in enumerate(signature.fields)} if signature else {}
    said = [Said(ids.get(detail.field, ""), words(detail, error, position), detail.field) for position, detail in enumerate(error.details)]
    first: dict[str, Said] = {}
    for each in said:
        if each.id:
            first.setdefault(each.id, each)
    others = said[1:] if len(said) > 1 else ()
    text = str(error)
    if len(first) > 1:
        text, others = f"{len(first)} values need another look.", said
    return Problem(
        TITLES.get(error.status, "The model could not answer"), text, error.hint, error.code, error.status, list(first.values()), others, request_id
    )


def words(detail: Detail, error: CarafeError, position: int) -> str:
    """One detail as a sentence; the first one is the error's own."""
    if position == 0 and isinstance(error, InvalidInput):
        return str(error).rstrip(".")
    name = detail.field or "The value"
    if detail.got == "nothing":
        return f"{name} is missing"
    return f"{name} must be {with_article(detail.expected)}, got {detail.got}" if detail.expected else f"{name}: {detail.got}"


def with_article(expected: str) -> str:
    """
    >>> with_article("number"), with_article("integer"), with_article("at least 3"), with_article("4 numbers")
    ('a number', 'an integer', 'at least 3', '4 numbers')
    """
    if expected.startswith(BARE) or expected[:1].isdigit():
        return expected
    return f"{'an' if expected[:1] in 'aeiou' else 'a'} {expected}"
