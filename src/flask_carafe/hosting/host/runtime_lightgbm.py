"""LightGBM models as text, as ``Booster.save_model`` writes them."""

import re

import lightgbm
import numpy as np

from .boosters import Booster, BoosterRuntime, category, unreadable
from .fields import column
from .refusal import LoadError
from .runtime import version_tuple

CATEGORICAL = re.compile(rb"\n\[categorical_feature: (\d+(?:,\d+)*)\]")
ONE_OF_MANY = ("multiclass", "multiclassova")


class LightgbmRuntime(BoosterRuntime):
    """Names, ranges and categories stand in the file; class names do not, so classes are numbered."""

    name = "lightgbm"

    def open(self, data, threads, meaning):
        """As :meth:`BoosterRuntime.open`."""
        header = header_of(data)
        try:
            booster = lightgbm.Booster(model_str=data.decode("utf-8"))
        except (lightgbm.basic.LightGBMError, ValueError) as exc:
            raise unreadable("LightGBM", exc)
        names = booster.feature_name()
        self.named = names != ["Column_%d" % place for place in range(len(names))]
        self.columns = columns_in(data, names if self.named else [None] * len(names), booster.pandas_categorical)
        self.libraries = {"lightgbm": lightgbm.__version__, "numpy": np.__version__}
        objective = header.get("objective", "").split(" ")[0]
        self.estimator = "LightGBM %s, %d trees" % (objective or "model", booster.num_trees())
        if not objective and not meaning:
            self.warnings.append("it was trained with its own objective and answers raw scores: if they tell classes apart, say --outputs logits")
        options = {"num_threads": threads, "raw_score": meaning == "logits"}
        if version_tuple(lightgbm.__version__) >= (4, 0):
            options["validate_features"] = False  # the names were put in order already
        kind = "number" if meaning else "second" if objective == "binary" else "classes" if objective in ONE_OF_MANY else "number"
        return Booster(lambda batch: booster.predict(batch, **options), kind, max(2, int(header.get("num_class", 1)))), booster


def header_of(data):
    """The ``key=value`` lines before the first tree."""
    head = data[: max(data.find(b"\nTree="), 0) or len(data)].decode("utf-8", "replace")
    return dict(line.strip().split("=", 1) for line in head.split("\n") if "=" in line)


def columns_in(data, names, lists):
    """The inputs: ``[low:high]`` is a number, ``-1:0:2`` a category by its codes, ``none`` one that no tree asks for.

    :param data: a model as text.
    :param lists: the categories of each pandas column that was one, in order; None where it was trained on an array.
    :raises LoadError: lists of categories that are not those of the categorical inputs.
    """
    infos, told = header_of(data).get("feature_infos", "").split(" "), CATEGORICAL.search(data)
    told = [int(place) for place in told.group(1).split(b",")] if told else []
    infos = (infos + ["none"] * len(names))[: len(names)]
    known = {place: (codes_in(info), False) for place, info in enumerate(infos) if info != "none" and not info.startswith("[")}
    if lists:
        places = told if len(told) == len(lists) else sorted(known)
        fits = len(places) == len(lists) and set(known) <= set(places)
        if not fits or any(max(known[place][0] or [0]) >= len(own) for place, own in zip(places, lists) if place in known):
            raise LoadError("unclear_categories", "the file does not tell which of its inputs the %d lists of categories belong to" % len(lists))
        known = {place: (own, True) for place, own in zip(places, lists)}
    return [
        category(name, *known[place], closed=False, nullable=True) if place in known else number(name, infos[place])
        for place, name in enumerate(names)
    ]


def codes_in(info):
    """The codes of ``-1:0:2:1``, without that of what is missing."""
    return sorted({int(code) for code in info.split(":") if not code.startswith("-")})


def number(name, info):
    """A column of numbers, with the range that was seen in training."""
    low, _, high = info.strip("[]").partition(":")
    try:
        return column(name, nullable=True, low=float(low), high=float(high))
    except ValueError:
        return column(name, nullable=True)
