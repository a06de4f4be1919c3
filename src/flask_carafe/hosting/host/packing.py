"""Model answers as columns of a frame: one class for each shape that an answer may have.

Every handler has ``outputs()``, the Output words of a description, and ``answer(predicted, given, n)`` -> (columns, errors).
"""

import numpy as np

from . import wire
from .calls import OutputInvalid
from .fields import scalar
from .plain import pack_values

NOT_FINITE = ("model_output_invalid", "the model answered a number that is not finite")
NOT_A_CLASS = ("model_output_invalid", "the model answered a class that is not among those it was fitted with")


def finite_errors(array, errors):
    """Add an error for each row of a float ``array`` that holds NaN or an infinity; such values are set to 0."""
    total = array.sum()
    if total - total == 0 or not array.size:
        return array
    bad = ~np.isfinite(array)
    rows = bad.reshape(len(array), -1).any(axis=1)
    for row in np.flatnonzero(rows).tolist():
        errors.setdefault(row, NOT_FINITE)
    return np.where(bad, 0, array)


def floats(array, errors, dtype="<f8"):
    """The bytes of ``array`` in ``dtype``, row-major, rows that are not finite marked in ``errors``."""
    return np.ascontiguousarray(finite_errors(array, errors), dtype=dtype).tobytes()


def listed(classes):
    """Class names as Python scalars."""
    return [scalar(value) for value in list(classes)]


class Places(object):
    """From class labels to their places in ``classes_``."""

    def __init__(self, classes):
        self.values = listed(classes)
        self.by_value = {value: place for place, value in enumerate(self.values)}
        self.is_range = self.values == list(range(len(self.values))) and not any(isinstance(value, bool) for value in self.values)

    def __call__(self, labels):
        """Places of ``labels``; -1 for what is no class."""
        labels = np.asarray(labels).ravel()
        if self.is_range and labels.dtype.kind in "iu":
            return np.where((labels >= 0) & (labels < len(self.values)), labels, -1).astype(np.int64)
        find = self.by_value.get
        return np.array([find(value, -1) for value in labels.tolist()], dtype=np.int64)


class Classes(object):
    """One class a row, with probabilities where the model gives them."""

    def __init__(self, plan):
        self.places = Places(plan.classes)
        names = self.places.values
        decoder = getattr(plan, "decoder", None)
        self.names = [scalar(decoder[i]) if isinstance(i, int) and 0 <= i < len(decoder) else i for i in names] if decoder is not None else names
        self.with_probabilities = plan.has_probabilities and (not plan.wide or plan.wide == [(len(names),)])
        if plan.has_probabilities and not self.with_probabilities:
            plan.has_probabilities = False
            plan.warnings.append("predict_proba gives other columns than classes_: probabilities are left out")
        self.is_small = plan.is_small  # computed in float32: told as such, in as few digits as that has

    def outputs(self):
        made = [{"name": "prediction", "role": "prediction", "kind": "category", "dtype": "int64", "width": 1, "classes": self.names}]
        if self.with_probabilities:
            made.append({"name": "probabilities", "role": "probabilities", "dtype": "float64", "width": len(self.names), "classes": self.names})
            made[1].update({"float32": True} if self.is_small else {})
        return made

    def from_probabilities(self, given, best):
        errors = {}
        columns = [wire.Packed(wire.INT64, 1, b""), wire.Packed(wire.FLOAT64, len(self.names), floats(given, errors))]
        if best.size and best.min() < 0:
            self._mark(best, errors)
        columns[0].data = np.ascontiguousarray(best, dtype="<i8").tobytes()
        return columns, errors

    @staticmethod
    def sure(given, is_second):
        """Columns of two classes whose probabilities are finite and apart; ``is_second`` tells where the second is the better."""
        best = wire.Packed(wire.INT64, 1, is_second.astype("<i8").tobytes())
        return [best, wire.Packed(wire.FLOAT64, 2, given.tobytes())], {}

    def answer(self, predicted, given, n):
        if given is None:
            errors, best = {}, self.places(predicted)
            if best.size and best.min() < 0:
                self._mark(best, errors)
            return [wire.Packed(wire.INT64, 1, best.astype("<i8").tobytes())], errors
        given = np.asarray(given)
        if given.shape != (n, len(self.names)):
            raise OutputInvalid("predict_proba answered an array of shape %s to %d rows" % (given.shape, n))
        return self.from_probabilities(given, self.places(predicted))

    @staticmethod
    def _mark(best, errors):
        for row in np.flatnonzero(best < 0).tolist():
            errors[row] = NOT_A_CLASS
        best[best < 0] = 0


