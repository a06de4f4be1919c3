"""joblib's own layout: after the wrapper of an array come its raw bytes, outside the pickle's opcodes."""

from __future__ import annotations

import re
from typing import Any

from .objects import Global, Made, Pairs, attributes
from .stream import Stream
from .unpack import TooMuch, Truncated

DTYPE = re.compile(r"[<>|=]?([?bBhHiIlLqQnNpPefdgFDGSaUVOMmcu])(\d*)")
SIZES = {
    "?": 1,
    "b": 1,
    "B": 1,
    "c": 1,
    "h": 2,
    "H": 2,
    "e": 2,
    "i": 4,
    "I": 4,
    "f": 4,
    "l": 8,
    "L": 8,
    "q": 8,
    "Q": 8,
    "d": 8,
    "F": 8,
    "D": 16,
    "g": 16,
}
WRAPPER_FIELDS = ("subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes")
MOST_DEPTH = 6


def is_array_wrapper(cls: Any) -> bool:
    """Whether joblib (0.10 and later, also as bundled in old scikit-learn) reads an array after this object."""
    return isinstance(cls, Global) and cls.name == "NumpyArrayWrapper" and cls.module.endswith("numpy_pickle")


def side_file(cls: Any, made: Made) -> str:
    """The file beside the pickle in which joblib before 0.10 kept an array; empty for anything else."""
    if not (isinstance(cls, Global) and cls.name in ("NDArrayWrapper", "ZNDArrayWrapper") and "numpy_pickle" in cls.module):
        return ""
    name = attributes(made).get("filename")
    return name if isinstance(name, str) else "an unnamed file"


def read_joblib_array(stream: Stream, state: dict[str, Any]) -> bool:
    """Pass over the array that ``state`` describes; True where a nested pickle of objects comes in its place.

    :raises Truncated: it is cut short. :raises TooMuch: its size cannot be told without running.
    """
    size, has_objects = item_size(state.get("dtype"))
    if has_objects:
        return True
    if state.get("numpy_array_alignment_bytes") is not None:
        stream.skip(stream.take(1)[0])
    stream.skip(size * _count(state.get("shape")))
    return False


def _count(shape: Any) -> int:
    if not isinstance(shape, tuple):
        raise TooMuch("the shape of an array in it cannot be told without running")
    count = 1
    for extent in shape:
        count *= _integer(extent)
    return count


def _integer(value: Any) -> int:
    """An int, or what ``numpy.int64`` scalars are made from."""
    if isinstance(value, Made) and isinstance(value.callee, Global) and value.callee.name == "scalar" and len(value.args) == 2:
        value = int.from_bytes(value.args[1], "little", signed=True)
    if not isinstance(value, int) or value < 0:
        raise Truncated("the shape of an array in it makes no sense")
    return value


def item_size(dtype: Any, depth: int = 0) -> tuple[int, bool]:
    """Bytes of one item of a pickled dtype, and whether it holds Python objects."""
    code = dtype.args[0] if isinstance(dtype, Made) and isinstance(dtype.args, tuple) and dtype.args else None
    match = DTYPE.fullmatch(code) if isinstance(code, str) else None
    if match is None or depth > MOST_DEPTH:
        raise TooMuch("the type of an array in it cannot be told without running")
    letter, digits = match[1], match[2]
    if letter == "O":
        return 8, True
    if letter == "U":
        size = 4 * int(digits or 0)
    elif letter in "iufcbSaVMm" and digits:
        size = int(digits)
    else:
        size = SIZES.get(letter, 8)
    return size, letter == "V" and _has_objects(dtype, depth)


def _has_objects(dtype: Made, depth: int) -> bool:
    """Whether a structured or nested dtype has an object in any of its fields."""
    for state in dtype.states:
        parts = state if isinstance(state, tuple) else ()
        for part in parts:
            if isinstance(part, Pairs):
                inner = [value[0] for _, value in part.pairs if isinstance(value, tuple) and value]
            else:
                inner = [part[0]] if isinstance(part, tuple) and part and isinstance(part[0], Made) else []
            if any(item_size(field, depth + 1)[1] for field in inner):
                return True
    return False
