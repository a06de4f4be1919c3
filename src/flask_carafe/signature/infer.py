"""The Signature of a version: what the fitted object says of itself, refined by a sample, overruled by hand.

The object speaks through a host's *description* (JSON). The person speaks through a spec: any object that has some of
``fields`` (names, or name -> facts), ``inputs`` (hints such as ``image:28x28:L``), ``labels``, ``sample`` and ``extra``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import isfinite, prod
from typing import Any

import msgspec

from ..errors import ConfigError, InvalidInput
from .answer import Encoder
from .check import NEAR
from .kinds import KINDS, Wrong, choices_dtype, kind_of
from .kinds.category import same
from .kinds.number import clamp, round_example
from .kinds.text import ANY_TEXT
from .labels import apply_labels
from .model import DType, Field, Output, Signature
from .pictures import Hint, Wanted, picture
from .places import ONLY, made_up
from .sample import ColumnSummary, Sample, is_missing, read_sample

SHAPED = ("image", "vector", "tensor")
NUMERIC = ("number", "integer", "boolean")
FLOATS = ("float64", "float32")
TARGETS = {"target", "label", "class", "y", "prediction", "expected"}
ENDS = ("minimum", "maximum", "low", "high")  # endless ones say nothing
FACTS = ("kind", "minimum", "maximum", "low", "high", "choices", "closed", "nullable", "example", "description", "shape", "options")


def infer(description: Mapping[str, Any], spec: Any = None, sample: Sample | None = None) -> Signature:
    """The signature of a version.

    :param description: ``input`` and ``outputs`` as a host describes them.
    :param spec: a ``ModelSpec`` or anything with some of its attributes; None says nothing.
    :param sample: a summary that was read already; else ``spec.sample`` names a CSV file.
    :raises ConfigError: what was said by hand does not fit the model; the sentence names the field.
    """
    given = description.get("input") or {}
    build = given.get("build", "array")
    drafts = [dict(column) for column in given.get("columns") or ()]
    hand: Any = getattr(spec, "fields", ()) or ()
    named = bool(given.get("named"))
    if sample is None and (path := getattr(spec, "sample", None)):
        sample = read_sample(path)
    drafts = _shaped(drafts, list(getattr(spec, "inputs", ()) or ()), build, hand)
    _name(drafts, hand, sample, named)
    if isinstance(hand, Mapping):
        _check_names(hand, drafts)
    fields = [_field(draft, build, sample, hand.get(draft["name"]) if isinstance(hand, Mapping) else None) for draft in drafts]
    _check_unique(fields)
    outputs = apply_labels(msgspec.convert(description.get("outputs") or [], tuple[Output, ...]), getattr(spec, "labels", ()))
    signature = _laid_out(fields, outputs, build, named, getattr(spec, "extra", "") or "forbid")
    if description.get("streams"):
        signature = msgspec.structs.replace(signature, streams=True)
    try:
        Encoder(signature)
    except InvalidInput as exc:
        raise ConfigError(str(exc), exc.hint) from exc
    return signature


def with_nullable(signature: Signature, names: Sequence[str]) -> Signature:
    """The same signature with exactly these fields nullable, each in the dtype that it then travels as."""
    chosen = set(names)
    fields = [msgspec.structs.replace(field, nullable=field.name in chosen) for field in signature.fields]
    if signature.layout == "columns":
        fields = [_retyped(field) for field in fields]
    return msgspec.structs.replace(signature, fields=tuple(fields))


def _retyped(field: Field) -> Field:
    if field.kind != "integer" or field.dtype == "float32":
        return field
    return msgspec.structs.replace(field, dtype="float64" if field.nullable else "int64")


# names


def _name(drafts: list[dict[str, Any]], hand: Any, sample: Sample | None, named: bool) -> None:
    """Give every draft its name: by hand, from the model, from the sample's header, else made up."""
    if hand and not named:
        _name_by_hand(drafts, list(hand), isinstance(hand, Mapping))
    elif hand and not isinstance(hand, Mapping):
        _check_names(hand, drafts)
    unnamed = [draft for draft in drafts if draft.get("name") is None]
    if len(unnamed) == len(drafts) > 1 and sample is not None:
        for draft, name in zip(drafts, _sample_names(sample, len(drafts)), strict=True):
            draft["name"] = name
    for place, draft in enumerate(drafts):
        if draft.get("name") is None:
            only = len(drafts) == 1 and draft.get("kind") in ONLY
            draft["name"] = ONLY[draft["kind"]] if only else made_up(place)


