"""Several files served as one: preprocessors in order, then the model; a LabelEncoder behind it names the classes."""

from .fields import class_names, names_of, peek, tree_name, unwrap
from .refusal import LoadError


class Chain(object):
    """Fitted objects one behind the other; every answer is the last one's, for input that went through the others."""

    def __init__(self, steps):
        self.steps, self.model = steps[:-1], steps[-1]
        self.carafe_model = self.model
        if callable(getattr(self.model, "predict_proba", None)):
            self.predict_proba = self._predict_proba

    def transform(self, batch):
        """``batch`` as the model receives it; sparse stays sparse."""
        for step in self.steps:
            batch = step.transform(batch)
        return batch

    def predict(self, batch):
        return self.model.predict(self.transform(batch))

    def _predict_proba(self, batch):
        return self.model.predict_proba(self.transform(batch))


def assemble(objects, names):
    """``(model, first, decoder, warnings)``: what is asked, what sees the input first, classes of a LabelEncoder or None.

    :raises LoadError: nothing predicts, or something in front cannot transform.
    """
    objects, names, warnings, decoder = list(objects), list(names), [], None
    for name, one in zip(names, objects):
        if isinstance(one, type):
            raise LoadError("no_predict", "%s holds the class %s, not a fitted object of it" % (name, one.__name__))
    if len(objects) > 1 and "LabelEncoder" in class_names(objects[-1]):
        decoder = objects.pop().classes_
        names.pop()
    predicting = [i for i, one in enumerate(objects) if can_predict(one)]
    if not predicting:
        raise LoadError("no_predict", _no_predict(objects, names))
    if len(predicting) == 1 and predicting[0] != len(objects) - 1:
        place = predicting[0]
        objects.append(objects.pop(place))
        names.append(names.pop(place))
        warnings.append("%s predicts, so it was put last" % names[-1])
    for name, one in zip(names[:-1], objects[:-1]):
        if not callable(getattr(one, "transform", None)) or "LabelEncoder" in class_names(one):
            raise LoadError("no_transform", _no_transform(one, name))
    if not can_predict(objects[-1]):
        raise LoadError("no_predict", _no_predict(objects[-1:], names[-1:]))
    _check_widths(objects, names)
    if len(objects) == 1:
        return objects[0], objects[0], decoder, warnings
    return Chain(objects), objects[0], decoder, warnings


def can_predict(one):
    """Whether ``one`` is something to ask."""
    try:
        return callable(getattr(one, "predict", None)) or callable(getattr(one, "predict_proba", None))
    except Exception:  # the edge round a user's model
        return False


def _no_predict(objects, names):
    told = ", ".join("%s holds %s" % (name, _what(one)) for name, one in zip(names, objects))
    return "nothing here can predict: %s" % told


def _no_transform(one, name):
    if "LabelEncoder" in class_names(one):
        return "%s is a LabelEncoder, which names classes: give it last, behind the model" % name
    if isinstance(one, (list, tuple)) or type(one).__name__ in ("Index", "ndarray", "Series"):
        return "%s holds %s: if these are the one-hot columns, give the file with --columns" % (name, _what(one))
    if isinstance(one, dict):
        return "%s holds a dict of %s: a chain needs objects with transform(); put the steps into a Pipeline, or serve a Python class" % (
            name, ", ".join(sorted({type(value).__name__ for value in one.values()})[:5]) or "nothing",
        )
    return "%s holds %s, which cannot transform" % (name, _what(one))


def _what(one):
    name = type(one).__name__
    if isinstance(one, dict):
        return "a dict with %s: save the fitted model itself" % (", ".join(repr(str(key)[:30]) for key in list(one)[:8]) or "nothing in it")
    try:
        return "%s of %d" % (name, len(one)) if isinstance(one, (list, tuple, set)) else name
    except TypeError:
        return name


def _check_widths(objects, names):
    """Say in words when a preprocessor gives fewer columns than the next one takes; scalers give what they take."""
    for i, one in enumerate(objects[:-1]):
        if class_names(one)[0] not in ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "Normalizer", "PowerTransformer"):
            continue
        gives, takes = peek(one, "n_features_in_"), peek(objects[i + 1], "n_features_in_")
        if isinstance(gives, int) and isinstance(takes, int) and gives != takes:
            raise LoadError("chain_mismatch", "%s gives %d columns, %s takes %d" % (names[i], gives, names[i + 1], takes))


def input_names(first, model):
    """Names of the inputs: the first object's, or those of the model behind it when a scaler kept none."""
    return names_of(first) or names_of(unwrap(model.model)) if isinstance(model, Chain) else names_of(first)


def chain_name(model):
    """What is served, for people."""
    if isinstance(model, Chain):
        return " -> ".join(tree_name(step) for step in list(model.steps) + [model.model])
    return tree_name(model)
