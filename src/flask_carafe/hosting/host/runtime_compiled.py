"""A graph in place of the model that it was made from: the same inputs, the same answers, computed by onnxruntime."""

import numpy as np
import onnxruntime

from . import boosters, build, dummies, layout, packing, wire
from .calls import OutputInvalid
from .opening import open_checked
from .runtime import Runtime
from .runtime_onnx import NUMPY, session_of


class CompiledRuntime(Runtime):
    """``options.compiled`` is the ``plan`` of :mod:`.convert`: columns and answers as the model itself describes them."""

    name = "onnx"

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        plan = options["compiled"]
        with open_checked(files[0]) as stream:
            self.session = session_of(stream.read(), max(1, int(options.get("threads") or 1)))
        self.inputs = self.session.get_inputs()
        self.libraries = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
        self.estimator = "%s as a graph" % plan["estimator"]
        self.input_build, self.named, self.columns = plan["build"], plan["named"], plan["columns"]
        self.dummies = dummies.read(request["columns"]) if request.get("columns") else None
        self.dtype = "float64" if self.inputs[0].type == "tensor(double)" else "float32"
        for one in self.columns:
            if one.pop("coded", False):
                one["codes"] = boosters.codes_of(one["choices"])
        self._describe_outputs(plan)

    def _describe_outputs(self, plan):
        names = [one.name for one in self.session.get_outputs()]
        self.output_words, self.width = plan["outputs"], plan["outputs"][-1]["width"]
        self.code = wire.DTYPES[self.output_words[-1]["dtype"]]
        self.places = packing.Places(plan["classes"]) if plan["classes"] else None
        self.by_label, self.with_probabilities = plan["by_label"], plan["with_probabilities"]
        if plan["small"]:
            self.output_words[-1].update({"float32": True} if self.with_probabilities or not self.places else {})
        self.wanted = names if self.by_label and self.with_probabilities else names[:1] if self.by_label else names[-1:]

    def configure(self, signature):
        """As the runtime of the model does."""
        fields = signature.get("fields") or []
        if self.dummies is not None:
            self.builder = self.dummies.builder(signature, None)
        elif self.input_build == "dataframe":
            order, by_name = layout.order_of(fields, self.columns), {one.name: one for one in self.inputs}
            used = [place for place, one in enumerate(self.columns) if one["name"] in by_name]
            ports = [(self.columns[place]["name"], [1], NUMPY[by_name[self.columns[place]["name"]].type]) for place in used]
            self.builder = build.Feeds(ports, [order[place] for place in used])
        elif any(one.get("codes") for one in self.columns):
            codes = [one.get("codes") for one in self.columns]
            self.builder = boosters.Coded(layout.order_of(fields, self.columns), codes, self.dtype)
        else:
            self.builder = build.builder("array", self.columns, signature, self.dtype)
        return layout.layout_of(signature)

    def call(self, batch, n):
        """Answer ``n`` rows, as :meth:`.outputs.Plan.call` does."""
        given = self.session.run(self.wanted, batch if isinstance(batch, dict) else {self.inputs[0].name: batch})
        if len(given[0]) != n:
            raise OutputInvalid("the graph answered %d rows to %d" % (len(given[0]), n))
        errors = {}
        if self.places is None:
            return [packing.pack(given[0].reshape(n, -1), self.code, self.width, errors)], errors
        best = self.places(given[0]) if self.by_label else given[-1].argmax(axis=1)
        columns = [wire.Packed(wire.INT64, 1, b"")]
        if self.with_probabilities:
            columns.append(wire.Packed(wire.FLOAT64, self.width, packing.floats(given[-1], errors)))
        if best.size and best.min() < 0:
            packing.Classes._mark(best, errors)
        columns[0].data = best.astype("<i8").tobytes()
        return columns, errors
