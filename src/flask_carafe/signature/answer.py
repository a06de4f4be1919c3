"""Columns of a host's answer to what a client reads: predictions by name, probabilities by class, extras.

A class becomes a JSON key by one rule: a text as it is, numbers by ``repr``, booleans as ``true`` and ``false``.
Classes that would share a key (``1`` and ``"1"``) are refused when the Encoder is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from math import isfinite
from typing import Any, Protocol

from ..errors import InvalidInput, OutputInvalid
from .kinds import spell
from .kinds.datetime import spell_instant
from .line import line_writer
from .model import Output, Scalar, Signature
from .packing import shortest

One = Callable[[Sequence[Any], int], Any]
Many = Callable[[Sequence[Any], int, int], "list[Any]"]


class Column(Protocol):
    """An answer's column: ``rows * width`` Python values, flat."""

    @property
    def values(self) -> Sequence[Any]: ...


def class_keys(classes: Sequence[Scalar], of: str) -> tuple[str, ...]:
    """The JSON keys of classes. :raises InvalidInput: two of them are the same."""
    keys = tuple(spell(label) for label in classes)
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise InvalidInput(f"Two classes of {of} have the same name {twice[0]!r}.", (), "Give each class a label of its own: labels.")
    return keys


class Encoder:
    """Builds answers for one signature, made once per version.

    :param model: the name that errors give the model.
    :raises InvalidInput: class names collide, or an extra output is called as the answer's own keys are.
    """

    def __init__(self, signature: Signature, model: str = "") -> None:
        self.signature, self.model = signature, model
        self._ones: list[tuple[str, int, One]] = []
        self._manys: list[tuple[str, int, Many]] = []
        self._flat: list[tuple[list[str], Many]] = []
        self._targets: list[tuple[str, int, One]] = []
        self.line = line_writer(signature.outputs)
        keys: set[str] = set()
        for at, output in enumerate(signature.outputs):
            one = self._one(output)
            self._flat.append((self._record_keys(output, signature), self._record(output, one)))
            if output.role == "probabilities" and output.target:
                self._targets.append((output.target, at, one))
                continue
            key = output.role if output.role != "extra" else output.name
            if key in keys or (output.role == "extra" and key in ("prediction", "probabilities")):
                raise InvalidInput(f"Two outputs are called {key!r}.", (), "Rename one of the model's outputs.")
            keys.add(key)
            self._ones.append((key, at, one))
            self._manys.append((key, at, self._many(output, one)))
        flat = [key for names, _ in self._flat for key in names]
        if len(set(flat)) != len(flat):
            raise InvalidInput("Two columns of the answer would have the same name.", (), "Give each class a label of its own: labels.")

    def body(self, columns: Sequence[Column], start: int, n: int, scalar: bool) -> dict[str, Any]:
        """``{"prediction": …, "probabilities": …, …}`` of rows ``start`` to ``start + n``; lists unless ``scalar``.

        :raises OutputInvalid: a probability or a number that is not finite, an index beyond the classes.
        """
        if scalar:
            body = {key: one(columns[at].values, start) for key, at, one in self._ones}
        elif n == 1:
            body = {key: [one(columns[at].values, start)] for key, at, one in self._ones}
        else:
            body = {key: many(columns[at].values, start, n) for key, at, many in self._manys}
        if self._targets:
            rows = [{target: one(columns[at].values, row) for target, at, one in self._targets} for row in range(start, start + n)]
            body["probabilities"] = rows[0] if scalar else rows
        return body

    @property
    def keys(self) -> list[str]:
        """The keys of :meth:`body`, in order."""
        keys = [key for key, _, _ in self._manys]
        return [*keys, "probabilities"] if self._targets else keys

    def output(self, key: str, columns: Sequence[Column], start: int, n: int) -> list[Any]:
        """One entry of :meth:`body` alone, a value for each row."""
        if key == "probabilities" and self._targets:
            rows: list[Any] = self.body(columns, start, n, False)[key]
            return rows
        at, many = next((at, many) for name, at, many in self._manys if name == key)
        return many(columns[at].values, start, n)

    def records(self, columns: Sequence[Column], start: int, n: int) -> list[dict[str, Any]]:
        """One flat dict per row for tables, CSV and NDJSON: ``prediction``, ``probability_<class>``, …"""
        parts = [(names, flat(column.values, start, n)) for (names, flat), column in zip(self._flat, columns, strict=True)]
        return [{name: value for names, rows in parts for name, value in zip(names, rows[i], strict=True)} for i in range(n)]

    def flat(self, at: int, column: Column, start: int, n: int) -> list[Any]:
        """The values of output number ``at``, row after row, ``width`` to a row; checked as :meth:`body` does."""
        return list(chain.from_iterable(self._flat[at][1](column.values, start, n)))

    @property
    def record_keys(self) -> list[str]:
        """The keys of :meth:`records`, in order: the header of a table."""
        return [key for names, _ in self._flat for key in names]

    # one value

    def _one(self, output: Output) -> One:
        if output.role == "probabilities":
            return self._probabilities(output)
        if output.target_classes:
            return self._indices(output)
        if output.classes and output.dtype == "int64":
            return self._label(output) if output.width == 1 else self._labels(output)
        return self._value(output) if output.width == 1 and not output.vector else self._vector(output)

    def _label(self, output: Output) -> One:
        shown = output.shown

        def label(values: Sequence[Any], row: int) -> Any:
            index = values[row]
            try:
                return shown[index] if index >= 0 else self._beyond(output, index)
            except IndexError:
                return self._beyond(output, index)

        return label

    def _labels(self, output: Output) -> One:
        label, width = self._label(output), output.width
        return lambda values, row: [label(values, at) for at in range(row * width, (row + 1) * width)]

    def _indices(self, output: Output) -> One:
        """Several targets: one class of each."""
        width, classes = output.width, output.target_classes

        def indices(values: Sequence[Any], row: int) -> list[Any]:
            found = values[row * width : (row + 1) * width]
            if any(not 0 <= index < len(of) for index, of in zip(found, classes, strict=True) if of):
                self._beyond(output, found)
            return [of[index] if of else index for index, of in zip(found, classes, strict=True)]

        return indices

    def _probabilities(self, output: Output) -> One:
        keys, width = class_keys(output.shown, output.target or "the model"), output.width
        if len(keys) != width:
            raise InvalidInput(f"{output.name} has {width} columns for {len(keys)} classes.", ())
        if output.float32:
            return lambda values, row: dict(zip(keys, map(shortest, self._finite(values[row * width : (row + 1) * width])), strict=True))
        if width == 2:
            return self._two(*keys)

        def probabilities(values: Sequence[Any], row: int) -> dict[str, float]:
            part = values[row * width : (row + 1) * width]
            if not isfinite(sum(part)):
                self._finite(part)
            return dict(zip(keys, part))  # noqa: B905 - the widths were compared above

        return probabilities

    def _two(self, first: str, second: str) -> One:
        """Two classes, the most common case, without a slice or a loop."""

        def two(values: Sequence[Any], row: int) -> dict[str, float]:
            one, other = values[2 * row], values[2 * row + 1]
            if not isfinite(one + other):
                self._finite((one, other))
            return {first: one, second: other}

        return two

    def _finite(self, part: Sequence[float]) -> Sequence[float]:
        if not all(map(isfinite, part)):
            raise OutputInvalid(self.model, "a probability is not a number")
        return part

    def _value(self, output: Output) -> One:
        if output.dtype in ("float64", "float32"):
            short = output.float32 or output.dtype == "float32"

            def number(values: Sequence[Any], row: int) -> Any:
                value = values[row]
                if not isfinite(value):
                    raise OutputInvalid(self.model, f"{output.name} is not a finite number")
                return shortest(value) if short else value

            return number
        if output.kind == "datetime" and output.dtype == "int64":
            return self._instant(output)
        return lambda values, row: values[row]

    def _instant(self, output: Output) -> One:
        def spelled(values: Sequence[Any], row: int) -> str:
            try:
                return spell_instant(values[row])
            except OverflowError:  # NaT, or a year beyond 9999
                raise OutputInvalid(self.model, f"{output.name} is no date") from None

        return spelled

    def _vector(self, output: Output) -> One:
        one, width = self._value(output), output.width
        return lambda values, row: [one(values, at) for at in range(row * width, (row + 1) * width)]

    def _beyond(self, output: Output, index: Any) -> Any:
        raise OutputInvalid(self.model, f"{output.name} names class {index}, which there is not")

    # several rows

    def _many(self, output: Output, one: One) -> Many:
        if output.role == "probabilities" and not output.float32:
            return self._many_probabilities(output)
        if output.width == 1 and not output.vector and output.role != "probabilities" and not output.target_classes:
            if output.classes and output.dtype == "int64":
                return self._many_labels(output)
            if output.dtype == "float64" and not output.float32:
                return self._many_numbers(output)
        return lambda values, start, n: [one(values, row) for row in range(start, start + n)]

    def _many_labels(self, output: Output) -> Many:
        shown = output.shown

        def labels(values: Sequence[Any], start: int, n: int) -> list[Any]:
            part = values[start : start + n]
            if part and (min(part) < 0 or max(part) >= len(shown)):
                self._beyond(output, min(part) if min(part) < 0 else max(part))
            return [shown[index] for index in part]

        return labels

    def _many_probabilities(self, output: Output) -> Many:
        keys, width = class_keys(output.shown, output.target or "the model"), output.width

        def probabilities(values: Sequence[Any], start: int, n: int) -> list[Any]:
            part = values[start * width : (start + n) * width]
            if not isfinite(sum(part)):
                self._finite(part)
            if width == 2:
                first, second = keys
                return [{first: one, second: other} for one, other in zip(part[::2], part[1::2], strict=True)]
            return [dict(zip(keys, row)) for row in zip(*[iter(part)] * width, strict=True)]  # noqa: B905 - as above

        return probabilities

    def _many_numbers(self, output: Output) -> Many:
        def numbers(values: Sequence[Any], start: int, n: int) -> list[Any]:
            part = list(values[start : start + n])
            if not isfinite(sum(part)) and not all(map(isfinite, part)):
                raise OutputInvalid(self.model, f"{output.name} is not a finite number")
            return part

        return numbers

    # flat records

    def _record_keys(self, output: Output, signature: Signature) -> list[str]:
        if output.role == "probabilities":
            prefix = f"probability_{output.target}_" if output.target else "probability_"
            return [prefix + key for key in class_keys(output.shown, output.target or "the model")]
        name = "prediction" if output.role == "prediction" else output.name
        if output.width == 1 and not output.vector:
            return [name]
        return [f"{name}_{target}" for target in output.targets or range(1, output.width + 1)]

    def _record(self, output: Output, one: One) -> Many:
        if output.role == "probabilities":
            return lambda values, start, n: [list(one(values, row).values()) for row in range(start, start + n)]
        if output.width == 1 and not output.vector:
            return lambda values, start, n: [[one(values, row)] for row in range(start, start + n)]
        return lambda values, start, n: [one(values, row) for row in range(start, start + n)]
