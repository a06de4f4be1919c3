"""Rows as MLflow, TensorFlow Serving and KServe V1 send and get them: row by row or column by column, and predictions alone.

Values are checked by the model's own decoder, so that an error reads as everywhere; only the shape around them is read here.
"""

from __future__ import annotations

from typing import Any

from ...errors import BadRequest
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Rows, Signature
from ...signature.check import name_of
from ...signature.decode import Decoder
from ...signature.kinds import shown
from ...signature.pending import Pending
from ...signature.places import is_nameless, place_columns
from ...signature.refusal import refusal
from ...signature.strict import parse

# ---- in


def read_object(body: bytes, example: str) -> dict[str, Any]:
    """The JSON object in ``body``; the bare word NaN is a missing value.

    :param example: what to send instead, for the hint of an error.
    :raises BadRequest: no JSON, or something else at the top.
    """
    try:
        found = parse(body, nan=True)
        if not isinstance(found, dict):
            raise BadRequest(f"The body must be a JSON object, got {'a list' if isinstance(found, list) else 'a bare value'}.")
    except BadRequest as exc:
        exc.hint = f"Send {example}."
        raise
    return found


def from_rows(decoder: Decoder, key: str, rows: Any) -> Rows | Pending:
    """A list of rows: objects by field name, lists by position, or bare values for a model of one field.

    :raises InvalidInput: anything else, or a value that does not fit.
    """
    if not isinstance(rows, list):
        raise refusal(f"{key} must be a list of rows, got {shown(rows)}.", field=key, expected="list of rows", got=shown(rows))
    signature = decoder.signature
    return decoder.rows([_by_field(row, signature) if isinstance(row, dict) else row for row in rows])


def _by_field(row: dict[str, Any], signature: Signature) -> dict[str, Any] | list[Any]:
    """One row whose keys were made for another server, as :func:`place_columns` reads them."""
    placed = place_columns(list(row), signature)
    if placed is None:
        return _whole(row, signature) or row
    return {name: value for name, value in zip(placed, row.values(), strict=True) if name is not None}


def _whole(data: dict[str, Any], signature: Signature) -> list[Any] | None:
    """All values under the one name that they had in another server, for a model that knows no names."""
    values = next(iter(data.values()), None)
    return values if len(data) == 1 and isinstance(values, list) and len(signature.fields) > 1 and is_nameless(signature) else None


def from_columns(decoder: Decoder, key: str, data: Any) -> Rows | Pending:
    """An object of columns by field name, or of single values (one row); a list is read as rows, a bare value as the only one.

    :raises InvalidInput: columns of different lengths, or a value that does not fit.
    """
    if isinstance(data, list):
        return from_rows(decoder, key, data)
    if not isinstance(data, dict):
        return decoder.rows([data])
    if whole := _whole(data, decoder.signature):
        return from_rows(decoder, key, whole)
    if not any(isinstance(column, list) for column in data.values()):
        return from_rows(decoder, key, [data])
    lengths = {name: len(column) if isinstance(column, list) else 1 for name, column in data.items()}
    first = next(iter(lengths))
    for name, length in lengths.items():
        if length != lengths[first] or not isinstance(data[name], list):
            expected = f"a list of {lengths[first]}"
            sentence = f"{name_of(name)} must be as long as {name_of(first)}: {expected}, got {shown(data[name])}."
            raise refusal(sentence, field=name, expected=expected, got=shown(data[name]))
    names = list(data)
    return _from_table(decoder, names, [list(row) for row in zip(*data.values(), strict=True)])


def from_split(decoder: Decoder, key: str, split: Any) -> Rows | Pending:
    """``{"columns": […], "data": [[…], …]}`` as pandas writes it; without columns by position, and an index is let pass.

    :raises InvalidInput: another object, rows that do not fit the columns, or a value that does not fit.
    """
    if not isinstance(split, dict) or "data" not in split or not split.keys() <= {"columns", "data", "index"}:
        got = ", ".join(map(name_of, list(split)[:10])) if isinstance(split, dict) else shown(split)
        raise refusal(f"{key} must be an object with data and columns, got {got or 'nothing'}.", field=key, expected="data and columns", got=got)
    names, rows = split.get("columns"), split["data"]
    if names is None or not isinstance(rows, list):
        return from_rows(decoder, f"{key}.data", rows)
    if not isinstance(names, list) or len({str(name) for name in names}) != len(names):
        raise refusal(f"{key}.columns must be a list of names, each once.", field=key, expected="list of names", got=shown(names))
    return _from_table(decoder, names, rows)


def _from_table(decoder: Decoder, names: list[Any], rows: list[Any]) -> Rows | Pending:
    """Rows under a line of names."""
    for position, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            words = f"a list of {len(names)} value{'s' * (len(names) != 1)}"
            raise refusal(f"Row {position} must be {words}, got {shown(row)}.", expected=words, got=shown(row), row=position)
    if all(isinstance(name, int) for name in names):  # as pandas numbers columns that have no names
        return decoder.rows(rows)
    placed = place_columns(names, decoder.signature) or [str(name) for name in names]
    return decoder.rows([{name: value for name, value in zip(placed, row, strict=True) if name is not None} for row in rows])


# ---- out


def predicted(model: Model) -> list[str]:
    """The outputs that are sent: all but the probabilities, which no client of a bare list expects."""
    keys = model.usable_encoder().keys
    return [key for key in keys if key != "probabilities"] or keys


def predictions(model: Model, answer: Answer) -> list[Any]:
    """One prediction for each row: bare where the model has one output, an object by name where it has several."""
    encoder, keys = model.usable_encoder(), predicted(model)
    columns = [encoder.output(key, answer.columns, answer.start, answer.n) for key in keys]
    if len(keys) == 1:
        return columns[0]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


def has_probabilities(model: Model) -> bool:
    """Whether the model gives one probability for each class of its one target."""
    assert model.signature is not None
    return any(output.role == "probabilities" and not output.target for output in model.signature.outputs)
