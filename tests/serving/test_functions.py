"""Python functions of the application as models."""

from __future__ import annotations

from flask_carafe.serving.functions import declare
from flask_carafe.signature import schema


def test_a_text_has_a_neutral_example_unless_the_function_has_a_default():
    def greet(city: str, word: str = "Hello") -> str:
        return f"{word}, {city}"

    assert schema.example_request(declare("greet", greet).signature) == {"city": "text", "word": "Hello"}
