"""PyTorch: TorchScript, exported programs, and weights with the Python file of their module; on the CPU, for inference only."""

import inspect

import numpy as np
import torch

from . import build, layout, tensor_answers, tensor_inputs, torch_code, torch_layers
from .calls import OutputInvalid
from .opening import open_checked
from .refusal import LoadError
from .runtime import Runtime

ROWS = 2  # of a made-up batch


class TorchRuntime(Runtime):
    """One module. Tensors in, the tensors that ``forward`` returns out: one, several, or several by name."""

    name = "torch"

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        threads(max(1, int(options.get("threads") or 1)))
        self.libraries = {"torch": str(torch.__version__).partition("+")[0], "numpy": np.__version__}
        self.fixed, self.least = None, 1
        with open_checked(files[0]) as stream:
            self.model, self.estimator, ports = LOADERS[files[0]["format"]](self, stream, options)
        if not ports and torch_layers.dtype_of(self.model) in ("float16", "bfloat16"):
            self.model.float()
            self.warnings.append("its weights are of 16 bits and are computed with in 32")
        self.names, self.shapes = [], []
        self.ports = ports if ports else self._try(options)
        if self.fixed:
            self.max_batch_rows = self.fixed
        self.input_build, self.named, self.columns = tensor_inputs.describe(self.ports)
        self.dtype = self.ports[0].dtype
        self._describe_outputs(str(options.get("outputs") or ""))

    # -- loading

    def _script(self, stream, options):
        model = torch.jit.load(stream, map_location="cpu")
        model.eval()
        return model, "%s (TorchScript)" % model.original_name, None

    def _exported(self, stream, options):
        from . import torch_export  # seconds that the other formats need not wait

        program = torch_export.Program(stream)
        self.fixed, self.least = program.fixed, program.least
        return program.module, "%s (torch.export)" % program.name, program.ports

    def _coded(self, stream, options):
        model = torch_code.load(stream, bool(options.get("whole")))
        model.eval()
        return model, type(model).__name__, None

    def _try(self, options):
        """The first candidate that ``forward`` answers.

        :raises LoadError: none of them is answered.
        """
        first, dtype = torch_layers.first_layer(self.model), torch_layers.dtype_of(self.model)
        failure = None
        for ports in tensor_inputs.candidates(parameters(self.model), options, first, dtype):
            try:
                self._ask([port.rows(ROWS) for port in ports], ROWS)
                return list(ports)
            except Exception as exc:  # the edge round a user's model
                failure = failure or exc
        told = " ".join(str(failure).split())
        raise LoadError("needs_input", "forward fails for the rows that it seems to take: %s" % told[-300:])

    # -- answers

    def _describe_outputs(self, meaning):
        rows = self.fixed or max(ROWS, self.least)
        examples = tensor_inputs.examples(self.ports, rows, self._ask)
        self.shapes = [array.shape[1:] for array in examples[0]]
        try:
            self.answers = tensor_answers.plan(self.names, examples, meaning)
        except ValueError as exc:
            raise LoadError("wrong_option", "outputs cannot be %s: %s" % (meaning, exc))
        self.output_words, self.warnings = self.answers.outputs(), self.warnings + self.answers.warnings

    def _ask(self, arrays, n):
        """What ``forward`` returns for ``n`` rows, as arrays whose first extent is ``n``."""
        tensors = [torch.from_numpy(np.array(array)) for array in arrays]
        try:
            with torch.inference_mode():
                result = self.model(*tensors)
        except (torch.jit.Error, RuntimeError) as exc:
            if "TorchScript" not in str(exc):
                raise
            raise RuntimeError(str(exc).strip().split("\n")[-1])  # the lines before say where, not what
        self.names, tensors = named(result)
        given = [array_of(tensor) for tensor in tensors]
        if n == 1 and self.shapes:  # a squeeze() in forward takes the only row for an empty extent
            given = [one.reshape((1,) + shape) if one.size == size(shape) else one for one, shape in zip(given, self.shapes)]
        for one in given:
            if one.ndim == 0 or len(one) != n:
                raise OutputInvalid("the model answered a tensor of shape %s to %d rows" % (list(one.shape), n))
        return given

    def configure(self, signature):
        """As every runtime; several tensors are fed in the order of ``forward``."""
        if len(self.ports) == 1:
            return Runtime.configure(self, signature)
        order = layout.order_of(signature.get("fields") or [], self.columns)
        self.builder = build.Feeds([(port.name, port.shape, port.dtype) for port in self.ports], order)
        return layout.layout_of(signature)

    def call(self, batch, n):
        arrays = [batch[port.name] for port in self.ports] if isinstance(batch, dict) else [batch.reshape([n] + self.ports[0].shape)]
        wanted = self.fixed or max(n, self.least)
        if wanted != n:
            arrays = [np.concatenate([array, np.repeat(array[-1:], wanted - n, axis=0)]) for array in arrays]
        given = self._ask(arrays, wanted)
        return self.answers.columns([one[:n] for one in given], n)


LOADERS = {"torchscript": TorchRuntime._script, "torchexport": TorchRuntime._exported, "torch": TorchRuntime._coded}


def threads(count):
    """Compute on ``count`` threads, and let ``torch.jit.fork`` start none."""
    torch.set_num_threads(count)
    try:
        torch.set_num_interop_threads(1)
    except RuntimeError:
        pass  # a process decides that once


def parameters(model):
    """Names of the tensors that ``forward`` must be given.

    :raises LoadError: it must be given something else, or nothing.
    """
    if isinstance(model, torch.jit.ScriptModule):
        wanted = [one for one in model.forward.schema.arguments[1:] if not one.has_default_value()]
        other = [one.name for one in wanted if str(one.type) != "Tensor"]
        names = [one.name for one in wanted]
    else:
        given = inspect.signature(model.forward).parameters.values()
        names = [one.name for one in given if one.default is one.empty and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)]
        other = []
    if other or not names:
        raise LoadError("wrong_format", "forward takes %s: only tensors are served" % (", ".join(other) or "no parameters"))
    return names


def named(result):
    """``(names, tensors)`` of what ``forward`` returned.

    :raises OutputInvalid: it is no tensor, and no list or dict of some.
    """
    if isinstance(result, torch.Tensor):
        return ["prediction"], [result]
    if isinstance(result, dict):
        pairs = [(str(name), value) for name, value in result.items()]
    elif isinstance(result, (list, tuple)):
        pairs = [("output_%d" % (place + 1), value) for place, value in enumerate(result)]
    else:
        raise OutputInvalid("forward returned %s in place of tensors" % type(result).__name__)
    pairs = [(name, value) for name, value in pairs if isinstance(value, torch.Tensor)]
    if not pairs:
        raise OutputInvalid("forward returned no tensor")
    return [name for name, _ in pairs], [value for _, value in pairs]


def array_of(tensor):
    """The tensor as an array; numbers that numpy does not know as float32."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16 or tensor.is_sparse or tensor.is_quantized:
        tensor = (tensor.dequantize() if tensor.is_quantized else tensor.to_dense() if tensor.is_sparse else tensor).float()
    return tensor.numpy()


def size(shape):
    """How many values one row of ``shape`` has."""
    return int(np.prod(shape, dtype=np.int64))
