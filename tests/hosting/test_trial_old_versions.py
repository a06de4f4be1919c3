"""The trial over versions that the checked-in files do not have: environments made for the test, which needs a package index."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_carafe.errors import ArtifactRefused
from hosting import test_trial as known
from hosting.bench import Bench

BUILD = known.FILES / "build.py"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="carafe-t") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


def built(requirements: list[str], folder: Path) -> list[Path]:
    """The files that an old scikit-learn saves; the test skips where it cannot be installed beside this Python."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:", *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{requirements[0]} cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    subprocess.run([python, BUILD, folder / "files"], check=True, capture_output=True)
    return sorted((folder / "files").glob("*/*.joblib"))


@pytest.mark.parametrize(
    "requirements", [["scikit-learn==1.4.2", "numpy<2"], ["scikit-learn==1.6.1"], ["scikit-learn==1.8.0"]], ids=lambda found: found[0]
)
def test_nothing_wrong_is_served_and_nothing_right_is_refused(bench: Bench, requirements: list[str], tmp_path: Path) -> None:
    files = built(requirements, tmp_path)
    assert len(files) > 10
    for path in files:
        is_right = known.truth(path) == "right"
        try:
            admission = bench.admit(path)
        except ArtifactRefused as refusal:
            assert not is_right, f"{path.stem}: right, and refused: {refusal}"
            continue
        assert is_right, f"{path.stem}: served and not right"
        assert path.parent.name in admission.unverified
        assert bench.admit(path, examples=str(known.examples_of(path, tmp_path))).unverified == ""
