"""One virtual environment for each rival, from its pinned requirements, in the folder ``envs`` of the results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from table import RESULTS

HERE = Path(__file__).resolve().parent
FOLDER = RESULTS / "envs"
NAMES = sorted(path.stem for path in (HERE / "envs").glob("*.txt"))
INSTALL_S = 1800


def python(name: str) -> Path:
    """The interpreter of a rival's environment."""
    return FOLDER / name / "bin" / "python"


def is_made(name: str) -> bool:
    return (FOLDER / name / ".done").exists()


def make(name: str) -> None:
    """Make the environment of a rival unless it stands already.

    :raises subprocess.CalledProcessError: something could not be installed; pip's words are on stderr.
    """
    if is_made(name):
        return
    print(f"Installing {name} …", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER / name], check=True)
    install = [python(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*install, "--requirement", HERE / "envs" / f"{name}.txt"], check=True, timeout=INSTALL_S)
    (FOLDER / name / ".done").touch()


def version(name: str) -> str:
    """The pinned version of the rival itself: the first line of its requirements.

    >>> version("ray").partition("==")[0]
    'ray'
    """
    lines = (HERE / "envs" / f"{name}.txt").read_text().splitlines()
    return next(line for line in lines if line and not line.startswith("#"))
