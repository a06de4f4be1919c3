"""Controls: what each field is shown as, and ranges that people can use."""

from __future__ import annotations

import pytest

from flask_carafe.console.controls import build_controls
from flask_carafe.signature import Field


def slider(value: str = "", **more: object) -> tuple[float, float, float, float] | None:
    field = Field(name="x", **({"kind": "number"} | more))  # type: ignore[arg-type]
    found = build_controls([field], {"x": value}, {}, {})[0].slider
    return None if found is None else tuple(found)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("facts", "ends"),
    [
        ({"low": 6, "high": 66}, (0, 90)),
        ({"low": 23.2, "high": 57.2}, (10, 70)),
        ({"low": 0, "high": 3, "kind": "integer", "dtype": "int64"}, (0, 4)),
        ({"low": -3, "high": 3}, (-5, 5)),
        ({"low": 0, "high": 3}, (0, 4)),
        ({"minimum": 500, "maximum": 40_000}, (500, 40_000)),
        ({"low": 10, "high": 90, "minimum": 0, "maximum": 100}, (0, 100)),
        ({"low": 1000, "high": 1010}, (996, 1014)),
    ],
)
def test_a_range_is_somewhat_wider_than_most_values_and_ends_at_round_figures(facts: dict[str, object], ends: tuple[float, float]) -> None:
    found = slider(**facts)
    assert found is not None and found[:2] == ends


def test_a_range_holds_the_value_at_hand() -> None:
    low, high, _, now = slider("500", low=0, high=10) or (0, 0, 0, 0)
    assert low <= now <= high and now == 500


def test_no_range_where_nothing_is_known_or_nothing_varies() -> None:
    assert slider() is None and slider(low=1, high=1) is None
    assert slider("nan", low=0, high=10) and slider("1e400", low=0, high=10) and slider("forty", low=0, high=10)


def test_whole_numbers_move_in_whole_steps() -> None:
    found = slider(low=0, high=6, kind="integer", dtype="int64")
    assert found is not None and found[2] == 1


def test_a_phone_offers_no_keypad_without_a_minus_where_one_may_be_needed() -> None:
    fields = [
        Field(name="a", kind="number"),
        Field(name="b", kind="number", low=0, high=1),
        Field(name="c", kind="integer", dtype="int64", minimum=0),
    ]
    assert [control.keyboard for control in build_controls(fields, {}, {}, {})] == ["", "decimal", "numeric"]


def test_what_may_be_left_empty_is_said_once() -> None:
    field = Field(name="age", kind="number", nullable=True, description="in years; may be left empty")
    assert build_controls([field], {}, {}, {})[0].hint == "In years; may be left empty"


def test_a_new_kind_of_control_falls_back_to_a_box() -> None:
    control = build_controls([Field(name="note", kind="text", dtype="text")], {"note": "hello"}, {}, {})[0]
    assert control.widget == "textarea" and control.value == "hello" and control.id == "f0"


def test_a_box_that_takes_other_values_names_the_known_ones() -> None:
    few = Field(name="port", kind="category", dtype="text", choices=("C", "Q", "S"), closed=False)
    many = Field(name="shop", kind="category", dtype="int64", choices=tuple(range(12)), closed=False)
    hints = [control.hint for control in build_controls([few, many], {"port": "S"}, {}, {})]
    assert hints == ["Known: C, Q, S; other values are accepted", "Known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more; other values are accepted"]
