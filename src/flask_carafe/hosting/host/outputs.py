"""What a fitted object gives, found by asking it once, and how each of its answers becomes columns.

A :class:`Plan` is made when the model is loaded. Where ``predict`` is by construction the argmax of ``predict_proba`` only
the latter is called; where the two could part within rounding, rows with two probabilities closer than ``NEAR`` are asked again.
"""

import numpy as np

from . import packing
from .calls import OutputInvalid
from .fields import class_names, final, peek, scalar

NEAR = 1e-9

# ``predict`` is ``classes_[argmax(predict_proba)]`` in the source of scikit-learn 1.0-1.9
EXACT = frozenset("RandomForestClassifier ExtraTreesClassifier BaggingClassifier CalibratedClassifierCV LabelPropagation LabelSpreading".split())
# both are increasing in the same score, so they part only where rounding makes two probabilities meet
MONOTONE = frozenset(
    """LogisticRegression LogisticRegressionCV DecisionTreeClassifier ExtraTreeClassifier GaussianNB MultinomialNB ComplementNB
    BernoulliNB CategoricalNB LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis GradientBoostingClassifier
    HistGradientBoostingClassifier MLPClassifier AdaBoostClassifier KNeighborsClassifier SGDClassifier""".split()
)


def shortcut(model, version):
    """``exact``, ``monotone`` or ``""``: whether probabilities alone tell the prediction of ``model``."""
    last = final(model)
    if peek(last, "carafe_decides"):  # an adapter of ours
        return "exact"
    if not type(last).__module__.startswith("sklearn.") or version < (1, 0):
        return ""
    name = class_names(last)[0]
    return "exact" if name in EXACT else "monotone" if name in MONOTONE else ""


class Plan(object):
    """``call(X, n)`` gives the columns of ``outputs`` for ``n`` rows."""

    def __init__(self, model, probe, version, decoder=None, meaning="", rows=2):
        """Ask ``model`` with what ``probe()`` makes, a new batch of ``rows`` rows each time, or None when none can be made.

        :param decoder: classes of a LabelEncoder that turn the model's integers into names.
        :param meaning: ``logits`` or ``probabilities`` where the numbers of ``predict`` are those.
        """
        self.model, self.meaning, self.warnings = model, meaning, []
        self.has_probabilities = callable(getattr(model, "predict_proba", None)) and not meaning
        self.shape, self.dtype, self.wide, self.is_small = None, None, [], False
        if probe is not None:
            self._ask(probe, rows)
        self.shortcut = shortcut(model, version) if self.has_probabilities else ""
        self.classes = self._classes(decoder)
        self.handler = self._handler()
        self.outputs = self.handler.outputs()
        if not isinstance(self.handler, packing.Classes):
            self.shortcut = ""

    def _ask(self, probe, rows):
        answer = dense(self.model.predict(probe()))
        if answer.ndim not in (1, 2) or len(answer) != rows:
            raise OutputInvalid("predict answered an array of shape %s to %d rows" % (answer.shape, rows))
        self.shape, self.dtype, self.sample = answer.shape[1:], answer.dtype, answer
        if self.has_probabilities:
            try:
                given = self.model.predict_proba(probe())
            except Exception as exc:  # the edge round a user's model: a method that does not apply is common
                self.has_probabilities = False
                self.warnings.append("predict_proba raised %s: probabilities are left out" % type(exc).__name__)
                return
            given = [dense(one) for one in given] if isinstance(given, list) else [dense(given)]
            self.wide = [one.shape[1:] for one in given]
            self.is_small = all(one.dtype.kind == "f" and one.dtype.itemsize <= 4 for one in given)

    def _classes(self, decoder):
        """One list of classes, a list of lists for several targets, or None."""
        classes = peek(self.model, "classes_")
        if classes is None:
            classes = peek(final(self.model), "classes_")
        if classes is None and self.has_probabilities and len(self.wide) == 1 and self.dtype is not None and self.dtype.kind in "iu":
            classes = np.arange(self.wide[0][0])  # mixtures: components are numbered
        if self.meaning:
            known = classes is not None and not isinstance(classes, list)
            width = self.shape[0] if self.shape else 1
            classes = classes if known else np.arange(max(2, width))
        if decoder is not None:
            self.decoder = decoder
            if classes is None or isinstance(classes, list):
                return np.arange(len(decoder))
        return classes

    def _handler(self):
        several = isinstance(self.classes, list) and (len(self.classes) > 1 or bool(self.shape))
        if isinstance(self.classes, list) and not several and self.classes:
            self.classes = self.classes[0]
        if self.classes is None or isinstance(self.classes, list) and not self.classes:
            return packing.Values(self)
        if self.meaning:
            return packing.Scores(self)
        if several or self.shape and not self.has_ravelled:
            return packing.Targets(self)
        return packing.Classes(self)

    @property
    def has_ravelled(self):
        """Whether a column vector stands for a plain list of classes."""
        return self.shape == (1,) and not isinstance(self.classes, list) and len(self.classes) > 1 and not self._is_indicator()

    def _is_indicator(self):
        return self.shape and self.shape[0] == len(self.classes)

    def call(self, batch, n, take):
        """Answer ``n`` rows; ``take(batch, rows)`` gives some of them, and with None all: untouched by an earlier question.

        :return: (list of Packed, {row: (code, message)}).
        :raises OutputInvalid: another number of rows or columns than promised.
        """
        if self.shortcut:
            given = checked(self.model.predict_proba(take(batch, None)), n, self.wide and self.wide[0])
            if given.shape[1] == 2 and given.dtype == np.float64:
                lead = given[:, 1] - given[:, 0]
                if np.abs(lead).min() >= NEAR:  # no tie, and no NaN, which compares false
                    return self.handler.sure(given, lead > 0)
            best = given.argmax(axis=1)
            if self.shortcut == "monotone":
                self._settle_ties(given, best, batch, take)
            return self.handler.from_probabilities(given, best)
        predicted = checked(self.model.predict(take(batch, None)), n, self.shape)
        given = self.model.predict_proba(take(batch, None)) if self.has_probabilities else None
        return self.handler.answer(predicted, given, n)

    def _settle_ties(self, given, best, batch, take):
        near = (given >= given[np.arange(len(best)), best][:, None] - NEAR).sum(axis=1) > 1
        if near.any():
            rows = np.flatnonzero(near).tolist()
            best[rows] = self.handler.places(checked(self.model.predict(take(batch, rows)), len(rows), self.shape))


def dense(answer):
    """An answer as an array; sparse ones are filled in, frames and series lose their names."""
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)


def checked(answer, n, shape):
    """``answer`` as an array of ``n`` rows of ``shape``.

    :raises OutputInvalid: it is not.
    """
    answer = dense(answer)
    if answer.ndim == 0 or len(answer) != n:
        raise OutputInvalid("the model answered %s to %d rows" % ("a single value" if answer.ndim == 0 else "%d rows" % len(answer), n))
    if shape is not None and shape != [] and answer.shape[1:] != shape:
        raise OutputInvalid("the model answered rows of shape %s in place of %s" % (answer.shape[1:], tuple(shape)))
    return answer


def class_list(classes):
    """Class names as JSON can carry them."""
    return [scalar(value) for value in list(classes)]
