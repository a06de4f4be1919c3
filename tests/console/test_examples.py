"""The examples in docstrings of the pages' code are true."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["controls", "figures", "answers", "problems", "rendering", "snippets", "tables"])
def test_examples_in_docstrings_hold(name: str) -> None:
    outcome = doctest.testmod(import_module(f"flask_carafe.console.{name}"))
    assert outcome.attempted and not outcome.failed
