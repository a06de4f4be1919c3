"""From frame columns to what a model takes. One builder for each word that ``description.input.build`` may say.

A builder has ``build(columns, n)`` and ``take(batch, rows)``; every question to the model is asked with what ``take`` gives.
Arrays are views of the frame and read-only, so that a model cannot change its input between two questions; a model that
insists on writing gets a copy each time (``writable``).
"""

import numpy as np

from . import wire
from .layout import layout_of, order_of, width_of
from .refusal import LoadError

NUMPY = {wire.FLOAT64: "<f8", wire.FLOAT32: "<f4", wire.INT64: "<i8", wire.BOOL: "?"}


def flat(column):
    """The values of a fixed column, flat: a view of the frame where its place allows, read-only."""
    data = column.data
    if column.dtype == wire.BOOL:
        array = np.frombuffer(data, dtype=np.uint8) != 0
    else:
        array = np.frombuffer(data, dtype=NUMPY[column.dtype])
        if not array.flags.aligned:
            array = array.copy()
    return locked(array)


def floating(column, dtype=np.float64):
    """The values of a fixed column as floats, flat, NaN where missing; read-only."""
    array = flat(column)
    if column.mask is not None:
        array = array.astype(dtype)
        array[np.frombuffer(column.mask, dtype=np.uint8) != 0] = np.nan
    return locked(array if array.dtype == dtype else array.astype(dtype))


def locked(array):
    """``array``, read-only: a model that changed it would change its own next answer."""
    if array.flags.writeable:
        array.flags.writeable = False
    return array


def objects(column, missing):
    """The values of any column as a 1-D object array, ``missing`` where missing."""
    values = column.values()
    made = np.empty(len(values), dtype=object)
    made[:] = values
    if column.mask is not None:
        made[np.frombuffer(column.mask, dtype=np.uint8) != 0] = missing
    return made


def missing_of(described):
    """What stands for a missing value in an object column: NaN as pandas reads it, None where the model was fitted with None."""
    return None if described.get("missing") == "none" else np.nan


class Matrix(object):
    """``array`` from one frame column: no copy, no loop."""

    writable = False

    def __init__(self, width, dtype):
        self.width, self.dtype = width, np.dtype(dtype)

    def build(self, columns, n):
        column = columns[0]
        array = floating(column, self.dtype) if column.mask is not None or column.dtype not in (wire.FLOAT64, wire.FLOAT32) else flat(column)
        if array.dtype != self.dtype:
            array = locked(array.astype(self.dtype))
        return array.reshape(n, self.width)

    def take(self, batch, rows):
        if rows is None:
            return batch.copy() if self.writable else batch
        return batch[rows]


class Stacked(Matrix):
    """``array`` from one frame column per field, put side by side."""

    def __init__(self, order, dtype):
        Matrix.__init__(self, len(order), dtype)
        self.order = order

    def build(self, columns, n):
        made = [floating(columns[i], self.dtype).reshape(n, -1) for i in self.order]
        array = made[0].copy() if len(made) == 1 else np.hstack(made)
        array.flags.writeable = False
        return array


class Tensor(Matrix):
    """One value of many numbers a row: ``(n, *shape)``."""

    def __init__(self, shape, dtype):
        Matrix.__init__(self, 0, dtype)
        self.shape = tuple(shape)

    def build(self, columns, n):
        array = flat(columns[0])
        return (array if array.dtype == self.dtype else array.astype(self.dtype)).reshape((n,) + self.shape)


class Feeds(object):
    """Several inputs by name, one frame column each: ``{name: array}``.

    :param ports: ``[(name, shape of one row, dtype)]``; ``order``: for each the place of its frame column.
    """

    writable = False

    def __init__(self, ports, order):
        self.ports, self.order = ports, order

    def build(self, columns, n):
        feed = {}
        for (name, shape, dtype), i in zip(self.ports, self.order):
            source = columns[i]
            if source.dtype >= wire.TEXT:
                values = objects(source, "")
            else:
                values = (floating(source) if source.mask is not None else flat(source)).astype(dtype)
            feed[name] = values.reshape([n] + list(shape))
        return feed

    def take(self, batch, rows):
        return batch if rows is None else {name: values[rows] for name, values in batch.items()}


class Texts(object):
    """A list of str from one text column; a missing text is the empty one."""

    writable = False

    def build(self, columns, n):
        values = columns[0].values()
        return [value if value is not None else "" for value in values] if columns[0].mask is not None else values

    def take(self, batch, rows):
        return list(batch) if rows is None else [batch[row] for row in rows]


class Objects(Matrix):
    """A 2-D object array from one frame column per field, for objects that were fitted on one."""

    writable = True

    def __init__(self, order, described):
        Matrix.__init__(self, len(order), object)
        self.order, self.described = order, described

    def build(self, columns, n):
        made = np.empty((n, len(self.order)), dtype=object)
        for place, i in enumerate(self.order):
            made[:, place] = objects(columns[i], missing_of(self.described[place]))
        return made


