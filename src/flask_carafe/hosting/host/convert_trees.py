"""Trees in an ONNX graph that split exactly where the model's trees do.

Converters write thresholds as float32. Where the model compares in float64, a value between a threshold and its rounding goes
the other way, and so does a scaled value whose rounding differs. Here the graph gets the model's own thresholds, in float64, and
its values are rounded where the model rounds them.
"""

import numpy as np

from .describe import places_of
from .fields import class_names, final, peek, steps_of, unwrap

ROUNDED = "float32"  # values are rounded before they are compared: trees of scikit-learn, XGBoost
EXACT = "float64"  # LightGBM, histogram gradient boosting
ELEMENTWISE = frozenset("StandardScaler MinMaxScaler RobustScaler MaxAbsScaler".split())
FLOATS = ("nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values")
COMPARES = (b"BRANCH_LEQ", b"BRANCH_LT")


class Splits(object):
    """Where the trees of a model split: ``features`` and ``values``, and how it compares; empty for a model without trees.

    ``trees``: those of scikit-learn in their order, which converters keep node by node.
    """

    def __init__(self):
        self.features, self.values, self.compares, self.trees = [], [], set(), []

    def add(self, features, values, compares):
        self.features += list(features)
        self.values += list(values)
        self.compares.add(compares)


def splits_of(model):
    """The :class:`Splits` of ``model``, a library's own Booster or the estimators at the end of a pipeline."""
    found = Splits()
    todo = [final(model)]
    while todo:
        one = unwrap(todo.pop())
        names = class_names(one)
        if type(one).__name__ == "Booster" or peek(one, "booster_") is not None or names[0].startswith("XGB"):
            _boosters(one, found)
        elif peek(one, "tree_") is not None:
            inner = one.tree_.feature >= 0
            found.add(one.tree_.feature[inner].tolist(), one.tree_.threshold[inner].tolist(), ROUNDED)
            found.trees.append(one.tree_)
        elif names[0].startswith("HistGradientBoosting"):
            for predictor in [one for several in one._predictors for one in several]:
                nodes = predictor.nodes[~predictor.nodes["is_leaf"].astype(bool)]
                found.add(nodes["feature_idx"].tolist(), nodes["num_threshold"].tolist(), EXACT)
        else:
            members = peek(one, "estimators_")
            todo += np.ravel(np.array(members, dtype=object)).tolist()[::-1] if members is not None else []
    return found


def _boosters(one, found):
    if type(one).__module__.split(".")[0] == "lightgbm":
        booster = one if type(one).__name__ == "Booster" else one.booster_
        lines = [line.partition("=") for line in booster.model_to_string().split("\n")]
        words = [[text.split() for key, _, text in lines if key == word] for word in ("split_feature", "threshold", "decision_type")]
        for features, values, kinds in zip(*words):
            numeric = [place for place, kind in enumerate(kinds) if not int(kind) & 1]
            found.add([int(features[place]) for place in numeric], [float(values[place]) for place in numeric], EXACT)
    else:
        table = (one if type(one).__name__ == "Booster" else one.get_booster()).trees_to_dataframe()
        table = table[(table["Feature"] != "Leaf") & table["Split"].notna()]
        order = {name: place for place, name in enumerate((one if type(one).__name__ == "Booster" else one.get_booster()).feature_names or [])}
        places = [order.get(name, int(name[1:]) if name[1:].isdigit() else -1) for name in table["Feature"]]
        found.add(places, [float(np.float32(value)) for value in table["Split"]], ROUNDED)


