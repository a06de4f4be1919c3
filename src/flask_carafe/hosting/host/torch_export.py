"""A program of ``torch.export``: its graph says what it takes, to the last extent."""

import torch
import torch.export

from .refusal import LoadError
from .tensor_inputs import Port


class Program(object):
    """``fixed``: rows that each call must have, or None; ``least``: rows that it must have at least."""

    def __init__(self, stream):
        exported = torch.export.load(stream)
        self.module = exported.module()
        self.name = type(self.module).__name__
        wanted = [node for node in exported.graph.nodes if node.op == "placeholder" and node.name in exported.graph_signature.user_inputs]
        if not wanted or len(wanted) != len(exported.graph_signature.user_inputs):
            raise LoadError("wrong_format", "the exported program takes something else than tensors")
        self.ports, self.fixed, self.least = [], None, 1
        for node in wanted:
            self._take(node, exported.range_constraints)
        self.ports = [Port(node.name, node.meta["val"].shape[1:], dtype_of(node), whole=node.meta["val"].ndim > 2) for node in wanted]

    def _take(self, node, ranges):
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or not value.ndim:
            raise LoadError("wrong_format", "the input %s of the exported program is no tensor of rows" % node.name)
        rows, inner = value.shape[0], value.shape[1:]
        if any(not isinstance(extent, int) for extent in inner):
            told = ", ".join(str(extent) for extent in value.shape)
            raise LoadError("wrong_format", "the input %s has the shape (%s): only its first extent may be open" % (node.name, told))
        if isinstance(rows, int):
            self.fixed = rows
            return
        bounds = ranges.get(rows.node.expr)
        if bounds is not None and bounds.lower.is_Integer:
            self.least = max(self.least, int(bounds.lower))


def dtype_of(node):
    """The dtype of a placeholder as numpy calls it."""
    return str(node.meta["val"].dtype).replace("torch.", "")
