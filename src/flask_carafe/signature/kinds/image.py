"""``image``: an uploaded file, base64 or a ``data:`` URL, which the media host reads; or the model's numbers themselves."""

from __future__ import annotations

import binascii
import struct
import zlib
from base64 import b64decode, b64encode
from math import prod
from typing import Any

import msgspec

from ..model import Field
from .base import Blob, Control, Upload, Wrong, shown
from .vector import Vector, flatten, read_list, shape_schema

MAGIC = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP"}
ACCEPT = "image/png,image/jpeg,image/webp,image/gif,image/bmp"
MUST = "a picture (PNG, JPEG, WebP, GIF or BMP)"
SMALL = 64  # pixels; up to here a grey picture can be drawn by hand
CHANNELS = {"L": 1, "RGB": 3}  # modes that the media host makes; transparency is laid on white


def picture_format(data: bytes) -> str:
    """What the first bytes say, '' when they are no picture that we read. The file's name is not asked."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in MAGIC.items() if data.startswith(magic)), "")


def read_base64(text: str) -> bytes | None:
    """The bytes of base64 or of a base64 ``data:`` URL, None when it is neither."""
    if text.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.endswith(";base64"):
            return None
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def conversion(field: Field) -> dict[str, Any]:
    """What the media host is asked to make of a file for this field."""
    wanted = {"kind": "image", "mode": "L", "invert": False, "scale": [0, 255], "layout": "hw", "flatten": len(field.shape) == 1}
    return wanted | {"width": 0, "height": 0} | field.options


def picture_shape(field: Field) -> tuple[int, ...]:
    """How deep the numbers of one value may be nested: a model of flat numbers still takes a picture row by row."""
    wanted = conversion(field)
    channels = CHANNELS.get(wanted["mode"], 1)
    sizes = {"hw": (wanted["height"], wanted["width"]), "chw": (channels, wanted["height"], wanted["width"])}
    shape = sizes.get(wanted["layout"], (wanted["height"], wanted["width"], channels))
    return shape if len(field.shape) == 1 and prod(shape) == field.width else field.shape


def is_drawable(field: Field) -> bool:
    """Small and grey: the page offers a canvas."""
    wanted = conversion(field)
    return bool(wanted["mode"] == "L" and 0 < wanted["width"] <= SMALL and 0 < wanted["height"] <= SMALL)


def blank_png(width: int, height: int, mode: str = "L") -> bytes:
    """The smallest honest picture: one even grey."""
    channels = CHANNELS.get(mode, 1)
    colour = {1: 0, 3: 2}[channels]
    head = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    rows = (b"\0" + b"\x80" * (width * channels)) * height
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data)) for tag, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Image(Vector):
    name, expected = "image", "picture"
    takes_files = True

    def schema(self, field: Field) -> dict[str, Any]:
        text = {"type": "string", "contentEncoding": "base64", "description": "A PNG, JPEG, WebP, GIF or BMP file in base64, or a data: URL."}
        return {"anyOf": [text, shape_schema(msgspec.structs.replace(field, shape=picture_shape(field)))]}

    def from_json(self, raw: Any, field: Field) -> Any:
        if isinstance(raw, Blob):
            return self._checked(raw.data, shown(raw.data))
        if not isinstance(raw, str):
            is_nested = isinstance(raw, (list, tuple)) and len(raw) > 0 and isinstance(raw[0], (list, tuple))
            return flatten(raw, msgspec.structs.replace(field, shape=picture_shape(field)) if is_nested else field, self.expected)
        data = read_base64(raw)
        if data is None:
            raise Wrong("picture in base64", shown(raw), "a picture in base64, a data: URL, or a list of its numbers")
        return self._checked(data, shown(raw))

    def _checked(self, data: bytes, got: str) -> Blob:
        if not picture_format(data):
            raise Wrong(MUST[2:], got, MUST)
        return Blob(data)

    def from_text(self, text: str, field: Field) -> Any:
        if text.lstrip().startswith("["):
            return self.from_json(read_list(text, field, self.expected), field)
        return self.from_json(text.strip(), field)

    def from_upload(self, upload: Upload, field: Field) -> Blob:
        return self._checked(upload.data, f"a file of {len(upload.data):,} bytes that is none")

    def control(self, field: Field) -> Control:
        wanted = conversion(field)
        attributes: dict[str, str | int | float] = {"type": "file", "accept": ACCEPT}
        if is_drawable(field):
            attributes |= {"width": wanted["width"], "height": wanted["height"], "data-ink": "white" if not wanted["invert"] else "black"}
            return Control(control="canvas", attributes=attributes)
        return Control(control="file", attributes=attributes)

    def example(self, field: Field) -> Any:
        if field.example is not None:
            return field.example
        wanted = conversion(field)
        return b64encode(blank_png(wanted["width"] or SMALL, wanted["height"] or SMALL, wanted["mode"])).decode()

    def plain_example(self, field: Field) -> Any:
        """A value that needs no media host: one even grey, half way between the ends of the scale."""
        low, high = conversion(field)["scale"] or (0, 255)
        return [(low + high) / 2] * field.width
