"""What the runtimes of boosted trees share: a model file of one of their libraries, asked as its scikit-learn wrapper is asked.

Rows travel as numbers: a category is looked up here and becomes the number that the model was trained with, so no
DataFrame is made and no library guesses.
"""

import numpy as np

from . import build, layout
from .describe import MOST_CHOICES, dtype_of
from .fields import column
from .opening import open_checked
from .planned import PlannedRuntime
from .refusal import LoadError


class Booster(object):
    """A model file behind ``predict`` and, where it tells classes apart with probabilities, ``predict_proba``.

    ``scores(batch)`` are the library's numbers. ``kind`` says what they mean: ``number``, ``second`` (how probable the second
    of two classes is), ``classes`` (how probable each is), ``labels`` (how probable it is that each of several labels
    applies), or ``place`` (of the class itself). ``classes`` are their names, or how many there are. ``source`` is the
    library's own object.
    """

    carafe_decides = True  # predict() is the best of predict_proba()
    source = None

    def __init__(self, scores, kind, classes=None):
        self.scores, self.kind = scores, kind
        self.classes_ = None if kind == "number" else np.arange(classes) if isinstance(classes, int) else classes
        if kind == "labels":
            self.classes_ = [np.arange(2)] * classes
        if kind in ("second", "classes", "labels"):
            self.predict_proba = self._predict_proba

    def predict(self, batch):
        """Numbers, or a class a row."""
        if self.kind == "number":
            return self.scores(batch)
        if self.kind == "place":
            return self.classes_[self.scores(batch).astype(np.int64)]
        if self.kind == "labels":
            return (self.scores(batch) > 0.5).astype(np.int64)
        return self.classes_[self._predict_proba(batch).argmax(axis=1)]

    def _predict_proba(self, batch):
        given = self.scores(batch)
        return np.stack([1 - given, given], axis=1) if self.kind == "second" else given


class BoosterRuntime(PlannedRuntime):
    """One file of one library. ``open`` of each subclass fills ``columns`` and words, and gives a :class:`Booster` and its source."""

    dtype = "float64"  # of the numbers that the library computes with

    def __init__(self, request, files, options):
        PlannedRuntime.__init__(self)
        self.dtype = type(self).dtype
        with open_checked(files[0]) as stream:
            data = stream.read()
        meaning = str(options.get("outputs") or "")
        self.model, source = self.open(data, max(1, int(options.get("threads") or 1)), meaning)
        self.model.source = source
        self._take_columns(request.get("columns"))
        self._plan(None, meaning)

    def open(self, data, threads, meaning):
        """The model in ``data``; with ``meaning`` its bare numbers, with ``logits`` before they become probabilities.

        :raises LoadError: bytes that the library cannot read, or a model that cannot be asked by value.
        """
        raise NotImplementedError

    def configure(self, signature):
        """As in :class:`.planned.PlannedRuntime`; categories become numbers."""
        if self.dummies is not None or not any(one.get("codes") for one in self.columns):
            return PlannedRuntime.configure(self, signature)
        order = layout.order_of(signature.get("fields") or [], self.columns)
        self.builder = Coded(order, [one.get("codes") for one in self.columns], self.dtype)
        return layout.layout_of(signature)


class Coded(build.Matrix):
    """A matrix in which each category is the number that the model knows it by; a missing or unknown one is NaN."""

    def __init__(self, order, codes, dtype):
        build.Matrix.__init__(self, len(order), dtype)
        self.order, self.codes = order, codes

    def build(self, columns, n):
        if len(columns) == 1 < self.width:  # all are numbers and travel as one column
            given = build.floating(columns[0], self.dtype).reshape(n, self.width)
            columns = None
        made = np.empty((n, self.width), dtype=self.dtype)
        for place, (i, codes) in enumerate(zip(self.order, self.codes)):
            if codes is None:
                made[:, place] = given[:, i] if columns is None else build.floating(columns[i], self.dtype)
            else:
                values = given[:, i].tolist() if columns is None else columns[i].values()
                made[:, place] = [codes.get(value, np.nan) for value in values]
        return build.locked(made)


def category(name, values, codes=True, **more):
    """A column of the categories ``values``, known to the model by their places, or by themselves unless ``codes``."""
    values = list(values)
    made = column(name, "category", dtype_of(values), choices=values, **more)
    if codes:
        made["codes"] = codes_of(values)
    if len(values) > MOST_CHOICES:
        made.update(kind="text" if made["dtype"] == "text" else "number", choices=[])
    return made


def codes_of(values):
    """``{category: number}`` of categories in the order of their numbers."""
    return {value: float(place) for place, value in enumerate(values)}


def unreadable(library, exc):
    """A :class:`LoadError` in one line, without the stack trace that a library may add."""
    text = " ".join(str(exc).split("Stack trace")[0].split())[:400]
    return LoadError("load_failed", "%s cannot read the model: %s" % (library, text or type(exc).__name__))