def sharpen(graph, splits):
    """Give the trees of ``graph`` the thresholds of ``splits``, and make its inner and last values what its operators give.

    :raises ValueError: trees that compare in two ways.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = [node for node in graph.graph.node if node.op_type.startswith("TreeEnsemble")]
    if not nodes:
        return
    if len(splits.compares) != 1:
        raise ValueError("its trees compare in ways of their own")
    known = {}
    for feature, value in zip(splits.features, splits.values):
        known.setdefault(feature, set()).add(value)
    known = {feature: np.array(sorted(values)) for feature, values in known.items()}
    for number, node in enumerate(nodes):
        attributes = {one.name: one for one in node.attribute}
        exact = {name: np.array(attributes[name].floats, dtype=np.float64) for name in FLOATS if name in attributes and attributes[name].floats}
        missing = _as_sklearn(attributes, splits, exact)
        if missing is None:
            exact["nodes_values"] = thresholds(attributes, known)
        elif missing:
            _replace(node, attributes, "nodes_missing_value_tracks_true", missing)
        for name, values in exact.items():
            _replace(node, attributes, name, numpy_helper.from_array(values, name), name + "_as_tensor")
        if ROUNDED in splits.compares:
            names = ["carafe_rounded_%d" % number, "carafe_input_%d" % number]
            place = list(graph.graph.node).index(node)
            graph.graph.node.insert(place, helper.make_node("Cast", names[:1], names[1:], to=TensorProto.DOUBLE))
            graph.graph.node.insert(place, helper.make_node("Cast", [node.input[0]], names[:1], to=TensorProto.FLOAT))
            node.input[0] = names[1]
    del graph.graph.value_info[:]
    graph.graph.output[-1].type.tensor_type.elem_type = TensorProto.FLOAT
    for domain in graph.opset_import:
        if domain.domain == "ai.onnx.ml":
            domain.version = max(3, domain.version)


def thresholds(attributes, known):
    """The thresholds of a tree operator in float64: of those of the model the one that each was rounded from."""
    features, modes = list(attributes["nodes_featureids"].ints), list(attributes["nodes_modes"].strings)
    made = np.array(attributes["nodes_values"].floats, dtype=np.float64)
    for place, (feature, mode) in enumerate(zip(features, modes)):
        values = known.get(feature)
        if mode in COMPARES and values is not None:
            at = np.searchsorted(values, made[place])
            near = values[max(0, at - 1) : at + 1]
            best = near[np.abs(near - made[place]).argmin()]
            if abs(best - made[place]) <= 2 * np.spacing(np.float32(abs(made[place]))):
                made[place] = best
    return made


def _replace(node, attributes, name, value, new_name=""):
    from onnx import helper

    if name in attributes:
        node.attribute.remove(attributes[name])
    node.attribute.append(helper.make_attribute(new_name or name, value))


def _as_sklearn(attributes, splits, exact):
    """Fill ``exact`` from the trees of scikit-learn where the operator's nodes are theirs, one by one.

    :return: for each node whether a missing value goes left; ``[]`` where the trees cannot tell, None where the nodes are not theirs.
    """
    trees, owners = splits.trees, list(zip(attributes["nodes_treeids"].ints, attributes["nodes_nodeids"].ints))
    if not trees or any(tree >= len(trees) or number >= trees[tree].node_count for tree, number in owners):
        return None
    is_split = np.array([trees[tree].feature[number] >= 0 for tree, number in owners])
    values = np.array([trees[tree].threshold[number] for tree, number in owners])
    if not _are_rounded(values[is_split], exact["nodes_values"][is_split]):
        return None
    exact["nodes_values"] = np.where(is_split, values, 0.0)
    for word in ("class", "target"):
        if word + "_weights" in exact:
            _weights(attributes, word, splits, exact)
    if not all(hasattr(tree, "missing_go_to_left") for tree in trees):
        return []
    return [int(one and trees[tree].missing_go_to_left[number]) for one, (tree, number) in zip(is_split, owners)]


def _are_rounded(exact, rounded):
    """Whether ``rounded`` are the values ``exact`` as float32, give or take a step."""
    return bool(np.all(np.abs(exact - rounded) <= 2 * np.spacing(np.abs(rounded).astype(np.float32))))


def _weights(attributes, word, splits, exact):
    """What each leaf adds to the answer, as exactly as the model has it: a tie must stay one."""
    ids = list(attributes[word + "_ids"].ints)
    last = word == "class" and not any(ids)  # of two classes only the second is written, under the name of the first
    places = zip(attributes[word + "_treeids"].ints, attributes[word + "_nodeids"].ints, ids)
    leaves = [(splits.trees[tree].value[number][0], place) for tree, number, place in places]
    whole = np.array([float(values[-1 if last else min(place, len(values) - 1)]) for values, place in leaves])
    sums = np.array([float(values.sum()) if len(values) > 1 else 1.0 for values, _ in leaves])
    for weight in (whole / sums, whole):
        for divisor in (1.0, float(len(splits.trees))):
            if _are_rounded(weight / divisor, exact[word + "_weights"]):
                exact[word + "_weights"] = weight / divisor
                return


def edges_of(model, splits, columns, most):
    """``[[place of an input, value]]`` where trees split, in the units of the inputs; only through steps that can be undone."""
    count = len(splits.values)
    if not count:
        return []
    chosen = np.random.RandomState(0).permutation(count)[:most]
    features, values = np.array(splits.features)[chosen], np.array(splits.values, dtype=np.float64)[chosen]
    names = [one["name"] for one in columns]
    for step in reversed(steps_of(model)[:-1] if "Pipeline" in class_names(unwrap(model)) else []):
        features, values = undone(step, features, values, columns)
    keep = [(int(feature), float(value)) for feature, value in zip(features, values) if 0 <= feature < len(names) and np.isfinite(value)]
    return [[place, value] for place, value in keep if columns[place]["dtype"] != "text"]


def undone(step, features, values, columns):
    """Places and values in front of ``step``; -1 where it cannot be undone."""
    step, names = unwrap(step), class_names(unwrap(step))
    if names[0] == "SimpleImputer" and not peek(step, "add_indicator", False):
        return features, values
    if names[0] in ELEMENTWISE:
        matrix = np.zeros((len(values), step.n_features_in_))
        fits = (features >= 0) & (features < matrix.shape[1])
        matrix[np.flatnonzero(fits), features[fits]] = values[fits]
        matrix = step.inverse_transform(matrix)
        return np.where(fits, features, -1), np.where(fits, matrix[np.arange(len(values)), np.where(fits, features, 0)], 0.0)
    if "Pipeline" in names:
        for one in reversed(steps_of(step)):
            features, values = undone(one, features, values, columns)
        return features, values
    if names[0] == "ColumnTransformer":
        return _undone_parts(step, features, values, columns)
    return np.full(len(features), -1), values


def _undone_parts(step, features, values, columns):
    places, found = np.full(len(features), -1), values.copy()
    for name, part, spec in step.transformers_:
        inner, outer = places_of(spec, columns), step.output_indices_.get(name, slice(0, 0))
        mine = (features >= outer.start) & (features < outer.stop)
        if part == "drop" or not mine.any() or outer.stop - outer.start != len(inner):
            continue
        local, value = features[mine] - outer.start, values[mine]
        if not isinstance(part, str):
            local, value = undone(part, local, value, [columns[place] for place in inner])
        places[mine] = [inner[one] if one >= 0 else -1 for one in local]
        found[mine] = value
    return places, found