def _name_by_hand(drafts: list[dict[str, Any]], names: list[str], partly: bool) -> None:
    ours = {made_up(place) for place in range(len(drafts))} | {ONLY.get(draft.get("kind", ""), "") for draft in drafts}
    if partly and set(names) <= ours:
        return
    if not drafts:
        drafts += [{"name": None, "kind": "number", "dtype": "float64"} for _ in names]
    if len(names) != len(drafts):
        hint = "Name every input, in the order in which the model was fitted."
        raise ConfigError(f"fields: got {len(names)} names for the {len(drafts)} inputs of this model.", hint)
    for draft, name in zip(drafts, names, strict=True):
        draft["name"] = name


def _sample_names(sample: Sample, k: int) -> list[str]:
    names = list(sample.columns)
    if len(names) > k:
        names = [name for name in names if name.lower() not in TARGETS]
    if len(names) != k:
        hint = "Say with fields which columns the model takes, in order."
        raise ConfigError(f"sample: it has {len(sample.columns)} columns, the model takes {k} and does not know their names.", hint)
    return names


def _check_names(hand: Any, drafts: list[dict[str, Any]]) -> None:
    """:raises ConfigError: a name that the model does not have, or (as a list) not all that it has."""
    known = [str(draft["name"]) for draft in drafts]
    known_set = set(known)
    for name in hand:
        if name not in known_set:
            near = get_close_matches(str(name), known[:1000], 1, NEAR)
            listed = ", ".join(known[:20]) + (" …" if len(known) > 20 else "")
            hint = f"Did you mean {near[0]!r}?" if near else f"It was fitted with: {listed}."
            raise ConfigError(f"fields: the model has no field {name!r}.", hint)
    if not isinstance(hand, Mapping) and len(hand) != len(known):
        left = sorted(known_set - set(hand), key=known.index)
        hint = "Leave fields out, the model knows its own names."
        raise ConfigError(f"fields: {left[0]!r} is not among them, but the model was fitted with it.", hint)


def _check_unique(fields: list[Field]) -> None:
    if not fields:
        raise ConfigError("The model does not say what it takes.", "Name its inputs with fields, in the order in which it was fitted.")
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            raise ConfigError(f"Two fields are called {field.name!r}.", "Give every field a name of its own with fields.")
        seen.add(field.name)


# pictures, texts and documents by hint


def _shaped(drafts: list[dict[str, Any]], hints: list[Hint], build: str, hand: Any) -> list[dict[str, Any]]:
    for hint in hints:
        draft = next((draft for draft in drafts if hint.field and draft.get("name") == hint.field), None)
        if draft is None and hint.field in list(hand) and len(drafts) == len(list(hand)):
            draft = drafts[list(hand).index(hint.field)]
        if draft is None and hint.kind in SHAPED and build == "array":
            drafts = [_collapsed(drafts, hint, hand)]
            continue
        if draft is None and len(drafts) == 1:
            draft = drafts[0]
        if draft is None and not drafts:
            drafts = [draft := {"name": None, "dtype": "float64" if hint.kind in SHAPED else "text"}]
        if draft is None:
            name = drafts[0].get("name") or "photo"
            raise ConfigError(f"input: which field is the {hint.kind}?", f"Write its name before it, as {name}={hint.kind}.")
        draft["name"] = hint.field or draft.get("name")
        draft["hinted"] = _hinted(hint, tuple(draft.get("shape") or ()))
        draft["kind"] = hint.kind
    return drafts


