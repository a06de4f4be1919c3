"""Write the pinned requirement files from what pyproject.toml asks for.   python requirements/pin.py PYTHON3.11 PYTHON3.12 PYTHON3.13

Each interpreter resolves on its own in an empty virtual environment (give the oldest patch release of each minor one that
must work: Debian 12 has 3.11.2, and some libraries want 3.11.5); where the versions that it finds differ, the
lines carry environment markers. Plain ``name==version`` lines, transitive ones included, wheels only.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETS = {"demo.txt": (("demo",), ()), "test.txt": (("demo",), ("dev", "docs")), "frameworks.txt": (("demo",), ("dev", "docs", "frameworks"))}
LESS = {"frameworks.txt": "test.txt"}  # installed on top of that one: its lines are left out
ONLY = {"frameworks.txt": 1}  # for the first Python given alone: on others PyTorch may come with parts of its own
HEAD = "# Written by requirements/pin.py from pyproject.toml; change that, then run `make pins`.\n"


def wanted(extras: tuple[str, ...], groups: tuple[str, ...]) -> list[str]:
    """The requirement lines of the core, of ``extras`` (with the extras they name) and of dependency ``groups``."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in extras:
        for line in project["project"]["optional-dependencies"][extra]:
            own = re.fullmatch(r"Flask-Carafe\[(.+)\]", line)
            lines += wanted(tuple(own[1].split(",")), ()) if own else [line]
    for group in groups:
        lines += project["dependency-groups"][group]
    return list(dict.fromkeys(lines))


def resolve(python: str, lines: list[str], folder: Path) -> tuple[str, dict[str, str]]:
    """The ``major.minor`` of ``python`` and what pip would install there: name -> version."""
    venv = folder / re.sub(r"\W", "_", python)
    if not venv.exists():
        subprocess.run([python, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", "-"]
    report = json.loads(subprocess.run([*pip, *lines], check=True, capture_output=True, text=True).stdout)
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in report["install"]}
    version = report["environment"]["python_version"]
    return version, found


def merge(by_python: dict[str, dict[str, str]]) -> str:
    """One requirement file for all: the lowest Python's marker reaches down, the highest's up."""
    order = sorted(by_python, key=lambda text: tuple(map(int, text.split("."))))
    out = []
    for name in sorted({name for found in by_python.values() for name in found}, key=str.lower):
        versions = {python: by_python[python].get(name) for python in order}
        if len(set(versions.values())) == 1:
            out.append(f"{name}=={versions[order[0]]}\n")
            continue
        for version in dict.fromkeys(version for version in versions.values() if version):
            out.append(f"{name}=={version} ; {marker([python for python in order if versions[python] == version], order)}\n")
    return HEAD + "".join(out)


def marker(pythons: list[str], order: list[str]) -> str:
    low, high = pythons[0], pythons[-1]
    parts = []
    if low != order[0]:
        parts.append(f'python_version >= "{low}"')
    if high != order[-1]:
        parts.append(f'python_version < "{order[order.index(high) + 1]}"')
    return " and ".join(parts)


def without(text: str, less: str | None) -> str:
    """``text`` without the libraries that the file ``less`` pins."""
    known = {line.partition("==")[0] for line in (HERE / less).read_text().splitlines()} if less else set()
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("#") or line.partition("==")[0] not in known)


def main(pythons: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (extras, groups) in SETS.items():
            found = dict(resolve(python, wanted(extras, groups), Path(folder)) for python in pythons[: ONLY.get(name)])
            text = merge(found).replace("+cpu", "")  # a local build of what an index has under its plain version
            (HERE / name).write_text(without(text, LESS.get(name)))
            print(name, "for", ", ".join(found), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
