"""Input columns as plain dicts, the words of a description, and the walk over nested estimators that fills them."""


def column(name=None, kind="number", dtype="float64", **more):
    """One input as ``description.input.columns`` tells it; ``nullable`` None means that a trial must find out."""
    made = {"name": name, "kind": kind, "dtype": dtype, "shape": [], "choices": [], "closed": True, "nullable": None}
    made.update({"default": None, "low": None, "high": None})
    made.update(more)
    return made


def class_names(estimator):
    """Names of the classes that ``estimator`` is made of: tells a kind without importing its library."""
    return [cls.__name__ for cls in type(estimator).__mro__]


def names_of(estimator):
    """Column names that the fitted object recorded, or an empty list; never raises."""
    for attribute in ("feature_names_in_", "feature_name_", "feature_names_"):
        names = peek(estimator, attribute)
        if attribute == "feature_names_" and "DictVectorizer" in class_names(estimator):
            continue
        if names is not None and len(names) and all(isinstance(name, str) for name in names) and not _is_made_up(estimator, list(names)):
            return [str(name) for name in names]
    return []


def _is_made_up(estimator, names):
    """Whether a library numbered the columns of an array: LightGBM writes ``Column_0``, CatBoost ``0``."""
    form = {"lightgbm": "Column_%d", "catboost": "%d"}.get(type(estimator).__module__.split(".")[0])
    return form is not None and names == [form % place for place in range(len(names))]


def peek(thing, attribute, default=None):
    """``getattr`` for fitted objects, whose properties may raise anything when they do not apply."""
    try:
        value = getattr(thing, attribute, default)
    except Exception:  # the edge round a user's model
        return default
    return default if callable(value) else value


def unwrap(estimator):
    """The estimator that a search, a frozen or a delegating wrapper really asks."""
    for _ in range(10):
        for attribute in ("best_estimator_",):
            inner = peek(estimator, attribute)
            if inner is not None:
                estimator = inner
                break
        else:
            if "FrozenEstimator" not in class_names(estimator):
                return estimator
            estimator = estimator.estimator
    return estimator


def steps_of(estimator):
    """The steps of a pipeline in order, without those that do nothing; ``[estimator]`` for anything else."""
    estimator = unwrap(estimator)
    if "Pipeline" not in class_names(estimator):
        return [estimator]
    return [step for _, step in estimator.steps if step is not None and step != "passthrough"]


def final(estimator):
    """The estimator whose ``predict`` is asked in the end."""
    while True:
        estimator = getattr(estimator, "carafe_model", estimator)  # of a chain of files
        steps = steps_of(estimator)
        if len(steps) == 1 and steps[0] is estimator or not steps:
            return estimator
        estimator = steps[-1]


def scalar(value):
    """A numpy scalar as Python's; bytes as text."""
    value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def is_missing(value):
    """None and NaN."""
    return value is None or (isinstance(value, float) and value != value)


def tree_name(estimator, depth=0):
    """``Pipeline(StandardScaler, LogisticRegression)``: what the model is, for people."""
    name = type(estimator).__name__
    inner = [step for _, step in peek(estimator, "steps") or ()] if "Pipeline" in class_names(estimator) else []
    if not inner and peek(estimator, "best_estimator_") is not None:
        inner = [estimator.best_estimator_]
    inner = [step for step in inner if step is not None and not isinstance(step, str)]
    if not inner or depth > 2:
        return name
    return "%s(%s)" % (name, ", ".join(tree_name(step, depth + 1) for step in inner))
