"""What the gallery says of each model: its kinds of input and output, and a sentence if nobody wrote one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..serving.table import Model
from ..signature import Output, Signature
from .answers import prediction_output, title_of
from .controls import ICONS
from .figures import in_words

ORDER = ("image", "document", "text", "number", "integer", "category", "boolean", "datetime", "vector", "tensor")
PLURAL = {
    "image": "picture", "document": "document", "text": "text", "number": "number", "integer": "number", "category": "category",
    "boolean": "yes-or-no value", "datetime": "date", "vector": "list of numbers", "tensor": "array of numbers",
}  # fmt: skip
CLUSTERERS = ("KMeans", "MeanShift", "AffinityPropagation", "Birch", "GaussianMixture")
MOST_NAMED = 5
SEARCH_FROM = 10  # models; with fewer the eye finds faster than the hand types


class Card(NamedTuple):
    """``takes`` and ``gives`` are names of icons; ``flow`` says the same in words."""

    model: Model
    words: str
    takes: Sequence[str]
    gives: str
    flow: str


def card(model: Model) -> Card:
    """The card of one model, also of one that has no signature yet."""
    signature: Signature | None = model.entry.signature
    if signature is None:
        return Card(model, model.entry.description, (), "", "")
    kinds = sorted({field.kind for field in signature.fields}, key=lambda kind: ORDER.index(kind) if kind in ORDER else len(ORDER))
    takes = list(dict.fromkeys(ICONS.get(kind, kind) for kind in kinds))[:4]
    gives = output_icon(prediction_output(signature))
    words = " and ".join(dict.fromkeys(PLURAL.get(kind, kind) for kind in kinds))
    return Card(model, describe(model), takes, gives, f"{words} to {'cluster' if clusters(model) else PLURAL.get(gives, gives)}")


def output_icon(output: Output | None) -> str:
    """The kind of an answer as an icon."""
    if output is None:
        return "vector"
    if output.classes or output.target_classes:
        return "category"
    if output.width > 1 or output.vector:
        return "vector"
    return ICONS.get(output.kind, output.kind)


def describe(model: Model) -> str:
    """The model's own description, or what its signature tells."""
    signature = model.entry.signature
    if model.entry.description or signature is None:
        return str(model.entry.description)
    return f"{'A cluster' if clusters(model) else given(signature)} from {taken(signature)}."


def clusters(model: Model) -> bool:
    """Whether the one whole number that comes out is that of a cluster."""
    signature = model.entry.signature
    output = prediction_output(signature) if signature else None
    is_one = output is not None and output.kind == "integer" and not (output.classes or output.targets or output.vector or output.width > 1)
    return is_one and model.entry.estimator.rstrip(")").endswith(CLUSTERERS)  # the last step of a pipeline


def given(signature: Signature) -> str:
    """What comes out, beginning a sentence."""
    output = prediction_output(signature)
    if output is None:
        return "An answer"
    if output.targets:
        return f"{in_words(len(output.targets)).capitalize()} outputs"
    if output.classes:
        names = [str(name) for name in output.shown]
        if len(names) > MOST_NAMED:
            return f"One of {len(names):,} classes"
        listed = f"{', '.join(names[:-1])} or {names[-1]}," if len(names) > 1 else names[0]
        return listed[:1].upper() + listed[1:]
    if output.width > 1 or output.vector:
        return f"{output.width:,} numbers"
    title = title_of(output)
    return {"text": "A text", "boolean": "Yes or no"}.get(output.kind, "A number") if title == "Prediction" else title


def taken(signature: Signature) -> str:
    """What goes in, ending a sentence: ``3 numbers and 2 categories``."""
    counts: dict[str, int] = {}
    for field in signature.fields:
        noun = PLURAL.get(field.kind, field.kind)
        counts[noun] = counts.get(noun, 0) + 1
    parts = [_several(noun, count) for noun, count in counts.items()]
    return ", ".join(parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1] if parts else "nothing"


def _several(noun: str, count: int) -> str:
    if count == 1:
        return f"one {noun}"
    head, _, tail = noun.partition(" of ")
    plural = head[:-1] + "ies" if head.endswith("y") else head + "s"
    return f"{count:,} {plural}{' of ' + tail if tail else ''}"


def heading(models: Mapping[str, Model]) -> str:
    """How many there are and how many of them can be tried."""
    ready = sum(model.entry.state == "ready" for model in models.values())
    if not models:
        return "An empty carafe"
    noun = "model" if len(models) == 1 else "models"
    if ready == len(models):
        return f"{in_words(ready).capitalize()} {noun}, ready to try"
    return f"{in_words(ready).capitalize()} of {in_words(len(models))} {noun} {'is' if ready == 1 else 'are'} ready"


def matching(models: Mapping[str, Model], query: str) -> list[Model]:
    """Models whose name or description holds ``query``; those that can be tried first."""
    wanted = query.strip().casefold()
    found = [model for model in models.values() if wanted in f"{model.entry.name} {model.entry.description}".casefold()]
    return sorted(found, key=lambda model: (STATES.get(model.entry.state, 9), model.entry.name.casefold()))


STATES: dict[str, Any] = {"ready": 0, "failed": 1, "loading": 2, "refused": 3, "unloaded": 4}
