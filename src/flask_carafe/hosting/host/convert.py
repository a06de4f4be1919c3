"""From a loaded model to an ONNX graph: how its inputs and answers stand to the model's, and where its trees split.

The graph computes in float64 where its operators can, as scikit-learn does; see :mod:`.convert_trees` for trees. What cannot
be converted is told by one sentence; whether the graph answers as the model does is for another process to see.
"""

import contextlib
import importlib
import os
import sys

from . import convert_parts, convert_trees, packing
from .boosters import BoosterRuntime
from .chain import Chain
from .fields import final, unwrap
from .refusal import LoadError
from .runtime import version_of
from .wrappers import library_of

FILE = "compiled.onnx"
OPSETS = {"": 18, "ai.onnx.ml": 3}
MOST_EDGES = 1500


def convert(runtime, width):
    """Write the model of ``runtime`` to ``compiled.onnx`` in the working directory.

    :param width: ``float64`` or ``float32``, in which the graph computes.
    :return: ``plan`` for :mod:`.runtime_compiled`, ``edges`` [(place of an input, value)] where trees split.
    :raises LoadError: it cannot be converted, or onnxruntime cannot run the graph.
    """
    plan = plan_of(runtime)
    model = convertible(runtime)
    try:
        splits = convert_trees.splits_of(model)
        if not all(value - value == 0 for value in splits.values):  # skl2onnx would look for a float32 near infinity without end
            raise LoadError("not_convertible", "its trees ask whether a value is missing, which is not converted")
        graph = graph_of(model, runtime, width)
        if width == "float64":
            convert_parts.exact_imputers(graph, model)
            convert_trees.sharpen(graph, splits)
    except LoadError:
        raise
    except Exception as exc:  # converters raise whatever they like
        raise LoadError("not_convertible", "it cannot be converted: %s" % " ".join(str(exc).split("Stack trace")[0].split())[:300])
    data = graph.SerializeToString()
    from .runtime_onnx import session_of

    outputs = session_of(data, 1).get_outputs()
    plan["small"] = outputs[-1].type == "tensor(float)"
    if len(outputs) != (2 if plan["classes"] else 1):
        raise LoadError("not_convertible", "its graph gives %d outputs, which are not those of the model" % len(outputs))
    with open(FILE, "wb") as stream:
        stream.write(data)
    edges = convert_trees.edges_of(model, splits, runtime.columns, MOST_EDGES) if runtime.dummies is None else []
    tools = {name: version_of(name) for name in ("skl2onnx", "onnxmltools", "onnx") if version_of(name)}
    return {"file": os.path.join(os.getcwd(), FILE), "plan": plan, "edges": edges, "tools": tools}


def plan_of(runtime):
    """What the graph needs to stand in for the model, in words that JSON can carry.

    :raises LoadError: inputs or answers of a kind that no graph here stands for.
    """
    handler = getattr(getattr(runtime, "plan", None), "handler", None)
    if not isinstance(handler, (packing.Classes, packing.Values)) or isinstance(handler, packing.Scores):
        raise LoadError("not_convertible", "only models that give one class or numbers can be converted")
    if runtime.input_build not in ("array", "dataframe"):
        raise LoadError("not_convertible", "a model that takes %s cannot be converted" % runtime.input_build)
    for one in runtime.columns:
        if one["dtype"] == "json" or one["kind"] in ("text", "datetime"):
            raise LoadError("not_convertible", "the input %s is %s: such models are not converted" % (one["name"], one["kind"]))
    classes = handler.places.values if isinstance(handler, packing.Classes) else []
    columns = [{key: value for key, value in one.items() if key not in ("codes", "missing")} for one in runtime.columns]
    for made, one in zip(columns, runtime.columns):
        made["coded"] = bool(one.get("codes"))
        if made["coded"] and not one["choices"]:
            raise LoadError("not_convertible", "the input %s has too many categories" % one["name"])
    return {
        "build": runtime.input_build, "named": runtime.named, "columns": columns, "outputs": runtime.output_words, "estimator": runtime.estimator,
        "classes": classes, "with_probabilities": bool(classes) and handler.with_probabilities,
        "by_label": bool(classes) and not (handler.with_probabilities and runtime.plan.shortcut),
    }


