"""A Python function or class, found by ``package.module:name`` or ``file.py:name``; type hints are its signature.

A function is asked once a row, with the fields as keywords. A class is made once; ``load()`` is called if it has one, and
``predict(rows)`` gets a list of dicts and returns one answer a row. One that yields streams: it is asked for one row, and what
it yields are the values of its answer. A predict frame gets the first of them alone, which is enough for a trial.
"""

import collections.abc
import datetime
import importlib
import inspect
import os
import sys
import types
import typing

from . import layout, wire
from .calls import OutputInvalid, explain
from .fields import column
from .opening import open_checked
from .plain import pack_values
from .refusal import LoadError
from .runtime import Runtime

SIMPLE = {str: ("text", "text"), int: ("integer", "int64"), float: ("number", "float64"), bool: ("boolean", "bool")}
YIELDING = (typing.Iterator, typing.Generator, collections.abc.Iterator, collections.abc.Generator)
INSTANTS = (datetime.datetime, datetime.date)


def find(file):
    """The object that ``module:attribute`` or ``file.py:attribute`` in ``file["path"]`` means.

    :raises LoadError: no such file or name, or a file that has changed.
    """
    path = file["path"]
    where, found, attribute = path.rpartition(":")
    if not found or not where or not attribute:
        raise LoadError("wrong_function", "a Python model is given as package.module:name or file.py:name, got %r" % path)
    module = _from_file(where, file.get("sha256")) if where.endswith(".py") else importlib.import_module(where)
    for part in attribute.split("."):
        if not hasattr(module, part):
            raise LoadError("missing_name", "%s has no %s" % (where, attribute))
        module = getattr(module, part)
    return module


def _from_file(path, sha256):
    path = os.path.abspath(path)
    with open_checked({"path": path, "sha256": sha256, "name": os.path.basename(path)}) as stream:
        source = stream.read()
    folder, stem = os.path.dirname(path), os.path.splitext(os.path.basename(path))[0]
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = types.ModuleType(stem)
    module.__file__ = path
    sys.modules[stem] = module
    exec(compile(source, path, "exec"), module.__dict__)
    return module


def field_of(name, hint, default):
    """A described column for one parameter and its type hint."""
    hint, nullable = _optional(hint)
    more = {"nullable": nullable or default is None, "default": None if default is inspect.Parameter.empty else default}
    if default is not inspect.Parameter.empty and default is not None:
        more["nullable"] = True  # left out, the function's own default stands
    choices = _choices(hint)
    if choices:
        kinds = {type(choice) for choice in choices}
        dtype = SIMPLE[kinds.pop()][1] if len(kinds) == 1 and kinds <= set(SIMPLE) else "json"
        return column(name, "category", dtype, choices=choices, **more)
    if hint in SIMPLE:
        return column(name, *SIMPLE[hint], **more)
    if hint in INSTANTS:
        return column(name, "datetime", "int64", options={"unit": "us", "date": hint is datetime.date}, **more)
    if hint is inspect.Parameter.empty or hint is typing.Any:
        return column(name, "text", "text", **more)
    if hint is list or _origin(hint) in (list, typing.List, tuple, typing.Sequence):
        return column(name, "vector", "json", **more)
    return column(name, "text", "json", **more)


def _origin(hint):
    return getattr(hint, "__origin__", None)


def _optional(hint):
    """``(hint, True)`` of ``Optional[hint]`` and ``hint | None``."""
    arguments = getattr(hint, "__args__", None) or ()
    is_union = _origin(hint) is typing.Union or type(hint).__name__ == "UnionType"
    if is_union and type(None) in arguments:
        rest = [one for one in arguments if one is not type(None)]
        return (rest[0] if len(rest) == 1 else typing.Any), True
    return hint, False


def _choices(hint):
    """Values of a ``Literal``."""
    origin = _origin(hint)
    if origin is not None and "Literal" in str(origin):
        return list(hint.__args__)
    values = getattr(hint, "__values__", None)
    return list(values) if values and "Literal" in type(hint).__name__ else []


