"""One prediction from start to finish in a thread that may wait: what the doors ``flask`` and ``wsgi`` share."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from ..errors import CarafeError
from ..operations.failures import checked
from ..serving.asking import ask_blocking
from ..serving.ids import request_id
from ..serving.table import Model
from ..state import CarafeState
from .native import Reply, read_rows, timeout_s, unexpected, write_answer, write_error

Get = Callable[[str], str | None]


def serve(state: CarafeState, find: Callable[[], Model], header: Get, body: Callable[[], bytes], door: str) -> Reply:
    """Status, headers and body for one request.

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
        rows = read_rows(model, header("content-type"), said)
        answer = checked(model, ask_blocking(state.engine, model, rows, patience))
        reply = write_answer(model, answer, rows.scalar, prediction_id, told, header("accept"))
    except CarafeError as error:
        state.failed(model, door, error, began)
        return write_error(error, told)
    except Exception:  # the last resort: a fault of ours, answered as one
        return unexpected(told)
    state.answered(model, door, answer.n, monotonic() - began, prediction_id)
    return reply
