"""A batch made up from a description alone, to see what the model's answers look like."""

from . import wire

TEXT = "a short text, good and bad"


def value_of(one):
    """A value that the described column should take."""
    if one["choices"]:
        return one["choices"][0]
    if one["default"] is not None:
        return one["default"]
    if one["dtype"] == "text":
        return TEXT
    if one["low"] is not None and one["high"] is not None:
        return (one["low"] + one["high"]) / 2
    return 0.0


def maker(runtime, n):
    """A function that makes ``n`` equal rows as ``runtime`` would build them, new each time; None when nothing is known.

    The builder made for this is thrown away; ``configure`` makes the real one.
    """
    if not runtime.columns:
        return None
    fields = [field_of(place, one) for place, one in enumerate(runtime.columns)]
    kept, layout = runtime.builder, runtime.configure({"fields": fields, "layout": "columns"})
    builder, runtime.builder = runtime.builder, kept
    columns = [column_of(one, field, dtype, width, n) for one, field, (dtype, width) in zip(runtime.columns, fields, layout)]
    batch = builder.build(columns, n)
    builder.writable = True
    return lambda: builder.take(batch, None)


def field_of(place, one):
    """The field that a signature would have for a described column."""
    dtype = one["dtype"]
    if not one["choices"] and isinstance(one["default"], str):
        dtype = "text"
    name = one["name"] or "feature_%d" % (place + 1)
    return {"name": name, "kind": one["kind"], "dtype": dtype, "shape": one["shape"], "options": one.get("options") or {}}


def column_of(one, field, dtype, width, n):
    """A frame column of ``n`` equal values."""
    import json
    import struct

    value, count = value_of(one), n * width
    if dtype >= wire.TEXT:
        data = json.dumps(value).encode() if dtype == wire.JSON else str(value).encode()
        return wire.Column(dtype, width, data * count, struct.pack("<%dI" % count, *[len(data)] * count))
    number = int(value) if dtype in (wire.INT64, wire.BOOL) else float(value)
    return wire.Column(dtype, width, struct.pack("<%d%s" % (count, wire.FORMATS[dtype]), *[number] * count))

