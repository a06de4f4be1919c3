"""A streamed answer as server-sent events: one event a value, then ``end``, or ``error`` in its place.

Each ``data`` is one line of JSON, so that no text of a model can be taken for the end of an event.
Source: HTML standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

from typing import Any

from ..errors import CarafeError
from ..operations.failures import log_failure
from ..serving.media import TABLES
from ..serving.table import Model
from .protocol import JSON, Headers, answer_headers, encode, encode_answer, unexpected

EVENT_STREAM = "text/event-stream"
OTHERS = (JSON, "application/*", "text/csv", "application/x-ndjson", *TABLES.values())
KINDS = {EVENT_STREAM: True, "text/*": True, "*/*": True} | dict.fromkeys(OTHERS, False)


class Events:
    """Words of one streamed answer."""

    def __init__(self, model: Model, prediction_id: str, request_id: str) -> None:
        self.model, self.prediction_id, self.request_id = model, prediction_id, request_id
        self.count = 0  # of values

    def headers(self) -> Headers:
        """What comes before the first event; no proxy is to hold events back or to keep them."""
        headers = answer_headers(self.model, EVENT_STREAM, self.prediction_id, self.request_id)
        return [*headers, ("cache-control", "no-store"), ("x-accel-buffering", "no")]

    def value(self, value: Any) -> bytes:
        """One value of the model.

        :raises OutputInvalid: it is no JSON.
        """
        self.count += 1
        return b"data: %b\n\n" % encode_answer(self.model, value)

    def end(self) -> bytes:
        """The last event of an answer that is whole."""
        entry = self.model.entry
        return named("end", {"model": entry.name, "version": entry.version, "id": self.prediction_id, "values": self.count})

    def error(self, error: CarafeError) -> bytes:
        """The last event of an answer that breaks off: the status was sent long ago."""
        if error.status >= 500:
            log_failure(error, self.request_id)
        return named("error", error.as_json(self.request_id))

    def unexpected(self) -> bytes:
        """The last event where the fault is our own; called while the exception is being handled."""
        return b"event: error\ndata: %b\n\n" % unexpected(self.request_id)[2]


def wants_events(accept: str | None) -> bool:
    """Whether ``Accept`` lets a streamed answer come as events: it does unless it names another format before them.

    >>> [wants_events(accept) for accept in (None, "*/*", "application/json, */*", "application/vnd.apache.parquet")]
    [True, True, False, False]
    """
    for kind in (accept or "*/*").split(","):
        kind = kind.partition(";")[0].strip().lower()
        if kind in KINDS:
            return KINDS[kind]
    return True


def named(event: str, data: Any) -> bytes:
    """One event with a name of its own."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), encode(data))
