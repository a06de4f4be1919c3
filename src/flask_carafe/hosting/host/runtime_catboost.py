"""CatBoost models in its own binary format (``.cbm``)."""

import catboost
import numpy as np

from . import build, layout
from .boosters import Booster, BoosterRuntime, unreadable
from .fields import column
from .refusal import LoadError

CLASSIFIERS = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll")
LABELS = ("MultiLogloss", "MultiCrossEntropy")
ANSWERS = {"Poisson": "Exponent", "Tweedie": "Exponent", "RMSEWithUncertainty": "RMSEWithUncertainty"}  # as the wrappers answer


class CatboostRuntime(BoosterRuntime):
    """The file knows names, which inputs are categories, and class names; which categories there are it keeps as hashes only."""

    name, dtype = "catboost", "float32"

    def open(self, data, threads, meaning):
        """As :meth:`BoosterRuntime.open`."""
        model = catboost.CatBoost()
        try:
            model.load_model(blob=data)
        except (catboost.CatBoostError, ValueError) as exc:
            raise unreadable("CatBoost", exc)
        names = model.feature_names_
        self.named = names != [str(place) for place in range(len(names))]
        self.columns = columns_of(names if self.named else [None] * len(names), model)
        if any(one["dtype"] != "float32" for one in self.columns):
            self.input_build = "objects"
        self.libraries = {"catboost": catboost.__version__, "numpy": np.__version__}
        loss = str(model.get_all_params().get("loss_function", "")).split(":")[0]
        self.estimator = "CatBoost %s, %d trees" % (loss or "model", model.tree_count_)
        if not loss and not meaning:
            self.warnings.append("it was trained with its own objective and answers raw scores: if they tell classes apart, say --outputs logits")
        kind = "classes" if loss in CLASSIFIERS else "labels" if loss in LABELS else "number"
        return Cat(model, kind, loss, threads, meaning), model

    def configure(self, signature):
        """As every runtime of boosters; texts and numbers of one row stand side by side."""
        if self.dummies is not None or self.input_build != "objects":
            return BoosterRuntime.configure(self, signature)
        self.builder = Values(layout.order_of(signature.get("fields") or [], self.columns), self.columns)
        return layout.layout_of(signature)


class Values(build.Objects):
    """Rows of texts and numbers; a category that is a whole number is one, since 1.0 would be another category than 1."""

    def build(self, columns, n):
        made = build.Objects.build(self, columns, n)
        for place, described in enumerate(self.described):
            if described["kind"] == "category":
                made[:, place] = [int(value) if isinstance(value, float) and value.is_integer() else value for value in made[:, place]]
        return made


class Cat(Booster):
    """As every :class:`.boosters.Booster`; a threshold that was set for two classes counts."""

    def __init__(self, model, kind, loss, threads, meaning):
        what = ANSWERS.get(loss, "RawFormulaVal") if kind == "number" else "Probability"
        if meaning:
            kind, what = "number", "RawFormulaVal" if meaning == "logits" else what
        Booster.__init__(
            self, lambda batch: model.predict(batch, prediction_type=what, thread_count=threads), kind,
            len(model.classes_) if kind == "labels" else model.classes_,
        )
        limit = model.get_metadata().get("binclass_probability_threshold") if kind == "classes" else None
        self.limit = float(limit) if limit else 0.5
        self.carafe_decides = self.limit == 0.5

    def predict(self, batch):
        if self.carafe_decides:
            return Booster.predict(self, batch)
        return self.classes_[(self.scores(batch)[:, 1] > self.limit).astype(np.int64)]


def columns_of(names, model):
    """The inputs; a category takes any text or whole number, as CatBoost does.

    :raises LoadError: inputs that are lists of numbers.
    """
    if model.get_embedding_feature_indices():
        raise LoadError("wrong_input", "the model takes embeddings, which are not served from its own file: serve a Python class that loads it")
    categories, texts = set(model.get_cat_feature_indices()), set(model.get_text_feature_indices())
    made = []
    for place, name in enumerate(names):
        if place in categories:
            made.append(column(name, "category", "json", closed=False, nullable=False))
        elif place in texts:
            made.append(column(name, "text", "text", nullable=False))
        else:
            made.append(column(name, dtype="float32"))
    return made
