"""The house rules on imports, read from the source: downward only, faces apart, Flask on top, no model library in a web process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import flask_carafe

SRC = Path(flask_carafe.__file__).resolve().parent

# From the ground up: a module may import what stands on its own floor or below.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "signals", "config", "access", "logs"),
    ("signature",),
    ("artifacts", "store"),
    ("hosting", "batch", "demo", "monitor"),
    ("serving",),
    ("state",),
    ("operations", "globals"),
    ("cli", "api", "console", "dataplane", "steward"),
    ("extension", "application", "client"),
    ("__init__", "testing", "__main__"),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FACES = {"cli", "api", "console", "dataplane", "steward"}
APART = FACES | {"batch", "store"}  # same floor, yet they must not know each other
FLASK_ROOMS = {"globals", *FACES, "extension", "application", "__init__", "testing"}
FLASK = {"flask", "werkzeug", "jinja2", "flask_login"}
ML = {
    "numpy", "scipy", "sklearn", "pandas", "joblib", "skops", "cloudpickle", "onnx", "onnxruntime", "xgboost", "lightgbm", "catboost",
    "torch", "tensorflow", "keras", "PIL", "pypdf", "docx2txt", "threadpoolctl", "polars", "pyarrow",
}  # fmt: skip
# The child of `carafe demo` that trains is no web process: nothing imports this folder.
TRAINS = "demo/training/"


@cache
def modules() -> list[tuple[str, list[tuple[int, str]]]]:
    """Every module of the package as (path inside it, its imports)."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        inside = path.relative_to(SRC).as_posix()
        found.append((inside, list(imported(inside, ast.parse(path.read_text(encoding="utf-8"))))))
    return found


def room_of(inside: str) -> str:
    return inside.removesuffix(".py").split("/")[0]


def imported(inside: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of each import, wherever it stands; those for type checkers count too."""
    package = ["flask_carafe", *inside.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] + (node.module.split(".") if node.module else [])
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def own_room(name: str) -> str | None:
    """The room that an absolute name leads into, or None when it is not ours; names of the package itself are the front door's."""
    parts = name.split(".")
    if parts[0] != "flask_carafe":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else "__init__"


def test_every_room_has_its_floor() -> None:
    unknown = {room_of(inside) for inside, _ in modules()} - set(FLOOR_OF)
    assert not unknown, f"say in FLOORS where they stand: {sorted(unknown)}"


def test_imports_run_downward_and_faces_never_import_each_other() -> None:
    wrong = []
    for inside, imports in modules():
        room = room_of(inside)
        for line, name in imports:
            other = own_room(name)
            if other is None or other == room or name in ("flask_carafe", "flask_carafe.__version__"):
                continue
            if FLOOR_OF[other] > FLOOR_OF[room] or {room, other} <= APART:
                wrong.append(f"{inside}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_flask_is_known_only_above_the_state() -> None:
    wrong = []
    for inside, imports in modules():
        if room_of(inside) not in FLASK_ROOMS:
            wrong += [f"{inside}:{line} imports {name}" for line, name in imports if name.split(".")[0] in FLASK]
    assert not wrong, "\n".join(wrong)


def test_only_the_host_script_imports_model_libraries() -> None:
    wrong = []
    for inside, imports in modules():
        if not inside.startswith(("hosting/host/", TRAINS)):
            wrong += [f"{inside}:{line} imports {name}" for line, name in imports if name.split(".")[0] in ML]
    assert not wrong, "\n".join(wrong)


def test_nothing_imports_the_training_of_the_demo() -> None:
    wrong = []
    for inside, imports in modules():
        if not inside.startswith(TRAINS):
            wrong += [f"{inside}:{line} imports {name}" for line, name in imports if name.startswith("flask_carafe.demo.training")]
    assert not wrong, "\n".join(wrong)


def test_the_host_script_imports_nothing_of_ours_but_itself() -> None:
    wrong = []
    for inside, imports in modules():
        if not inside.startswith("hosting/host/"):
            continue
        for line, name in imports:
            if name.startswith("flask_carafe") and not name.startswith("flask_carafe.hosting.host."):
                wrong.append(f"{inside}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


WEB_MODULES = ["application", "extension", "dataplane.loop", "dataplane.wsgi", "steward", "cli", "cli.serve", "demo"]


@pytest.mark.parametrize("module", WEB_MODULES)
def test_no_web_process_loads_a_model_library(module: str) -> None:
    code = f"import sys, flask_carafe.{module}; print(*sorted({ML!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