class Frame(object):
    """A DataFrame with the columns that the model was fitted with, in their order.

    Numbers are float64 or int64, truth values bool; with missing values they are float64 and object. Text and category
    columns are object, as pandas 1 and 2 read them, or ``category`` where the model recorded one; instants are datetime64.
    """

    writable = False

    def __init__(self, order, described, fields):
        import pandas

        self.pandas, self.order, self.described = pandas, order, described
        self.kinds = [field.get("kind", "") for field in fields]
        self.units = [(field.get("options") or {}).get("unit", "us") for field in fields]
        self.labels = pandas.Index([one["name"] for one in described], dtype=object)

    def build(self, columns, n):
        data = {place: self._series(columns[i], i, self.described[place]) for place, i in enumerate(self.order)}
        frame = self.pandas.DataFrame(data, copy=False)
        frame.columns = self.labels
        return frame

    def _series(self, column, i, described):
        if self.kinds[i] == "datetime":
            return self._instants(column, self.units[i])
        if described.get("pandas_category"):
            return self.pandas.Categorical(objects(column, None), categories=described["choices"])
        if column.dtype >= wire.TEXT or column.dtype == wire.BOOL and column.mask is not None:
            values = column.values() if column.width == 1 else _nested(column)
            made = np.empty(len(values), dtype=object)
            made[:] = values
            if column.mask is not None and column.width == 1:
                made[np.frombuffer(column.mask, dtype=np.uint8) != 0] = missing_of(described)
            return self.pandas.Series(made, dtype=object)
        if described["kind"] == "category" and described["dtype"] in ("text", "json"):
            return self.pandas.Series(objects(column, missing_of(described)), dtype=object)
        return floating(column) if column.mask is not None else flat(column)

    def _instants(self, column, unit):
        made = flat(column).astype("M8[%s]" % unit)
        if column.mask is not None:
            made[np.frombuffer(column.mask, dtype=np.uint8) != 0] = np.datetime64("NaT")
        return made.astype("M8[ns]") if self.pandas.__version__.startswith(("0.", "1.")) else made

    def take(self, batch, rows):
        if rows is None:
            return batch.copy(deep=self.writable)  # a model that adds a column adds it to its own copy
        return batch.iloc[rows].reset_index(drop=True)


def _nested(column):
    values = column.values()
    return [values[at : at + column.width] for at in range(0, len(values), column.width)]


class Records(object):
    """A list of dicts, one a row; a value that is missing is None, or left out where ``sparse``."""

    writable = False

    def __init__(self, fields, sparse=False):
        self.fields, self.sparse = fields, sparse

    def build(self, columns, n):
        lists = []
        for field, column in zip(self.fields, columns):
            values = column.values()
            if column.width > 1 or field.get("shape"):
                values = [values[at : at + column.width] for at in range(0, len(values), column.width)]
            lists.append([None if isinstance(value, float) and value != value else value for value in values])
        names = [field["name"] for field in self.fields]
        rows = [dict(zip(names, values)) for values in zip(*lists)]
        return [{key: value for key, value in row.items() if value is not None} for row in rows] if self.sparse else rows

    def take(self, batch, rows):
        return [dict(row) for row in (batch if rows is None else [batch[row] for row in rows])]


def builder(kind, described, signature, dtype="float64"):
    """The builder for ``description.input.build`` = ``kind`` and a signature.

    :raises LoadError: the signature does not fit what the model takes.
    """
    fields = signature.get("fields") or []
    if kind == "array" and not described and len(fields) == 1 and fields[0].get("dtype") == "text":
        kind = "texts"  # the model did not say what it takes; a lone text is a list of texts to every vectoriser
    described = described or [{"name": field["name"], "kind": field.get("kind", "number"), "dtype": "float64"} for field in fields]
    if kind == "texts":
        if len(fields) != 1:
            raise LoadError("signature_mismatch", "the model takes one text, the signature has %d fields" % len(fields))
        return Texts()
    if kind == "records":
        return Records(fields, sparse=True)
    if kind == "tensor" or kind == "array" and len(fields) == 1 and width_of(fields[0]) > 1:
        return Tensor(described[0].get("shape") or [width_of(fields[0])] if kind == "tensor" else [width_of(fields[0])], dtype)
    order = order_of(fields, described)
    if signature.get("layout") == "matrix":
        if kind != "array":
            raise LoadError("signature_mismatch", "a matrix cannot become the %s that the model takes" % kind)
        return Matrix(len(fields), dtype)
    if kind == "dataframe":
        return Frame(order, described, fields)
    if kind == "objects" or any(code >= wire.TEXT for code, _ in layout_of(signature)):
        return Objects(order, described)
    return Stacked(order, dtype)
