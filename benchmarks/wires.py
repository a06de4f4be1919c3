"""How a row is asked and answered: ours, and the rivals' where theirs is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Wire(NamedTuple):
    """``body``: our JSON body -> the rival's; ``probabilities``: its answer to one row -> the classes' probabilities in order."""

    name: str
    body: Callable[[dict[str, Any]], Any]
    probabilities: Callable[[Any], list[float]]


def row_of(body: dict[str, Any]) -> Any:
    """The row in a body of one input: numbers, or a text."""
    (row,) = body.values()
    return row


def native(answer: dict[str, Any]) -> list[float]:
    """A list, or an object by class, alone or in a list; of several rows the first.

    >>> native({"probabilities": {"0": 0.25, "1": 0.75}}), native({"probabilities": [[0.25, 0.75], [0.5, 0.5]]})
    ([0.25, 0.75], [0.25, 0.75])
    """
    found = answer["probabilities"]
    found = found[0] if isinstance(found, list) and not isinstance(found[0], float) else found
    return list(found.values()) if isinstance(found, dict) else list(found)


def _v2_body(body: dict[str, Any]) -> Any:
    row = row_of(body)
    numbers = {"name": "predict", "shape": [1, len(row)], "datatype": "FP64", "data": row}
    text = {"name": "predict", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "str"}, "data": [row]}
    return {"inputs": [text if isinstance(row, str) else numbers], "outputs": [{"name": "predict_proba"}]}


NATIVE = Wire("native", lambda body: body, native)
V2 = Wire("v2", _v2_body, lambda answer: answer["outputs"][0]["data"])
MLFLOW = Wire("mlflow", lambda body: {"inputs": [row_of(body)]}, lambda answer: answer["predictions"][0])
BENTO = Wire("bento", lambda body: {key: [row] for key, row in body.items()}, lambda answer: native(answer[0]))
