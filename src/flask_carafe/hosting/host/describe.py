"""What a fitted object takes, told by the object itself: names, counts, categories, means, vectorisers.

No library is imported: classes are known by name, so that a scikit-learn of 2018 and one of next year both work. What is
not told stays open (``nullable`` None, no choices), and a trial prediction or the user's own words fill it.
"""

from . import wrappers
from .fields import class_names, column, is_missing, names_of, peek, scalar, unwrap

TEXTS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
ENCODERS = ("OneHotEncoder", "OrdinalEncoder", "TargetEncoder")
SCALERS = frozenset(
    "StandardScaler MinMaxScaler RobustScaler MaxAbsScaler PowerTransformer QuantileTransformer Normalizer KBinsDiscretizer".split()
)
IMPUTERS = ("SimpleImputer", "KNNImputer", "IterativeImputer", "Imputer")
MISSING_OK = "HistGradientBoosting"
MOST_CHOICES = 5000
MOST_COLUMNS = 20000


def describe_input(estimator):
    """``(build, named, columns)`` of one fitted object; ``build`` is how its input is made, see ``build.py``.

    Columns are empty when the object does not even tell how many inputs it takes.
    """
    first = _first(estimator)
    if not names_of(estimator) and not names_of(first):
        first = _past_cleaning(estimator, first)
    if set(TEXTS) & set(class_names(first)):
        return "texts", False, [column(None, "text", "text", nullable=False)]
    if "DictVectorizer" in class_names(first):
        return "records", True, dict_columns(first)
    names = names_of(estimator) or names_of(first) or _names_in_spec(first)
    columns = [column(name) for name in names] or [column() for _ in range(min(width_of(estimator), MOST_COLUMNS))]
    refine(estimator, columns)
    return _build(estimator, bool(names), columns), bool(names), columns


def _first(estimator):
    """The innermost object that sees the input first."""
    for _ in range(20):
        inner = _inner(estimator)
        if not inner:
            return estimator
        estimator = inner[0]
    return estimator


def _past_cleaning(estimator, first):
    """The vectoriser behind steps of the user's own that only clean the text; ``first`` where there is none."""
    for step in _inner(estimator):
        seen = _first(step)
        if set(TEXTS) & set(class_names(seen)):
            return seen
        if "FunctionTransformer" not in class_names(seen) and type(seen).__module__.startswith("sklearn."):
            break
    return first


