"""MLflow's scoring server: ``POST /invocations`` asks the default model, in one of four JSON shapes or as CSV.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ and the answers of ``mlflow models serve`` 3.17.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import BadRequest, CarafeError, NoDefaultModel, WrongMediaType
from ...operations.failures import log_failure
from ...serving.media import TABLES
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Rows
from ...signature.check import encodable
from ...signature.decode import Decoder
from ...signature.kinds import shown
from ...signature.pending import Pending
from ..protocol import JSON, Get, Protocol, Reply, answer_headers, encode, encode_answer, error_headers, packed
from .rows import from_columns, from_rows, from_split, predictions, read_object

CSV, PARQUET = ("text/csv", "application/csv"), TABLES["parquet"]
EXAMPLE = '{"dataframe_split": {"columns": [...], "data": [[...]]}}'
SHAPES: dict[str, Callable[[Decoder, str, Any], Rows | Pending]] = {
    "dataframe_split": from_split,
    "dataframe_records": from_rows,
    "instances": from_rows,
    "inputs": from_columns,
}
KEYS = {key.encode() for key in SHAPES}
BARE = ("messages", "prompt", "input")  # a request that is itself the model's row, and whose answer has nothing around it
CODES = {
    400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST", 409: "ABORTED", 413: "BAD_REQUEST",
    415: "BAD_REQUEST", 422: "INVALID_PARAMETER_VALUE", 429: "REQUEST_LIMIT_EXCEEDED", 503: "TEMPORARILY_UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


class MLflow(Protocol):
    """``POST /invocations``."""

    name = "mlflow"
    rules = ("/invocations",)

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Any]:
        """See :meth:`Protocol.read`. The memo is the key of a request that is itself a row."""
        kind = media_type(get("content-type"))
        decoder = model.usable_decoder()
        if kind in CSV:
            return decoder.csv(body, foreign=True), None
        if kind == PARQUET:
            return decoder.table(body, "parquet"), None
        rows = decoder.foreign(body, KEYS)
        return (rows, None) if rows is not None else read_json(decoder, body)

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Any, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        """See :meth:`Protocol.write`."""
        found = predictions(model, answer)
        headers = answer_headers(model, JSON, prediction_id, request_id)
        body = encode_answer(model, {"predictions": found} if memo is None else found[0])
        return 200, headers, packed(body, get("accept-encoding"), headers)

    def error(self, error: CarafeError, request_id: str) -> Reply:
        """As everywhere, with MLflow's ``error_code`` and ``message`` beside it; a wrong value is a 400."""
        if error.status >= 500:
            log_failure(error, request_id)
        if isinstance(error, NoDefaultModel):
            error.hint = "This address asks the default model: name one with the setting default_model."
        body = {"error_code": CODES.get(error.status, "INTERNAL_ERROR"), "message": str(error)} | error.as_json(request_id)
        return 400 if error.status == 422 else error.status, error_headers(error, request_id), encode(body)


def media_type(content_type: str | None) -> str:
    """The kind of body, JSON if none is named.

    :raises WrongMediaType: neither JSON nor CSV nor Parquet, or with anything but a charset of UTF-8 beside it.
    """
    kind, *parameters = [part.strip().lower() for part in (content_type or JSON).split(";")]
    if kind not in (JSON, *CSV, PARQUET) or any(parameter not in ("charset=utf-8", 'charset="utf-8"', "") for parameter in parameters):
        error = WrongMediaType((content_type or "")[:100])
        error.hint = "Send application/json or text/csv, in UTF-8."
        raise error
    return kind


def read_json(decoder: Decoder, body: bytes) -> tuple[Rows | Pending, str | None]:
    """The rows of a JSON body.

    :raises BadRequest: not exactly one of the four keys; parameters that are no object.
    """
    found = read_object(body, EXAMPLE)
    bare = next((key for key in BARE if key in found and decoder.signature.field(key)), None)
    if bare:
        return decoder.rows([found], scalar=True), bare
    keys = [key for key in found if key in SHAPES]
    if len(keys) != 1:
        got = ", ".join(keys or [encodable(key[:40]) for key in list(found)[:10]]) or "none"
        error = BadRequest(f"The body must have exactly one of {', '.join(SHAPES)}, got {got}.")
        error.hint = f"Send {EXAMPLE}."
        raise error
    params = found.get("params")
    if params is not None and not isinstance(params, dict):
        raise BadRequest(f"params must be an object, got {shown(params)}.")
    return SHAPES[keys[0]](decoder, keys[0], found[keys[0]]), None
