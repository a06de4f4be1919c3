"""Python functions of the application as models."""

from __future__ import annotations

import pytest

from flask_carafe.serving.functions import declare, plain
from flask_carafe.signature import schema


def test_a_text_has_a_neutral_example_unless_the_function_has_a_default():
    def greet(city: str, word: str = "Hello") -> str:
        return f"{word}, {city}"

    assert schema.example_request(declare("greet", greet).signature) == {"city": "text", "word": "Hello"}


@pytest.mark.parametrize("value", ["\ud83d", ["fine", "\udfff"], {"\ud800": 1}])
def test_half_a_surrogate_pair_is_no_text(value):
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        plain(value)
    assert plain({"😀": "\ud7ff\ue000"}) == {"😀": "\ud7ff\ue000"}
