"""Which of the native request shapes a parsed body has. The signature decides first: a key that names a field is that field.

==========================================  ================================  ==========================================
shape                                       example                           answer
==========================================  ================================  ==========================================
one row                                     ``{"age": 41, "city": "Lagos"}``  a scalar
``rows``: objects or lists                  ``{"rows": [{…}, {…}]}``          a list
``features``: lists                         ``{"features": [[…], […]]}``      a list
``features``: one flat list                 ``{"features": [5.1, 3.5]}``      a list of one
``columns`` with ``data``                   ``{"columns": […], "data": […]}``  a list
one field of text, document or image        ``{"text": "great"}``             a scalar
the same, several                           ``{"texts": ["a", "b"]}``         a list
==========================================  ================================  ==========================================

A list at the top is refused (400): it does not say whether it is one row or several.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import BadRequest
from .kinds import shown
from .kinds.image import picture_shape
from .model import Signature
from .refusal import refusal

FOREIGN = ("instances", "inputs", "dataframe_split", "dataframe_records", "data")  # where other servers have their rows
OWN_SHAPES = 'Carafe\'s own shapes are {"features": [[...]]} or {"rows": [{...}]}.'
ALIASES = {"text": ("text",), "document": ("document", "text"), "image": ("image",)}


class Raw(NamedTuple):
    """Rows as they were sent: a dict by field name, a list by position, or a bare value for a model of one field."""

    rows: list[Any]
    scalar: bool


def value_shape(signature: Signature) -> tuple[int, ...]:
    """How one value of the only field may be nested."""
    field = signature.fields[0]
    return picture_shape(field) if field.kind == "image" else field.shape


def single(signature: Signature) -> bool:
    return len(signature.fields) == 1


def aliases(signature: Signature) -> tuple[str, ...]:
    """Keys that stand for the only field beside its own name: ``text`` for a text, ``image`` for a picture."""
    if not single(signature):
        return ()
    return tuple(word for word in ALIASES.get(signature.fields[0].kind, ()) if word != signature.fields[0].name)


def plurals(signature: Signature) -> tuple[str, ...]:
    """Keys that stand for a list of values of the only field: ``texts``, ``images``."""
    if not single(signature):
        return ()
    return tuple(word + "s" for word in ALIASES.get(signature.fields[0].kind, ()) if word + "s" != signature.fields[0].name)


def interpret(body: Any, signature: Signature) -> Raw:
    """The rows of a parsed body.

    :raises BadRequest: no object at the top.
    :raises InvalidInput: an object of no known shape, or one without rows.
    """
    if not isinstance(body, dict):
        what = "a list" if isinstance(body, list) else "null" if body is None else "a bare value"
        raise BadRequest(f"The body must be a JSON object, got {what}.")
    if not body.keys().isdisjoint(field.name for field in signature.fields):
        return Raw([body], True)
    for key in aliases(signature):
        if key in body:
            return Raw([{signature.fields[0].name if name == key else name: value for name, value in body.items()}], True)
    for key in plurals(signature):
        if key in body:
            return _only(body, key, signature)
    if "rows" in body or "features" in body:
        return _only(body, "rows" if "rows" in body else "features", signature)
    if "data" in body and "columns" in body:
        return _split(body)
    for key in FOREIGN:
        if key in body and signature.extra == "forbid":
            raise refusal(f"There is no field {key!r}.", field=key, expected="a field of this model", got=shown(body[key]), hint=OWN_SHAPES)
    return Raw([body], True)


def _only(body: dict[str, Any], key: str, signature: Signature) -> Raw:
    """The rows under ``key``, with nothing beside it unless the model ignores what it does not know."""
    for other, value in body.items():
        if other != key and signature.extra == "forbid":
            sentence = f"{key!r} stands alone in a request, got {shown(other)} beside it."
            raise refusal(sentence, field=other, expected="nothing", got=shown(value))
    rows = body[key]
    if not isinstance(rows, list):
        raise refusal(f"{key} must be a list, got {shown(rows)}.", field=key, expected="list", got=shown(rows))
    if key == "features":
        return Raw(_features(rows, signature), False)
    return Raw(rows, False)


def _features(values: list[Any], signature: Signature) -> list[Any]:
    """``features`` as rows by position: the depth of the lists says whether it is one row or several."""
    shape = value_shape(signature) if single(signature) else ()
    if not values or isinstance(values[0], dict):
        return values
    if shape and isinstance(values[0], list):
        return [[values]] if depth(values) == len(shape) and not _is_flat_rows(values, shape) else [[row] for row in values]
    if shape and not isinstance(values[0], str):
        return [[values]]
    return values if isinstance(values[0], list) else [values]


def _is_flat_rows(values: list[Any], shape: tuple[int, ...]) -> bool:
    """Several flattened pictures look as deep as one that is not: their lengths tell."""
    return len(shape) == 2 and len(values[0]) == shape[0] * shape[1] != shape[1]


def depth(values: Any) -> int:
    """How many lists deep the first element lies."""
    levels = 0
    while isinstance(values, list) and values:
        levels, values = levels + 1, values[0]
    return levels


def _split(body: dict[str, Any]) -> Raw:
    """``{"columns": […], "data": [[…], …]}``, as pandas writes it with orient="split" (its ``index`` is let pass)."""
    names, data = body["columns"], body["data"]
    for other, value in body.items():
        if other not in ("columns", "data", "index"):
            raise refusal(f"{other[:60]!r} does not belong beside columns and data.", field=other, expected="nothing", got=shown(value))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refusal("columns must be a list of field names.", field="columns", expected="list of names", got=shown(names))
    if len(set(names)) != len(names):
        raise refusal("columns names a field twice.", field="columns", expected="each name once", got=shown(names))
    if not isinstance(data, list):
        raise refusal(f"data must be a list of rows, got {shown(data)}.", field="data", expected="list of rows", got=shown(data))
    rows = []
    for position, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            words = f"a list of {len(names)} value{'s' * (len(names) != 1)}"
            raise refusal(f"Row {position} of data must be {words}, got {shown(row)}.", field="data", expected=words, got=shown(row), row=position)
        rows.append(dict(zip(names, row, strict=True)))
    return Raw(rows, False)
