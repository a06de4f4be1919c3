"""One prediction from start to finish in a thread that may wait: what the doors ``flask`` and ``wsgi`` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from time import monotonic
from typing import Any

from ..errors import CarafeError
from ..operations.failures import checked
from ..serving.asking import ask_blocking, ready_rows_blocking, write_table_blocking
from ..serving.ids import request_id
from ..serving.table import Model
from ..state import CarafeState
from .protocol import Get, Headers, Protocol, Unwritten, timeout_s, unpacked
from .stream import EventBody, Telling

NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}  # those that WSGI does not call HTTP_…


def headers_of(environ: Mapping[str, Any]) -> Get:
    """The request headers of a WSGI environment (PEP 3333), by their lower-case names."""
    return lambda name: environ.get(_key(name))


@cache  # only names that the code writes are looked for
def _key(name: str) -> str:
    return NAMES.get(name) or "HTTP_" + name.upper().replace("-", "_")


def serve(  # noqa: PLR0917 - on the request path, where keywords cost
    state: CarafeState, speak: Protocol, find: Callable[[], Model], header: Get, body: Callable[[], bytes], door: str
) -> tuple[int, Headers, bytes | EventBody]:
    """Status, headers and body for one request in the protocol ``speak``.

    :param find: the model that is asked; may raise. Asked again when the body is there: a new version may have come meanwhile.
    :param header: a request header by its lower-case name.
    :param body: reads the body, under the limits of the settings; may raise.
    """
    began, model = monotonic(), None
    prediction_id = state.ids.next()
    told = request_id(header("x-request-id"), prediction_id)
    try:
        state.at_first_need()
        model = find()
        patience = timeout_s(header("x-request-timeout-ms"), state.settings.predict_timeout_s)
        said = body()
        model = find()
        encoding = header("content-encoding")
        rows, memo = speak.read(model, header, unpacked(said, encoding, state.settings.max_body_bytes) if encoding else said)
        if memo is not None:
            patience = getattr(memo, "timeout_s", None) or patience
        deadline = monotonic() + patience
        if model.streams and (events := speak.events(model, header, memo, prediction_id, told)) is not None:
            ready = ready_rows_blocking(state.engine, model, rows, deadline)
            return 200, events.headers(), EventBody(Telling(state, model, events, door, began), ready, patience)
        answer = checked(model, ask_blocking(state.engine, model, rows, patience, prediction_id))
        status, headers, written = speak.write(model, answer, rows, memo, prediction_id, told, header)
        if isinstance(written, Unwritten):
            written = write_table_blocking(state.engine, model, written.records, written.format, deadline)
    except CarafeError as error:
        state.failed(model, door, error, began)
        return speak.error(error, told)
    except Exception:  # the last resort: a fault of ours, answered as one
        state.failed(model, door, None, began)
        return speak.unexpected(told)
    state.answered(model, door, answer.n, monotonic() - began, prediction_id)
    return status, headers, written
