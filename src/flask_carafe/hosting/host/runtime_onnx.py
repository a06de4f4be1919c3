"""ONNX models by onnxruntime, on one thread, from bytes: no file is opened by the library itself."""

import numpy as np
import onnxruntime

from . import build, layout, onnx_answers, onnx_bytes
from .fields import column
from .opening import open_checked
from .refusal import LoadError
from .runtime import Runtime

TYPES = {
    "tensor(float)": ("float32", "number"), "tensor(double)": ("float64", "number"), "tensor(int64)": ("int64", "integer"),
    "tensor(int32)": ("int64", "integer"), "tensor(bool)": ("bool", "boolean"), "tensor(string)": ("text", "text"),
    "tensor(float16)": ("float32", "number"), "tensor(uint8)": ("int64", "integer"), "tensor(int8)": ("int64", "integer"),
}
NUMPY = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_,
    "tensor(string)": object, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8,
}
MOST_WIDTH = 20000


def session_of(data, threads):
    """A session over the bytes of a model.

    :raises LoadError: onnxruntime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime raises a type for each of its codes
        raise LoadError("load_failed", "onnxruntime %s cannot run the model: %s" % (onnxruntime.__version__, " ".join(str(exc).split())[:400]))


class OnnxRuntime(Runtime):
    """One ONNX file. A matrix input is an array, a lone string input a text, several inputs are columns, an image a tensor."""

    name = "onnx"

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        with open_checked(files[0]) as stream:
            data = stream.read()
        facts = onnx_bytes.read(data)
        self.session = session_of(data, max(1, int(options.get("threads") or 1)))
        self.inputs = self.session.get_inputs()
        self.names = [one.name for one in self.session.get_outputs()]
        self.libraries = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
        if facts.producer:
            self.recorded[facts.producer] = facts.version
        self.estimator = "ONNX model" + (" of %s %s" % (facts.producer, facts.version) if facts.producer else "")
        self.fixed = self._fixed_rows()
        self.max_batch_rows = self.fixed
        self._describe_input()
        self._describe_outputs(facts, str(options.get("outputs") or ""))

    def _fixed_rows(self):
        """Rows that each call must have where the model was saved for a fixed batch, else None."""
        firsts = [one.shape[0] for one in self.inputs if len(one.shape) > 1 and isinstance(one.shape[0], int)]
        return max(firsts) if firsts else None

    def _describe_input(self):
        for one in self.inputs:
            if one.type not in TYPES:
                raise LoadError("wrong_format", "the input %s has the type %s, which is not served" % (one.name, one.type))
        first = self.inputs[0]
        dtype, kind = TYPES[first.type]
        rank = len(first.shape)
        if len(self.inputs) > 1:
            self.input_build, self.named = "dataframe", True
            self.columns = [self._column(one) for one in self.inputs]
        elif dtype == "text" and (rank < 2 or first.shape[1] in (1, None) or isinstance(first.shape[1], str)):
            self.input_build, self.columns = "texts", [column(None, "text", "text", nullable=False)]
        elif rank > 2:
            self.input_build, self.columns, self.dtype = "tensor", [self._column(first)], NUMPY[first.type]
        else:
            width = first.shape[1] if rank == 2 and isinstance(first.shape[1], int) else 1 if rank < 2 else 0
            self.input_build = "objects" if dtype == "text" else "array"
            self.dtype = NUMPY[first.type]
            self.columns = [column(None, kind, dtype, nullable=None) for _ in range(min(width, MOST_WIDTH))]
            if not width:
                self.warnings.append("the model does not say how many inputs it takes: name them with --fields")

    @staticmethod
    def _column(one):
        dtype, kind = TYPES[one.type]
        inner = list(one.shape[1:])
        if any(not isinstance(extent, int) for extent in inner):
            raise LoadError("wrong_format", "the input %s has the shape %s: its sizes must be fixed to be served" % (one.name, one.shape))
        shape = [extent for extent in inner] if len(inner) > 1 or inner and inner[0] > 1 else []
        kind = kind if not shape else "vector" if len(shape) == 1 else "tensor"
        return column(one.name, kind, dtype, shape=shape, nullable=False)

    def _describe_outputs(self, facts, meaning):
        feed = self._example(self.fixed or 2)
        given = self.session.run(None, feed) if feed else None
        self.answers = onnx_answers.plan(self.session.get_outputs(), given, facts.labels, meaning)
        self.output_words, self.warnings = self.answers.outputs(), self.warnings + self.answers.warnings

    def _example(self, n):
        """Zeros of the right shape, or None where the shape is open."""
        feed = {}
        for one in self.inputs:
            inner = one.shape[1:]
            if len(inner) == 1 and not isinstance(inner[0], int):
                inner = [1] if NUMPY[one.type] is object else None
            if inner is None:
                return None
            feed[one.name] = np.full([n] + list(inner), "" if NUMPY[one.type] is object else 0, dtype=NUMPY[one.type])
        return feed

    def configure(self, signature):
        """As every runtime; several inputs are fed by name."""
        if len(self.inputs) == 1:
            return Runtime.configure(self, signature)
        order = layout.order_of(signature.get("fields") or [], self.columns)
        if signature.get("layout") == "matrix":
            raise LoadError("signature_mismatch", "the model takes several inputs, not a matrix")
        ports = [(one.name, [extent if isinstance(extent, int) else 1 for extent in one.shape[1:]], NUMPY[one.type]) for one in self.inputs]
        self.builder = build.Feeds(ports, order)
        return layout.layout_of(signature)

    def call(self, batch, n):
        feed = batch if isinstance(batch, dict) else {self.inputs[0].name: self._shaped(batch)}
        if self.fixed and n != self.fixed:
            feed = {name: np.concatenate([value, np.repeat(value[-1:], self.fixed - n, axis=0)]) for name, value in feed.items()}
        given = self.session.run(None, feed)
        if self.fixed and n != self.fixed:
            given = [one[:n] for one in given]
        return self.answers.columns(given, n)

    def _shaped(self, batch):
        """A batch in the rank of the only input."""
        one = self.inputs[0]
        if isinstance(batch, list):
            batch = np.array(batch, dtype=object)
        if len(one.shape) == 1:
            return batch.reshape(-1)
        return batch.reshape(-1, 1) if batch.ndim == 1 else batch.astype(object) if one.type == "tensor(string)" else batch
