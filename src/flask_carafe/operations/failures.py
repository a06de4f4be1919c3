"""Rows that a host could not answer: the error that stands for them, and the story behind it for the log."""

from __future__ import annotations

import logging

from ..errors import CarafeError, Detail, InvalidInput, ModelFailed, OutputInvalid
from ..serving.request import Answer
from ..serving.table import Model

log = logging.getLogger(__name__)


def checked(model: Model, answer: Answer) -> Answer:
    """``answer``, unless some of its rows failed.

    :raises ModelFailed: the model raised on a row.
    :raises OutputInvalid: it answered nonsense for one.
    :raises InvalidInput: it could not read a value.
    """
    if answer.errors:
        raise row_failure(model, answer)
    return answer


def row_failure(model: Model, answer: Answer) -> CarafeError:
    """The error that stands for the rows of ``answer`` that failed; the whole story is for the log."""
    first = answer.errors[0]
    bad_input = [error for error in answer.errors if error.code == "invalid_value"]
    if bad_input:
        return InvalidInput(bad_input[0].reason, [Detail(row=error.row, got=error.reason) for error in bad_input])
    details = [Detail(row=error.row) for error in answer.errors]
    if first.code == OutputInvalid.code:
        return OutputInvalid(model.entry.name, first.reason, details)
    return ModelFailed(model.entry.name, details, first.message)


def log_failure(error: CarafeError, request_id: str) -> None:
    """The story behind a 5xx, for the log alone; what the model itself said is part of it."""
    said = error.args[2] if isinstance(error, ModelFailed) and len(error.args) > 2 else ""
    log.error("%s%s", error, f"\n{said}" if said else "", exc_info=error.__cause__, extra={"request_id": request_id, "code": error.code})
