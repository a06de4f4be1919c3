"""The list of one-hot columns beside a model, as ``get_dummies`` and ``reindex`` leave it: raw fields in, one-hot rows out.

From the names alone: columns ``city_Lagos`` and ``city_Paris`` are choices of a field ``city``; a name that shares its front
with no other stands for a number. ``get_dummies(drop_first=True)`` leaves no trace of the first level, so that level cannot be
known: it is a choice only when the signature names it (``fields: {city: {choices: [Accra, Lagos, Paris]}}``), and such a choice
without a column of its own gives zeros. Any other value is an error of its row, never silent zeros.
"""

import io
import json
import pickle

import numpy as np

from . import build
from .calls import RowsRefused
from .fields import column, names_of
from .opening import open_checked
from .refusal import LoadError


def read(file):
    """The columns in ``file``: a path or ``{"path", "name"}`` of a JSON list, or a pickled list, Index or array.

    :raises LoadError: it cannot be read, or holds something else.
    """
    with open_checked(file if isinstance(file, dict) else {"path": file}) as stream:
        data = stream.read()
    try:
        names = json.loads(data.decode("utf-8"))
    except ValueError:
        names = _unpickled(data)
    if isinstance(names, dict):
        names = names.get("columns") or names.get("data_columns") or list(names)
    names = names.tolist() if hasattr(names, "tolist") else names
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise LoadError("wrong_columns", "the columns file holds %s in place of a list of names" % type(names).__name__)
    if len(set(names)) != len(names):
        raise LoadError("wrong_columns", "the columns file names a column twice")
    return Dummies([str(name) for name in names])


def _unpickled(data):
    try:
        return pickle.loads(data)
    except Exception as first:  # the edge round a user's file: joblib's own format is tried before it is refused
        try:
            import joblib

            return joblib.load(io.BytesIO(data))
        except Exception:
            raise LoadError("wrong_columns", "the columns file is neither JSON nor a pickle: %s" % type(first).__name__)


def grouped(names):
    """``[(field, {value: column name} or None)]`` in the order in which fields first appear; None is a number."""
    fronts = {}
    for name in names:
        parts = name.split("_")
        for i in range(1, len(parts)):
            front = "_".join(parts[:i])
            if front:
                fronts.setdefault(front, []).append(name)
    fields, taken = [], {}
    for name in names:
        if name in taken:
            continue
        front = _front_of(name, fronts, set(names))
        if front is None:
            fields.append((name, None))
            continue
        group = {other[len(front) + 1 :]: other for other in fronts[front] if other not in taken}
        taken.update(dict.fromkeys(group.values(), front))
        fields.append((front, group))
    return fields


def _front_of(name, fronts, names):
    """The longest front that ``name`` shares with another column; None when it stands alone."""
    parts = name.split("_")
    for i in range(len(parts) - 1, 0, -1):
        front = "_".join(parts[:i])
        if front and front not in names and len(fronts.get(front, ())) > 1:
            return front
    return None


class Dummies(object):
    """One-hot columns, and the raw fields that they came from."""

    def __init__(self, names):
        self.names, self.fields = names, grouped(names)

    def columns(self):
        """The raw fields as a description tells them."""
        made = []
        for name, group in self.fields:
            if group is None:
                made.append(column(name, nullable=None))
            else:
                made.append(column(name, "category", "text", choices=list(group), closed=True, nullable=False))
        return made

    def builder(self, signature, model):
        """What makes one-hot rows of frames laid out as ``signature`` says.

        :raises LoadError: fields that the columns cannot come from.
        """
        first = getattr(model, "steps", [model])[0]
        return OneHot(self, regroup(self.names, signature.get("fields") or []), bool(names_of(model) or names_of(first)))


def regroup(names, fields):
    """``[(field, {choice: place in names} or None, place)]``: signature's fields over the one-hot columns.

    A field whose own name is a column is a number; else the columns that start with ``name_`` are its values.
    """
    left, made = set(names), []
    for field in fields:
        if field["name"] in left:
            left.discard(field["name"])
            made.append((field["name"], None, names.index(field["name"])))
            continue
        group = {}
        for name in sorted(left):
            if name.startswith(field["name"] + "_"):
                group[name[len(field["name"]) + 1 :]] = names.index(name)
        if not group:
            raise LoadError("signature_mismatch", "no column of the columns file comes from the field %r" % field["name"])
        left.difference_update(names[place] for place in group.values())
        for choice in field.get("choices") or ():
            group.setdefault(spelled(choice), None)
        made.append((field["name"], group, None))
    if left:
        raise LoadError("signature_mismatch", "no field gives the column %r" % sorted(left)[0])
    return made


def spelled(value):
    """A value as ``get_dummies`` writes it behind the underscore."""
    return str(value)


class OneHot(object):
    """Builds one-hot rows: a DataFrame where the model knows names, else an array."""

    writable = False

    def __init__(self, dummies, fields, named):
        self.names, self.fields, self.named = dummies.names, fields, named

    def build(self, columns, n):
        """As every builder.

        :raises RowsRefused: a value that none of the columns stands for, or a missing one.
        """
        made, errors = np.zeros((n, len(self.names))), {}
        for i, (name, group, place) in enumerate(self.fields):
            source = columns[0] if len(columns) == 1 and len(self.fields) > 1 else columns[i]
            if source.width == len(self.fields) and source.width > 1:
                made[:, place] = build.floating(source).reshape(n, -1)[:, i]
            elif group is None:
                made[:, place] = build.floating(source)
            else:
                self._mark(made, name, group, source.values(), errors)
        if errors:
            raise RowsRefused(errors)
        if not self.named:
            return made
        import pandas

        return pandas.DataFrame(made, columns=self.names)

    @staticmethod
    def _mark(made, name, group, values, errors):
        for row, value in enumerate(values):
            key = spelled(value)
            if value is None or key not in group:
                got = "nothing" if value is None else repr(key[:40])
                errors.setdefault(row, ("invalid_value", "%s must be one of %s, got %s" % (name, ", ".join(sorted(group)[:10]), got)))
            elif group[key] is not None:
                made[row, group[key]] = 1.0

    def take(self, batch, rows):
        if rows is None:
            return batch.copy()
        return batch.iloc[rows] if self.named else batch[rows]


