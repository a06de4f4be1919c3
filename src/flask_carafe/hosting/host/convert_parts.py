"""What converters do not take as it is, or not in float64: imputers, and XGBoost's names. Models are left as they were."""

import contextlib

import numpy as np

from .fields import class_names, peek, unwrap


def parts_of(model):
    """``model`` and the fitted objects inside its pipelines and column transformers."""
    model = unwrap(model)
    yield model
    inner = [step for _, step in peek(model, "steps") or ()] + [row[1] for row in peek(model, "transformers_") or ()]
    inner += [part for _, part in peek(model, "transformer_list") or ()]
    for part in inner:
        if part is not None and not isinstance(part, str):
            yield from parts_of(part)


def imputers_of(model, texts):
    """Fitted ``SimpleImputer`` objects inside ``model``: those of texts, or those of numbers."""
    found = []
    for part in parts_of(model):
        letter = getattr(getattr(peek(part, "statistics_"), "dtype", None), "kind", "")
        if class_names(part)[0] == "SimpleImputer" and letter and (letter in "OUS") == texts:
            found.append(part)
    return found


@contextlib.contextmanager
def blank_is_missing(model):
    """Imputers of texts that look for the empty one: a graph has no other text to be missing, and gets that in its place."""
    changed = [(part, part.missing_values) for part in imputers_of(model, True)]
    for part, _ in changed:
        part.missing_values = ""
    try:
        yield
    finally:
        for part, value in changed:
            part.missing_values = value


@contextlib.contextmanager
def nameless(booster):
    """XGBoost's Booster without names of columns: the converter takes none but its own."""
    names, types = booster.feature_names, booster.feature_types
    booster.feature_names = booster.feature_types = None
    try:
        yield
    finally:
        booster.feature_names, booster.feature_types = names, types


def exact_imputers(graph, model):
    """Operators that put numbers for NaN in float64, which onnxruntime's Imputer does not do, with the numbers of ``model``."""
    from onnx import helper, numpy_helper

    known = [np.asarray(part.statistics_, dtype=np.float64) for part in imputers_of(model, False)]
    for number, node in enumerate([node for node in graph.graph.node if node.op_type == "Imputer"]):
        attributes = {one.name: one for one in node.attribute}
        if "imputed_value_floats" not in attributes or not np.isnan(attributes["replaced_value_float"].f):
            continue
        rounded = np.array(attributes["imputed_value_floats"].floats, dtype=np.float64)
        same = [values for values in known if values.shape == rounded.shape and np.array_equal(values.astype(np.float32), rounded.astype(np.float32))]
        if not same:
            continue
        names = ["carafe_%s_%d" % (word, number) for word in ("imputed", "missing")]
        graph.graph.initializer.append(numpy_helper.from_array(same[0].reshape(1, -1), names[0]))
        place = list(graph.graph.node).index(node)
        graph.graph.node.remove(node)
        graph.graph.node.insert(place, helper.make_node("Where", [names[1], names[0], node.input[0]], [node.output[0]]))
        graph.graph.node.insert(place, helper.make_node("IsNaN", [node.input[0]], [names[1]]))
    del graph.graph.value_info[:]
