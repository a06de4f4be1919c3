"""Keras 3 models, from a ``.keras`` archive or the older HDF5; by the backend that :mod:`.keras_backend` chose."""

import io
import json
import os
import sys
import tempfile
import types
import zipfile

import h5py
import numpy as np

from . import build, keras_backend, layout, tensor_answers, tensor_inputs
from .calls import OutputInvalid
from .opening import open_checked
from .refusal import LoadError
from .runtime import Runtime, version_of

keras_backend.choose()
import keras  # noqa: E402 - it reads its backend from the environment

ROWS = 2  # of a made-up batch
ENDINGS = {"keras": ".keras", "hdf5": ".h5"}  # Keras tells the formats by them
RUNNING = ("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
MOST_ENTRIES = 200000


class KerasRuntime(Runtime):
    """One model. Its inputs are named and shaped by itself, the meaning of its outputs by its last layer."""

    name = "keras"

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        self.backend = keras.backend.backend()
        threads(self.backend, max(1, int(options.get("threads") or 1)))
        with open_checked(files[0]) as stream:
            self.model = load(stream.read(), ENDINGS[files[0]["format"]])
        self.libraries = {"keras": keras.__version__, self.backend: version_of(self.backend).partition("+")[0], "numpy": np.__version__}
        self.estimator = "%s (Keras)" % type(self.model).__name__
        self.ports = self._ports(options)
        self.input_build, self.named, self.columns = tensor_inputs.describe(self.ports)
        self.dtype = self.ports[0].dtype
        self._describe_outputs(str(options.get("outputs") or ""))

    def _ports(self, options):
        """What the model takes.

        :raises LoadError: it leaves a size open that no hint names, or takes texts.
        """
        inputs, keyed = inputs_of(self.model)
        self.keyed = keyed
        if not inputs:
            raise LoadError("wrong_format", "the model was never built: call it once before it is saved")
        dtypes = [str(one.dtype) for one in inputs]
        if all(None not in tuple(one.shape)[1:] for one in inputs):
            return [tensor_inputs.Port(one.name, one.shape[1:], dtype, whole=len(one.shape) > 2) for one, dtype in zip(inputs, dtypes)]
        shapes = ", ".join("%s of (%s)" % (one.name, ", ".join(str(extent or "any") for extent in one.shape[1:])) for one in inputs)
        options = dict(options, traced=[], fields=0)
        found = tensor_inputs.candidates([one.name for one in inputs], options, (None, None, "it takes %s" % shapes), dtypes[0])
        for ports in found:
            for port, dtype in zip(ports, dtypes):
                port.dtype = dtype
            if all(fits(port.shape, one.shape[1:]) for port, one in zip(ports, inputs)):
                return list(ports)
        raise LoadError("needs_input", "the model takes %s, which the sizes that were given do not fit" % shapes)

    # -- answers

    def _describe_outputs(self, meaning):
        examples = tensor_inputs.examples(self.ports, ROWS, self._ask)
        if not meaning and len(examples[0]) == 1 and examples[0][0].shape[1:] == (1,) and last_activation(self.model) == "sigmoid":
            meaning = "probabilities"
        try:
            self.answers = tensor_answers.plan(self.names, examples, meaning)
        except ValueError as exc:
            raise LoadError("wrong_option", "outputs cannot be %s: %s" % (meaning, exc))
        self.output_words, self.warnings = self.answers.outputs(), self.warnings + self.answers.warnings

    def _ask(self, arrays, n):
        """What the model answers to ``n`` rows, as arrays whose first extent is ``n``."""
        arrays = [np.array(array) for array in arrays]
        given = dict(zip([port.name for port in self.ports], arrays)) if self.keyed else arrays if len(arrays) > 1 else arrays[0]
        result = answer(self.backend, self.model, given)
        if isinstance(result, dict):
            self.names, result = [str(name) for name in result], list(result.values())
        elif isinstance(result, (list, tuple)):
            self.names, result = output_names(self.model, len(result)), list(result)
        else:
            self.names, result = ["prediction"], [result]
        for one in result:
            if one.ndim == 0 or len(one) != n:
                raise OutputInvalid("the model answered a tensor of shape %s to %d rows" % (list(one.shape), n))
        return result

    def configure(self, signature):
        """As every runtime; several inputs are fed by name."""
        if len(self.ports) == 1:
            return Runtime.configure(self, signature)
        order = layout.order_of(signature.get("fields") or [], self.columns)
        self.builder = build.Feeds([(port.name, port.shape, port.dtype) for port in self.ports], order)
        return layout.layout_of(signature)

    def call(self, batch, n):
        arrays = [batch[port.name] for port in self.ports] if isinstance(batch, dict) else [batch.reshape([n] + self.ports[0].shape)]
        return self.answers.columns(self._ask(arrays, n), n)


def threads(backend, count):
    """Compute on ``count`` threads where the backend lets itself be told."""
    if backend == "torch":
        import torch

        torch.set_num_threads(count)
    elif backend == "tensorflow":
        import tensorflow

        try:
            tensorflow.config.threading.set_intra_op_parallelism_threads(count)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # it has computed already


def load(data, ending):
    """The model in ``data``. Keras opens paths alone, so the bytes that were hashed are written where only this process looks.

    :raises LoadError: it would run code of its own, or refers to other files.
    """
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR") or None) as folder:
        path = os.path.join(folder, "model" + ending)
        with open(path, "wb") as stream:
            stream.write(data)
        with h5py.File(path if ending == ".h5" else weights_in(path), "r") as file:
            if ending == ".h5":
                check_config(file.attrs.get("model_config"))
            check_links(file)
        return keras.models.load_model(path, custom_objects=custom_objects(), compile=False, safe_mode=True)


def weights_in(path):
    """The HDF5 file in a ``.keras`` archive, as a stream.

    :raises LoadError: it has none; other ways to keep weights may hold pickles.
    """
    with zipfile.ZipFile(path) as archive:
        if "model.weights.h5" not in archive.namelist():
            raise LoadError("wrong_format", "the archive has no model.weights.h5")
        return io.BytesIO(archive.read("model.weights.h5"))


def check_config(config):
    """Look for layers that hold code: ``safe_mode`` does not keep from them in HDF5 files in every version.

    :raises LoadError: there are some, or no model at all.
    """
    if config is None:
        raise LoadError("wrong_format", "the file holds weights without the model: save it whole, with model.save('model.keras')")
    found = running_in(json.loads(config.decode("utf-8") if isinstance(config, bytes) else config))
    if found:
        raise LoadError("code_refused", "the model runs code of its own while it is loaded: %s" % ", ".join(found))


def check_links(file):
    """HDF5 can refer to other files, which are not the model's.

    :raises LoadError: this one does.
    """
    groups, count = [file], 0
    while groups:
        group = groups.pop()
        for name in group:
            count += 1
            if not isinstance(group.get(name, getlink=True), h5py.HardLink) or count > MOST_ENTRIES:
                raise LoadError("external_data", "the file refers to %s elsewhere" % name[:100])
            one = group[name]
            if isinstance(one, h5py.Group):
                groups.append(one)
            elif one.external or one.is_virtual:
                raise LoadError("external_data", "the file keeps %s in another file" % name[:100])


def running_in(config):
    """Classes in a configuration that hold code or read other files."""
    found, todo = [], [config]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if one.get("class_name") in RUNNING:
                found.append(one["class_name"])
            todo += one.values()
        elif isinstance(one, list):
            todo += one
    return found


def custom_objects():
    """Layers, models and functions of the file given with ``--code``, by name."""
    code = sys.modules.get("carafe_code")
    names = vars(code) if code is not None else {}
    kinds = (type, types.FunctionType)
    return {name: one for name, one in names.items() if isinstance(one, kinds) and getattr(one, "__module__", "") == code.__name__}


def inputs_of(model):
    """``(tensors, keyed)``: what the model takes, in order; ``keyed`` where it takes a dict of them."""
    struct = getattr(model, "_inputs_struct", None)
    inputs = list(getattr(model, "inputs", None) or [])
    return inputs, isinstance(struct, dict)


def fits(shape, wanted):
    """Whether a row's shape is what a model wants, None being any size."""
    return len(shape) == len(wanted) and all(extent is None or extent == given for given, extent in zip(shape, wanted))


def operation_of(output):
    """The layer that an output comes from."""
    return getattr(getattr(output, "_keras_history", None), "operation", None)


def last_activation(model):
    """The name of the activation at the end; empty where it is not to be known."""
    outputs = getattr(model, "outputs", None) or []
    activation = getattr(operation_of(outputs[0]), "activation", None) if outputs else None
    return getattr(activation, "__name__", "")


def output_names(model, count):
    """Names of several outputs: those of the layers that they come from."""
    names = [getattr(operation_of(one), "name", "") for one in getattr(model, "outputs", None) or []]
    if len(names) == count and all(names) and len(set(names)) == count:
        return names
    return ["output_%d" % (place + 1) for place in range(count)]


def answer(backend, model, given):
    """The model's answer as arrays, without a gradient and with nothing dropped out."""
    if backend != "torch":
        return model.predict_on_batch(given)
    import torch

    with torch.no_grad():
        result = model(given, training=False)
    if isinstance(result, dict):
        return {name: keras.ops.convert_to_numpy(one) for name, one in result.items()}
    if isinstance(result, (list, tuple)):
        return [keras.ops.convert_to_numpy(one) for one in result]
    return keras.ops.convert_to_numpy(result)
