"""The JSON text of one row's answer without a dict in between: what most requests ask for, at half the cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Protocol

import msgspec

from .kinds import spell
from .model import Output

encode = msgspec.json.Encoder().encode
Part = Callable[[Sequence[Any], int], "bytes | None"]


class Column(Protocol):
    """An answer's column: ``rows * width`` Python values, flat."""

    @property
    def values(self) -> Sequence[Any]: ...


Line = Callable[[Sequence[Column], int, bool], "bytes | None"]  # columns, the row, whether it is a scalar


def line_writer(outputs: Sequence[Output]) -> Line | None:
    """Writes the same bytes as encoding :meth:`~.answer.Encoder.body` of one row, without the brace at the end.

    It writes None where a value is not what it should be: the Encoder finds words for that. None in place of a writer: these outputs
    are not a prediction with or without its probabilities.
    """
    parts = [_part(output) for output in outputs]
    if [output.role for output in outputs] == ["prediction"] and parts[0] is not None:
        return _alone(parts[0])
    if [output.role for output in outputs] == ["prediction", "probabilities"] and parts[0] is not None and parts[1] is not None:
        return _both(parts[0], parts[1])
    return None


def _alone(prediction: Part) -> Line:
    def write(columns: Sequence[Column], row: int, scalar: bool) -> bytes | None:
        text = prediction(columns[0].values, row)
        if text is None:
            return None
        return b'{"prediction":' + text if scalar else b'{"prediction":[' + text + b"]"

    return write


def _both(prediction: Part, probabilities: Part) -> Line:
    def write(columns: Sequence[Column], row: int, scalar: bool) -> bytes | None:
        text, more = prediction(columns[0].values, row), probabilities(columns[1].values, row)
        if text is None or more is None:
            return None
        if scalar:
            return b'{"prediction":' + text + b',"probabilities":' + more
        return b'{"prediction":[' + text + b'],"probabilities":[' + more + b"]"

    return write


def _part(output: Output) -> Part | None:
    """How one value is written; None for kinds of output that the Encoder writes."""
    if output.float32 or output.target or output.targets or output.target_classes or output.vector:
        return None
    if output.role == "probabilities":
        return _probabilities(output) if output.dtype == "float64" and len(output.shown) == output.width > 1 else None
    if output.role != "prediction" or output.width != 1:
        return None
    if output.classes:
        return _label(output) if output.dtype == "int64" else None
    return _number if output.dtype == "float64" else None


def _label(output: Output) -> Part:
    texts = [encode(label) for label in output.shown]
    most = len(texts)

    def label(values: Sequence[Any], row: int) -> bytes | None:
        index = values[row]
        return texts[index] if 0 <= index < most else None

    return label


def _number(values: Sequence[Any], row: int) -> bytes | None:
    value = values[row]
    return encode(value) if isfinite(value) else None


def _probabilities(output: Output) -> Part:
    width = output.width
    heads = [("," if at else "{").encode() + encode(spell(label)) + b":" for at, label in enumerate(output.shown)]
    first, second = heads[:2]

    def two(values: Sequence[Any], row: int) -> bytes | None:
        one, other = values[2 * row], values[2 * row + 1]
        if not isfinite(one + other):
            return None
        return first + encode(one) + second + encode(other) + b"}"

    def several(values: Sequence[Any], row: int) -> bytes | None:
        found = values[row * width : (row + 1) * width]
        if not isfinite(sum(found)):
            return None
        return b"".join([piece for head, value in zip(heads, found, strict=True) for piece in (head, encode(value))]) + b"}"

    return two if width == 2 else several
