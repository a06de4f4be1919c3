"""JSON Schema (2020-12) of what a signature takes and gives, and examples that it takes for certain."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import msgspec

from . import shapes
from .answer import class_keys
from .kinds import kind_of, spell
from .kinds.image import Image
from .kinds.vector import shape_schema
from .model import Field, Output, Signature

MOST_ROWS = 10_000


def field_schema(field: Field) -> dict[str, Any]:
    """One value of a field: its kind's schema, with null where it may be missing, and what is known of it in words."""
    schema = dict(kind_of(field).schema(field))
    if field.nullable:
        schema = _or_null(schema)
    if field.description:
        schema["description"] = field.description
    if field.kind not in ("image", "vector", "tensor"):
        schema["examples"] = [kind_of(field).example(field)]
    return schema


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str) and "anyOf" not in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def row_schema(signature: Signature) -> dict[str, Any]:
    """One row as an object by field name."""
    return {
        "type": "object",
        "properties": {field.name: field_schema(field) for field in signature.fields},
        "required": [field.name for field in signature.fields if not field.nullable],
        "additionalProperties": signature.extra == "ignore",
    }


def request_schema(signature: Signature, max_rows: int = MOST_ROWS) -> dict[str, Any]:
    """Every native shape that this signature takes, as ``anyOf`` where there are several."""
    names = {field.name for field in signature.fields}
    row = row_schema(signature) | {"title": "One row"}
    forms = [row]
    for alias in shapes.aliases(signature):
        forms.append(_object({alias: field_schema(signature.fields[0])}, f"One {alias}"))
    for plural in shapes.plurals(signature):
        forms.append(_object({plural: _list(field_schema(signature.fields[0]), max_rows)}, f"Several {plural}"))
    if "rows" not in names and "features" not in names:
        forms.append(_object({"rows": _list({key: value for key, value in row.items() if key != "title"}, max_rows)}, "Rows"))
        forms.append(_object({"features": _features_schema(signature, max_rows)}, "Values by position: one row, or a list of rows"))
    if not names & {"rows", "features", "columns", "data"}:
        data = _list({"type": "array"}, max_rows)
        columns = {"type": "array", "items": {"enum": [field.name for field in signature.fields]}, "uniqueItems": True}
        forms.append(_object({"columns": columns, "data": data}, "Columns and data"))
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _object(properties: dict[str, Any], title: str) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def _features_schema(signature: Signature, max_rows: int) -> dict[str, Any]:
    values = [field_schema(field) for field in signature.fields]
    same = all(value == values[0] for value in values) or signature.layout == "matrix"
    items: dict[str, Any] = {"prefixItems": values, "items": False}
    if same and len(values) > 1:
        items = {"items": {"type": ["number", "boolean", "null"]}}
    one = {"type": "array", "minItems": len(values), "maxItems": len(values)} | items
    if len(values) == 1 and signature.fields[0].shape:
        field = msgspec.structs.replace(signature.fields[0], shape=shapes.value_shape(signature))
        return {"anyOf": [shape_schema(field), _list({"type": ["array", "string"]}, max_rows)]}
    return {"anyOf": [one, _list(one, max_rows)]}


def answer_schema(signature: Signature) -> dict[str, Any]:
    """The answer: scalars for one row, lists (in the order of the rows) for several."""
    properties: dict[str, Any] = {}
    per_target: dict[str, Any] = {}
    for output in signature.outputs:
        schema = output_schema(output)
        if signature.streams:
            schema = {"type": "array", "items": schema, "description": "The values in the order in which they came."}
        if output.role == "probabilities" and output.target:
            per_target[output.target] = schema
        else:
            properties[output.role if output.role != "extra" else output.name] = {"anyOf": [schema, {"type": "array", "items": schema}]}
    if per_target:
        targets = {"type": "object", "properties": per_target, "required": list(per_target)}
        properties["probabilities"] = {"anyOf": [targets, {"type": "array", "items": targets}]}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": True}


def output_schema(output: Output) -> dict[str, Any]:
    """One row's value of one output."""
    if output.role == "probabilities":
        keys = class_keys(output.shown, output.target or "the model")
        number = {"type": "number", "minimum": 0, "maximum": 1}
        return {"type": "object", "properties": dict.fromkeys(keys, number), "required": list(keys), "additionalProperties": False}
    if output.target_classes:
        each = [{"enum": list(classes)} if classes else {"type": "integer"} for classes in output.target_classes]
        return {"type": "array", "prefixItems": each, "minItems": output.width, "maxItems": output.width}
    one: dict[str, Any] = {"enum": list(output.shown)} if output.classes and output.dtype == "int64" else _plain_schema(output)
    if output.width == 1 and not output.vector:
        return one
    return {"type": "array", "items": one, "minItems": output.width, "maxItems": output.width}


def _plain_schema(output: Output) -> dict[str, Any]:
    types = {"float64": "number", "float32": "number", "int64": "integer", "bool": "boolean", "text": "string", "bytes": "string"}
    if output.kind == "datetime" and output.dtype == "int64":
        return {"type": "string", "format": "date-time"}
    return {"type": types[output.dtype]} if output.dtype in types else {}


def example_request(signature: Signature) -> dict[str, Any]:
    """One row as a client would send it, with base64 for pictures."""
    return {field.name: kind_of(field).example(field) for field in signature.fields}


def trial_request(signature: Signature) -> dict[str, Any]:
    """One row that needs no media host: pictures are lists of numbers, documents are texts."""
    row = example_request(signature)
    for field in signature.fields:
        kind = kind_of(field)
        if isinstance(kind, Image) and not isinstance(row[field.name], list):
            row[field.name] = kind.plain_example(field)
    return row


def example_bodies(signature: Signature) -> dict[str, dict[str, Any]]:
    """Ready bodies per content type and title: values for JSON, text for the others."""
    row = example_request(signature)
    bodies: dict[str, dict[str, Any]] = {"application/json": {"one row": row}}
    names = set(row)
    for alias in shapes.aliases(signature)[:1]:
        bodies["application/json"]["by alias"] = {alias: row[signature.fields[0].name]}
    if not names & {"rows", "features"}:
        bodies["application/json"]["rows"] = {"rows": [row, row]}
        if not signature.named and all(field.kind in ("number", "integer", "boolean") for field in signature.fields):
            bodies["application/json"]["features"] = {"features": list(row.values())}
    bodies["text/csv"] = {"rows": example_csv(signature)}
    bodies["application/x-ndjson"] = {"rows": (json.dumps(row, ensure_ascii=False) + "\n") * 2}
    return bodies


def example_csv(signature: Signature) -> str:
    """A header and one row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in signature.fields])
    writer.writerow([_cell(field) for field in signature.fields])
    return out.getvalue()


def _cell(field: Field) -> str:
    value = kind_of(field).example(field)
    return json.dumps(value) if isinstance(value, list) else spell(value)
