"""Examples in docstrings, of the package and of the benchmarks, are run."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import flask_carafe

SRC = Path(flask_carafe.__file__).resolve().parent
ELSEWHERE = ("hosting/host/", "demo/training/")  # these need libraries that no web process loads
BENCHMARKS = SRC.parents[1] / "benchmarks"


def with_examples() -> Iterator[str]:
    for path in sorted(SRC.rglob("*.py")):
        inside = path.relative_to(SRC).as_posix()
        if ">>> " in path.read_text(encoding="utf-8") and not inside.startswith(ELSEWHERE):
            yield "flask_carafe." + inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def run(module: ModuleType) -> None:
    done = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert done.attempted and not done.failed


@pytest.mark.parametrize("name", list(with_examples()))
def test_examples_of_the_package_hold(name: str) -> None:
    run(importlib.import_module(name))


@pytest.mark.parametrize("name", ["table", "cpu", "wires", "report"])
def test_examples_of_the_benchmarks_hold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not BENCHMARKS.is_dir():
        pytest.skip("this is no checkout")
    monkeypatch.syspath_prepend(BENCHMARKS)
    run(importlib.import_module(name))
