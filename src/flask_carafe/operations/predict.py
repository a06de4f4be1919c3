"""Predict, for whoever waits in a thread: Flask views, pages, ``carafe.predict`` in an app's own view."""

from __future__ import annotations

from time import monotonic
from typing import Any

import msgspec

from ..errors import CarafeError
from ..serving.asking import ask_blocking
from ..serving.request import Answer
from ..serving.table import Model
from ..signature import Rows
from ..signature.pending import Pending
from ..state import CarafeState
from .failures import checked

encode = msgspec.json.Encoder().encode


class Prediction:
    """One answered request.

    :attr:`id` is its prediction id, :attr:`seconds` the time from the call to the answer.
    """

    def __init__(self, model: Model, answer: Answer, scalar: bool, prediction_id: str, seconds: float) -> None:
        self.model, self.answer, self.scalar, self.id, self.seconds = model, answer, scalar, prediction_id, seconds

    def body(self) -> dict[str, Any]:
        """What the API answers: ``prediction``, ``probabilities`` where there are any, ``model``, ``version``, ``id``."""
        return answer_body(self.model, self.answer, self.scalar, self.id)

    def records(self) -> list[dict[str, Any]]:
        """One flat record a row, as in CSV."""
        return self.model.usable_encoder().records(self.answer.columns, self.answer.start, self.answer.n)


def answer_body(model: Model, answer: Answer, scalar: bool, prediction_id: str) -> dict[str, Any]:
    """The JSON object of an answer."""
    body = model.usable_encoder().body(answer.columns, answer.start, answer.n, scalar)
    body["model"] = model.entry.name
    body["version"] = model.entry.version
    body["id"] = prediction_id
    if model.entry.unverified:
        body["unverified"] = model.entry.unverified
    return body


def answer_json(model: Model, answer: Answer, scalar: bool, prediction_id: str) -> bytes:
    """:func:`answer_body` as JSON.

    :raises TypeError: a function of the app gave something that is no JSON (and ValueError, RecursionError).
    """
    encoder, entry = model.usable_encoder(), model.entry
    if answer.n == 1 and encoder.line is not None and not entry.unverified:
        text = encoder.line(answer.columns, answer.start, scalar)
        if text is not None:
            return text + model.said + prediction_id.encode() + b'"}'
    return encode(answer_body(model, answer, scalar, prediction_id))


def predict(state: CarafeState, model: Model, rows: Rows | Pending, *, timeout_s: float | None = None, door: str = "python") -> Prediction:
    """Run checked rows through ``model`` and wait for the answer.

    :param timeout_s: the request's own deadline; the setting ``predict_timeout_s`` if not given.
    :raises CarafeError: whatever became of it in place of an answer; it has been counted.
    """
    began = monotonic()
    prediction_id = state.ids.next()
    try:
        state.at_first_need()
        answer = checked(model, ask_blocking(state.engine, model, rows, timeout_s or state.settings.predict_timeout_s, prediction_id))
    except CarafeError as error:
        state.failed(model, door, error, began)
        raise
    seconds = monotonic() - began
    state.answered(model, door, answer.n, seconds, prediction_id)
    return Prediction(model, answer, rows.scalar, prediction_id, seconds)


def predict_value(state: CarafeState, name: str, data: Any, *, version: int | None = None, timeout_s: float | None = None) -> dict[str, Any]:
    """``carafe.predict(name, data)``: Python values in, the API's answer out, with the same checks.

    :param data: a row as a mapping, or a list of them, a list of lists, an array, a data frame.
    :raises ModelNotFound: no such model.
    :raises InvalidInput: a value is wrong; every one is listed.
    """
    state.at_first_need()
    model = state.table.resolve(name, version)
    rows = model.usable_decoder().value(data)
    return predict(state, model, rows, timeout_s=timeout_s).body()
