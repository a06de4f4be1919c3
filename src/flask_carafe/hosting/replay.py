"""Known answers played again: rows with the expected prediction, which a version must still give."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..artifacts.intake import opened
from ..errors import BadRequest, ConfigError, InvalidInput, TrialFailed, WrongMediaType
from ..signature import Output, Rows, Signature
from ..signature.decode import Decoder
from ..signature.tabular import read_text

EXPECTED = ("prediction", "expected", "label", "target", "class", "y")
MOST_BYTES = 64 << 20
MOST_EXAMPLES = 10_000
TOLERANCE = 1e-6
WORDS = {"true": 1.0, "false": 0.0}


class Examples(msgspec.Struct, frozen=True):
    """Checked rows, and what the column ``title`` says that the model must answer to each."""

    rows: Rows
    title: str
    expected: tuple[str, ...]


def read_examples(path: str, signature: Signature) -> Examples:
    """The rows of a CSV file: the fields, and one column more with the expected prediction.

    :raises ConfigError: it cannot be read, has no such column, or a value in it does not fit the signature.
    """
    name = Path(path).name
    with opened(path) as file:
        body = file.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise ConfigError(f"examples: {name} is larger than 64 MiB.", "Some hundred rows are plenty.")
    try:
        lines = [line for line in csv.reader(io.StringIO(read_text(body, "utf-8"), newline=""), strict=True) if line]
        return _checked(lines, name, signature)
    except (BadRequest, InvalidInput, WrongMediaType, csv.Error) as exc:
        raise ConfigError(f"examples: {name}: {exc}", getattr(exc, "hint", "")) from exc


def _checked(lines: list[list[str]], name: str, signature: Signature) -> Examples:
    if len(lines) < 2:
        raise ConfigError(f"examples: {name} has no rows under a header.", "The first line names the fields and the column prediction.")
    header = [title.strip() for title in lines[0]]
    at = _expected_column(header, name, signature)
    text = io.StringIO(newline="")
    csv.writer(text).writerows([cell for place, cell in enumerate(line) if place != at] for line in lines if len(line) == len(header))
    if any(len(line) != len(header) for line in lines):
        raise ConfigError(f"examples: {name}: a row has more or fewer cells than the header.", "Quote cells that hold commas.")
    rows = Decoder(signature, MOST_EXAMPLES).csv(text.getvalue().encode())
    if not isinstance(rows, Rows):
        raise ConfigError(f"examples: {name}: pictures and documents cannot be replayed from a CSV file.", "Leave examples out for this model.")
    return Examples(rows, header[at], tuple(line[at].strip() for line in lines[1:]))


def _expected_column(header: list[str], name: str, signature: Signature) -> int:
    others = [title for title in header if signature.field(title) is None]
    title = next((word for word in EXPECTED if word in others), others[0] if len(others) == 1 else "")
    if not title:
        shown = f"of {', '.join(others[:5])} none is called so" if others else "every column is a field"
        raise ConfigError(f"examples: {name} has no column with the expected prediction: {shown}.", "Call it prediction.")
    return header.index(title)


def compare(examples: Examples, answers: Sequence[Any], output: Output | None) -> None:
    """Hold the answers against the expected ones.

    :param answers: predictions as an answer spells them, or None for a row that failed.
    :raises TrialFailed: some differ; the first is told.
    """
    aliases = _aliases(output)
    wrong = [i for i, (want, got) in enumerate(zip(examples.expected, answers, strict=True)) if not is_same(want, got, aliases)]
    if wrong:
        row = wrong[0]
        got = "an error" if answers[row] is None else repr(answers[row])
        raise TrialFailed(
            f"{len(wrong)} of {len(answers)} examples are answered otherwise than expected; row {row + 1}: "
            f"expected {examples.expected[row]!r}, got {got}.",
            f"If the column {examples.title!r} is right, this model is misread here: train it again with the libraries installed here.",
        )


def _aliases(output: Output | None) -> Mapping[str, str]:
    """Class -> label as text: an example may name either."""
    if output is None or not output.labels:
        return {}
    return {_text(cls): _text(label) for cls, label in zip(output.classes, output.labels, strict=False)}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_same(want: str, got: Any, aliases: Mapping[str, str] | None = None) -> bool:
    """Whether the cell ``want`` means the answer ``got``: equal text, or numbers within a millionth.

    >>> is_same("1.0", 1), is_same("0.3333333", 1 / 3), is_same("True", True), is_same("ham", "spam")
    (True, True, True, False)
    """
    if got is None:
        return False
    if isinstance(got, list):
        return _same_list(want, got)
    if want == _text(got) or (aliases or {}).get(want) == _text(got):
        return True
    wanted, given = _number(want), _number(got)
    return wanted is not None and given is not None and math.isclose(wanted, given, rel_tol=TOLERANCE, abs_tol=1e-9)


def _same_list(want: str, got: list[Any]) -> bool:
    try:
        wanted = msgspec.json.decode(want)
    except msgspec.DecodeError:
        return False
    return isinstance(wanted, list) and len(wanted) == len(got) and all(is_same(_text(w), g) for w, g in zip(wanted, got, strict=True))


def _number(value: Any) -> float | None:
    text = _text(value).strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    try:
        return float(text)
    except ValueError:
        return None