class Scores(Classes):
    """``predict`` gives probabilities or logits, in place of classes; the class is the best of them."""

    def __init__(self, plan):
        self.places = Places(plan.classes)
        self.names = self.places.values
        decoder = getattr(plan, "decoder", None)
        if decoder is not None:
            self.names = listed(decoder)
        self.meaning, self.with_probabilities, self.is_small = plan.meaning, True, False

    def answer(self, predicted, given, n):
        scores = np.asarray(predicted, dtype=np.float64).reshape(n, -1)
        return self.from_probabilities(*decide(scores, self.meaning, len(self.names)))


def decide(scores, meaning, n_classes):
    """``(probabilities, best)`` of ``scores``, shape ``(n, k)``; one column stands for the second of two classes.

    :raises OutputInvalid: another number of columns than classes.
    """
    if scores.shape[1] == 1 and n_classes == 2:
        second = 1 / (1 + np.exp(-scores)) if meaning == "logits" else scores
        given = np.hstack([1 - second, second])
        return given, (second[:, 0] > 0.5).astype(np.int64)
    if scores.shape[1] != n_classes:
        raise OutputInvalid("the model answered %d scores for %d classes" % (scores.shape[1], n_classes))
    best = scores.argmax(axis=1)
    if meaning == "logits":
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores = powers / powers.sum(axis=1, keepdims=True)
    return scores, best


class Targets(object):
    """Several classes a row: one place for each target, and probabilities for each where the model gives them."""

    def __init__(self, plan):
        width = plan.shape[0] if plan.shape else len(plan.classes)
        several = isinstance(plan.classes, list)
        classes = plan.classes if several else [np.array([0, 1])] * width
        self.places = [Places(one) for one in classes]
        self.targets = ["output_%d" % (i + 1) for i in range(width)] if several else [str(name) for name in listed(plan.classes)]
        if len(self.targets) != width or len(self.places) != width:
            self.targets, self.places = ["output_%d" % (i + 1) for i in range(width)], self.places[:1] * width
        self.with_probabilities, self.is_matrix = plan.has_probabilities, self._is_matrix(plan, width)
        if plan.has_probabilities and not self.is_matrix and plan.wide and plan.wide != [(len(p.values),) for p in self.places]:
            self.with_probabilities = plan.has_probabilities = False
            plan.warnings.append("predict_proba gives other columns than classes_: probabilities are left out")

    def outputs(self):
        made = [{
            "name": "prediction", "role": "prediction", "kind": "category", "dtype": "int64", "width": len(self.targets), "vector": True,
            "targets": self.targets, "target_classes": [places.values for places in self.places],
        }]
        for target, places in zip(self.targets, self.places) if self.with_probabilities else ():
            made.append({
                "name": "probabilities." + target, "role": "probabilities", "dtype": "float64", "width": len(places.values), "classes": places.values,
                "target": target,
            })
        return made

    def answer(self, predicted, given, n):
        errors, columns = {}, []
        best = np.stack([places(predicted[:, i]) for i, places in enumerate(self.places)], axis=1) if n else np.empty((0, len(self.places)))
        for row in np.flatnonzero((best < 0).any(axis=1)).tolist():
            errors[row] = NOT_A_CLASS
        columns.append(wire.Packed(wire.INT64, len(self.places), np.maximum(best, 0).astype("<i8").tobytes()))
        for one, places in zip(self._split(given, n), self.places):
            if one.shape != (n, len(places.values)):
                raise OutputInvalid("predict_proba answered an array of shape %s to %d rows" % (one.shape, n))
            columns.append(wire.Packed(wire.FLOAT64, len(places.values), floats(one, errors)))
        return columns, errors

    def _is_matrix(self, plan, width):
        """Whether ``predict_proba`` gives one array with the probability of the second class of each target."""
        return plan.has_probabilities and plan.wide == [(width,)] and all(len(places.values) == 2 for places in self.places)

    def _split(self, given, n):
        """Probabilities of each target, shape ``(n, classes)`` each."""
        if given is None:
            return []
        if not self.is_matrix:
            return [np.asarray(one) for one in given]
        given = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
        if given.shape != (n, len(self.places)):
            raise OutputInvalid("predict_proba answered an array of shape %s to %d rows" % (given.shape, n))
        return [np.stack([1 - given[:, i], given[:, i]], axis=1) for i in range(len(self.places))]


