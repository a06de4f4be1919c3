"""What a version takes and gives: plain, frozen, JSON-able words that every other room reads."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Scalar = str | int | float | bool
DType = Literal["float64", "float32", "int64", "bool", "text", "json", "bytes"]


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One named input.

    ``kind`` names a file in :mod:`flask_carafe.signature.kinds`. ``dtype`` is how the value travels to the host
    and ``shape`` that of one value: ``()`` for a scalar, ``(64,)`` for a vector, ``(28, 28)`` for a grey picture.
    """

    name: str
    kind: str
    dtype: DType = "float64"
    shape: tuple[int, ...] = ()
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    low: float | None = None  # where most values lie: ends of the form's slider, never a check
    high: float | None = None
    choices: tuple[Scalar, ...] = ()
    closed: bool = True  # a value that is not among the choices is refused
    example: Any = None
    description: str = ""
    options: dict[str, Any] = {}  # what only this kind knows: image mode, invert, scale; datetime unit

    @property
    def width(self) -> int:
        """Numbers (or texts) in one value."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size


class Output(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column of the answer.

    role ``prediction``: the answer itself; with ``classes`` the column is int64 indices into them.
    role ``probabilities``: float64 ``(n, len(classes))``. role ``extra``: anything else the model gives, by ``name``.
    Several targets: one prediction Output of ``width`` m with ``targets`` named and ``target_classes`` per target,
    and one probabilities Output per target, ``target`` naming it.
    """

    name: str
    role: Literal["prediction", "probabilities", "extra"] = "prediction"
    kind: str = "number"
    dtype: DType = "float64"
    width: int = 1
    vector: bool = False  # the value of a row is a list even when width is 1
    classes: tuple[Scalar, ...] = ()
    labels: tuple[Scalar, ...] = ()  # what people see in place of classes, same order
    targets: tuple[str, ...] = ()
    target_classes: tuple[tuple[Scalar, ...], ...] = ()
    target: str = ""
    float32: bool = False  # computed in float32: print the shortest float32 text

    @property
    def shown(self) -> tuple[Scalar, ...]:
        """Class names as the answer spells them."""
        return self.labels or self.classes


class Signature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields in the order in which the model was fitted, outputs in the order in which the host sends them.

    layout ``matrix``: all fields travel as one frame column of width ``len(fields)`` (row-major inside it).
    layout ``columns``: one frame column per field.
    """

    fields: tuple[Field, ...]
    outputs: tuple[Output, ...] = ()
    layout: Literal["matrix", "columns"] = "columns"
    named: bool = False  # the model itself knows these names (they are not made up by us)
    extra: Literal["forbid", "ignore"] = "forbid"
    streams: bool = False  # one row a request, answered by a value after the other, each as the one output (JSON) says

    def field(self, name: str) -> Field | None:
        return next((field for field in self.fields if field.name == name), None)


class Chunk(msgspec.Struct, gc=False):
    """The values of one frame column for some rows, packed little-endian as they travel.

    ``data``: fixed-width values, or the UTF-8 (or raw) bytes of all values. ``lengths``: u32 each, for text, json
    and bytes only. ``mask``: a byte each, 1 where the value is missing, or None when nothing is; missing floats are
    NaN in ``data`` and need no mask.
    """

    data: bytes
    lengths: bytes | None = None
    mask: bytes | None = None


class Rows(msgspec.Struct, gc=False):
    """Rows of one request, checked and packed; ``chunks`` has one entry per frame column."""

    n: int
    chunks: tuple[Chunk, ...]
    scalar: bool = False  # one row sent as an object: the answer is a scalar, not a list