def _inner(estimator):
    """Objects that get the same input as ``estimator`` gets, unchanged; empty when it is the one that looks."""
    estimator = unwrap(estimator)
    names = class_names(estimator)
    if "Pipeline" in names:
        return [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
    if "FeatureUnion" in names:
        return [part for _, part in estimator.transformer_list if part is not None and not isinstance(part, str)]
    calibrated = peek(estimator, "calibrated_classifiers_")
    if calibrated:
        return [_either(calibrated[0], "estimator", "base_estimator")]
    if names[0] in ("TransformedTargetRegressor",):
        return [peek(estimator, "regressor_")]
    if names[0] in ("SelfTrainingClassifier", "FixedThresholdClassifier", "TunedThresholdClassifierCV", "RANSACRegressor"):
        return [part for part in [_either(estimator, "estimator_", "base_estimator_")] if part is not None]
    if names[0] in PARALLEL:
        return [part for part in list(peek(estimator, "estimators_") or ())[:1] if part is not None and not isinstance(part, list)]
    return []


PARALLEL = frozenset(
    """VotingClassifier VotingRegressor StackingClassifier StackingRegressor MultiOutputClassifier MultiOutputRegressor
    OneVsRestClassifier OneVsOneClassifier OutputCodeClassifier""".split()
)


def _either(thing, *attributes):
    for attribute in attributes:
        value = peek(thing, attribute)
        if value is not None:
            return value
    return None


def width_of(estimator):
    """How many numbers one row has, or 0."""
    for step in [estimator, unwrap(estimator), _first(estimator)] + _leading(estimator):
        for attribute in ("n_features_in_", "n_features_", "_n_features", "n_features"):
            value = peek(step, attribute)
            if isinstance(scalar(value), int) and value > 0:
                return int(value)
        for attribute in ("coef_", "theta_", "cluster_centers_", "means_", "support_vectors_", "components_", "_fit_X", "feature_log_prob_"):
            shape = getattr(peek(step, attribute), "shape", ())
            if len(shape) in (1, 2) and shape[-1]:
                return int(shape[-1])
        for attribute in ("feature_importances_", "scale_", "mean_", "min_", "statistics_", "center_"):
            shape = getattr(peek(step, attribute), "shape", ())
            if len(shape) == 1 and shape[0]:
                return int(shape[0])
    return _width_inside(_first(estimator))


def _width_inside(estimator):
    """As :func:`width_of`, for what tells it only by its parts: networks, ensembles over all columns, chains."""
    if "IsotonicRegression" in class_names(estimator):
        return 1
    layers, members = peek(estimator, "coefs_"), peek(estimator, "estimators_")
    if isinstance(layers, list) and layers:
        return int(layers[0].shape[0])
    while isinstance(members, (list, tuple)) or getattr(members, "ndim", 0):
        members = members[0] if len(members) else None
    if members is None or "Bagging" in class_names(estimator)[0] or "Chain" in class_names(estimator)[0]:
        return 0
    return width_of(members)


def _leading(estimator):
    """The first step, and the one behind it where the first is a plain function that tells nothing."""
    steps = _inner(estimator)
    for place, step in enumerate(steps):
        if "FunctionTransformer" not in class_names(step):
            return steps[: place + 1]
    return steps


def refine(estimator, columns):
    """Fill what ``estimator`` knows about ``columns``, which it receives; True when they come out as they went in."""
    estimator = unwrap(estimator)
    names = class_names(estimator)
    known = set(names)
    if "Pipeline" in known:
        for step in _inner(estimator):
            if not refine(step, columns):
                return False
        return True
    if "ColumnTransformer" in known:
        return _refine_parts(estimator, columns)
    if known & set(TEXTS):
        for one in columns:
            one.update(kind="text", dtype="text", choices=[], nullable=False)
    elif known & set(ENCODERS):
        _refine_choices(estimator, columns)
    elif known & set(IMPUTERS):
        return _refine_imputer(estimator, columns)
    elif known & SCALERS or "GaussianNB" in known or "PCA" in known or "LinearDiscriminantAnalysis" in known:
        _refine_ranges(estimator, columns)
    elif wrappers.library_of(estimator):
        for one in columns:
            one["nullable"] = True
        wrappers.refine(estimator, columns)
    elif names[0].startswith(MISSING_OK):
        _refine_boosting(estimator, columns)
    else:
        for part in _inner(estimator):
            refine(part, columns)
    return False


def _refine_parts(transformer, columns):
    """A ColumnTransformer: each part tells about its own columns; what no part uses may be left out."""
    used = set()
    for _, part, spec in peek(transformer, "transformers_") or ():
        places = places_of(spec, columns)
        if isinstance(part, str) and part == "drop" or part is None:
            continue
        used.update(places)
        if not isinstance(part, str):
            refine(part, [columns[place] for place in places])
    for place, one in enumerate(columns):
        if place not in used:
            one.update(nullable=True, unused=True)
    return False


def places_of(spec, columns):
    """Places of the columns that ``spec`` names: a name, a number, a slice, a mask, or a list of those."""
    if isinstance(spec, slice):
        if isinstance(spec.start, str) or isinstance(spec.stop, str):
            names = [one["name"] for one in columns]
            start = names.index(spec.start) if spec.start is not None else 0
            return list(range(start, names.index(spec.stop) + 1 if spec.stop is not None else len(names)))
        return list(range(len(columns)))[spec]
    if hasattr(spec, "tolist"):
        spec = spec.tolist()
    if isinstance(spec, (str, int)) and not isinstance(spec, bool):
        spec = [spec]
    if not isinstance(spec, (list, tuple)):
        return []
    if spec and all(isinstance(item, bool) for item in spec):
        return [place for place, item in enumerate(spec) if item]
    by_name = {one["name"]: place for place, one in enumerate(columns) if one["name"] is not None}
    places = [by_name.get(item) if isinstance(item, str) else item for item in spec]
    return [place for place in places if isinstance(place, int) and -len(columns) <= place < len(columns)]


def _names_in_spec(first):
    """Names that a ColumnTransformer from before names were recorded asks for, in the order of its parts."""
    names = []
    for _, _, spec in (peek(first, "transformers_") or ()) if "ColumnTransformer" in class_names(first) else ():
        spec = [spec] if isinstance(spec, str) else list(spec) if isinstance(spec, (list, tuple)) else []
        names += [name for name in spec if isinstance(name, str) and name not in names]
    return names


def _refine_choices(encoder, columns):
    open_to_all = peek(encoder, "handle_unknown", "error") != "error" or "TargetEncoder" in class_names(encoder)
    for one, categories in zip(columns, peek(encoder, "categories_") or ()):
        values = [scalar(value) for value in list(categories)[: MOST_CHOICES + 1]]
        missing = [value for value in values if is_missing(value)]
        values = [value for value in values if not is_missing(value)]
        if len(values) > MOST_CHOICES:
            one.update(kind="text" if isinstance(values[0], str) else "number", dtype="text" if isinstance(values[0], str) else "float64")
            continue
        one.update(kind="category", dtype=dtype_of(values), choices=values, closed=not open_to_all)
        if missing:
            one.update(nullable=True, missing="none" if missing[0] is None else "nan")


def dtype_of(values):
    """How values of these Python types travel."""
    types = {type(value) for value in values}
    if types == {str}:
        return "text"
    if types == {bool}:
        return "bool"
    if types == {int}:
        return "int64"
    return "float64" if types and types <= {int, float} else "json" if types else "text"


def _refine_imputer(imputer, columns):
    statistics = peek(imputer, "statistics_")
    if statistics is None:
        statistics = peek(imputer, "initial_imputer_") is not None and peek(imputer.initial_imputer_, "statistics_") or ()
    for one in columns:
        one["nullable"] = True
        if peek(imputer, "missing_values", 0) is None:
            one["missing"] = "none"
    for one, value in zip(columns, list(statistics)):
        value = scalar(value)
        if isinstance(value, str) and not one["choices"]:
            one.update(kind="text", dtype="text")
        if not is_missing(value) and one["default"] is None:
            one["default"] = value
    return not peek(imputer, "add_indicator", False) and not any(is_missing(scalar(value)) for value in list(statistics))


def _refine_ranges(step, columns):
    """Where most values lie, from what a scaler or a simple model has learnt of its inputs."""
    middle, low, high = ranges_of(step)
    for place, one in enumerate(columns):
        for key, values in (("default", middle), ("low", low), ("high", high)):
            if values is not None and place < len(values) and one[key] is None and not is_missing(scalar(values[place])):
                one[key] = float(values[place])


def ranges_of(step):
    """``(middle, low, high)``, each an array with one value a column, or None."""
    mean, scale = peek(step, "mean_"), peek(step, "scale_")
    lowest, highest, center = peek(step, "data_min_"), peek(step, "data_max_"), peek(step, "center_")
    edges, theta = peek(step, "bin_edges_"), peek(step, "theta_")
    if lowest is not None and highest is not None:
        return (lowest + highest) / 2, lowest, highest
    if center is not None:
        spread = 2 * scale if scale is not None else 0 * center
        return center, center - spread, center + spread
    if mean is not None and getattr(mean, "ndim", 0) == 1:
        if scale is None or getattr(scale, "shape", ()) != mean.shape:
            return mean, None, None
        return mean, mean - 2 * scale, mean + 2 * scale
    if edges is not None:
        return None, [edge[0] for edge in edges], [edge[-1] for edge in edges]
    if getattr(theta, "ndim", 0) == 2:
        return theta.mean(axis=0), None, None
    middle = peek(step, "xbar_")
    return middle if getattr(middle, "ndim", 0) == 1 else None, None, None


def _refine_boosting(model, columns):
    for one in columns:
        one["nullable"] = True
    inner = peek(model, "_preprocessor")
    if inner is not None:
        refine(inner, columns)
        for one in columns:
            one.update(nullable=True, unused=False)


def dict_columns(vectorizer):
    """The names of a DictVectorizer; ``city=Lagos`` is a choice of ``city``."""
    separator, columns, by_name = peek(vectorizer, "separator", "="), [], {}
    for feature in peek(vectorizer, "feature_names_") or ():
        name, found, value = str(feature).partition(separator)
        if name not in by_name:
            by_name[name] = column(name, nullable=True)
            columns.append(by_name[name])
        if found:
            by_name[name].update(kind="category", dtype="text", closed=False)
            by_name[name]["choices"].append(value)
    return columns


NAME_FREE = ("ColumnTransformer", "FunctionTransformer")


def _build(estimator, named, columns):
    """``array`` where numbers alone travel, ``dataframe`` where names or types matter, else ``objects``."""
    numbers = all(one["dtype"] in ("float64", "float32", "int64", "bool") for one in columns)
    if named and not (numbers and _is_plain(estimator)):
        return "dataframe"
    return "array" if numbers else "objects"


def _is_plain(estimator):
    """Whether every part that sees the input is scikit-learn's own, or boosted trees, and looks at numbers, never at names."""
    estimator = unwrap(estimator)
    if wrappers.library_of(estimator):
        return True
    if not type(estimator).__module__.startswith("sklearn.") or class_names(estimator)[0] in NAME_FREE:
        return False
    if peek(estimator, "_preprocessor") is not None:
        return False
    return all(_is_plain(part) for part in _inner(estimator))
