"""What an ONNX model gives as columns: a label with probabilities, scores, or plain numbers, one output after the other."""

import numpy as np

from . import packing, wire
from .calls import OutputInvalid
from .tensor_answers import Numbers, Scores

FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")


def plan(outputs, given, labels, meaning):
    """How the answers of a session are told.

    :param outputs: the session's outputs; ``given``: their values for an example, or None; ``labels``: class labels in the file.
    :param meaning: ``logits`` or ``probabilities`` where the last output is those and nothing else tells the class.
    """
    if meaning:
        return Scores(len(outputs) - 1, given[-1] if given is not None else None, labels, meaning)
    label = next((i for i, one in enumerate(outputs) if one.type in ("tensor(int64)", "tensor(string)", "tensor(int32)")), None)
    scores = next((i for i, one in enumerate(outputs) if i != label and (one.type.startswith("seq(map") or one.type in FLOATS)), None)
    if label is not None and scores is not None and given is not None:
        found = classes_of(given[label], given[scores], labels)
        if found is not None:
            return Classified(label, scores, found, outputs, given)
    left_out = [one for one in outputs if not one.type.startswith("tensor(")]
    numbers = Numbers([None if one in left_out else one.name for one in outputs], given)
    numbers.warnings += ["the output %s is left out: it has the type %s" % (one.name, one.type) for one in left_out]
    return numbers


def classes_of(label, scores, labels):
    """Class labels in the order of the scores, or None when they are not to be known."""
    if isinstance(scores, list):
        return list(scores[0]) if scores and isinstance(scores[0], dict) else None
    if getattr(scores, "ndim", 0) != 2 or np.ndim(label) > 2 or np.ndim(label) == 2 and np.shape(label)[1] != 1:
        return None
    width = scores.shape[1]
    if labels is not None and len(labels) == width:
        return list(labels)
    return list(range(width)) if np.asarray(label).dtype.kind in "iu" else None


class Classified(object):
    """A label and a score for each class."""

    def __init__(self, label, scores, classes, outputs, given):
        self.label, self.scores, self.classes = label, scores, classes
        self.places, self.warnings = packing.Places(np.array(classes, dtype=object)), []
        self.small = outputs[scores].type != "tensor(double)"
        self.names = outputs[label].name, outputs[scores].name
        sums = self._matrix(given[scores], len(given[label])).sum(axis=1)
        low = float(np.min(self._matrix(given[scores], len(given[label]))))
        self.are_probabilities = bool(np.all(np.abs(sums - 1) < 1e-3) and low >= 0)

    def _matrix(self, scores, n):
        if isinstance(scores, list):
            scores = np.array([[row[name] for name in self.classes] for row in scores], dtype=np.float32)
        scores = np.asarray(scores)
        if scores.shape != (n, len(self.classes)):
            raise OutputInvalid("the model answered scores of shape %s to %d rows" % (scores.shape, n))
        return scores

    def outputs(self):
        first, second = self.names
        made = [{"name": first, "role": "prediction", "kind": "category", "dtype": "int64", "width": 1, "classes": self.places.values}]
        word = {"name": second, "role": "probabilities", "dtype": "float32" if self.small else "float64", "width": len(self.classes)}
        if self.are_probabilities:
            word["classes"] = self.places.values
        else:
            word.update(name="scores", role="extra", kind="number", vector=True)
        if self.small:
            word["float32"] = True
        return made + [word]

    def columns(self, given, n):
        labels = np.asarray(given[self.label]).reshape(-1)
        if len(labels) != n:
            raise OutputInvalid("the model answered %d rows to %d" % (len(labels), n))
        errors, best = {}, self.places(labels)
        if best.size and best.min() < 0:
            packing.Classes._mark(best, errors)
        code = wire.FLOAT32 if self.small else wire.FLOAT64
        wide = packing.floats(self._matrix(given[self.scores], n), errors, packing.NUMPY[code])
        return [wire.Packed(wire.INT64, 1, best.astype("<i8").tobytes()), wire.Packed(code, len(self.classes), wide)], errors
