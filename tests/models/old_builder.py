"""Run by an old interpreter with an old scikit-learn: ``python old_builder.py FOLDER``. Python 3.6 syntax.

Writes one pickle and one JSON of rows and answers per model.
"""

import json
import pickle
import sys
import warnings

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

warnings.simplefilter("ignore")


def numbers():
    """``name -> fitted model`` over four numbers, and rows."""
    random = np.random.RandomState(0)
    rows = np.round(np.abs(random.normal(size=(60, 4))), 3)
    target = np.array(["a", "b", "c"])[(rows[:, 0] * 3).astype(int) % 3]
    made = [
        LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(5, random_state=0, n_jobs=-1),
        GradientBoostingClassifier(n_estimators=5), AdaBoostClassifier(n_estimators=5), KNeighborsClassifier(3),
        MLPClassifier(max_iter=20, random_state=0), SVC(probability=True, random_state=0), DecisionTreeClassifier(max_depth=3),
    ]
    models = {"%d_%s" % (i, type(model).__name__): model.fit(rows, target) for i, model in enumerate(made)}
    models["line"] = LinearRegression().fit(rows, rows[:, 1] * 2 + 1)
    return models, rows


def mixed():
    """A ColumnTransformer over a DataFrame, and the frame."""
    frame = pd.DataFrame({"age": [1.0, 2.0, np.nan, 4.0], "city": ["Lagos", "Paris", "Paris", "Accra"]})
    steps = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    parts = ColumnTransformer([("n", steps, ["age"]), ("c", OneHotEncoder(), ["city"])])
    return make_pipeline(parts, LogisticRegression()).fit(frame, [0, 1, 0, 1]), frame


def save(folder, name, model, given, rows):
    """The model, the rows as JSON can carry them and the answers."""
    with open("%s/%s.pkl" % (folder, name), "wb") as stream:
        pickle.dump(model, stream)
    answers = {"rows": rows, "predict": model.predict(given).tolist()}
    if hasattr(model, "predict_proba"):
        answers["proba"] = model.predict_proba(given).tolist()
    with open("%s/%s.json" % (folder, name), "w") as stream:
        json.dump(answers, stream)


def main(folder):
    models, rows = numbers()
    for name, model in models.items():
        save(folder, name, model, rows, rows.tolist())
    model, frame = mixed()
    save(folder, "mixed", model, frame, [[None if value != value else value for value in row] for row in frame.values.tolist()])
    said = ["good phone", "bad phone", "very good", "very bad"]
    save(folder, "text", make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(said, ["y", "n", "y", "n"]), said, said)


if __name__ == "__main__":
    main(sys.argv[1])
