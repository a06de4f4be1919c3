"""Names that live outside the model: ``ham,spam`` by position, or ``{0: ham, 1: spam}`` by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from ..errors import ConfigError
from .kinds import spell
from .model import Output, Scalar

MOST_MADE_UP = 100_000


def apply_labels(outputs: Sequence[Output], labels: Any) -> tuple[Output, ...]:
    """The outputs with ``labels`` beside their classes; a model that predicts whole numbers without classes gets some.

    :raises ConfigError: no classes to name, too few or too many labels, or a class that there is not.
    """
    if not labels:
        return tuple(outputs)
    prediction = next((output for output in outputs if output.role == "prediction"), None)
    if prediction is None or prediction.target_classes or (not prediction.classes and prediction.dtype != "int64"):
        raise ConfigError("labels: this model predicts no classes that could be named.", "Leave the labels out.")
    classes = prediction.classes or _made_up(labels)
    names = _by_class(labels, classes) if isinstance(labels, Mapping) else _by_position(labels, classes)
    return tuple(_labelled(output, classes, names) for output in outputs)


def _labelled(output: Output, classes: tuple[Scalar, ...], names: tuple[Scalar, ...]) -> Output:
    named = output.role == "prediction" or (output.role == "probabilities" and not output.target)
    if not named or (output.classes and output.classes != classes):
        return output
    return msgspec.structs.replace(output, classes=classes, labels=names, kind="category" if output.role == "prediction" else output.kind)


def _made_up(labels: Any) -> tuple[int, ...]:
    """Classes 0, 1, 2… for a model that answers with such numbers and does not say which there are."""
    if not isinstance(labels, Mapping):
        return tuple(range(len(labels)))
    try:
        most = max(int(key) for key in labels)
    except (TypeError, ValueError):
        raise ConfigError("labels: this model predicts whole numbers, so labels are given by number, as in 0=ham,1=spam.") from None
    if not 0 <= most < MOST_MADE_UP:
        raise ConfigError(f"labels: {most} is no class that can be named.")
    return tuple(range(most + 1))


def _by_position(labels: Sequence[Scalar], classes: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    if len(labels) != len(classes):
        listed = ", ".join(map(spell, classes[:10])) + (" …" if len(classes) > 10 else "")
        raise ConfigError(f"labels: got {len(labels)} for {len(classes)} classes ({listed}).", "Give one label for each class, in this order.")
    return tuple(labels)


def _by_class(labels: Mapping[Any, Scalar], classes: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
    places = {spelling: place for place, label in reversed(list(enumerate(classes))) for spelling in _spellings(label)}
    names: list[Scalar] = list(classes)
    seen = set()
    for key, label in labels.items():
        place = places.get(key if isinstance(key, str) else spell(key))
        if place is None:
            near = get_close_matches(str(key), list(places), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The classes are: {', '.join(map(spell, classes[:10]))}."
            raise ConfigError(f"labels: there is no class {key!r}.", hint)
        names[place] = label
        seen.add(place)
    if len(seen) < len(labels):
        raise ConfigError("labels: one class is named twice.", "Write each class once.")
    return tuple(names)


def _spellings(label: Scalar) -> set[str]:
    """How people may write a class: as it is spelt in answers, as Python prints it, and 1 for 1.0."""
    found = {spell(label), str(label)}
    if isinstance(label, float) and label.is_integer():
        found.add(str(int(label)))
    return found
