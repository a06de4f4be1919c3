"""From ``image:28x28:L:invert:0-1`` and the model's own input to one field of kind image."""

from __future__ import annotations

from math import isqrt, prod
from typing import Any, NamedTuple, Protocol

from ..errors import ConfigError
from .kinds.image import CHANNELS

MODES = {1: "L", 3: "RGB"}


class PictureHint(Protocol):
    """What a person said of a picture; 0, '' and None where they did not."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def mode(self) -> str: ...
    @property
    def invert(self) -> bool: ...
    @property
    def scale(self) -> tuple[float, float] | None: ...
    @property
    def layout(self) -> str: ...
    @property
    def flatten(self) -> bool: ...


class Hint(PictureHint, Protocol):
    """What a person said of one input: its kind, and the name of its field where there are several."""

    @property
    def kind(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class Wanted(NamedTuple):
    """The same, from the ``options`` of a field that was written by hand."""

    width: int = 0
    height: int = 0
    mode: str = ""
    invert: bool = False
    scale: tuple[float, float] | None = None
    layout: str = ""
    flatten: bool = False


def picture(hint: PictureHint, shape: tuple[int, ...]) -> dict[str, Any]:
    """``kind``, ``shape`` and ``options`` of the field that takes a picture for an input of ``shape``.

    :param shape: what one row is to the model: ``(64,)``, ``(28, 28)``, ``(3, 224, 224)``; () when it does not say.
    :raises ConfigError: the picture asked for has another number of values than the model takes.
    """
    layout = hint.layout or _layout(shape)
    height, width, channels = _extents(hint, shape, layout)
    mode = hint.mode or MODES.get(channels, "RGB")
    if mode not in CHANNELS:
        raise ConfigError(f"input: a picture cannot be made in mode {mode!r}.", "Modes are L (grey) and RGB.")
    sizes = {"hw": (height, width), "hwc": (height, width, CHANNELS[mode]), "chw": (CHANNELS[mode], height, width)}
    if layout == "hw" and CHANNELS[mode] > 1:
        layout = "hwc"
    made = sizes[layout]
    wanted = shape or ((prod(made),) if hint.flatten else made)
    if prod(wanted) != prod(made) or 0 in made:
        takes = " x ".join(map(str, wanted))
        size = f"{width}x{height} in mode {mode}" if width else "a size of which none was given"
        sentence = f"input: a picture of {size} has {prod(made):,} values, the model takes {takes}."
        raise ConfigError(sentence, "Say the size, for example image:28x28:L.")
    flatten = len(wanted) == 1
    scale = list(hint.scale) if hint.scale else [0.0, 255.0]
    options = {"width": width, "height": height, "mode": mode, "invert": hint.invert, "scale": scale, "layout": layout, "flatten": flatten}
    return {"kind": "image", "shape": tuple(wanted), "options": options}


def _layout(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "chw" if shape[0] in MODES and shape[2] not in MODES else "hwc"
    return "hw"


def _extents(hint: PictureHint, shape: tuple[int, ...], layout: str) -> tuple[int, int, int]:
    """Height, width and channels, from the hint where it says, else from the model."""
    if len(shape) == 3:
        height, width, channels = (shape[1], shape[2], shape[0]) if layout == "chw" else shape
    elif len(shape) == 2:
        height, width, channels = shape[0], shape[1], 1
    else:
        channels = CHANNELS.get(hint.mode, 1)
        side = isqrt(prod(shape) // channels) if shape else 0
        height = width = side if shape and side * side * channels == prod(shape) else 0
    return hint.height or height, hint.width or width, channels
