"""A file of ``torch.save`` with the Python file of its module (``--code``): weights are put into it, a pickled module is taken whole.

Which module: what the file calls ``MODEL`` (a module, its class, or a function that makes it), else the only class of it that the weights fit.
A class is made without arguments, or with ``ARGS``: a tuple, or a dict of keywords.
"""

import sys
import types

import torch
from torch import nn

from .refusal import LoadError

INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net", "weights")  # what training loops call the weights in a checkpoint
PREFIXES = ("", "module.", "model.", "_orig_mod.", "net.")  # of DataParallel, Lightning, torch.compile


def load(stream, is_whole):
    """The module, ready to be asked.

    :param is_whole: the file was seen to hold objects that are neither tensors nor PyTorch's own layers, and their code was given.
    :raises LoadError: no module in the code file fits, or more than one does.
    """
    held = torch.load(stream, map_location="cpu", weights_only=False) if is_whole else restricted(stream)
    if isinstance(held, nn.Module):
        return held
    code = sys.modules.get("carafe_code")
    if code is None:
        raise LoadError("wrong_format", "the file holds no model that can be run without the Python file of its class: give it with --code")
    return filled(code, weights_of(held))


def restricted(stream):
    """What PyTorch's restricted unpickler makes of the file: tensors, plain values and layers of its own."""
    if not hasattr(torch.serialization, "safe_globals"):  # before PyTorch 2.5
        return torch.load(stream, map_location="cpu", weights_only=True)
    modules = [one for one in vars(nn.modules).values() if isinstance(one, types.ModuleType)]
    found = {one for module in modules for one in vars(module).values() if isinstance(one, type) and issubclass(one, nn.Module)}
    with torch.serialization.safe_globals([set] + sorted(found, key=lambda one: one.__qualname__)):
        return torch.load(stream, map_location="cpu", weights_only=True)


def weights_of(held):
    """``{name: tensor}`` of a state dict, or of a checkpoint that holds one.

    :raises LoadError: neither.
    """
    inner = next((held[key] for key in INSIDE if isinstance(held.get(key), dict)), held) if isinstance(held, dict) else None
    if not inner or not all(isinstance(value, torch.Tensor) for value in inner.values()):
        told = "a dict with %s" % ", ".join(str(key)[:30] for key in list(held)[:6]) if isinstance(held, dict) else type(held).__name__
        raise LoadError("wrong_format", "the file holds %s, no weights: save model.state_dict()" % told)
    return dict(inner)


def filled(code, weights):
    """The module of the code file, with ``weights`` in it."""
    named = getattr(code, "MODEL", None)
    classes = [
        one for one in vars(code).values() if isinstance(one, type) and issubclass(one, nn.Module) and one.__module__ == code.__name__
    ]
    if named is None and not classes:
        raise LoadError("wrong_format", "the code file defines no class of nn.Module")
    fitting, reasons = [], []
    for one in [named] if named is not None else classes:
        name = getattr(one, "__name__", type(one).__name__)
        try:
            fitting.append(fit(made(one, getattr(code, "ARGS", ())), weights))
        except Exception as exc:  # the edge round a user's code
            reasons.append("%s: %s" % (name, " ".join(str(exc).split())[:300]))
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(type(one).__name__ for one in fitting)
        raise LoadError("code_failed", "the weights fit %s: name the right one in the code file, as MODEL = %s" % (names, names.split(",")[0]))
    raise LoadError("code_failed", "the weights fit no module of the code file: %s" % "; ".join(reasons)[:1500])


def made(one, arguments):
    """The module that a class or function makes; a module is taken as it is."""
    if isinstance(one, nn.Module):
        return one
    return one(**arguments) if isinstance(arguments, dict) else one(*arguments)


def fit(module, weights):
    """``module`` with ``weights``, all of them and nothing left over.

    :raises RuntimeError: they do not fit, as PyTorch says it.
    """
    wanted = set(module.state_dict())
    for prefix in PREFIXES:
        named = {name[len(prefix) :]: value for name, value in weights.items() if name.startswith(prefix)}
        if set(named) == wanted:
            module.load_state_dict(named)
            return module
    module.load_state_dict(weights)
    return module
