"""A shelf of models with hand-written signatures and answers: every control, every kind of answer, every state.

What pages need of a model is its signature, its state and an answer; hosts have their own tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flask_carafe.hosting.frames import DTYPES, Column
from flask_carafe.serving.request import Answer
from flask_carafe.serving.table import Entry, Model
from flask_carafe.signature import Field, Output, Rows, Signature
from flask_carafe.signature.decode import Pending
from flask_carafe.signature.unpack import values

Values = Callable[[int], list[list[Any]]]


def classes(*names: Any, title: str = "prediction") -> tuple[Output, Output]:
    return (
        Output(name=title, kind="category", dtype="int64", classes=names),
        Output(name="probabilities", role="probabilities", dtype="float64", width=len(names), classes=names),
    )


def chances(row: int, count: int) -> list[float]:
    weights = [1 / (1 + ((index + row) % count) ** 1.5) for index in range(count)]
    return [weight / sum(weights) for weight in weights]


def classified(count: int) -> Values:
    def answer(n: int) -> list[list[Any]]:
        rows = [chances(row + 2, count) for row in range(n)]
        return [[max(range(count), key=row.__getitem__) for row in rows], [share for row in rows for share in row]]

    return answer


LOAN = Signature(
    fields=(
        Field(name="amount", kind="number", minimum=500, maximum=40_000, low=500, high=40_000, example=12_500, description="Euro"),
        Field(name="yearly_income", kind="number", low=0, high=160_000, example=41_200, nullable=True, description="Euro before tax"),
        Field(name="children", kind="integer", dtype="int64", low=0, high=6, example=2),
        Field(
            name="term", kind="category", dtype="text", choices=("12 months", "24 months", "36 months", "48 months", "60 months"), example="36 months"
        ),
        Field(name="owns_home", kind="boolean", dtype="bool", example=True),
        Field(name="sex", kind="category", dtype="text", choices=("female", "male"), example="female"),
        Field(name="employer", kind="category", dtype="text", choices=("Acme", "Borough Council", "Harbour Credit"), closed=False, example="Acme"),
        Field(name="first_payment", kind="datetime", dtype="int64", example="2026-12-01T00:00:00Z", options={"unit": "us"}),
        Field(
            name="reason", kind="text", dtype="text", example="A used van for deliveries", nullable=True, description="in the applicant’s own words"
        ),
    ),
    outputs=classes("on time", "late", "not at all", title="repayment"),
    named=True,
)
GREY = {"width": 28, "height": 28, "mode": "L", "invert": True, "scale": [0, 1]}
COLOUR = {"width": 224, "height": 224, "mode": "RGB", "scale": [0, 1]}


def numbers(*names: str, **more: Any) -> tuple[Field, ...]:
    return tuple(Field(name=name, kind="number", **more) for name in names)


def digits_fields() -> tuple[Field, ...]:
    return (Field(name="image", kind="image", dtype="float32", shape=(28, 28), options=GREY),)


def curve(n: int) -> list[list[Any]]:
    return [[math.sin(i / 9) * math.exp(-i / 200) for _ in range(n) for i in range(384)]]


def text(name: str, example: str) -> tuple[Field, ...]:
    return (Field(name=name, kind="text", dtype="text", example=example),)


def ready(name: str, version: int, answer: Values, takes: tuple[Field, ...], gives: tuple[Output, ...], **more: Any) -> tuple[Entry, Values]:
    signature = Signature(fields=takes, outputs=gives)
    return Entry(name=name, version=version, state="ready", digest=SHELF, signature=signature, **({"runtime": SKLEARN} | more)), answer


SHELF = "of the shelf"  # models with this digest have no host: their answers are made here
SKLEARN, ONNX = "scikit-learn 1.9.1", "ONNX 1.20"
DOG = (Field(name="photo", kind="image", dtype="float32", shape=(224, 224, 3), options=COLOUR),)
CV = (Field(name="document", kind="document", dtype="text"),)
READINGS = (Field(name="readings", kind="vector", shape=(6,), example=[1.5, 2, 3, 4, 5, 6.25]),)
GONE = "The file was saved by scikit-learn 0.20.3; 1.9.1 here cannot read it: the module sklearn.linear_model.logistic is gone."
UNLIKE = "The file was saved by scikit-learn 1.4.2, and 1.9.1 is installed here."


def entries() -> dict[str, tuple[Entry, Values]]:
    """Name -> the entry, and what its host would answer to ``n`` rows."""
    scores = numbers("experience", "test_score", "interview_score", low=0, high=10, example=5.0)
    breeds, trades = classes(*(f"breed {i}" for i in range(120))), classes(*(f"trade {i}" for i in range(1, 26)))
    weather = (Output(name="prediction", width=3, targets=("rain", "wind", "sun")),)
    vector = (Output(name="embedding", width=384, vector=True),)
    genes = numbers(*(f"gene_{i}" for i in range(60)), example=0.5)
    digits = classes(*range(10), title="digit")
    shelf = [
        (Entry(name="loan", version=7, state="ready", digest=SHELF, signature=LOAN, runtime=SKLEARN, description=REPAID), classified(3)),
        ready("sentiment", 4, classified(2), text("text", SOUP), classes("negative", "positive"), routes=("/api",), description=PLEASED),
        ready(
            "digits", 2, classified(10), digits_fields(), digits, runtime=ONNX, description="Reads one handwritten digit from a picture or a drawing."
        ),
        ready("price", 1, salaries, scores, (Output(name="salary"),), runtime="scikit-learn 1.4.2", unverified=UNLIKE),
        ready("dogs", 5, classified(120), DOG, breeds, runtime=ONNX),
        ready("resumes", 3, classified(25), CV, trades, description="Which of 25 trades does a résumé belong to? PDF or Word."),
        ready("sentence-vector", 1, curve, text("text", "Glass, water, light."), vector, runtime=ONNX),
        ready("weather", 2, lambda n: [[0.25, 12.5, 1277.0] * n], READINGS, weather),
        ready("genes", 1, classified(2), genes, classes("healthy", "ill")),
        (
            Entry(
                name="old",
                state="refused",
                digest=SHELF,
                runtime="scikit-learn 0.20",
                reason=GONE,
                hint="Train it again with 1.9, or save it as ONNX.",
            ),
            curve,
        ),
        (Entry(name="slow", state="loading", digest=SHELF), curve),
    ]
    return {entry.name: (entry, answer) for entry, answer in shelf}


REPAID = "Will this loan be repaid on time, late, or not at all?"
SOUP = "The lid does not close, but the soup stays hot."
PLEASED = "Is a product review pleased or displeased?"


def salaries(n: int) -> list[list[Any]]:
    return [[1234567.891 + row for row in range(n)]]


def stand_in_answer(model: Model, rows: Rows | Pending, answer: Values) -> Answer:
    """What a host would send for ``rows``: the columns of the signature's outputs."""
    signature = model.entry.signature
    assert signature is not None
    if isinstance(rows, Rows):
        values(signature, rows)
    columns = [Column(DTYPES[output.dtype], output.width, found) for output, found in zip(signature.outputs, answer(rows.n), strict=True)]
    return Answer(columns, 0, rows.n, (), rows.n)
