"""What an answer looks like: one word, one figure, bars, a table of targets or a curve. Templates draw it; no HTML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from ..signature import Output, Signature
from .figures import figure, percent

MOST_BARS = 10
LONG_TEXT = 32  # characters; beyond it an answer is set as prose
CURVE_POINTS = 256
OWN_KEYS = ("prediction", "probabilities", "model", "version", "id", "unverified")


class Bar(NamedTuple):
    """One class; ``width`` is an SVG length in per cent, empty while nothing was asked."""

    name: str
    width: str
    text: str
    is_top: bool = False


class Bars(NamedTuple):
    """The likeliest classes, and what the rest comes to."""

    shown: Sequence[Bar]
    folded: Sequence[Bar] = ()
    rest: str = ""


class Target(NamedTuple):
    name: str
    value: str
    share: str


class Curve(NamedTuple):
    """A list of numbers: an SVG path over 0..100 by 0..100, its ends, and the numbers in words."""

    path: str
    total: str
    low: str
    high: str
    listed: str


class Shown(msgspec.Struct, kw_only=True):
    """All that the answer panel shows of one answer."""

    title: str = "Prediction"
    word: str = ""
    is_long: bool = False
    exact: str = ""
    bars: Bars | None = None
    targets: Sequence[Target] = ()
    curve: Curve | None = None
    extras: Sequence[tuple[str, str]] = ()


def show(signature: Signature, answer: Mapping[str, Any]) -> Shown:
    """The answer to one row, as :meth:`Encoder.body` gives it, made ready to draw."""
    output = prediction_output(signature)
    prediction, probabilities = answer.get("prediction"), answer.get("probabilities")
    shown = Shown(title=title_of(output), extras=[(key, _inline(value)) for key, value in answer.items() if key not in OWN_KEYS])
    if output is not None and output.targets:
        shown.targets = _targets(output.targets, prediction, probabilities)
    elif signature.streams and isinstance(prediction, list | tuple) and prediction and all(isinstance(value, str) for value in prediction):
        shown.word = "".join(prediction)  # as one reads it while it comes
    elif isinstance(prediction, list | tuple):
        shown.curve = _curve(prediction)
        shown.word = "" if shown.curve else _inline(prediction)
    else:
        shown.word, shown.exact = figure(prediction), ""
        if isinstance(prediction, float) and shown.word.replace(",", "") not in (repr(prediction), repr(prediction).removesuffix(".0")):
            shown.exact = repr(prediction)
        if output is not None and output.classes:
            shown.word, shown.exact = class_name(prediction), ""
    shown.is_long = len(shown.word) > LONG_TEXT
    if isinstance(probabilities, Mapping) and not shown.targets:
        shown.bars = bars(probabilities, str(shown.word))
    return shown


def prediction_output(signature: Signature) -> Output | None:
    return next((output for output in signature.outputs if output.role == "prediction"), None)


def title_of(output: Output | None) -> str:
    """What the prediction is called: the output's name where it says something."""
    if output is None or output.name in ("", "prediction", "output", "label", "output_label", "variable", "y"):
        return "Prediction"
    words = output.name.replace("_", " ")
    return words[:1].upper() + words[1:]


def class_name(value: Any) -> str:
    """A class as the API spells it as a key: no separators, ``true`` and ``false`` in small letters.

    >>> class_name(1277), class_name(True), class_name("spam"), class_name(None)
    ('1277', 'true', 'spam', 'missing')
    """
    return figure(value) if isinstance(value, bool | None) else str(value)


def bars(probabilities: Mapping[str, float | None], top: str) -> Bars:
    """Up to ten classes in their own order; of more the ten likeliest, the rest folded with their sum."""
    ranked = sorted(probabilities.items(), key=lambda item: -(item[1] or 0.0))
    top = top if top in probabilities else ranked[0][0] if ranked else ""
    if len(ranked) <= MOST_BARS:
        return Bars([_bar(name, share, name == top) for name, share in probabilities.items()])
    rest = ranked[MOST_BARS:]
    return Bars(
        [_bar(name, share, name == top) for name, share in ranked[:MOST_BARS]],
        [_bar(name, share, name == top) for name, share in rest],
        f"{len(rest):,} more, {percent(sum(share or 0.0 for _, share in rest))} together",
    )


def empty_bars(signature: Signature) -> Bars | None:
    """The scale before anything was asked: classes without water."""
    output = prediction_output(signature)
    has_probabilities = any(each.role == "probabilities" and not each.target for each in signature.outputs)
    if output is None or not has_probabilities or not 2 <= len(output.shown) <= MOST_BARS:
        return None
    return Bars([Bar(class_name(name), "", "") for name in output.shown])


def _bar(name: str, share: float | None, is_top: bool) -> Bar:
    return Bar(name, f"{100 * (share or 0.0):.2f}%", percent(share), is_top)


def _targets(names: Sequence[str], prediction: Any, probabilities: Any) -> list[Target]:
    values = [prediction.get(name) for name in names] if isinstance(prediction, Mapping) else list(prediction or ())
    chances = probabilities if isinstance(probabilities, Mapping) else {}
    return [Target(name, _inline(value), _share(chances.get(name), value)) for name, value in zip(names, values, strict=False)]


def _share(chances: Any, value: Any) -> str:
    share = chances.get(class_name(value)) if isinstance(chances, Mapping) else None
    return percent(share) if share is not None else ""


def _curve(values: Sequence[Any]) -> Curve | None:
    if len(values) < 3 or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    low, high = min(values), max(values)
    spread = (high - low) or 1
    kept = values if len(values) <= CURVE_POINTS else [values[i * len(values) // CURVE_POINTS] for i in range(CURVE_POINTS)]
    points = [f"{100 * i / (len(kept) - 1):.2f} {100 - 100 * (value - low) / spread:.2f}" for i, value in enumerate(kept)]
    listed = ", ".join(figure(value) for value in values)
    return Curve("M" + "L".join(points), f"{len(values):,}", figure(low, 3), figure(high, 3), listed)


def _inline(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_inline(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_inline(item)}" for key, item in value.items())
    return figure(value)
