"""The rows that ``carafe bench`` asks: those of a file as JSON values by the model's schema, or the model's own example."""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import BadRequest
from ..operations.bench import MOST_ROWS
from .tables import Source

BOOLEANS = {"true": True, "false": False}
Schema = dict[str, Any]


def rows_of(path: str, request: Schema) -> list[Any]:
    """The first rows of a CSV or NDJSON file; columns that are no field are left out.

    :param request: JSON schema of a request; its first form is one row by name.
    :raises BadRequest: the file cannot be read, or has no rows.
    """
    fields = request.get("anyOf", [request])[0].get("properties", {})
    try:
        source = Source(path)
    except OSError as exc:
        raise BadRequest(f"{path} cannot be read: {exc.strerror}.") from exc
    try:
        piece = next(source.pieces(MOST_ROWS), [])
        rows = [_cells(source.header, row.values, fields) if source.form == "csv" else _object(row.values, row.line, fields) for row in piece]
    finally:
        source.close()
    if not rows:
        raise BadRequest(f"{source.name} has no rows. Without -i the model's own example is asked.")
    return rows


def _cells(header: list[str], cells: list[str], fields: Schema) -> dict[str, Any]:
    named = {name: value(cell, fields[name]) for name, cell in zip(header, cells, strict=False) if name in fields}
    return {name: found for name, found in named.items() if found is not None}


def _object(line: bytes, number: int, fields: Schema) -> Any:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as exc:
        raise BadRequest(f"Line {number} is not JSON: {exc}.") from exc
    return {name: found for name, found in row.items() if name in fields} if isinstance(row, dict) and fields.keys() & row.keys() else row


def value(cell: str, schema: Schema) -> Any:
    """A cell as the JSON value that ``schema`` asks for; None for an empty one that may be missing, the text itself where it does not fit.

    >>> value("3.5", {"type": ["number", "null"]}), value("", {"type": ["number", "null"]}), value("3", {"type": "string"})
    (3.5, None, '3')
    >>> value("true", {"type": "boolean"}), value("2", {"enum": [1, 2]}), value("[1, 2]", {"type": "array"}), value("old", {"type": "number"})
    (True, 2, [1, 2], 'old')
    """
    kinds = schema.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if cell == "" and ("null" in kinds or None in schema.get("enum", [])):
        return None
    if "enum" in schema:
        return next((choice for choice in schema["enum"] if str(choice) == cell), cell)
    if "boolean" in kinds and cell.lower() in BOOLEANS:
        return BOOLEANS[cell.lower()]
    if kinds & {"number", "integer", "array"}:
        try:
            return msgspec.json.decode(cell)
        except msgspec.DecodeError:
            return cell
    return cell
