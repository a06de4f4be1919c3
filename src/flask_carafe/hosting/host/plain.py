"""Plain Python answers as columns of a frame; nothing here needs numpy."""

import json
import struct

from . import wire

NOT = ("model_output_invalid", "the model answered %s in place of %s")
NAMES = {wire.FLOAT64: "a number", wire.FLOAT32: "a number", wire.INT64: "an integer", wire.BOOL: "true or false"}
NAMES.update({wire.TEXT: "text", wire.JSON: "JSON"})
BLANK = {wire.FLOAT64: 0.0, wire.FLOAT32: 0.0, wire.INT64: 0, wire.BOOL: False, wire.TEXT: b"", wire.JSON: b"null"}
MOST_VALUE = 1 << 22  # bytes of one answer as text
MOST_ANSWER = 1 << 26  # of all of a frame


def pack_values(values, code, errors):
    """One value a row as a column; a row whose value is of another type, not finite or too long is marked in ``errors``."""
    made, size = [], 0
    for row, value in enumerate(values):
        try:
            made.append(CASTS[code](value))
            if code >= wire.TEXT:
                size += len(made[-1])
                if len(made[-1]) > MOST_VALUE or size > MOST_ANSWER:
                    size -= len(made.pop())
                    raise TooLong(value)
        except (TypeError, ValueError, OverflowError, AttributeError, RecursionError) as exc:
            what = exc.text if isinstance(exc, Unfit) else type(value).__name__
            errors.setdefault(row, (NOT[0], NOT[1] % (what, NAMES[code])))
            made.append(BLANK[code])
    if code >= wire.TEXT:
        return wire.Packed(code, 1, made)
    return wire.Packed(code, 1, struct.pack("<%d%s" % (len(made), wire.FORMATS[code]), *made))


class Unfit(ValueError):
    """A value of the right type that no answer may hold; ``text`` says what it is."""

    text = ""


class NotFinite(Unfit):
    text = "a number that is not finite"


class TooLong(Unfit):
    text = "more than 4 MiB"


def _float(value):
    if isinstance(value, (str, bytes, bool)):
        raise TypeError(value)
    value = float(value)
    if value - value != 0:
        raise NotFinite(value)
    return value


def _int(value):
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(value)
    value = value.__index__()
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(value)
    return value


def _bool(value):
    if type(value).__name__ not in ("bool", "bool_"):
        raise TypeError(value)
    return bool(value)


def _json(value):
    return json.dumps(value, allow_nan=False, default=told, ensure_ascii=False).encode("utf-8")


def told(value):
    """Numpy and pandas values, dates and sets inside an answer."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError("%s is not JSON" % type(value).__name__)


def _text(value):
    return value.encode("utf-8")


CASTS = {wire.FLOAT64: _float, wire.FLOAT32: _float, wire.INT64: _int, wire.BOOL: _bool, wire.TEXT: _text, wire.JSON: _json}
