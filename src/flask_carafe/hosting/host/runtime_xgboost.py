"""XGBoost models as JSON or UBJSON, as ``save_model`` writes them."""

import json
import re

import numpy as np
import xgboost

from .boosters import Booster, BoosterRuntime, category, unreadable
from .fields import column
from .refusal import LoadError
from .runtime import version_of, version_tuple

VERSION = re.compile(rb'"version" *: *\[(\d+), *(\d+)|version\[#L.{8}i(.)i(.)', re.DOTALL)
KINDS = {"int": "integer", "i": "boolean"}
PROBABILITIES = ("binary:logistic", "reg:logistic")


class XgboostRuntime(BoosterRuntime):
    """Names and types stand in the file, categories do since XGBoost 3.1; class names do not, so classes are numbered."""

    name, dtype = "xgboost", "float32"

    def open(self, data, threads, meaning):
        """As :meth:`BoosterRuntime.open`."""
        booster = xgboost.Booster(params={"nthread": threads})
        try:
            booster.load_model(bytearray(data))
        except (xgboost.core.XGBoostError, ValueError) as exc:
            raise unreadable("XGBoost", exc)
        learner = json.loads(booster.save_config())["learner"]
        objective, sizes = learner["objective"]["name"], learner["learner_model_param"]
        self.libraries = {"xgboost": version_of("xgboost"), "numpy": np.__version__}
        self._tell_newer(data)
        self.named = bool(booster.feature_names)
        self.columns = columns_of(booster)
        self.estimator = "XGBoost %s, %d rounds" % (objective, booster.num_boosted_rounds())
        kind, count = kind_of(objective, int(sizes["num_class"]), int(sizes.get("num_target", 1)), estimator_type(booster))
        if objective == "binary:logitraw" and not meaning:
            self.warnings.append("it answers raw scores: if they tell classes apart, say --outputs logits")
        is_raw = meaning == "logits" or objective == "multi:softmax"  # which else gives the class alone
        ask = asker(booster, learner["gradient_booster"]["name"] != "gblinear", is_raw, threads)
        scores = (lambda batch: softmax(ask(batch))) if is_raw and meaning != "logits" else ask
        return Booster(scores, "number" if meaning else kind, count), booster

    def _tell_newer(self, data):
        """Record the version in the file where it is later than the one here: XGBoost vouches for older files only."""
        wrote = version_in(data[-400:])
        if version_tuple(wrote) > version_tuple(self.libraries["xgboost"]):
            self.recorded["xgboost"] = wrote


def columns_of(booster):
    """The inputs by their recorded types; a category without a list of its own is given as the number that it was."""
    names = booster.feature_names or [None] * booster.num_features()
    types = booster.feature_types or ["float"] * len(names)
    lists = categories_of(booster) if "c" in types else []
    made = []
    for place, (name, kind) in enumerate(zip(names, types)):
        values = lists[place] if kind == "c" and place < len(lists) else ()
        if values:
            made.append(category(name, values, closed=True, nullable=True))
        elif kind == "c":
            made.append(column(name, "integer", "float32", nullable=True, low=0))
        else:
            made.append(column(name, KINDS.get(kind, "number"), "float32", nullable=True))
    return made


def categories_of(booster):
    """The categories of each input in the order of their numbers, empty where there are none; ``[]`` for files without."""
    text = bytes(booster.save_raw("json")).decode("utf-8")
    at = text.find('"cats":')  # no string holds this: quotes inside them are escaped
    if at < 0:
        return []
    lists = json.JSONDecoder().raw_decode(text, at + len('"cats":'))[0].get("enc") or []
    return [texts_of(one) if "offsets" in one else list(one.get("values") or ()) for one in lists]


def texts_of(one):
    """The texts that XGBoost keeps as signed bytes and offsets.

    :raises LoadError: some are not ASCII; XGBoost counts letters, not bytes, so the end of such a list is missing in the file.
    """
    data, offsets = one["values"], one["offsets"]
    if any(value < 0 for value in data):
        raise LoadError("unclear_categories", "XGBoost keeps categories with letters beyond ASCII in part only: save the model with joblib.dump")
    text = bytes(bytearray(data)).decode("ascii")
    return [text[start:stop] for start, stop in zip(offsets, offsets[1:])]


def estimator_type(booster):
    """``classifier``, ``regressor`` or ``ranker`` where the wrapper for scikit-learn saved the file, else empty."""
    try:
        return json.loads(booster.attributes().get("scikit_learn", "{}")).get("_estimator_type", "")
    except ValueError:
        return ""


def kind_of(objective, n_classes, n_targets, wrapper):
    """``(kind, number of classes or labels)`` as :class:`.boosters.Booster` has them."""
    if wrapper in ("regressor", "ranker"):
        return "number", 0
    if objective.startswith("multi:"):
        return "classes", max(n_classes, 2)
    if objective == "binary:hinge":
        return "place", 2
    if objective == "binary:logistic" or objective in PROBABILITIES and wrapper == "classifier":
        return ("labels", n_targets) if n_targets > 1 else ("second", 2)
    return "number", 0


def asker(booster, is_inplace, is_raw, threads):
    """A function from a matrix to the model's numbers; rounds behind the best one of an early stop are left out."""
    best = booster.attributes().get("best_iteration")
    rounds = (0, int(best) + 1) if best is not None else (0, 0)
    if is_inplace:
        what = "margin" if is_raw else "value"
        return lambda batch: booster.inplace_predict(batch, iteration_range=rounds, predict_type=what, validate_features=False)

    def ask(batch):
        rows = xgboost.DMatrix(batch, nthread=threads)
        return booster.predict(rows, output_margin=is_raw, iteration_range=rounds, validate_features=False)

    return ask


def softmax(scores):
    """Probabilities of scores, shape ``(n, classes)``."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def version_in(tail):
    """``3.2`` of the last bytes of a file, JSON or UBJSON; empty where they do not tell."""
    found = VERSION.search(tail)
    if not found:
        return ""
    if found.group(1):
        return b".".join(found.group(1, 2)).decode()
    return ".".join(str(ord(mark)) for mark in found.group(3, 4))
