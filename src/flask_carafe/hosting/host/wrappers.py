"""What the wrappers for scikit-learn of LightGBM, XGBoost and CatBoost know of their inputs, when they see them first.

A wrapper is told by the library that its class comes from, so nothing here is imported before a model has brought it.
"""

import functools

from .fields import class_names, peek

WRAPPERS = {"LGBM": "lightgbm", "XGB": "xgboost", "CatBoost": "catboost"}
BARE = {"lightgbm": "booster.save_model('model.txt')", "xgboost": "booster.save_model('model.json')"}


def library_of(model):
    """``lightgbm``, ``xgboost`` or ``catboost`` where ``model`` is one of their wrappers, else empty."""
    for name in class_names(model):
        for start, library in WRAPPERS.items():
            if name.startswith(start) and library == _package(model):
                return library
    return ""


def _package(model):
    return type(model).__module__.split(".")[0]


def bare(model):
    """How to save ``model`` where it is a library's own Booster, which is not asked as an estimator is; else empty."""
    return BARE.get(_package(model), "") if type(model).__name__ == "Booster" else ""


def limit_threads(model, threads):
    """Compute on ``threads`` threads: LightGBM takes all of them unless told, XGBoost those of its training, CatBoost all at each call."""
    library = library_of(model)
    if library == "lightgbm":
        model.n_jobs = threads
    elif library == "xgboost" and peek(model, "_Booster") is not None:
        model.n_jobs = threads
        model.get_booster().set_param({"nthread": threads})
    elif library == "catboost":
        for name in ("predict", "predict_proba"):
            if callable(getattr(model, name, None)):
                setattr(model, name, functools.partial(getattr(model, name), thread_count=threads))


def refine(model, columns):
    """Fill in ranges and categories; a category must come to the library as a pandas one, but for CatBoost."""
    library = library_of(model)
    try:
        known = KNOWN[library](model, [one["name"] for one in columns])
    except Exception:  # the edge round a user's model: it may not be fitted, or of a version that tells nothing
        return
    if len(known) != len(columns):
        return
    for one, found in zip(columns, known):
        one.update(nullable=found["nullable"], low=found["low"], high=found["high"])
        if found["kind"] == "category":
            one.update({key: found[key] for key in ("kind", "dtype", "choices", "closed")})
            one["pandas_category"] = bool(found.get("codes"))


def _lightgbm(model, names):
    from . import runtime_lightgbm

    booster = model.booster_
    return runtime_lightgbm.columns_in(booster.model_to_string(num_iteration=1).encode("utf-8"), names, booster.pandas_categorical)


def _xgboost(model, names):
    from . import runtime_xgboost

    return runtime_xgboost.columns_of(model.get_booster())


def _catboost(model, names):
    from . import runtime_catboost

    return [dict(one, dtype="text") if one["kind"] == "category" else one for one in runtime_catboost.columns_of(names, model)]


KNOWN = {"lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}
