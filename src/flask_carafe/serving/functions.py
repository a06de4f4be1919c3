"""Python functions and classes of the application as models: type hints are the signature; they run in the web worker."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import math
import re
import threading
import types
import typing
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from ..artifacts.journal import USUAL, JournalRules
from ..artifacts.spec import from_options
from ..errors import ConfigError
from ..signature import Field, Output, Signature
from ..signature.kinds.text import ANY_TEXT
from .table import Call, Entry, Model

KINDS: dict[Any, dict[str, Any]] = {
    str: {"kind": "text", "dtype": "text"},
    int: {"kind": "integer", "dtype": "int64"},
    float: {"kind": "number", "dtype": "float64"},
    bool: {"kind": "boolean", "dtype": "bool"},
    dt.datetime: {"kind": "datetime", "dtype": "int64", "options": {"unit": "us"}},
}
STREAMS = (Iterator, Generator)
SURROGATE = re.compile("[\ud800-\udfff]")
OUTPUTS: dict[Any, tuple[str, str]] = {str: ("text", "text"), int: ("integer", "int64"), float: ("number", "float64"), bool: ("boolean", "bool")}


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """One declared function: what is called with a list of rows, and what it takes."""

    name: str
    call: Call
    signature: Signature
    description: str = ""
    routes: tuple[str, ...] = ()
    journal: JournalRules = USUAL


def declare(
    name: str, target: Any, *, fields: Mapping[str, Any] | None = None, description: str = "", routes: tuple[str, ...] = (), journal: Any = None
) -> Function:
    """A :class:`Function` for ``target``: a function of one row's values, or a class with ``predict(rows)``.

    One that yields is asked one row at a time, and each value is sent as it comes.

    :param fields: name -> kind, or -> what :class:`~flask_carafe.signature.Field` has; wins over the type hints.
    :param journal: what the journal keeps of it, as in ``carafe.yaml``.
    :raises ConfigError: a name or a route that cannot be one, or a parameter whose hint is no kind of field.
    """
    spec = from_options(name, files="a function of the application", routes=routes, journal=journal)  # one rule for names and routes
    streams = _streams(name, getattr(target, "predict", None) if inspect.isclass(target) else target)
    if inspect.isclass(target):
        call, found = _class_call(target, streams), _given_fields(name, fields)
    else:
        call, found = _function_call(target, streams), _given_fields(name, fields) if fields else _hinted_fields(name, target)
    signature = Signature(fields=found, outputs=(_output(name, target, streams),), named=True, streams=streams)
    spec.journal.fits(signature)
    text = description or (inspect.getdoc(target) or "").partition("\n")[0]
    return Function(name=name, call=call, signature=signature, description=text, routes=spec.routes, journal=spec.journal)


def function_model(function: Function, max_rows: int) -> Model:
    """``function`` as an entry of a routing table."""
    entry = Entry(
        name=function.name, state="ready", description=function.description, runtime="Python function", signature=function.signature,
        routes=function.routes, digest="local", journal=function.journal,
    )  # fmt: skip
    model = Model(entry, max_rows)
    model.call = function.call
    return model


def _streams(name: str, function: Any) -> bool:
    """Whether ``function`` gives its answer bit by bit: it has a ``yield``, or its hint says so.

    :raises ConfigError: an asynchronous generator.
    """
    written: Any = inspect.unwrap(function) if callable(function) else None
    if inspect.isasyncgenfunction(written):
        raise ConfigError(f"Model {name!r} is an async generator, which is not run here.", "Write it with def and yield; it runs beside the loop.")
    if inspect.isgeneratorfunction(written):
        return True
    returns: Any = get_origin(_hints(name, written).get("return")) if getattr(written, "__annotations__", {}).get("return") else None
    return returns in STREAMS


def _function_call(function: Callable[..., Any], streams: bool) -> Call:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }

    def ask(row: dict[str, Any]) -> Any:
        return function(**{key: value for key, value in row.items() if value is not None or key not in defaults})

    return (lambda rows: ask(rows[0])) if streams else (lambda rows: [ask(row) for row in rows])


def _class_call(kind: type, streams: bool) -> Call:
    made: list[Any] = []
    loading = threading.Lock()

    def call(rows: list[dict[str, Any]]) -> Iterable[Any]:
        with loading:
            if not made:
                one = kind()
                load = getattr(one, "load", None)
                if load:
                    load()
                made.append(one)
        given = made[0].predict(rows)
        return given if streams else list(given)

    return call


def _given_fields(name: str, fields: Mapping[str, Any] | None) -> tuple[Field, ...]:
    if not fields:
        raise ConfigError(f"Model {name!r} has no type hints to read its fields from.", 'Say fields={"text": "text"} when declaring it.')
    found = []
    for field, facts in fields.items():
        given = {"kind": facts} if isinstance(facts, str) else dict(facts)
        base = next((known for known in KINDS.values() if known["kind"] == given.get("kind")), {"dtype": "text"})
        try:
            found.append(msgspec.convert({"name": field, **base, **given}, Field))
        except msgspec.ValidationError as exc:
            raise ConfigError(f"Model {name!r}, field {field!r}: {exc}.") from exc
    return tuple(found)


def _hinted_fields(name: str, function: Callable[..., Any]) -> tuple[Field, ...]:
    hints = _hints(name, function)
    fields = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"Model {name!r}: the parameter {parameter.name!r} is not one named value.", "Name each input, with a type hint.")
        fields.append(_field(name, parameter, hints.get(parameter.name)))
    if not fields:
        raise ConfigError(f"Model {name!r} takes nothing.", "Give the function at least one parameter, with a type hint.")
    return tuple(fields)


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError as exc:
        raise ConfigError(f"Model {name!r}: a type hint names {exc.name!r}, which cannot be found.", "Define it at the top of its module.") from exc


def _field(model: str, parameter: inspect.Parameter, hint: Any) -> Field:
    optional = parameter.default is not parameter.empty
    if get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
        optional = True
        rest = [part for part in get_args(hint) if part is not type(None)]
        hint = rest[0] if len(rest) == 1 else hint
    facts = _facts(hint)
    if facts is None:
        raise ConfigError(
            f"Model {model!r}: the parameter {parameter.name!r} has the type hint {hint!r}, which is no kind of field.",
            "Use str, int, float, bool, datetime, Literal[...] or an Enum - or say fields={...}.",
        )
    example = parameter.default if isinstance(parameter.default, str | int | float | bool) else None
    if example is None and facts["kind"] == "text":
        example = ANY_TEXT
    return Field(name=parameter.name, nullable=optional, example=example, **facts)


def _facts(hint: Any) -> dict[str, Any] | None:
    if hint in KINDS:
        return KINDS[hint]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        choices = tuple(member.value for member in hint)
    if not choices:
        return None
    kinds = {type(choice) for choice in choices}
    dtype = {str: "text", int: "int64", float: "float64", bool: "bool"}.get(kinds.pop(), "json") if len(kinds) == 1 else "json"
    return {"kind": "category", "choices": choices, "dtype": dtype}


def _output(name: str, target: Any, streams: bool) -> Output:
    """Always JSON inside; the hint says what people are told: of a stream what one value of it is."""
    hint = _hints(name, target).get("return") if inspect.isfunction(target) else None
    if streams:
        hint = next(iter(get_args(hint)), None)
    kind, _ = OUTPUTS.get(hint, ("json", "json"))
    return Output(name="prediction", kind=kind, dtype="json")


def plain(value: Any) -> Any:
    """``value`` as texts, numbers, lists and objects; arrays and numpy scalars by their own ``tolist``.

    :raises ValueError: what JSON cannot say: NaN, infinity, half of a surrogate pair, other types, nesting without end.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that JSON can say")
    if isinstance(value, str) and SURROGATE.search(value):
        raise ValueError("a text holds half of a surrogate pair, which is no character")
    if value is None or type(value) in (str, int, float, bool):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    for base in (str, int, float):  # a class of its own, as an enum of texts: the encoder knows only the plain ones
        if isinstance(value, base):
            return str.__str__(value) if base is str else base(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    raise ValueError(f"a value of type {type(value).__name__} is neither text, number, list nor object")
