"""What a protocol of predictions is: how its requests are read, how its answers and errors are written. No server is known here."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..config import show_size
from ..errors import BadRequest, CarafeError, ModelRefused, OutputInvalid, Overloaded, TooLarge, WrongEncoding
from ..operations.failures import log_failure
from ..serving.request import Answer
from ..serving.table import Model, RoutingTable
from ..signature import Rows
from ..signature.pending import Columns, Pending

if TYPE_CHECKING:
    from .events import Events

log = logging.getLogger(__name__)
encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
JSON = "application/json"
NO_JSON = "it is not made of texts, numbers, lists and objects"
MOST_TIMEOUT_MS = 3_600_000
MOST_RATIO = 1032  # bytes that one byte of deflate can become (zlib's technical notes)
WORTH_PACKING = 2048  # bytes of an answer
WINDOWS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}  # Content-Encoding -> zlib windows; some send "deflate" without zlib's header
Headers = list[tuple[str, str]]
Reply = tuple[int, Headers, bytes]
Get = Callable[[str], str | None]  # a request header by its lower-case name


class Unwritten(msgspec.Struct):
    """A body that the media host must write: a table in ``format`` (parquet, stream, file)."""

    format: str
    records: Columns


Written = tuple[int, Headers, bytes | Unwritten]


class Protocol:
    """One way to ask for predictions. Stateless: one object each, listed in :mod:`.protocols`.

    ``rules`` are the paths that are asked with POST, as Flask writes them, with ``<name>`` and ``<version>``; a rule without
    ``<name>`` asks the default model. ``methods`` beside POST go the longer way through Flask.
    """

    name = ""
    rules: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("POST",)

    def paths(self, table: RoutingTable) -> Iterator[tuple[str, Model]]:
        """Every path of ``table`` that asks a model in this protocol, without the application's prefix."""
        for rule in self.rules:
            if "<name>" in rule:
                for name, model in table.models.items():
                    yield rule.replace("<name>", name).replace("<version>", model.version_text), model
            elif table.default in table.models:
                yield rule, table.models[table.default]

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Any]:
        """Checked rows, and a memo of whatever :meth:`write` needs of the request (None for nothing).

        A memo may have an attribute ``timeout_s``: the deadline that stands in the body, or None.

        :raises BadRequest: the bytes cannot be parsed.
        :raises InvalidInput: a value is wrong, missing or unknown.
        :raises WrongMediaType: a Content-Type that is not read here.
        """
        raise NotImplementedError

    def write(  # noqa: PLR0917 - on the request path, where keywords cost
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Any, prediction_id: str, request_id: str, get: Get
    ) -> Written:
        """A 200 with ``answer``, none of whose rows failed."""
        raise NotImplementedError

    def events(self, model: Model, get: Get, memo: Any, prediction_id: str, request_id: str) -> Events | None:
        """How the values of a streaming model are told one by one; None where they are asked for as one answer."""
        return None

    def error(self, error: CarafeError, request_id: str) -> Reply:
        """``error`` in this protocol's shape; a top-level text ``error`` is in every one."""
        return write_error(error, request_id)

    def unexpected(self, request_id: str) -> Reply:
        """Our own fault; called while the exception is being handled."""
        return unexpected(request_id)


def is_trusted(host: str | None, trusted: Sequence[str]) -> bool:
    """Whether ``Host`` is one that this server goes by; Flask, which knows more spellings, words the refusal if not."""
    return not trusted or (host or "").partition(":")[0] in trusted


def timeout_s(header: str | None, default_s: float) -> float:
    """The request's own deadline in seconds, from ``X-Request-Timeout-Ms``; never above an hour.

    :raises BadRequest: not a positive whole number.
    """
    if not header:
        return default_s
    if len(header) > 12 or not header.isascii() or not header.isdigit() or not 0 < int(header) <= MOST_TIMEOUT_MS:
        raise BadRequest(f"X-Request-Timeout-Ms must be a whole number from 1 to 3,600,000, got {header[:40]!r}.")
    return int(header) / 1000


