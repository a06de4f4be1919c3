"""Rows that a host could not answer, as the error that stands for them."""

from __future__ import annotations

from ..errors import CarafeError, Detail, InvalidInput, ModelFailed, OutputInvalid
from ..serving.request import Answer
from ..serving.table import Model


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