def _collapsed(drafts: list[dict[str, Any]], hint: Hint, hand: Any) -> dict[str, Any]:
    """All numbers of a row as one picture, vector or tensor."""
    names = list(hand)
    dtype = drafts[0].get("dtype", "float64") if drafts else "float64"
    shape = (len(drafts),) if drafts else ()
    made = _hinted(hint, shape)
    made["shape"] = (prod(made["shape"]),)
    if hint.kind == "image":
        made["options"]["flatten"] = True
    return {"name": hint.field or (names[0] if len(names) == 1 else None), "kind": hint.kind, "dtype": dtype, "hinted": made}


def _hinted(hint: Hint, shape: tuple[int, ...]) -> dict[str, Any]:
    """Facts of the field that ``hint`` describes, for an input of ``shape``; () where the model does not say.

    :raises ConfigError: it says another number of values than the model takes.
    """
    if hint.kind == "image":
        return picture(hint, shape)
    if hint.kind not in SHAPED:
        return {"kind": hint.kind}
    if shape and prod(shape) != prod(hint.shape):
        said, takes = (" x ".join(map(str, one)) for one in (hint.shape, shape))
        raise ConfigError(f"input: got {hint.kind} of {said}, the model takes {takes}.", "Say the size of one row, without the number of rows.")
    return {"kind": hint.kind, "shape": shape if len(shape) > 1 else hint.shape}


# one field


def _field(draft: dict[str, Any], build: str, sample: Sample | None, hand: Any) -> Field:
    facts = {key: draft[key] for key in FACTS if draft.get(key) is not None}
    facts["choices"] = tuple(draft.get("choices") or ())
    facts["kind"] = draft.get("kind") or "number"
    summary = sample.columns.get(draft["name"]) if sample is not None else None
    if summary is not None:
        facts |= _from_sample(facts, draft, build, summary)
    facts |= draft.get("hinted") or {}
    facts |= _by_hand(draft["name"], facts, hand)
    facts = {key: value for key, value in facts.items() if key not in ENDS or not isinstance(value, float) or isfinite(value)}
    facts["dtype"] = _dtype(facts, draft.get("dtype") or "float64", build)
    if facts["kind"] in SHAPED and not facts.get("shape"):
        raise ConfigError(f"fields.{draft['name']}: a {facts['kind']} needs a shape.", "For example {kind: vector, shape: [64]}.")
    if facts["kind"] == "image":
        options = facts.get("options") or {}
        facts |= picture(Wanted(**{key: options[key] for key in Wanted._fields if key in options}), tuple(facts["shape"]))
    try:
        field = msgspec.convert({"name": draft["name"], **facts}, Field)
    except msgspec.ValidationError as exc:
        raise ConfigError(f"fields.{draft['name']}: {exc}.") from exc
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        raise ConfigError(f"fields.{field.name}: minimum {field.minimum} is above maximum {field.maximum}.")
    by_hand = isinstance(hand, Mapping) and hand.get("example") is not None
    default = draft.get("default")
    if default is None and build == "records" and field.kind == "text":
        default = ANY_TEXT
    return _with_example(field, default, sample, by_hand)


def _from_sample(facts: dict[str, Any], draft: dict[str, Any], build: str, summary: ColumnSummary) -> dict[str, Any]:
    """What the sample's column adds. A number stays one, even where all that were seen are whole."""
    found: dict[str, Any] = {}
    if summary.missing and draft.get("nullable") is None:
        found["nullable"] = True
    kind = facts["kind"]
    if kind in ("number", "integer") and summary.edges:
        found |= {"low": summary.low, "high": summary.high}
    elif kind == "number" and build in ("dataframe", "records", "objects") and summary.rows > summary.missing and draft.get("default") is None:
        found["kind"] = summary.kind
        if summary.kind == "category":
            found |= {"choices": tuple(summary.counts), "closed": False}
    elif kind == "category" and not facts["choices"] and summary.kind == "category":
        found |= {"choices": tuple(summary.counts), "closed": False}
    return found


