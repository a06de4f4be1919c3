"""The native protocol, as plain functions: bytes to checked rows, an answer or an error to bytes. No server is known here."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import OutputInvalid, WrongMediaType
from ..operations.predict import answer_json
from ..serving.media import TABLES
from ..serving.request import Answer
from ..serving.table import Model, RoutingTable
from ..signature import Rows
from ..signature.decode import Decoder
from ..signature.pending import Columns, Pending
from ..signature.tabular import harmless
from .events import Events, wants_events
from .forms import read_form
from .protocol import JSON, NO_JSON, Get, Headers, Protocol, Unwritten, Written, answer_headers, encode

CSV, NDJSON = "text/csv", "application/x-ndjson"
FORMATS = {kind: format for format, kind in TABLES.items()}
CHARSETS = ("utf-8", "utf8", "us-ascii", "iso-8859-1", "latin-1", "utf-16", "windows-1252")
Reader = Callable[[Decoder, bytes, str, str], Rows | Pending]  # decoder, body, the whole Content-Type, its charset


class Native(Protocol):
    """Carafe's own protocol; a model may declare further paths for it."""

    name = "native"
    rules = ("/predict", "/models/<name>/predict", "/models/<name>/versions/<version>/predict")

    def paths(self, table: RoutingTable) -> Iterator[tuple[str, Model]]:
        """Those of the rules, and those that models declare for themselves."""
        yield from table.declared_paths.items()
        yield from super().paths(table)

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Any]:
        return read_rows(model, get("content-type"), body), None

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Any, prediction_id: str, request_id: str, get: Get
    ) -> Written:
        return write_answer(model, answer, rows.scalar, prediction_id, request_id, get("accept"))

    def events(self, model: Model, get: Get, memo: Any, prediction_id: str, request_id: str) -> Events | None:
        return Events(model, prediction_id, request_id) if wants_events(get("accept")) else None


NATIVE = Native()

# ---- in


def read_rows(model: Model, content_type: str | None, body: bytes) -> Rows | Pending:
    """The rows in ``body``, checked against the model's signature and packed.

    :param content_type: the header as sent; None or empty is read as JSON.
    :raises BadRequest: the bytes cannot be parsed.
    :raises InvalidInput: a value is wrong, missing or unknown; every one is listed, up to 20.
    :raises WrongMediaType: nothing that is read here.
    """
    decoder = model.usable_decoder()
    if not content_type or content_type == JSON:
        return decoder.json(body)
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    reader = READERS.get(kind)
    if reader is None:
        raise WrongMediaType(kind[:100])
    return reader(decoder, body, content_type, _charset(parameters, content_type))


def _charset(parameters: str, content_type: str) -> str:
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
            if charset not in CHARSETS:
                raise WrongMediaType(content_type[:100])
            return charset
    return "utf-8"


def _read_json(decoder: Decoder, body: bytes, content_type: str, charset: str) -> Rows | Pending:
    if charset not in CHARSETS[:3]:
        raise WrongMediaType(content_type[:100])
    return decoder.json(body)


def _read_csv(decoder: Decoder, body: bytes, content_type: str, charset: str) -> Rows | Pending:
    return decoder.csv(body, charset)


def _read_ndjson(decoder: Decoder, body: bytes, content_type: str, charset: str) -> Rows | Pending:
    return decoder.ndjson(body)


def _read_form(decoder: Decoder, body: bytes, content_type: str, charset: str) -> Rows | Pending:
    return decoder.form(*read_form(body, content_type))


def _read_table(decoder: Decoder, body: bytes, content_type: str, charset: str) -> Rows | Pending:
    return decoder.table(body, FORMATS[content_type.partition(";")[0].strip().lower()])


READERS: dict[str, Reader] = {
    JSON: _read_json,
    CSV: _read_csv,
    "application/csv": _read_csv,
    NDJSON: _read_ndjson,
    "application/jsonl": _read_ndjson,
    **dict.fromkeys(FORMATS, _read_table),
    "multipart/form-data": _read_form,
    "application/x-www-form-urlencoded": _read_form,
}


# ---- out


def write_answer(  # noqa: PLR0917 - on the request path, where keywords cost
    model: Model, answer: Answer, scalar: bool, prediction_id: str, request_id: str, accept: str | None = None
) -> Written:
    """A 200 in the format that ``accept`` asks for: JSON unless it is CSV, NDJSON, Parquet or Arrow.

    :param scalar: one row was sent as an object, so that the prediction is a value and not a list.
    :raises OutputInvalid: the model's own function gave something that is no JSON.
    """
    headers = answer_headers(model, JSON, prediction_id, request_id)
    try:
        if accept and accept not in ("*/*", JSON):
            table = _as_table(model, answer, accept, headers)
            if table is not None:
                return 200, headers, table
        return 200, headers, answer_json(model, answer, scalar, prediction_id)
    except (TypeError, ValueError, RecursionError) as exc:
        raise OutputInvalid(model.entry.name, NO_JSON) from exc


def _as_table(model: Model, answer: Answer, accept: str, headers: Headers) -> bytes | Unwritten | None:
    wanted = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    kind = next((kind for kind in wanted if kind in (JSON, "*/*", "application/*", CSV, NDJSON, *FORMATS)), None)
    if kind not in (CSV, NDJSON, *FORMATS):
        return None
    encoder = model.usable_encoder()
    records = encoder.records(answer.columns, answer.start, answer.n)
    if kind in FORMATS:
        headers[0] = ("content-type", kind)
        names = encoder.record_keys
        return Unwritten(FORMATS[kind], Columns(names, [[record[name] for record in records] for name in names], answer.n))
    headers[0] = ("content-type", f"{kind}; charset=utf-8" if kind == CSV else NDJSON)
    return csv_bytes(records) if kind == CSV else b"".join([encode(record) + b"\n" for record in records])


def csv_bytes(records: list[dict[str, Any]]) -> bytes:
    """``records`` as CSV with a header row; text that a spreadsheet would run as a formula is made harmless."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([harmless(name) for name in records[0]] if records else [])
    writer.writerows([[harmless(value) for value in record.values()] for record in records])
    return out.getvalue().encode()