def unpacked(body: bytes, encoding: str, most: int) -> bytes:
    """``body`` without its Content-Encoding. Source: RFC 9110, section 8.4.1.

    :param most: bytes that may come out.
    :raises WrongEncoding: an encoding other than gzip and deflate.
    :raises TooLarge: more would come out.
    :raises BadRequest: it is damaged or cut short.
    """
    encoding = encoding.strip().lower()
    if encoding == "identity":
        return body
    if encoding not in WINDOWS:
        raise WrongEncoding(encoding[:60])
    for window in WINDOWS[encoding]:
        inflater = zlib.decompressobj(window)
        try:
            found = inflater.decompress(body, most + 1)
        except zlib.error:
            continue
        if len(found) > most:
            raise TooLarge("The unpacked body", show_size(most))
        if inflater.eof and not inflater.unused_data:
            return found
    raise BadRequest(f"The body is not {encoding} as its Content-Encoding says, or it was cut short.")


def packed(body: bytes, accept: str | None, headers: Headers) -> bytes:
    """``body`` as ``Accept-Encoding`` allows it, compressed where that is worth it; ``headers`` are told. Source: RFC 9110, section 12.5.3."""
    if len(body) < WORTH_PACKING:
        return body
    headers.append(("vary", "Accept-Encoding"))
    allowed = [part.partition(";") for part in (accept or "").lower().split(",")]
    names = {name.strip() for name, _, weight in allowed if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")}
    kind = next((kind for kind in ("gzip", "deflate") if kind in names), "")
    if not kind:
        return body
    headers.append(("content-encoding", kind))
    deflater = zlib.compressobj(1, wbits=WINDOWS[kind][0])
    return deflater.compress(body) + deflater.flush()


def answer_headers(model: Model, content_type: str, prediction_id: str, request_id: str) -> Headers:
    """The headers of every answer; the Content-Type comes first."""
    headers: Headers = [
        ("content-type", content_type),
        ("x-prediction-id", prediction_id),
        ("x-model-version", model.version_text),
        ("x-request-id", request_id),
    ]
    if model.entry.unverified:
        headers.append(("x-carafe-unverified", ascii(model.entry.unverified)[1:-1][:500]))
    return headers


def encode_answer(model: Model, body: Any) -> bytes:
    """``body`` as JSON.

    :raises OutputInvalid: the model's own function gave something that is no JSON.
    """
    try:
        return encode(body)
    except (TypeError, ValueError, RecursionError) as exc:
        raise OutputInvalid(model.entry.name, NO_JSON) from exc


def write_error(error: CarafeError, request_id: str) -> Reply:
    """``error`` in the shape that every face sends; what the model itself said stays in the log, under ``request_id``."""
    if error.status >= 500:
        log_failure(error, request_id)
    return error.status, error_headers(error, request_id), encode(error.as_json(request_id))


def error_headers(error: CarafeError, request_id: str) -> Headers:
    """The headers of a refusal, ``Retry-After`` among them where it helps to come again."""
    headers: Headers = [("content-type", JSON), ("x-request-id", request_id), ("x-content-type-options", "nosniff")]
    if isinstance(error, Overloaded):
        headers.append(("retry-after", str(error.retry_after_s)))
    elif error.status == 503 and not isinstance(error, ModelRefused):
        headers.append(("retry-after", "1"))
    return headers


def unexpected(request_id: str) -> Reply:
    """Our own fault; call it while the exception is being handled: it goes to the log."""
    log.exception("An unexpected error.", extra={"request_id": request_id})
    body = {"error": "Something went wrong here, and not in your request.", "code": "internal_error", "request_id": request_id}
    return 500, [("content-type", JSON), ("x-request-id", request_id)], encode(body)
