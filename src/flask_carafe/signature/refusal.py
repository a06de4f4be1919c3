"""One value or one key that is wrong, as the error that every face can tell."""

from __future__ import annotations

from ..errors import Detail, InvalidInput


def refusal(sentence: str, *, field: str = "", expected: str, got: str, row: int = 0, hint: str = "") -> InvalidInput:
    """An :exc:`InvalidInput` of one detail; a field's name is cut to 100 characters."""
    field = field[:100].encode("utf-8", "replace").decode()
    return InvalidInput(sentence, [Detail(field=field, expected=expected, got=got, row=row)], hint)
