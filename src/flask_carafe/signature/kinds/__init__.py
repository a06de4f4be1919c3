"""The kinds of fields, one file each; :func:`kind_of` finds the one of a field."""

from __future__ import annotations

from ..model import Field
from .base import Blob, Control, Kind, Upload, Wrong, shown
from .boolean import Boolean
from .category import Category, choices_dtype, spell
from .datetime import Datetime
from .document import Document
from .image import Image
from .integer import Integer
from .number import Number
from .text import Text
from .vector import Tensor, Vector

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Number(), Integer(), Boolean(), Category(), Text(), Datetime(), Image(), Document(), Vector(), Tensor())
}


def kind_of(field: Field) -> Kind:
    """The kind of ``field``; a KeyError here means that a signature was never checked."""
    return KINDS[field.kind]


__all__ = ["KINDS", "Blob", "Control", "Kind", "Upload", "Wrong", "choices_dtype", "kind_of", "shown", "spell"]
