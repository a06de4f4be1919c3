"""What the first layer of a PyTorch module takes, told by its weights; a scripted module has lost all but names and tensors."""

FLAT = "say how many numbers with --fields, or --input vector:64"
OPEN = {
    "Conv1d": "its first layer takes series of {} channels; say their length: --input tensor:{}x100",
    "Conv2d": "its first layer takes pictures of {} channels; say their size: --input image:28x28 or tensor:{}x28x28",
    "Conv3d": "its first layer takes volumes of {} channels; say their size: --input tensor:{}x16x64x64",
    "recurrent": "its first layer takes series of {} numbers; say how many steps: --input tensor:20x{}",
    "Embedding": "its first layer takes whole numbers below {}; say how many: --input vector:64:int64",
}
RECURRENT = ("LSTM", "GRU", "RNN")


def first_layer(module):
    """``(shape, dtype, words)``: shape of one row or None where the layer leaves it open, dtype if it is not the weights', what to say."""
    for _, layer in module.named_modules():
        name = getattr(layer, "original_name", type(layer).__name__)
        found = _takes(name, dict(layer.named_parameters(recurse=False)))
        if found is not None:
            return found
    return None, None, FLAT


def _takes(name, weights):
    weight = weights.get("weight")
    if name == "Linear" and weight is not None:
        return [weight.shape[1]], None, FLAT
    if name in ("BatchNorm1d", "LayerNorm") and weight is not None:
        return list(weight.shape), None, FLAT
    if name in ("Conv1d", "Conv2d", "Conv3d") and weight is not None:
        channels = weight.shape[1]
        return None, None, OPEN[name].format(channels, channels)
    if name in RECURRENT and "weight_ih_l0" in weights:
        width = weights["weight_ih_l0"].shape[1]
        return None, None, OPEN["recurrent"].format(width, width)
    if name == "Embedding" and weight is not None:
        return None, "int64", OPEN[name].format(weight.shape[0])
    return None


def dtype_of(module):
    """The dtype of the module's floating weights, as numpy calls it; float32 where it has none."""
    for tensor in list(module.parameters()) + list(module.buffers()):
        if tensor.is_floating_point():
            return str(tensor.dtype).replace("torch.", "")
    return "float32"
