"""What the answers of a trial must hold to: probabilities that are some, and batches that change nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..signature import Output, Signature
from .frames import Column, RowError

Answer = tuple[list[Column], list[RowError]]


def check_probabilities(signature: Signature, columns: Sequence[Column]) -> tuple[str, str]:
    """``(fault, warning)`` about the probabilities of an answer, each empty where there is none.

    A value outside 0 to 1 is a fault. A sum other than 1 is a warning: models of several labels, and some of one, do that.
    """
    warning = ""
    for output, column in zip(signature.outputs, columns, strict=True):
        if output.role != "probabilities":
            continue
        for start in range(0, len(column.values), max(output.width, 1)):
            row = column.values[start : start + output.width]
            outside = next((value for value in row if not -1e-6 <= value <= 1 + 1e-6), None)
            if outside is not None:
                return f"a probability is {outside:g}, which lies outside 0 to 1", ""
            if len(row) > 1 and abs(math.fsum(row) - 1) > 1e-3:
                warning = f"the probabilities of a row add up to {math.fsum(row):.3g}, not to 1"
    return "", warning


def answers_differ(signature: Signature, together: Answer, alone: Sequence[Answer]) -> bool:
    """Whether rows of one frame were answered otherwise than the same rows one by one."""
    columns, errors = together
    failed = {error.row for error in errors}
    for row, (own, own_errors) in enumerate(alone):
        if bool(own_errors) != (row in failed):
            return True
        if own_errors:
            continue
        for output, column, single in zip(signature.outputs, columns, own, strict=True):
            both = zip(column.values[row * output.width : (row + 1) * output.width], single.values, strict=True)
            largest = max((abs(value) for value in single.values if isinstance(value, float)), default=0.0)
            if not all(_is_same(a, b, output, largest) for a, b in both):
                return True
    return False


def _is_same(together: object, alone: object, output: Output, largest: float) -> bool:
    """``largest`` is the scale of a row: the small numbers of a float32 network carry the rounding of its large ones."""
    if isinstance(together, float) and isinstance(alone, float):
        is_coarse = output.float32 or output.dtype == "float32"
        near = max(1e-6, 1e-5 * largest) if is_coarse else 1e-12
        return math.isclose(together, alone, rel_tol=1e-5 if is_coarse else 1e-9, abs_tol=near) or (math.isnan(together) and math.isnan(alone))
    return together == alone
