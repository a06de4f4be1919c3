"""From a signature to the columns of its frames; nothing here needs numpy."""

from . import wire
from .refusal import LoadError


def order_of(fields, described):
    """For each described column the place of its field: by name where all names are known, else by position.

    :raises LoadError: another number of fields than the model takes.
    """
    names = [field.get("name") for field in fields]
    wanted = [one["name"] for one in described]
    if len(fields) != len(described):
        raise LoadError("signature_mismatch", "the signature has %d fields, the model takes %d" % (len(fields), len(described)))
    if set(names) == set(wanted):
        return [names.index(name) for name in wanted]
    return list(range(len(fields)))


def layout_of(signature):
    """``[(dtype code, width)]`` of the frame columns that a signature announces."""
    fields = signature.get("fields") or []
    codes = [wire.DTYPES[field.get("dtype", "float64")] for field in fields]
    if signature.get("layout") == "matrix":
        if len(set(codes)) != 1 or codes[0] >= wire.TEXT:
            raise LoadError("signature_mismatch", "a matrix needs fields of one dtype, all numbers")
        return [(codes[0], len(fields))]
    return [(code, width_of(field)) for code, field in zip(codes, fields)]


def width_of(field):
    """Numbers or texts in one value of ``field``."""
    width = 1
    for extent in field.get("shape") or ():
        width *= extent
    return width
