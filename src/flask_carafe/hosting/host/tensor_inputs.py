"""Tensors that a model takes: told by the model, by the file, by a person's hint, or found by trying; and how they are described."""

import itertools

import numpy as np

from .fields import column
from .refusal import LoadError

SERVED = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")
SEEDS = (1, 2, 5)  # of other batches; each is the spread of its numbers, too
MOST_TRIED = 64
MOST_WIDTH = 20000


class Port(object):
    """One tensor: ``shape`` of one row without the number of rows, ``dtype`` as numpy calls it; ``whole``: one value, not columns."""

    def __init__(self, name, shape, dtype="float32", whole=False):
        self.name, self.shape, self.dtype, self.whole = name, [int(extent) for extent in shape], dtype, whole
        if dtype not in SERVED:
            raise LoadError("wrong_format", "the input %s has the type %s, which is not served" % (name or "of the model", dtype))

    @property
    def travels_as(self):
        """The dtype of its frame column."""
        if self.dtype in ("float64", "bool"):
            return self.dtype
        return "float32" if self.dtype.startswith("float") else "int64"

    def rows(self, n, seed=None):
        """A made-up batch: zeros, or with a ``seed`` other numbers."""
        shape = [n] + self.shape
        if seed is None:
            return np.zeros(shape, dtype=self.dtype)
        random = np.random.RandomState(seed)
        return (random.normal(size=shape) * seed if self.dtype.startswith("float") else random.randint(0, 2, size=shape)).astype(self.dtype)


def examples(ports, n, ask):
    """What ``ask`` answers to several made-up batches; it may refuse all but the first, of zeros."""
    made = [ask([port.rows(n) for port in ports], n)]
    for seed in SEEDS:
        try:
            made.append(ask([port.rows(n, seed) for port in ports], n))
        except Exception:  # the edge round a user's model, which need not take any number
            continue
    return made


def describe(ports):
    """``(build, named, columns)``: a flat row of numbers is columns, anything else one value a tensor."""
    only = ports[0]
    if len(ports) > 1:
        return "dataframe", True, [_column(port, port.name) for port in ports]
    if only.whole or len(only.shape) > 1:
        return "tensor", False, [_column(only, None)]
    width = only.shape[0] if only.shape else 1
    kind = "integer" if only.travels_as == "int64" else "boolean" if only.dtype == "bool" else "number"
    return "array", False, [column(None, kind, only.travels_as) for _ in range(min(width, MOST_WIDTH))]


def _column(port, name):
    kind = "tensor" if len(port.shape) > 1 else "vector" if port.shape else "integer" if port.travels_as == "int64" else "number"
    return column(name, kind, port.travels_as, shape=port.shape, nullable=False)


def candidates(names, options, first, dtype):
    """Lists of ports to try, the likeliest first.

    :param names: of the tensors that the model takes, in order.
    :param options: of the load request: ``inputs`` (a person's hints), ``traced`` (told by the file), ``fields`` (how many are named).
    :param first: ``(shape, dtype, words)`` of what the first layer takes; shape None where it leaves that open, words where they help.
    :raises LoadError: nothing says what a row is, or the hints are for another number of tensors.
    """
    hints, traced = options.get("inputs") or [], options.get("traced") or []
    hints = [_hint_of(place, name, hints, len(names)) for place, name in enumerate(names)]
    traced = traced if len(traced) == len(names) else [None] * len(names)
    choices = []
    for name, hint, known in zip(names, hints, traced):
        found = _hinted(name, hint, dtype if first[1] is None else first[1])
        if known and not (hint and hint.get("shape")):
            found.insert(0, Port(name, known["shape"], known["dtype"], whole=len(known["shape"]) > 1))
        if len(names) == 1 and not (hint and hint.get("shape")):
            found += [Port(name, [options["fields"]], first[1] or dtype)] if options.get("fields") else []
            found += [Port(name, first[0], first[1] or dtype)] if first[0] is not None else []
        if not found:
            told = first[2] if len(names) == 1 else "it takes %s" % ", ".join(names)
            raise LoadError("needs_input", "the model does not say what one row is" + (": " + told if told else ""))
        choices.append(found)
    return list(itertools.islice(itertools.product(*choices), MOST_TRIED))


def _hint_of(place, name, hints, count):
    """The hint for one tensor: by its name, or by its place where each has one."""
    named = next((hint for hint in hints if hint.get("field") == name), None)
    if named is None and len(hints) == count:
        return hints[place]
    return named


def _hinted(name, hint, dtype):
    """The shapes that a hint may mean; a picture's numbers come in more than one order."""
    if not hint or hint.get("kind") not in ("image", "vector", "tensor"):
        return []
    if hint.get("shape"):
        return [Port(name, hint["shape"], hint.get("dtype") or dtype, whole=True)]
    height, width = hint.get("height") or 0, hint.get("width") or 0
    if not height or not width:
        return []
    counts = [{"L": 1, "RGB": 3}[hint["mode"]]] if hint.get("mode") else [1, 3]
    shapes = []
    for c in counts:
        orders = {"chw": [c, height, width], "hwc": [height, width, c], "hw": [height, width] if c == 1 else None, "": [c * height * width]}
        wanted = [""] if hint.get("flatten") else [hint["layout"]] if hint.get("layout") else ["chw", "hwc", "hw", ""]
        shapes += [orders[order] for order in wanted if orders[order]]
    return [Port(name, shape, dtype, whole=len(shape) > 1) for shape in shapes]
