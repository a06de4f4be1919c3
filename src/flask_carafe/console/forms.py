"""From a submitted form to checked rows, and from a row back to a form: the page keeps what was typed."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import request
from werkzeug.datastructures import MultiDict

from ..errors import BadRequest
from ..serving.table import Model
from ..signature import Field, Rows, Signature
from ..signature.kinds import Upload, Wrong, kind_of
from ..signature.kinds.image import read_base64
from ..signature.pending import Pending
from ..signature.unpack import values as unpacked
from .controls import MOST_CONTROLS, as_text, form_key
from .snippets import pretty

KEPT_BYTES = 256 * 1024  # pictures up to here come back with the page, so that nobody has to choose them twice
PASTE = "carafe:paste"
LONGEST_QUERY = 1200  # characters


class Sent(NamedTuple):
    """What one submission held, by field name: texts as typed, files, and pictures as ``data:`` URLs to keep."""

    values: dict[str, str]
    files: dict[str, Upload]
    kept: dict[str, str]
    pasted: str | None = None


def signature_of(model: Model) -> Signature:
    """The signature of a model that has one: pages ask no other."""
    signature: Signature | None = model.entry.signature
    assert signature is not None
    return signature


def is_long(signature: Signature) -> bool:
    """Too many fields for one control each."""
    return len(signature.fields) > MOST_CONTROLS


def example_row(model: Model) -> dict[str, Any]:
    """The row that a form starts from; files have no example that a form could hold."""
    signature = signature_of(model)
    known = model.entry.example if isinstance(model.entry.example, dict) else {}
    return {field.name: _short(known.get(field.name, _example(field))) for field in signature.fields}


def _example(field: Field) -> Any:
    return None if field.kind in ("image", "document") else kind_of(field).example(field)


def start_values(model: Model, given: MultiDict[str, str]) -> Sent:
    """What the form shows first: the example, with what the address gives in place of it."""
    row = example_row(model)
    signature = signature_of(model)
    if is_long(signature):
        return Sent({}, {}, {}, given.get(PASTE) or laid_out(row))
    values = {name: "" if _is_picture(signature, name) else as_text(value) for name, value in row.items()}
    for index, field in enumerate(signature.fields):
        values[field.name] = given.get(form_key(field, index), values[field.name])
    return Sent(values, {}, {})


def _is_picture(signature: Signature, name: str) -> bool:
    field = signature.field(name)
    return field is not None and field.kind == "image"


def laid_out(row: Mapping[str, Any]) -> str:
    """A row as JSON with one value a line."""
    return pretty(row)


def read_sent(signature: Signature) -> Sent:
    """The submission at hand."""
    values, files, kept = {}, {}, {}
    for index, field in enumerate(signature.fields):
        key = form_key(field, index)
        texts = [text for text in request.form.getlist(key) if isinstance(text, str)]
        values[field.name] = (texts[-1] if texts else "").replace("\r\n", "\n")
        file = next((file for file in request.files.getlist(key) if file.filename), None)
        upload = Upload(data=file.read(), filename=file.filename or "", content_type=file.mimetype) if file else _kept(request.form, index)
        if upload is not None and field.kind in ("image", "document"):
            files[field.name] = upload
            if field.kind == "image" and len(upload.data) <= KEPT_BYTES and upload.content_type.startswith("image/"):
                kept[field.name] = f"data:{upload.content_type};base64,{base64.b64encode(upload.data).decode()}"
    return Sent(values, files, kept, request.form.get(PASTE, "") if is_long(signature) else None)


def _kept(form: MultiDict[str, str], index: int) -> Upload | None:
    text = form.get(f"carafe:kept:f{index}", "")
    data = read_base64(text) if text.startswith("data:image/") else None
    return Upload(data=data, filename="", content_type=text[5:].partition(";")[0]) if data else None


def rows_of(model: Model, sent: Sent) -> Rows | Pending:
    """The one row of a submission, checked.

    :raises CarafeError: in the words of the API.
    """
    decoder = model.usable_decoder()
    if sent.pasted is not None:
        return read_pasted(model, sent.pasted)
    values = {name: [text] for name, text in sent.values.items() if name not in sent.files}
    return decoder.form(values, sent.files)


def read_pasted(model: Model, text: str) -> Rows | Pending:
    """One row from a box: a JSON object, two lines of CSV, or the values alone in the model's order.

    :raises CarafeError: none of them, or a value is wrong.
    """
    decoder, signature = model.usable_decoder(), signature_of(model)
    text = text.strip()
    if not text:
        raise BadRequest("There is nothing in the box.")
    if text[0] in "{[":
        return decoder.json(text.encode() if text[0] == "{" else b'{"rows":[' + _row(text) + b"]}")
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        names = next(csv.reader(io.StringIO(lines[0])))
    except csv.Error as exc:
        raise BadRequest(f"What is in the box cannot be read: {exc}.") from exc
    if len(lines) > 1 and any(signature.field(name.strip()) for name in names):
        return decoder.csv("\n".join(lines[:2]).encode(), "utf-8")
    separator = "\t" if "\t" in text else "," if "," in text else ";" if ";" in text else None
    cells = [cell.strip() for line in lines for cell in line.split(separator) if cell.strip() or separator]
    if len(cells) != len(signature.fields):
        raise BadRequest(f"The model takes {len(signature.fields):,} values, and there are {len(cells):,} in the box.")
    return decoder.form({field.name: [cell] for field, cell in zip(signature.fields, cells, strict=True)}, {})


def _row(text: str) -> bytes:
    return text[1:-1].strip().encode() if text[1:].lstrip().startswith("[") and text.endswith("]") else text.encode()


def row_sent(model: Model, rows: Rows | Pending | None, sent: Sent) -> dict[str, Any]:
    """The row as a JSON call would send it: what was checked where it was, what was typed where it was not."""
    signature = signature_of(model)
    checked: dict[str, Any] = {}
    if isinstance(rows, Rows):
        checked = unpacked(signature, rows)[0]
    row = {}
    for field in signature.fields:
        upload = sent.files.get(field.name)
        row[field.name] = (
            {"file": _base_name(upload.filename)} if upload else _short(checked.get(field.name, _typed(field, sent.values.get(field.name, ""))))
        )
    return row


def _short(value: Any) -> Any:
    """Whole numbers without their ``.0``: JSON does not tell the two apart, and people do."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _typed(field: Field, text: str) -> Any:
    """A value that was not checked, as a call would hold it; as typed where that cannot be told."""
    if not text.strip():
        return None
    try:
        if field.kind in ("number", "integer", "vector", "tensor"):
            return json.loads(text if field.kind in ("number", "integer") else f"[{text.strip('[] ')}]")
        return kind_of(field).from_text(text, field) if field.kind in ("boolean", "category") else text
    except (ValueError, Wrong):
        return text


def _base_name(filename: str) -> str:
    """A file's own name, without folders and what no terminal shows."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return "".join(letter if letter.isprintable() else "_" for letter in name)


def as_query(model: Model, sent: Sent) -> Mapping[str, str]:
    """The input as the query of an address, where it is short enough to be one."""
    signature = signature_of(model)
    if sent.pasted is not None or sent.files:
        return {}
    shown = [(form_key(field, index), field) for index, field in enumerate(signature.fields) if field.kind != "image"]
    pairs = {key: sent.values.get(field.name, "") for key, field in shown}
    return pairs if any(pairs.values()) and sum(len(key) + len(text) for key, text in pairs.items()) < LONGEST_QUERY else {}
