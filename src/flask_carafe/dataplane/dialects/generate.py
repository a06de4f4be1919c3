"""Triton's generate extension and MLServer's stream of inferences: streams as clients of V2 servers read them.

Source: https://github.com/triton-inference-server/server, extension_generate.md; MLServer's documentation of streaming.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ...errors import CarafeError, InvalidInput
from ...hosting.frames import DTYPES, Column
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Rows, Signature
from ...signature.pending import Pending
from ...signature.strict import parse
from ..events import EVENT_STREAM, Events
from ..protocol import JSON, Get, Protocol, Reply, answer_headers, encode_answer, unexpected
from .v2 import V2, Memo

TEXT_INPUT, TEXT_OUTPUT = "text_input", "text_output"
BESIDE = ("id", "parameters")  # of a request to generate; a field that is called so goes before


class Whole(msgspec.Struct):
    """What the answer needs of a request to generate."""

    id: str


class Generate(Protocol):
    """``POST /v2/models/<name>/generate``: one row as a JSON object, the whole answer as one."""

    name = "generate"
    rules = ("/v2/models/<name>/generate", "/v2/models/<name>/versions/<version>/generate")

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Any]:
        """See :meth:`Protocol.read`. Values stand at the top or among the ``parameters``; ``text_input`` is the model's one text."""
        decoder = model.usable_decoder()
        call = parse(body)
        if not isinstance(call, dict):
            raise InvalidInput("A request to generate is a JSON object.", (), f'For example {{"{TEXT_INPUT}": "…"}}.')
        rows = decoder.value(row_of(decoder.signature, call))
        if rows.n != 1:
            raise InvalidInput(f"A request to generate holds one row, got {rows.n:,}.", (), "Send one request for each row.")
        return rows, Whole(call["id"] if isinstance(call.get("id"), str) else "")

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Whole, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        """See :meth:`Protocol.write`. The texts of a stream are joined."""
        values = model.usable_encoder().body(answer.columns, answer.start, answer.n, True)["prediction"]
        if model.streams and all(isinstance(value, str) for value in values):
            values = "".join(values)
        return 200, answer_headers(model, JSON, prediction_id, request_id), encode_answer(model, told(model, values, memo.id))

    def error(self, error: CarafeError, request_id: str) -> Reply:
        """As V2 has it."""
        return V2().error(error, request_id)


class GenerateStream(Generate):
    """``POST /v2/models/<name>/generate_stream``: the same, one event a value; a model that does not stream gives one."""

    name = "generate_stream"
    rules = ("/v2/models/<name>/generate_stream", "/v2/models/<name>/versions/<version>/generate_stream")

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Whole, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        status, headers, body = super().write(model, answer, rows, memo, prediction_id, request_id, get)
        headers[0] = ("content-type", EVENT_STREAM)
        return status, headers, event(body)

    def events(self, model: Model, get: Get, memo: Whole, prediction_id: str, request_id: str) -> Events:
        """See :meth:`Protocol.events`."""
        return DataEvents(model, prediction_id, request_id, lambda value: encode_answer(model, told(model, value, memo.id)))


class InferStream(V2):
    """``POST /v2/models/<name>/infer_stream``: a V2 request, and one V2 answer in JSON an event."""

    name = "infer_stream"
    rules = ("/v2/models/<name>/infer_stream", "/v2/models/<name>/versions/<version>/infer_stream")

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Memo]:
        rows, memo = super().read(model, get, body)
        for one in memo.wanted:
            one.is_binary = False
        return rows, memo

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Memo, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        status, headers, body = super().write(model, answer, rows, memo, prediction_id, request_id, plain)
        headers[0] = ("content-type", EVENT_STREAM)
        return status, headers, event(body)

    def events(self, model: Model, get: Get, memo: Memo, prediction_id: str, request_id: str) -> Events:
        """See :meth:`Protocol.events`."""

        def write(value: Any) -> bytes:
            answer = Answer([Column(DTYPES["json"], 1, [value])], 0, 1, (), 1)
            return V2.write(self, model, answer, Rows(1, ()), memo, prediction_id, request_id, plain)[2]

        return DataEvents(model, prediction_id, request_id, write)


class DataEvents(Events):
    """Events without names, and none at the end: an answer each, or an error.

    :param write: the JSON of one value.
    """

    def __init__(self, model: Model, prediction_id: str, request_id: str, write: Callable[[Any], bytes]) -> None:
        super().__init__(model, prediction_id, request_id)
        self.write = write

    def value(self, value: Any) -> bytes:
        self.count += 1
        return event(self.write(value))

    def end(self) -> bytes:
        return b""

    def error(self, error: CarafeError) -> bytes:
        return event(V2().error(error, self.request_id)[2])

    def unexpected(self) -> bytes:
        return event(unexpected(self.request_id)[2])


def event(data: bytes) -> bytes:
    """One event; JSON has no line breaks."""
    return b"data: %b\n\n" % data


def plain(name: str) -> str | None:
    """The headers of a request that asks for nothing special: an event is not compressed."""
    return None


def row_of(signature: Signature, call: dict[str, Any]) -> dict[str, Any]:
    """The one row in a request to generate. Parameters that are no field are for other servers' models, and are passed over."""
    known = {field.name for field in signature.fields}
    parameters = call.get("parameters") if "parameters" not in known else None
    row = {key: value for key, value in (parameters if isinstance(parameters, dict) else {}).items() if key in known}
    row |= {key: value for key, value in call.items() if key in known or key not in BESIDE}
    texts = [field.name for field in signature.fields if field.kind == "text"]
    if TEXT_INPUT in row and TEXT_INPUT not in known and len(texts) == 1:
        row[texts[0]] = row.pop(TEXT_INPUT)
    return row


def told(model: Model, value: Any, id: str) -> dict[str, Any]:
    """What is said of one value: a text under Triton's name, all else under ours."""
    said = {"model_name": model.entry.name, "model_version": model.version_text, TEXT_OUTPUT if isinstance(value, str) else "prediction": value}
    return {"id": id, **said} if id else said