def _by_hand(name: str, facts: dict[str, Any], hand: Any) -> dict[str, Any]:
    """Facts as a person wrote them, checked; ``choices`` alone make a category, and a closed one."""
    said = {"kind": hand} if isinstance(hand, str) else dict(hand or {})
    for key in said:
        if key not in FACTS:
            near = get_close_matches(str(key), FACTS, n=1)
            raise ConfigError(f"fields.{name}: {key!r} is not known.", f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(FACTS)}.")
    if said.get("choices"):
        said = {"kind": "category", "closed": True} | said
    if "kind" in said and said["kind"] not in KINDS:
        near = get_close_matches(str(said["kind"]), KINDS, n=1)
        raise ConfigError(f"fields.{name}.kind: got {said['kind']!r}.", f"Did you mean {near[0]!r}?" if near else f"Kinds are: {', '.join(KINDS)}.")
    if "choices" in said:
        said["choices"] = tuple(said["choices"]) if isinstance(said["choices"], (list, tuple)) else said["choices"]
    elif said.get("kind", "category") != "category":
        said["choices"] = ()
    return said


def _dtype(facts: dict[str, Any], described: str, build: str) -> DType | str:
    """How a field travels to the host; arrays have one dtype, that of the model."""
    kind, choices = facts["kind"], facts["choices"]
    numeric = described if described in FLOATS else "float64"
    if kind in SHAPED:
        return described if described in (*FLOATS, "int64") else "float64"
    if kind in ("text", "document"):
        return "text"
    if kind == "datetime":
        return "int64"
    if kind == "number":
        return numeric
    if kind == "category":
        own = choices_dtype(choices) if choices else described
        return described if own in ("int64", "float64") and described in FLOATS else own
    if build == "array":
        return numeric
    return "bool" if kind == "boolean" else "float64" if facts.get("nullable") else "int64"


def _with_example(field: Field, default: Any, sample: Sample | None, by_hand: bool) -> Field:
    """The field with the best example there is: by hand, from the sample, or the model's own middle."""
    kind = kind_of(field)
    if by_hand:
        try:
            kind.from_json(field.example, field)
        except Wrong as exc:
            raise ConfigError(f"fields.{field.name}.example must be {exc.must}, got {exc.got}.") from exc
        return field
    for example in (_sample_example(field, sample), _default_example(field, default)):
        if example is not None:
            return msgspec.structs.replace(field, example=example)
    return field


def _sample_example(field: Field, sample: Sample | None) -> Any:
    cell = sample.example.get(field.name) if sample is not None else None
    if cell is None or is_missing(cell) or field.kind in ("image", "document"):
        return None
    kind = kind_of(field)
    try:
        example = kind.show(kind.from_text(cell, field), field)
    except Wrong:
        return None
    is_whole = isinstance(example, float) and cell.strip().lstrip("+-").isdecimal()
    return int(example) if is_whole else example  # 3 as the sample has it, and not 3.0


def _default_example(field: Field, default: Any) -> Any:
    if field.kind in ("number", "integer") and isinstance(default, (int, float)) and not isinstance(default, bool):
        near = clamp(float(default), field)
        return round_example(near, field) if field.kind == "number" else round(near)
    if field.kind == "category":
        return next((choice for choice in field.choices if default is not None and same(default, choice)), None)
    same_type = (field.kind == "text" and isinstance(default, str)) or (field.kind == "boolean" and isinstance(default, bool))
    return default if same_type else None


# the whole


def _laid_out(fields: list[Field], outputs: tuple[Output, ...], build: str, named: bool, extra: Any) -> Signature:
    """A matrix where every field is a plain number of one dtype, else a frame column per field."""
    plain = all(field.kind in NUMERIC or (field.kind == "category" and field.dtype in FLOATS) for field in fields)
    matrix = build == "array" and plain and len({field.dtype for field in fields}) == 1
    return Signature(fields=tuple(fields), outputs=outputs, layout="matrix" if matrix else "columns", named=named, extra=extra)
