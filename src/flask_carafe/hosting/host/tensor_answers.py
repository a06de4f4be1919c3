"""Arrays that a model gives, as columns: scores of which the best names the class, or numbers as they are."""

import numpy as np

from . import packing, wire
from .calls import OutputInvalid


class Scores(object):
    """One output holds logits or probabilities; the class is the best of them.

    :param place: of the output among those of the model; ``example``: its value for some rows, or None where there is none.
    :param labels: names of the classes, or None; ``meaning``: ``logits`` or ``probabilities``.
    """

    def __init__(self, place, example, labels, meaning):
        self.place, self.meaning, self.warnings = place, meaning, []
        width = np.asarray(example).reshape(len(example), -1).shape[1] if example is not None else len(labels or (0, 1))
        width = max(2, width)
        self.is_small = example is not None and np.asarray(example).dtype.itemsize <= 4
        self.classes = list(labels) if labels is not None and len(labels) == width else list(range(width))

    def outputs(self):
        words = {"dtype": "float64", "width": len(self.classes), "classes": self.classes}
        if self.is_small:
            words["float32"] = True
        return [
            {"name": "prediction", "role": "prediction", "kind": "category", "dtype": "int64", "width": 1, "classes": self.classes},
            dict(words, name="probabilities", role="probabilities"),
        ]

    def columns(self, given, n):
        scores = np.asarray(given[self.place], dtype=np.float64)
        if scores.ndim == 0 or len(scores) != n:
            raise OutputInvalid("the model answered an array of shape %s to %d rows" % (scores.shape, n))
        wide, best = packing.decide(scores.reshape(n, -1), self.meaning, len(self.classes))
        errors, first = {}, wire.Packed(wire.INT64, 1, best.astype("<i8").tobytes())
        return [first, wire.Packed(wire.FLOAT64, len(self.classes), packing.floats(wide, errors))], errors


class Numbers(object):
    """Each output as it is: the first is the prediction, the others are extras under their own names.

    :param names: of the outputs, None for one that is left out; ``given``: their values for some rows, or None.
    """

    def __init__(self, names, given):
        self.words, self.codes, self.warnings = [], [], []
        for i, name in enumerate(names):
            if name is None:
                self.codes.append(None)
                continue
            value = np.asarray(given[i]) if given is not None else np.zeros((2, 1), np.float32)
            kind, dtype, code = packing.kind_of(value.dtype, value if value.dtype.kind == "O" else None)
            width = int(np.prod(value.shape[1:], dtype=np.int64)) if value.ndim > 1 else 1
            word = {"name": name, "role": "extra" if self.words else "prediction", "kind": kind, "dtype": dtype}
            word.update({"width": width}, **({"vector": True} if width > 1 else {}), **({"float32": True} if dtype == "float32" else {}))
            self.words.append(word)
            self.codes.append((code, width))

    def outputs(self):
        return self.words

    def columns(self, given, n):
        errors, made = {}, []
        for value, code in zip(given, self.codes):
            if code is None:
                continue
            value = np.asarray(value)
            if value.ndim == 0 or len(value) != n or value.size != n * code[1]:
                raise OutputInvalid("the model answered an array of shape %s to %d rows" % (value.shape, n))
            made.append(packing.pack(value.reshape(n, -1), code[0], code[1], errors))
        return made, errors


def plan(names, examples, meaning):
    """How tensors are told: classes with probabilities where the first is scores, else each as it is.

    :param names: of the outputs; ``examples``: their values for several made-up batches; ``meaning``: as a person said it, or "".
    :raises ValueError: scores were promised, and the first output is none.
    """
    first = [np.asarray(example[0]) for example in examples]
    if meaning and (first[0].dtype.kind != "f" or first[0].ndim > 2):
        raise ValueError("its first output has the type %s and the shape %s for one row" % (first[0].dtype, list(first[0].shape[1:])))
    meaning = meaning or meaning_of(first)
    if not meaning:
        return Numbers(names, examples[0])
    made = Scores(0, first[0], None, meaning)
    if len(names) > 1:
        made.warnings.append("the first output names the class; left out: %s" % ", ".join(names[1:]))
    return made


def meaning_of(arrays):
    """``probabilities`` after a softmax, ``logits`` after a log-softmax (the softmax of which is the same), else "".

    No other model adds up to 1 in each row whatever it is given.
    """
    if any(one.ndim != 2 or one.dtype.kind != "f" or one.shape[1] < 2 or not one.size for one in arrays):
        return ""
    if all(_adds_up(one) for one in arrays):
        return "probabilities"
    with np.errstate(over="ignore"):
        return "logits" if all(np.all(one <= 0) and _adds_up(np.exp(one)) for one in arrays) else ""


def _adds_up(array):
    return bool(np.all(array >= 0) and np.all(np.abs(array.sum(axis=1) - 1) < 1e-4))