def convertible(runtime):
    """The fitted object that a converter takes."""
    if isinstance(runtime, BoosterRuntime):
        model = runtime.model.source
        if runtime.name == "xgboost" and any(one["kind"] == "category" for one in runtime.columns):
            raise LoadError("not_convertible", "XGBoost models over categories are not converted")
    else:
        model = runtime.model
    if isinstance(runtime, BoosterRuntime):
        return model
    if isinstance(model, Chain):
        from sklearn.pipeline import Pipeline

        return Pipeline([(str(place), step) for place, step in enumerate(list(model.steps) + [model.model])])
    return unwrap(model)


def graph_of(model, runtime, width):
    """The ONNX model of ``model``, with a matrix ``X`` or one input for each column, called as the column is."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common import data_types

    number = data_types.DoubleTensorType if width == "float64" else data_types.FloatTensorType
    if runtime.dummies is not None:
        inputs = [("X", number([None, len(runtime.dummies.names)]))]
    elif runtime.input_build == "array":
        inputs = [("X", number([None, len(runtime.columns)]))]
    else:
        inputs = [(one["name"], tensor_of(one, number, data_types)) for one in runtime.columns]
    if isinstance(runtime, BoosterRuntime):
        return booster_graph(runtime.name, model, inputs)
    register_boosters()
    is_classifier = isinstance(runtime.plan.handler, packing.Classes)
    options = {id(final(model)): {"zipmap": False}} if is_classifier else None
    last = final(model)
    unnamed = convert_parts.nameless(last.get_booster()) if library_of(last) == "xgboost" else contextlib.nullcontext()
    with convert_parts.blank_is_missing(model), unnamed:
        try:
            return convert_sklearn(model, initial_types=inputs, options=options, target_opset=OPSETS)
        except NameError as exc:
            if "zipmap" not in str(exc):
                raise
            return convert_sklearn(model, initial_types=inputs, target_opset=OPSETS)  # one without probabilities has no such option


def tensor_of(one, number, data_types):
    """The type of one column's input."""
    if one["dtype"] == "text":
        return data_types.StringTensorType([None, 1])
    return data_types.Int64TensorType([None, 1]) if one["kind"] == "category" and one["dtype"] == "int64" else number([None, 1])


def booster_graph(library, booster, inputs):
    """The ONNX model of a library's own Booster."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    ((name, wanted),) = inputs
    small = [(name, FloatTensorType(wanted.shape))]
    if library == "lightgbm":
        graph = onnxmltools.convert_lightgbm(booster, initial_types=small, zipmap=False)
    else:
        with convert_parts.nameless(booster):
            graph = onnxmltools.convert_xgboost(booster, initial_types=small)
    graph.graph.input[0].type.CopyFrom(wanted.to_onnx_type())  # the converters take float32 alone, trees take both
    return graph


def register_boosters():
    """Teach skl2onnx the wrappers of LightGBM and XGBoost, where the model has brought them."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator as shapes

    for library, start, module in (("lightgbm", "LGBM", "LightGbm"), ("xgboost", "XGB", "XGBoost")):
        if library not in sys.modules:
            continue
        place = importlib.import_module("onnxmltools.convert.%s.operator_converters.%s" % (library, module))
        write = getattr(place, "convert_" + library)
        options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
        more = {"options": {"split": None}} if library == "lightgbm" else {}
        for kind, shape, extra in (
            ("Classifier", shapes.calculate_linear_classifier_output_shapes, {"options": options}),
            ("Regressor", shapes.calculate_linear_regressor_output_shapes, more),
        ):
            update_registered_converter(getattr(sys.modules[library], start + kind), module + start + kind, shape, write, **extra)
