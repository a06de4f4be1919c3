"""An ONNX file read without a library: just enough of protobuf to tell producer, opsets, inputs and outside data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from .unpack import Truncated

ELEMENTS = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 8: "text", 9: "bool", 10: "float16", 11: "float64"}
MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}  # field number -> wire type, of ModelProto
MOST_MESSAGE = 1 << 20


class Part(NamedTuple):
    """One field of a message: ``value`` is the number itself, or where its bytes begin; ``size`` their count."""

    number: int
    wire: int
    value: int
    size: int


class Port(msgspec.Struct, frozen=True):
    """An input or output of a graph; None in ``shape`` is an extent left open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class OnnxFacts(msgspec.Struct, frozen=True, kw_only=True):
    producer: str = ""
    producer_version: str = ""
    ir_version: int = 0
    opsets: dict[str, int] = {}
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    nodes: int = 0
    external: tuple[str, ...] = ()


def looks_like_onnx(file: BinaryIO) -> bool:
    """Whether the whole file walks as a ModelProto with an IR version, a graph and an operator set."""
    seen = set()
    try:
        for part in _parts(file, 0, _size(file)):
            if MODEL_FIELDS.get(part.number) != part.wire:
                return False
            seen.add(part.number)
    except Truncated:
        return {1, 7} <= seen  # a graph that is cut short is still ONNX, and refused as such
    return {1, 7, 8} <= seen


def read_onnx(file: BinaryIO) -> OnnxFacts:
    """The facts of an ONNX file; weights are skipped, never read.

    :raises Truncated: cut short, or no ONNX after all.
    """
    facts: dict[str, object] = {}
    opsets: dict[str, int] = {}
    graph: dict[str, object] = {}
    for part in _parts(file, 0, _size(file)):
        if part.number == 1:
            facts["ir_version"] = part.value
        elif part.number in (2, 3):
            facts["producer" if part.number == 2 else "producer_version"] = _text(file, part)
        elif part.number == 8:
            domain, version = _opset(file, part)
            opsets[domain or "ai.onnx"] = version
        elif part.number == 7:
            graph = _graph(file, part)
    return msgspec.convert({**facts, **graph, "opsets": opsets}, OnnxFacts)


def _graph(file: BinaryIO, graph: Part) -> dict[str, object]:
    inputs: list[Port] = []
    outputs: list[Port] = []
    initializers, external, nodes = set(), [], 0
    for part in _inside(file, graph):
        if part.number == 1:
            nodes += 1
        elif part.number == 5:
            name, location = _initializer(file, part)
            initializers.add(name)
            if location:
                external.append(location)
        elif part.number in (11, 12):
            (inputs if part.number == 11 else outputs).append(_port(file, part))
    return {
        "nodes": nodes,
        "inputs": tuple(port for port in inputs if port.name not in initializers),
        "outputs": tuple(outputs),
        "external": tuple(dict.fromkeys(external)),
    }


def _initializer(file: BinaryIO, tensor: Part) -> tuple[str, str]:
    """Name of a weight, and the file that it lies in where that is another one."""
    name = location = ""
    for part in _inside(file, tensor):
        if part.number == 8:
            name = _text(file, part)
        elif part.number == 13:
            pair = {inner.number: _text(file, inner) for inner in _inside(file, part) if inner.wire == 2}
            location = pair.get(2, "") if pair.get(1) == "location" else location
    return name, location


def _port(file: BinaryIO, port: Part) -> Port:
    name, dtype = "", ""
    shape: tuple[int | None, ...] = ()
    for part in _inside(file, port):
        if part.number == 1:
            name = _text(file, part)
        elif part.number == 2:
            for kind in _inside(file, part):
                if kind.number == 1 and kind.wire == 2:
                    dtype, shape = _tensor_type(file, kind)
                elif kind.number in (4, 5):
                    dtype = "sequence" if kind.number == 4 else "map"
    return Port(name, dtype, shape)


def _tensor_type(file: BinaryIO, tensor: Part) -> tuple[str, tuple[int | None, ...]]:
    dtype, shape = "", []
    for part in _inside(file, tensor):
        if part.number == 1:
            dtype = ELEMENTS.get(part.value, f"type {part.value}")
        elif part.number == 2:
            for dim in _inside(file, part):
                shape.append(next((extent.value for extent in _inside(file, dim) if extent.number == 1), None))
    return dtype, tuple(shape)


def _opset(file: BinaryIO, opset: Part) -> tuple[str, int]:
    domain, version = "", 0
    for part in _inside(file, opset):
        if part.number == 1:
            domain = _text(file, part)
        elif part.number == 2:
            version = part.value
    return domain, version


def _inside(file: BinaryIO, part: Part) -> Iterator[Part]:
    if part.wire != 2:
        raise Truncated("a message is missing where ONNX has one")
    return _parts(file, part.value, part.value + part.size)


def _parts(file: BinaryIO, start: int, end: int) -> Iterator[Part]:
    """The fields of the message at ``start``; the file may be moved between two of them."""
    at = start
    while at < end:
        file.seek(at)
        tag = _varint(file)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, size, at = _varint(file), 0, file.tell()
        elif wire == 2:
            size = _varint(file)
            value = file.tell()
            at = value + size
        elif wire in (1, 5):
            value, size = file.tell(), 8 if wire == 1 else 4
            at = value + size
        else:
            raise Truncated("it is no protobuf")
        if at > end or number == 0:
            raise Truncated("it ends in the middle of a message")
        yield Part(number, wire, value, size)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise Truncated("it ends in the middle of a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise Truncated("a number in it has no end")


def _text(file: BinaryIO, part: Part) -> str:
    if part.wire != 2 or part.size > MOST_MESSAGE:
        raise Truncated("a text in it is too long")
    file.seek(part.value)
    return file.read(part.size).decode(errors="replace")


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