def yields(function, hint):
    """Whether ``function`` gives its answer bit by bit: it has a ``yield``, or its hint says so.

    :raises LoadError: an asynchronous generator.
    """
    written = inspect.unwrap(function)
    if getattr(inspect, "isasyncgenfunction", bool)(written):
        raise LoadError("wrong_function", "%s is an async generator: write it with def and yield" % getattr(written, "__name__", "it"))
    return inspect.isgeneratorfunction(written) or _origin(hint) in YIELDING


def item_of(hint):
    """``T`` of ``List[T]``, ``Iterator[T]`` or ``Generator[T, …]``."""
    return (getattr(hint, "__args__", None) or (None,))[0]


def hints_of(function):
    """Type hints, or nothing where they cannot be resolved."""
    try:
        return typing.get_type_hints(function)
    except Exception:  # the edge round a user's code: a hint may name what is not imported
        return dict(getattr(function, "__annotations__", {}))


class PythonRuntime(Runtime):
    """A function or an instance of a class; what it returns is JSON unless its hint says str, int, float or bool."""

    name = "python"

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        found = find(files[0])
        self.estimator = getattr(found, "__name__", type(found).__name__)
        self.input_build, self.named = "records", True
        if inspect.isclass(found):
            self._adopt_class(found)
        elif callable(found):
            self.function, self.instance = found, None
            self.columns = self._parameters(found)
            returned = hints_of(found).get("return")
            self.streams = yields(found, returned)
            self._outputs(item_of(returned) if self.streams else returned)
        else:
            raise LoadError("no_predict", "%s is no function and no class" % self.estimator)
        for name in ("numpy", "pandas", "torch", "sklearn"):
            if name in sys.modules:
                self.libraries[name] = str(getattr(sys.modules[name], "__version__", ""))

    def _adopt_class(self, cls):
        self.function, self.instance = None, cls()
        if callable(getattr(self.instance, "load", None)):
            self.instance.load()
        if not callable(getattr(self.instance, "predict", None)):
            raise LoadError("no_predict", "the class %s has no predict" % self.estimator)
        fields = getattr(self.instance, "fields", None) or getattr(cls, "__annotations__", {})
        hints = hints_of(cls) if not isinstance(fields, dict) or fields is getattr(cls, "__annotations__", None) else fields
        empty = inspect.Parameter.empty
        hints = hints if isinstance(hints, dict) else {}
        self.columns = [field_of(name, hints.get(name, empty), empty) for name in fields if not name.startswith("_")]
        returned = hints_of(self.instance.predict).get("return")
        self.streams = yields(self.instance.predict, returned)
        self._outputs(item_of(returned) if self.streams or _origin(returned) in (list, typing.List) else None)

    @staticmethod
    def _parameters(function):
        hints, made = hints_of(function), []
        for name, one in inspect.signature(function).parameters.items():
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                raise LoadError("wrong_function", "%s takes *args or **kwargs: its fields cannot be known" % getattr(function, "__name__", "it"))
            made.append(field_of(name, hints.get(name, one.annotation), one.default))
        if not made:
            raise LoadError("wrong_function", "%s takes no parameters" % getattr(function, "__name__", "it"))
        return made

    def _outputs(self, hint):
        """What the hint of one answer says; values of a stream are held to it and travel as JSON, as does the list of them."""
        choices = _choices(hint)
        if choices and {type(choice) for choice in choices} == {str}:
            hint = str
        kind, dtype = SIMPLE.get(hint, ("json", "json"))
        self.value_code = wire.DTYPES[dtype]
        dtype = "json" if self.streams else dtype
        self.output_words = [{"name": "prediction", "role": "prediction", "kind": kind, "dtype": dtype, "width": 1}]

    def configure(self, signature):
        """As every runtime: rows become dicts, keyed by the names of the signature."""
        fields = signature.get("fields") or []
        names = [field["name"] for field in fields]
        if self.columns and self.function is not None and set(names) != {one["name"] for one in self.columns}:
            raise LoadError("signature_mismatch", "the function takes %s" % ", ".join(one["name"] for one in self.columns))
        instants = {one["name"]: bool((one.get("options") or {}).get("date")) for one in self.columns if one["kind"] == "datetime"}
        if signature.get("layout") == "matrix":
            self.builder = PlainMatrix(names)
        else:
            self.builder = PlainRecords(fields, instants)
        return layout.layout_of(signature)

    def call(self, batch, n):
        errors = {}
        if self.streams:
            answers = [self._first(row) for row in batch]
        elif self.function is not None:
            answers = [self._ask(row, place, errors) for place, row in enumerate(batch)]
        else:
            answers = self.instance.predict(batch)
            answers = answers.tolist() if hasattr(answers, "tolist") else answers
            if not isinstance(answers, (list, tuple)) or len(answers) != n:
                told = "%d answers" % len(answers) if isinstance(answers, (list, tuple)) else type(answers).__name__
                raise OutputInvalid("predict returned %s to %d rows" % (told, n))
        code = wire.DTYPES[self.output_words[0]["dtype"]]
        return [pack_values(list(answers), code, errors)], errors

    def stream(self, batch):
        """An iterator over the values of one row's answer."""
        return iter(self.function(**self._known(batch[0])) if self.function is not None else self.instance.predict(batch))

    def part(self, value):
        """One value of a stream as columns.

        :raises OutputInvalid: it is not what the hint says, or no JSON.
        """
        errors = {}
        packed = pack_values([value], self.value_code, errors)
        if self.value_code != wire.JSON and not errors:
            packed = pack_values([value], wire.JSON, errors)
        if errors:
            raise OutputInvalid(errors[0][1])
        return [packed]

    def _first(self, row):
        """A list of the first value alone."""
        values = self.stream([row])
        try:
            value = next(values, self)
            if value is self:
                raise OutputInvalid("it yielded nothing")
            self.part(value)
            return [value]
        finally:
            getattr(values, "close", int)()

    def _ask(self, row, place, errors):
        """One answer of a function; a row that raises is asked once and fails alone, since functions may have effects."""
        try:
            return self.function(**self._known(row))
        except BaseException as exc:  # the edge round a user's model
            errors[place] = explain(exc)
            return None

    def _known(self, row):
        """Without what was left out where the function has a default of its own."""
        for one in self.columns:
            if row[one["name"]] is None and one["default"] is not None:
                row.pop(one["name"])
        return row