class Values(object):
    """Numbers, truths, texts or anything JSON can say: what regressors, clusterers and plain functions give."""

    def __init__(self, plan):
        self.width = plan.shape[0] if plan.shape else 1
        self.vector = bool(plan.shape)
        self.kind, self.dtype, self.code = kind_of(plan.dtype, getattr(plan, "sample", None))
        self.decoder = getattr(plan, "decoder", None)

    def outputs(self):
        made = {"name": "prediction", "role": "prediction", "kind": self.kind, "dtype": self.dtype, "width": self.width}
        if self.vector:
            made["vector"] = True
        if self.dtype == "float32":
            made["float32"] = True
        return [made]

    def answer(self, predicted, given, n):
        errors = {}
        return [pack(np.asarray(predicted), self.code, self.width, errors)], errors


def kind_of(dtype, sample=None):
    """``(kind, dtype, code)`` of an array's answers; floats where nothing is known."""
    letter = dtype.kind if dtype is not None else "f"
    if letter == "f":
        small = dtype is not None and dtype.itemsize <= 4
        return "number", "float32" if small else "float64", wire.FLOAT32 if small else wire.FLOAT64
    if letter in "iu":
        return "integer", "int64", wire.INT64
    if letter == "b":
        return "boolean", "bool", wire.BOOL
    if letter == "U" or letter == "O" and sample is not None and all(isinstance(value, str) for value in sample.ravel().tolist()):
        return "text", "text", wire.TEXT
    return "json", "json", wire.JSON


NUMPY = {wire.FLOAT64: "<f8", wire.FLOAT32: "<f4", wire.INT64: "<i8", wire.BOOL: "u1"}
KINDS = {wire.FLOAT64: "fiu", wire.FLOAT32: "fiu", wire.INT64: "iu", wire.BOOL: "b"}


def pack(array, code, width, errors):
    """``array`` as a column of dtype ``code``; rows that cannot be told are marked in ``errors``.

    :raises OutputInvalid: values of another kind than the version promised.
    """
    n = len(array)
    if code in KINDS:
        if array.dtype.kind == "O" and code != wire.BOOL:
            array = numbers(array)
        if array.dtype.kind not in KINDS[code]:
            if code != wire.INT64 or array.dtype.kind != "f" or not np.all(array == np.floor(array)):
                raise OutputInvalid("the model answered values of type %s" % array.dtype)
        if code == wire.INT64 and array.dtype.kind in "uf" and array.size and (array.max() >= 2.0**63 or array.min() < -(2.0**63)):
            raise OutputInvalid("the model answered a number that no 64-bit integer holds")
        if code in (wire.FLOAT64, wire.FLOAT32):
            return wire.Packed(code, width, floats(array, errors, NUMPY[code]))
        return wire.Packed(code, width, np.ascontiguousarray(array, dtype=NUMPY[code]).tobytes())
    wrong = {}
    packed = pack_values(array.reshape(n * width).tolist(), code, wrong)
    for place, error in wrong.items():
        errors.setdefault(place // width, error)
    return wire.Packed(code, width, packed.data)


def numbers(array):
    """An object array as floats, None as NaN.

    :raises OutputInvalid: it holds something else.
    """
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise OutputInvalid("the model answered objects in place of numbers")
