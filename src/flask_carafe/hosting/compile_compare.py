"""Two answers to the same rows: equal labels, probabilities and numbers within what is stated here, or not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ..errors import CompileRefused
from ..signature import Output, Signature
from .frames import Column, RowError

PROBABILITY = 1e-5  # most that a probability may differ
NUMBER = 1e-5  # most that a number may differ, of itself or of the usual size of the answers, whichever is more
HINT = "Leave compile out to serve the model as it is."
MOST_SHOWN = 6
Answer = tuple[list[Column], list[RowError]]


class Comparison:
    """Answers of a model and of its compiled form; ``largest`` is the largest difference that was let pass, of all ``rows``."""

    def __init__(self, signature: Signature) -> None:
        self.signature, self.rows, self.largest = signature, 0, 0.0
        self._numbers: list[tuple[Output, float, float, str]] = []

    def add(self, native: Answer, compiled: Answer, rows: Sequence[Sequence[Any]] | None, start: int) -> None:
        """One frame of both.

        :param rows: what was asked, in the order of the fields; None where it may not be told.
        :raises CompileRefused: a row fails in one of them alone, or a label or probability differs.
        """
        failed = [{error.row: error for error in answer[1]} for answer in (native, compiled)]
        count = len(native[0][0].values) // max(1, native[0][0].width) if native[0] else 0
        self.rows += count
        for row in range(count):
            where = self._where(rows, row, start)
            if (row in failed[0]) != (row in failed[1]):
                told = failed[0].get(row) or failed[1][row]
                one = "the model" if row in failed[0] else "the compiled one"
                raise CompileRefused(f"{where}: {one} fails alone, with {told.reason}.", HINT)
            if row not in failed[0]:
                self._row(native[0], compiled[0], row, where)

    def _row(self, native: list[Column], compiled: list[Column], row: int, where: str) -> None:
        for output, own, other in zip(self.signature.outputs, native, compiled, strict=True):
            start, stop = row * output.width, (row + 1) * output.width
            for place, (want, got) in enumerate(zip(own.values[start:stop], other.values[start:stop], strict=True)):
                self._value(output, place, want, got, where)

    def _value(self, output: Output, place: int, want: Any, got: Any, where: str) -> None:
        if output.role == "probabilities":
            if not abs(want - got) <= PROBABILITY:
                raise CompileRefused(
                    f"{where}: the probability of {output.shown[place]} is {got:.8g}, which the model says is {want:.8g}; "
                    f"{PROBABILITY:g} would be let pass.", HINT,
                )  # fmt: skip
            self.largest = max(self.largest, abs(want - got))
        elif isinstance(want, float):
            self._numbers.append((output, want, got, where))
        elif want != got:
            names = [output.shown[index] if output.classes and 0 <= index < len(output.shown) else index for index in (got, want)]
            raise CompileRefused(f"{where}: it answers {names[0]!r}, the model {names[1]!r}.", HINT)

    def finish(self) -> None:
        """Judge numbers, by the usual size of all of them. :raises CompileRefused: one differs by too much."""
        for name in {output.name for output, *_ in self._numbers}:
            mine = [(want, got, where) for output, want, got, where in self._numbers if output.name == name]
            usual = statistics.median(abs(want) for want, _, _ in mine) or 1.0
            for want, got, where in mine:
                difference = abs(want - got) / max(abs(want), usual)
                if not difference <= NUMBER:
                    raise CompileRefused(f"{where}: it answers {got:.8g}, the model {want:.8g}; a share of {NUMBER:g} would be let pass.", HINT)
                self.largest = max(self.largest, difference)

    def _where(self, rows: Sequence[Sequence[Any]] | None, row: int, start: int) -> str:
        if rows is None:
            return f"The compiled model differs in row {start + row + 1} of the sample"
        fields = self.signature.fields
        pairs = [f"{field.name} {value!r}" for field, value in zip(fields[:MOST_SHOWN], rows[row], strict=False)]
        more = f" and {len(fields) - MOST_SHOWN} more" if len(fields) > MOST_SHOWN else ""
        return f"The compiled model differs where {', '.join(pairs)}{more}"
