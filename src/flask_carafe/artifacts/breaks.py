"""Known silent breaks: fitted objects that load elsewhere, answer, and answer wrongly.

Each row was found by saving every estimator of an old version and comparing answers after loading it with a new one;
``tests/artifacts/files/build.py`` makes the files that the tests hold against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from .objects import Estimator

Version = tuple[int, int]


class Break(msgspec.Struct, frozen=True, kw_only=True):
    """Objects saved by ``library`` before ``saved_before`` are misread from ``read_from`` on, where ``applies``."""

    library: str
    saved_before: Version
    read_from: Version
    classes: frozenset[str]
    applies: Callable[[Estimator], bool]
    reason: str
    way_out: str = ""  # beyond training again


def version_of(text: str) -> Version:
    """``(1, 5)`` of ``1.5.2``, ``1.5.dev0`` or ``1.5``; (0, 0) where it is no version."""
    numbers = [part for part in text.split(".")[:2] if part[:1].isdigit()]
    digits = ["".join(character for character in part if character.isdigit()) for part in numbers]
    return (int(digits[0]), int(digits[1])) if len(digits) == 2 else (0, 0)


def _lost_idf(estimator: Estimator) -> bool:
    return "_idf_diag" in estimator.keys and "idf_" not in estimator.keys


def _is_one_vs_rest(estimator: Estimator) -> bool:
    how, solver = estimator.values.get("multi_class"), estimator.values.get("solver")
    separate = how in ("ovr", "warn") or (how in ("auto", "deprecated") and solver == "liblinear")
    return separate and estimator.sizes.get("classes_", 0) > 2


def _is_two_class_softmax(estimator: Estimator) -> bool:
    return estimator.values.get("multi_class") == "multinomial" and estimator.sizes.get("classes_", 0) == 2


LOGISTIC = frozenset({"LogisticRegression", "LogisticRegressionCV"})

BREAKS: tuple[Break, ...] = (
    Break(
        library="scikit-learn",
        saved_before=(1, 5),
        read_from=(1, 5),
        classes=frozenset({"TfidfTransformer", "TfidfVectorizer"}),
        applies=_lost_idf,
        reason="its idf weights are lost without a word, so every text is scored wrongly",
    ),
    Break(
        library="scikit-learn",
        saved_before=(1, 4),
        read_from=(1, 4),
        classes=frozenset({"DecisionTreeClassifier", "ExtraTreeClassifier"}),
        applies=lambda tree: "tree_" in tree.keys,
        reason="the counts in its leaves are now taken for probabilities",
    ),
    Break(
        library="scikit-learn",
        saved_before=(1, 5),
        read_from=(1, 5),
        classes=frozenset({"PLSRegression", "PLSCanonical", "CCA"}),
        applies=lambda pls: "x_weights_" in pls.keys,
        reason="its coefficients are now multiplied with inputs of another scale",
    ),
    Break(
        library="scikit-learn",
        saved_before=(1, 6),
        read_from=(1, 6),
        classes=frozenset({"AdaBoostClassifier"}),
        applies=lambda boost: boost.values.get("algorithm") == "SAMME.R" and "estimators_" in boost.keys,
        reason="it was fitted with algorithm='SAMME.R', which is gone, and its trees are now weighed by the other algorithm",
    ),
    Break(
        library="scikit-learn",
        saved_before=(1, 8),
        read_from=(1, 8),
        classes=LOGISTIC,
        applies=_is_one_vs_rest,
        reason="it was fitted one class against the rest, and its probabilities are now computed as if all classes had been fitted together",
        way_out="OneVsRestClassifier(LogisticRegression()) keeps the old meaning.",
    ),
    Break(
        library="scikit-learn",
        saved_before=(1, 8),
        read_from=(1, 8),
        classes=LOGISTIC,
        applies=_is_two_class_softmax,
        reason="it was fitted with multi_class='multinomial' on two classes, and its probabilities are now computed from half the distance",
    ),
)


def known_break(estimators: Sequence[Estimator], library: str, here: str) -> tuple[Break, Estimator] | None:
    """The first row of the table that one of ``estimators`` falls under with ``library`` in version ``here``."""
    for row in BREAKS:
        if row.library != library or version_of(here) < row.read_from:
            continue
        for estimator in estimators:
            if estimator.name in row.classes and version_of(estimator.version) < row.saved_before and row.applies(estimator):
                return row, estimator
    return None
