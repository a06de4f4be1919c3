"""A picture as numbers: header checked first, turned as its camera says, laid on white, resized, scaled."""

import array
import io

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 25000000
MOST_SIDE = 4096  # of what a model may want


class Refused(ValueError):
    """A file that is not served; the text is for the person who sent it."""


class Unavailable(Exception):
    """What reads such files is not installed in this environment; the text names it."""


def width_of(want):
    """Numbers in one converted picture."""
    return int(want["width"]) * int(want["height"]) * (3 if want.get("mode", "RGB") == "RGB" else 1)


def convert(blob, want):
    """float32 bytes of the picture in ``blob`` as ``want`` says.

    :param want: ``width``, ``height``, ``mode`` (L or RGB), ``invert``, ``scale`` (lowest and highest value; 0 to 255 when absent)
        and ``layout``: ``hw``/``hwc`` row by row, ``chw`` colour by colour.
    :raises Refused: not a picture that is served.
    :raises Unavailable: Pillow is not there.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise Unavailable("Pillow is not installed on this server")

    image = opened(blob)
    image = ImageOps.exif_transpose(image)
    image = flattened(image)
    mode = want.get("mode", "RGB")
    image = image.convert("RGB").convert(mode) if mode == "L" and image.mode not in ("L", "RGB") else image.convert(mode)
    size = (int(want["width"]), int(want["height"]))
    if max(size) > MOST_SIDE:
        raise Refused("a picture of %d x %d is larger than a model may want" % size)
    if image.size != size:
        image = image.resize(size, Image.BILINEAR)
    if want.get("invert"):
        image = ImageOps.invert(image)
    bands = image.split() if want.get("layout") == "chw" else (image,)
    table = scaled(want.get("scale"))
    return array.array("f", [table[value] for band in bands for value in band.tobytes()]).tobytes()


def opened(blob):
    """The first frame of a picture, decoded whole; its size is checked before.

    :raises Refused: another format, too many pixels, cut short.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None  # the check below is stricter, and an error
    try:
        image = Image.open(io.BytesIO(blob), formats=FORMATS)
    except Exception:  # Pillow raises many kinds on bytes that are no picture
        raise Refused("the file is not a PNG, JPEG, WebP, GIF or BMP picture")
    if image.size[0] * image.size[1] > MOST_PIXELS:
        raise Refused("the picture has %d x %d pixels; at most 25 million are read" % image.size)
    try:
        image.load()
    except Exception:  # as above, on the pixels
        raise Refused("the picture is damaged or cut short")
    return image


def flattened(image):
    """Without transparency, laid on white; 16-bit greys as 8-bit ones."""
    from PIL import Image

    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1.0 / 256)).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (255, 255, 255, 255))
        ground.alpha_composite(image)
        return ground.convert("RGB")
    return image


def scaled(scale):
    """The value of each of the 256 shades."""
    if not scale:
        return [float(value) for value in range(256)]
    low, high = float(scale[0]), float(scale[1])
    return [low + value / 255.0 * (high - low) for value in range(256)]
