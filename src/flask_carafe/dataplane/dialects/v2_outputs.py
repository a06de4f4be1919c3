"""An answer as tensors: predictions, probabilities and whatever else the model gives, all of them or what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from sys import float_info
from typing import Any

import msgspec

from ...errors import Detail, InvalidInput
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Output, Signature
from ...signature.answer import class_keys
from ...signature.check import encodable
from ...signature.kinds import spell
from ...signature.model import Scalar
from .v2_request import Call, Parameters
from .v2_tensors import BOOL, BYTES, DTYPES, Tensor, wrong

ROLES = {"prediction": "prediction", "predict": "prediction", "probabilities": "probabilities", "predict_proba": "probabilities"}  # as MLServer asks
KINDS = {"number": "FP64", "integer": "INT64", "boolean": BOOL}  # of what a Python function says that it gives
MOST = float_info.max
HOLDS: dict[str, tuple[set[type], float, float]] = {  # types, the least and the most
    "FP64": ({int, float}, -MOST, MOST), "INT64": ({int}, -(2**63), 2**63 - 1), BOOL: ({bool}, False, True),
}  # fmt: skip


class Wanted(msgspec.Struct):
    """One output of the answer: its place in the signature, the name it goes by, and how it is written."""

    at: int
    name: str
    is_binary: bool
    top: int = 0  # so many most likely classes, as texts, in place of numbers


# ---- what a model gives


def name_of(output: Output) -> str:
    """The tensor's name: what the model itself calls it, as ``OUTPUT0`` in an ONNX graph; else its role."""
    return f"{output.role}_{output.target}" if output.target else output.name or output.role


def output_specs(signature: Signature) -> list[dict[str, Any]]:
    """``name``, ``datatype`` and ``shape`` of each output, -1 for the batch."""
    return [{"name": name_of(output), "datatype": datatype_of(output), "shape": [-1, *_row_shape(output)]} for output in signature.outputs]


def _row_shape(output: Output) -> list[int]:
    return [output.width] if output.role == "probabilities" or output.width > 1 or output.vector else []


def datatype_of(output: Output) -> str:
    """What a tensor of ``output`` holds; of a Python function, what its type hint says."""
    if output.role != "probabilities" and (output.target_classes or output.classes):
        several = output.target_classes or (output.shown,)
        return _common([label for labels in several for label in labels or (0,)])
    if output.dtype == "json":
        return KINDS.get(output.kind, BYTES)
    if output.kind == "datetime":
        return BYTES
    found = DTYPES.get(output.dtype, BYTES)
    return "FP32" if found == "FP64" and output.float32 else found


def _common(labels: Sequence[Scalar]) -> str:
    """The datatype that holds all ``labels`` as they are; else they are texts."""
    types = {type(label) for label in labels}
    if types == {bool}:
        return BOOL
    if types == {int} and all(-(2**63) <= label < 2**63 for label in labels):  # type: ignore[operator]
        return "INT64"
    return "FP64" if types == {float} else BYTES


# ---- what a request asks


def wanted(signature: Signature, call: Call) -> list[Wanted]:
    """The outputs of the answer, in the order in which they were asked; all of them if none was.

    :raises InvalidInput: a name that is no output or stands twice, or a parameter that this output has not.
    """
    if not call.outputs:
        return [Wanted(at, name_of(output), call.is_binary) for at, output in enumerate(signature.outputs)]
    places = {name_of(output): at for at, output in enumerate(signature.outputs)}
    roles: dict[str, int] = {output.role: at for at, output in reversed(list(enumerate(signature.outputs))) if not output.target}
    found: dict[str, Wanted] = {}
    for asked in call.outputs:
        if asked.name in found:  # else a small request could ask for an answer of any size
            raise wrong(asked.name, "stand once among the outputs", "it again", expected="one output of this name")
        at = places.get(asked.name, roles.get(ROLES.get(asked.name, "")))
        if at is None:
            name = encodable(asked.name[:100])
            detail = Detail(field=name, expected="an output of this model", got=repr(name), row=None)
            raise InvalidInput(f"There is no output {name!r}.", [detail], f"The outputs are: {', '.join(places)}.")
        found[asked.name] = _wanted(signature.outputs[at], at, asked.name, asked.parameters or {}, call.is_binary)
    return list(found.values())


def _wanted(output: Output, at: int, name: str, parameters: Parameters, is_binary: bool) -> Wanted:
    if "shared_memory_region" in parameters:
        raise wrong(name, "be answered in the response", "a region of shared memory, which is not offered here", expected="answer in the response")
    binary, top = parameters.get("binary_data", is_binary), parameters.get("classification", 0)
    if not isinstance(binary, bool):
        raise wrong(name, "have binary_data true or false", repr(binary)[:30], expected="boolean")
    if isinstance(top, bool) or not isinstance(top, int) or top < 0:
        raise wrong(name, "have a number of classes as its classification", repr(top)[:30], expected="number of classes")
    if top and output.role != "probabilities":
        raise wrong(name, "be probabilities to be asked for classification", "another output", expected="probabilities")
    return Wanted(at, name, binary, min(top, output.width))


# ---- the answer


def to_tensor(model: Model, answer: Answer, one: Wanted) -> Tensor:
    """One output of ``answer``.

    :raises OutputInvalid: the model gave what cannot be used, as a probability that is no number.
    """
    encoder = model.usable_encoder()
    output = encoder.signature.outputs[one.at]
    values = encoder.flat(one.at, answer.columns[one.at], answer.start, answer.n)
    if one.top:
        return Tensor(one.name, BYTES, (answer.n, one.top), _classified(output, values, one.top))
    datatype = datatype_of(output)
    if output.dtype == "json":
        datatype, values = _typed(datatype, values)
    elif datatype == BYTES and output.dtype not in ("text", "bytes"):
        values = [value if isinstance(value, str) else spell(value) for value in values]
    return Tensor(one.name, datatype, (answer.n, *_row_shape(output)), values)


def _typed(datatype: str, values: list[Any]) -> tuple[str, list[Any]]:
    """What a Python function gave, as its type hint says; as texts (JSON where they are none) if it gave something else."""
    if datatype != BYTES:
        types, least, most = HOLDS[datatype]
        if types.issuperset(map(type, values)) and all(least <= value <= most for value in values):
            return datatype, values
    return BYTES, [value if isinstance(value, str) else msgspec.json.encode(value).decode() for value in values]


def _classified(output: Output, values: list[float], top: int) -> list[str]:
    """``value:index:label`` of the ``top`` most likely classes of each row, the likeliest first. Source: Triton's classification extension."""
    labels, width = class_keys(output.shown, output.name), output.width
    found = []
    for start in range(0, len(values), width):
        order = sorted(range(width), key=lambda index: -values[start + index])[:top]
        found += [f"{values[start + index]:f}:{index}:{labels[index]}" for index in order]
    return found
