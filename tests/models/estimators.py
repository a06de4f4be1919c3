"""Every scikit-learn estimator with ``predict``, fitted small: what `all_estimators()` lists, and how to fit the odd ones."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import all_estimators

SEED = 7


class Fitted(NamedTuple):
    """A fitted estimator and rows to ask it for, shape ``(n, k)``."""

    name: str
    estimator: Any
    rows: np.ndarray


def names() -> list[str]:
    """Names of all classes with ``predict``: classifiers, regressors, clusterers, outlier detectors, mixtures, meta-estimators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [name for name, cls in all_estimators() if hasattr(cls, "predict")]


def fit(name: str) -> Fitted:
    """Fit the class ``name`` on a small set that suits it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cls = dict(all_estimators())[name]
        estimator = _make(name, cls)
        rows, target = _data(name, estimator)
        estimator.fit(rows) if target is None else estimator.fit(rows, target)
    return Fitted(name, estimator, np.ascontiguousarray(rows[:40], dtype=np.float64))


def _make(name: str, cls: Any) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.tree import DecisionTreeClassifier

    classifier, regressor = LogisticRegression(), Ridge()
    special: dict[str, Any] = {
        "ClassifierChain": lambda: cls(classifier),
        "MultiOutputClassifier": lambda: cls(DecisionTreeClassifier(max_depth=3)),
        "OneVsRestClassifier": lambda: cls(classifier),
        "OneVsOneClassifier": lambda: cls(classifier),
        "OutputCodeClassifier": lambda: cls(classifier),
        "FixedThresholdClassifier": lambda: cls(classifier),
        "TunedThresholdClassifierCV": lambda: cls(classifier),
        "RFE": lambda: cls(classifier),
        "RFECV": lambda: cls(classifier),
        "SelfTrainingClassifier": lambda: cls(classifier),
        "FrozenEstimator": lambda: cls(classifier.fit(*_classes())),
        "VotingClassifier": lambda: cls([("a", classifier), ("b", DecisionTreeClassifier(max_depth=2))], voting="soft"),
        "StackingClassifier": lambda: cls([("a", classifier), ("b", DecisionTreeClassifier(max_depth=2))]),
        "VotingRegressor": lambda: cls([("a", regressor), ("b", Ridge(alpha=3))]),
        "StackingRegressor": lambda: cls([("a", regressor), ("b", Ridge(alpha=3))]),
        "MultiOutputRegressor": lambda: cls(regressor),
        "RegressorChain": lambda: cls(regressor),
        "Pipeline": lambda: cls([("a", classifier)]),
        "GridSearchCV": lambda: cls(classifier, {"C": [0.1, 1.0]}),
        "RandomizedSearchCV": lambda: cls(classifier, {"C": [0.1, 1.0]}, n_iter=2),
        "HalvingGridSearchCV": lambda: cls(classifier, {"C": [0.1, 1.0]}),
        "HalvingRandomSearchCV": lambda: cls(classifier, {"C": [0.1, 1.0]}, n_candidates=2),
        "TransformedTargetRegressor": lambda: cls(regressor),
        "CalibratedClassifierCV": lambda: cls(classifier, cv=3),
        "GaussianMixture": lambda: cls(n_components=2),
        "BayesianGaussianMixture": lambda: cls(n_components=2),
        "LocalOutlierFactor": lambda: cls(novelty=True),
        "RadiusNeighborsClassifier": lambda: cls(radius=100.0),
        "RadiusNeighborsRegressor": lambda: cls(radius=100.0),
        "QuantileRegressor": lambda: cls(alpha=0.1, solver="highs"),
    }
    estimator = special.get(name, cls)()
    small = {"random_state": SEED, "n_estimators": 5, "max_iter": 50}
    known = estimator.get_params(deep=False)
    estimator.set_params(**{key: value for key, value in small.items() if key in known and not (key == "max_iter" and name in KEEP_MAX_ITER)})
    return estimator


KEEP_MAX_ITER = ("QuantileRegressor", "SelfTrainingClassifier", "OrthogonalMatchingPursuitCV")


def _classes() -> tuple[np.ndarray, np.ndarray]:
    """Three named classes in four non-negative columns, overlapping, so that probabilities are not all 0 and 1."""
    random = np.random.RandomState(SEED)
    target = np.repeat(np.array(["ant", "bee", "cow"]), 30)
    rows = np.abs(random.normal(size=(90, 4)) + np.repeat(np.arange(3), 30)[:, None])
    order = random.permutation(90)
    return np.round(rows[order], 2), target[order]


def _data(name: str, estimator: Any) -> tuple[np.ndarray, np.ndarray | None]:
    rows, target = _classes()
    random = np.random.RandomState(SEED)
    number = rows @ np.array([1.0, -2.0, 0.5, 3.0]) + random.normal(size=len(rows)) / 10
    if name in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return rows, np.where(target == "ant", "yes", "no")
    if name in ("ClassifierChain", "MultiOutputClassifier"):
        return rows, np.stack([(target == "ant").astype(int), (rows[:, 0] > 1).astype(int)], axis=1)
    if name == "SelfTrainingClassifier":
        return rows, np.where(np.arange(len(rows)) % 5 == 0, -1, np.unique(target, return_inverse=True)[1])
    if name == "CategoricalNB":
        return np.minimum(rows.astype(int), 3).astype(float), target
    if name == "IsotonicRegression":
        return rows[:, :1], number
    if name.startswith("MultiTask") or name in ("MultiOutputRegressor", "RegressorChain", "CCA", "PLSCanonical"):
        return rows, np.stack([number, rows[:, 0] - rows[:, 1]], axis=1)
    if name in ("PoissonRegressor", "GammaRegressor", "TweedieRegressor"):
        return rows, np.abs(number) + 0.1
    tags = estimator.__sklearn_tags__()
    if tags.estimator_type == "classifier" or name in ("RFE", "RFECV", "FrozenEstimator", "Pipeline"):
        return rows, target
    return (rows, number) if tags.estimator_type == "regressor" else (rows, None)
