"""TorchServe's inference API: ``POST`` or ``PUT /predictions/<name>``; the body is one row, as JSON or as the bytes of a file.

Source: https://docs.pytorch.org/serve/inference_api.html and the answers of its default handlers.
"""

from __future__ import annotations

from typing import Any

from ...errors import BadRequest, CarafeError, ModelNotFound, VersionNotFound
from ...operations.failures import log_failure
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Field, Rows
from ...signature.decode import Decoder
from ...signature.kinds import Blob
from ...signature.pending import Pending
from ...signature.shapes import depth, value_shape
from ...signature.strict import parse
from ..forms import read_form
from ..protocol import JSON, Get, Protocol, Reply, answer_headers, encode, encode_answer, error_headers
from .rows import has_probabilities, predictions

MOST_CLASSES = 5  # as its image classifier tells
TEXT = "text/plain; charset=utf-8"
FILES = ("image", "document")
PARTS = ("data", "body")  # what the parts of its forms are called
TYPES = {
    400: "BadRequestException", 404: "ResourceNotFoundException", 405: "MethodNotAllowedException", 413: "BadRequestException",
    415: "BadRequestException", 429: "ServiceUnavailableException", 503: "ServiceUnavailableException",
}  # fmt: skip


class TorchServe(Protocol):
    """``POST /predictions/<name>``; versions are numbers, with or without ``.0``."""

    name = "torchserve"
    rules = ("/predictions/<name>", "/predictions/<name>/<version>", "/predictions/<name>/<version>.0")
    methods = ("POST", "PUT")  # curl -T

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, None]:
        """See :meth:`Protocol.read`."""
        decoder, content_type = model.usable_decoder(), get("content-type") or ""
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return read_parts(decoder, body, content_type), None
        return read_body(decoder, body, kind), None

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: None, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        """See :meth:`Protocol.write`. A text is sent as it is."""
        found = scores(model, answer) if has_probabilities(model) else predictions(model, answer)
        one = found[0] if rows.scalar else found
        if isinstance(one, str):
            return 200, answer_headers(model, TEXT, prediction_id, request_id), one.encode()
        return 200, answer_headers(model, JSON, prediction_id, request_id), encode_answer(model, one)

    def error(self, error: CarafeError, request_id: str) -> Reply:
        """``code`` (the status), ``type`` and ``message`` as TorchServe sends them; our own code is the ``error_code``."""
        if error.status >= 500:
            log_failure(error, request_id)
        status, said = 400 if error.status == 422 else error.status, error.as_json(request_id)
        said |= {"error_code": error.code, "code": status, "type": type_of(error, status), "message": str(error)}
        return status, error_headers(error, request_id), encode(said)


def type_of(error: CarafeError, status: int) -> str:
    """The name of TorchServe's exception."""
    if isinstance(error, VersionNotFound):
        return "ModelVersionNotFoundException"
    if isinstance(error, ModelNotFound):
        return "ModelNotFoundException"
    return TYPES.get(status, "InternalServerException")


# ---- in


def read_body(decoder: Decoder, body: bytes, kind: str) -> Rows | Pending:
    """The row in ``body``: JSON where it says so or looks so, else a file or a text for a model of one field."""
    only = decoder.signature.fields[0] if len(decoder.signature.fields) == 1 else None
    if kind == JSON or only is None or (not kind.startswith(("text/", "image/")) and _looks_like_json(body)):
        return read_json(decoder, body)
    return decoder.rows([_value(only, body)], scalar=True)


def _looks_like_json(body: bytes) -> bool:
    return body[:100].lstrip()[:1] in (b"{", b"[")


def _value(field: Field, body: bytes) -> Any:
    """The value that a file of these bytes is."""
    if field.kind in FILES:
        return Blob(body)
    try:
        return body.decode()
    except UnicodeDecodeError as exc:
        raise BadRequest(f"The body is not UTF-8: byte {exc.start} cannot be read.") from None


def read_json(decoder: Decoder, body: bytes) -> Rows | Pending:
    """The rows of a JSON body: an object as in the native protocol, a list by position, or a bare value.

    A list is one row where it is as deep as one, else several.
    """
    if _looks_like_json(body) and body.lstrip()[:1] == b"{":
        return decoder.json(body)
    value = parse(body)
    levels = len(value_shape(decoder.signature)) if len(decoder.signature.fields) == 1 else 1
    if not isinstance(value, list) or (levels and depth(value) == levels and not isinstance(value[0], dict)):
        return decoder.rows([value], scalar=True)
    return decoder.rows(value)


def read_parts(decoder: Decoder, body: bytes, content_type: str) -> Rows | Pending:
    """The row of a form: fields by name, or the whole row in the only part, be it a file or a text."""
    values, files = read_form(body, content_type)
    fields = {field.name: field for field in decoder.signature.fields}
    name = next(iter([*files, *values]), "")
    if len(files) + len(values) != 1 or name in fields:
        return decoder.form(values, files)
    if name in files:
        return read_body(decoder, files[name].data, files[name].content_type.lower())
    return read_body(decoder, values[name][0].encode(), "") if name in PARTS else decoder.form(values, files)


# ---- out


def scores(model: Model, answer: Answer) -> list[dict[str, float]]:
    """For each row the likeliest classes and their probabilities, the likeliest first."""
    rows = model.usable_encoder().output("probabilities", answer.columns, answer.start, answer.n)
    return [dict(sorted(row.items(), key=lambda item: -item[1])[:MOST_CLASSES]) for row in rows]
