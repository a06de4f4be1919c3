"""What the first layer of a PyTorch module takes, told by its weights; a scripted module has lost all but names and tensors."""

CHANNELS = {"Conv1d": "a series of %d channel%s", "Conv2d": "a picture of %d channel%s", "Conv3d": "a volume of %d channel%s"}
RECURRENT = ("LSTM", "GRU", "RNN")


def first_layer(module):
    """``(shape, dtype, words)``: shape of one row or None where the layer leaves it open, dtype if it is not the weights', what it takes."""
    for _, layer in module.named_modules():
        name = getattr(layer, "original_name", type(layer).__name__)
        found = _takes(name, dict(layer.named_parameters(recurse=False)))
        if found is not None:
            return found
    return None, None, ""


def _takes(name, weights):
    weight = weights.get("weight")
    if name in RECURRENT and "weight_ih_l0" in weights:
        return None, None, "its first layer takes steps of %d numbers each" % weights["weight_ih_l0"].shape[1]
    if weight is None:
        return None
    if name == "Linear":
        return [weight.shape[1]], None, ""
    if name in ("BatchNorm1d", "LayerNorm"):
        return list(weight.shape), None, ""
    if name in CHANNELS:
        count = weight.shape[1]
        return None, None, "its first layer takes " + CHANNELS[name] % (count, "" if count == 1 else "s")
    if name == "Embedding":
        return None, "int64", "its first layer takes whole numbers below %d" % weight.shape[0]
    return None


def dtype_of(module):
    """The dtype of the module's floating weights, as numpy calls it; float32 where it has none."""
    for tensor in list(module.parameters()) + list(module.buffers()):
        if tensor.is_floating_point():
            return str(tensor.dtype).replace("torch.", "")
    return "float32"
