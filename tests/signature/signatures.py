"""Signatures that the tests of this room share: each shape of model that people serve."""

from __future__ import annotations

from flask_carafe.signature import Field, Output, Signature

IRIS = Signature(
    fields=tuple(Field(name=f"feature_{i + 1}", kind="number") for i in range(4)),
    outputs=(
        Output(name="prediction", kind="category", dtype="int64", classes=(0, 1, 2)),
        Output(name="probabilities", role="probabilities", width=3, classes=(0, 1, 2)),
    ),
    layout="matrix",
)
GAPS = Signature(fields=(Field(name="a", kind="number", nullable=True), Field(name="b", kind="number")), layout="matrix")
FLOAT32 = Signature(fields=tuple(Field(name=name, kind="number", dtype="float32") for name in "ab"), layout="matrix")
REVIEW = Signature(
    fields=(Field(name="review", kind="text", dtype="text"),),
    outputs=(
        Output(name="prediction", kind="category", dtype="int64", classes=(0, 1), labels=("negative", "positive")),
        Output(name="probabilities", role="probabilities", width=2, classes=(0, 1), labels=("negative", "positive")),
    ),
)
PERSON = Signature(
    fields=(
        Field(name="age", kind="number", nullable=True, minimum=0, maximum=150),
        Field(name="city", kind="category", dtype="text", choices=("Lagos", "Rome", "Oslo")),
        Field(name="children", kind="integer", dtype="int64"),
        Field(name="member", kind="boolean", dtype="bool"),
        Field(name="since", kind="datetime", dtype="int64"),
        Field(name="note", kind="text", dtype="text", nullable=True),
        Field(name="taste", kind="vector", shape=(3,)),
    ),
    named=True,
)
PERSON_ROW = {
    "age": 41,
    "city": "Lagos",
    "children": 2,
    "member": True,
    "since": "2026-03-01T12:30:00Z",
    "note": "calls: often",
    "taste": [0.5, 1, 2],
}
DIGIT = Signature(
    fields=(Field(name="image", kind="image", shape=(4,), options={"width": 2, "height": 2, "mode": "L", "scale": [0, 16], "flatten": True}),)
)
RESUME = Signature(fields=(Field(name="resume", kind="document", dtype="text"),))
TENSOR = Signature(fields=(Field(name="values", kind="tensor", dtype="float32", shape=(2, 3)),))
ODD_NAMES = ("", " ", "process", "__class__", "naïve: “field”", "rows", "sepal length (cm)", 'a"b\\c', "日本", "f0")
ODD = Signature(fields=tuple(Field(name=name, kind="number") for name in ODD_NAMES), layout="matrix")
MIXED = Signature(
    fields=(
        Field(name="grade", kind="category", dtype="json", choices=(1, "one", True)),
        Field(name="size", kind="category", dtype="float64", choices=(1.0, 2.5), nullable=True),
        Field(name="open", kind="category", dtype="text", choices=("a", "b"), closed=False),
        Field(name="code", kind="category", dtype="int64", choices=(1, 2, 3)),
        Field(name="count", kind="integer", dtype="float64", nullable=True),
    ),
    extra="ignore",
)
ALL = {
    "iris": IRIS,
    "gaps": GAPS,
    "float32": FLOAT32,
    "review": REVIEW,
    "person": PERSON,
    "digit": DIGIT,
    "resume": RESUME,
    "tensor": TENSOR,
    "odd": ODD,
    "mixed": MIXED,
}
