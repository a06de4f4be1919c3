"""Makes the files beside it: small models saved by an old scikit-learn, with what that version answered.

Run it once per version, in an environment that has it::

    python build.py FOLDER

Writes ``FOLDER/<version>/<model>.joblib`` and ``FOLDER/<version>/answers.json``. Runs on Python 3.6 and later.
"""

import json
import os
import sys
import warnings

import numpy as np
import sklearn
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

try:
    from sklearn.cross_decomposition import PLSRegression
except ImportError:
    PLSRegression = None
try:
    import joblib
except ImportError:  # before 0.21 scikit-learn brought its own
    from sklearn.externals import joblib

TEXTS = ["good fine day", "bad ugly day", "fine film of the day", "day of the bad film"] * 5
VERDICTS = ["good", "bad", "good", "bad"] * 5


def rows():
    rng = np.random.RandomState(0)
    X = rng.randn(60, 3)
    return X, (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0.8), X.dot([1.0, 2.0, -1.0])


def models(X, classes, numbers):
    """(name, inputs, fitted model); a model that this version cannot make is left out."""
    two = (classes > 0).astype(int)
    yield "tfidf_lr", TEXTS, lambda: make_pipeline(TfidfVectorizer(), LogisticRegression(solver="lbfgs")).fit(TEXTS, VERDICTS)
    yield "tf_lr", TEXTS, lambda: make_pipeline(TfidfVectorizer(use_idf=False), LogisticRegression(solver="lbfgs")).fit(TEXTS, VERDICTS)
    yield "lr_three", X, lambda: LogisticRegression(solver="lbfgs", multi_class="multinomial").fit(X, classes)
    yield "lr_rest", X, lambda: LogisticRegression(solver="lbfgs", multi_class="ovr").fit(X, classes)
    yield "lr_liblinear", X, lambda: LogisticRegression(solver="liblinear").fit(X, classes)
    yield "lr_two", X, lambda: LogisticRegression(solver="liblinear").fit(X, two)
    yield "lr_two_softmax", X, lambda: LogisticRegression(solver="lbfgs", multi_class="multinomial").fit(X, two)
    yield "scaled_lr", X, lambda: make_pipeline(StandardScaler(), LogisticRegression(solver="lbfgs")).fit(X, two)
    yield "ridge", X, lambda: Ridge().fit(X, numbers)
    yield "bayes", X, lambda: GaussianNB().fit(X, classes)
    yield "svc", X, lambda: SVC(gamma="scale").fit(X, two)
    yield "neighbours", X, lambda: KNeighborsClassifier(algorithm="brute").fit(X, classes)
    yield "tree", X, lambda: DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, classes)
    yield "forest", X, lambda: RandomForestClassifier(n_estimators=2, max_depth=2, random_state=0).fit(X, classes)
    yield "boosting", X, lambda: GradientBoostingRegressor(n_estimators=2, max_depth=2, random_state=0).fit(X, numbers)
    yield "adaboost_real", X, lambda: AdaBoostClassifier(GaussianNB(), n_estimators=3, algorithm="SAMME.R", random_state=0).fit(X, classes)
    yield "adaboost", X, lambda: AdaBoostClassifier(GaussianNB(), n_estimators=3, algorithm="SAMME", random_state=0).fit(X, classes)
    yield "pls", X, lambda: PLSRegression(n_components=2).fit(X, numbers)


def main(folder):
    place = os.path.join(folder, sklearn.__version__)
    os.makedirs(place, exist_ok=True)
    X, classes, numbers = rows()
    answers = {}
    for name, inputs, fit in models(X, classes, numbers):
        try:
            model = fit()
        except (TypeError, ValueError) as exc:
            print("not made by this version:", name, exc)
            continue
        asked = inputs[:5]
        answers[name] = {"rows": asked if isinstance(asked, list) else asked.tolist(), "prediction": np.ravel(model.predict(asked)).tolist()}
        if hasattr(model, "predict_proba"):
            answers[name]["probabilities"] = model.predict_proba(asked).tolist()
        joblib.dump(model, os.path.join(place, name + ".joblib"), compress=3)
    with open(os.path.join(place, "answers.json"), "w") as file:
        json.dump(answers, file, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