class PlainRecords(object):
    """Rows as dicts, without numpy."""

    writable = False

    def __init__(self, fields, instants):
        self.fields, self.instants = fields, instants

    def build(self, columns, n):
        lists = []
        for field, one in zip(self.fields, columns):
            values = one.values()
            if field.get("shape"):
                values = [values[at : at + one.width] for at in range(0, len(values), one.width)]
            values = [None if isinstance(value, float) and value != value else value for value in values]
            if field.get("kind") == "datetime":
                values = [instant(value, self.instants.get(field["name"], False)) for value in values]
            elif field.get("kind") == "integer":
                values = [int(value) if isinstance(value, float) else value for value in values]
            lists.append(values)
        names = [field["name"] for field in self.fields]
        return [dict(zip(names, values)) for values in zip(*lists)]

    def take(self, batch, rows):
        return [dict(row) for row in (batch if rows is None else [batch[row] for row in rows])]


class PlainMatrix(PlainRecords):
    """Rows as dicts out of one matrix column."""

    def __init__(self, names):
        PlainRecords.__init__(self, [], {})
        self.names = names

    def build(self, columns, n):
        values, k = columns[0].values(), len(self.names)
        values = [None if isinstance(value, float) and value != value else value for value in values]
        return [dict(zip(self.names, values[at : at + k])) for at in range(0, n * k, k)]


def instant(value, is_date):
    """Microseconds since 1970 in UTC as a datetime without zone, or a date."""
    if value is None:
        return None
    made = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=int(value))
    return made.date() if is_date else made
