"""What commands print."""

from __future__ import annotations

import doctest
import io
import sys

import click
import pytest

from flask_carafe.cli import options, output


def test_examples_in_the_docstrings_run():
    assert doctest.testmod(output).failed == 0
    assert doctest.testmod(options).failed == 0


def test_columns_are_aligned_whatever_the_letters():
    text = output.table([["é", "1"], ["漢字", "2"], [click.style("red", fg="red"), "3"]], ["name", "n"])
    assert click.unstyle(text).splitlines() == ["name  n", "é     1", "漢字  2", "red   3"]


def test_marks_are_letters_where_the_terminal_has_no_signs(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert [click.unstyle(output.mark(kind)) for kind in ("ok", "warn", "bad", "note")] == ["+", "!", "x", "-"]
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert click.unstyle(output.mark("ok")) == "✓"


def test_a_hint_stands_below_its_line():
    text = click.unstyle(output.line("bad", "home", "cannot be written", "Give another.", 8))
    assert text.splitlines()[1] == " " * 12 + "Give another."


@pytest.mark.parametrize("rows", [[], [[]], [["a"], ["b", "c"]]])
def test_odd_tables_are_tables_too(rows):
    assert isinstance(output.table(rows), str)
