"""Small parts of the fast reader: what it must know of names and numbers, and one value to its bytes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .kinds import Blob, kind_of
from .kinds.base import EXACT
from .model import Chunk, Field
from .packing import NAN

LENGTH = struct.Struct("<I").pack
MOST_NAMES = 500
UNNAMEABLE = re.compile(r'["\\\x00-\x1f:]')  # no msgspec field can be called so; and a colon would be counted as a key's


def is_nameable(names: Sequence[str]) -> bool:
    """Whether a typed decoder can and should know rows by these names; among thousands it would look for each one by one."""
    return len(names) <= MOST_NAMES and not UNNAMEABLE.search("".join(names))


def without_unset(values: Sequence[Any]) -> tuple[Sequence[Any], int]:
    """The values with None where a key was absent, and how many were."""
    settled = [None if value is msgspec.UNSET else value for value in values]
    return settled, sum([value is msgspec.UNSET for value in values])


def never(body: bytes) -> None:
    """Never sure."""


def are_exact(column: Sequence[Any]) -> bool:
    """Whether no number is so large that decoding may have rounded it."""
    present = [value for value in column if value is not None]
    return not present or (max(present) < EXACT and min(present) > -EXACT)


def fill(values: Sequence[Any]) -> list[float]:
    return [NAN if value is None else value for value in values]


def one_packer(field: Field, convert: Callable[[Any], Any] | None) -> Callable[[Any], Chunk | None]:
    """Packs one decoded value of ``field``; answers None when it cannot be sure."""
    kind = kind_of(field)
    if convert is None and field.dtype in ("float64", "float32"):
        pack = struct.Struct("<d" if field.dtype == "float64" else "<f").pack
        missing = Chunk(pack(NAN))

        def pack_number(value: Any) -> Chunk | None:
            if value is None:
                return missing
            return Chunk(pack(value)) if -EXACT < value < EXACT else None

        return pack_number
    if convert is None and field.dtype == "text":
        absent = Chunk(b"", LENGTH(0), b"\1")

        def pack_text(value: Any) -> Chunk | None:
            if value is None:
                return absent
            data = value.encode()
            return Chunk(data, LENGTH(len(data)))

        return pack_text

    def pack_any(value: Any) -> Chunk | None:
        if value is None and not field.nullable:
            return None
        if value is not None and convert is not None:
            value = convert(value)
            if isinstance(value, Blob):
                return None
        return kind.pack([value], field)

    return pack_any
