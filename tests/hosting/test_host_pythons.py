"""The child script on other interpreters: plain Python from 3.6 on, and old scikit-learns with the models of their time."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from flask_carafe.signature import Chunk, Rows
from hosting.host_client import PYENV, SCRIPT, Zygote, fresh_host, texts
from models import old_builder

VERSIONS = sorted(PYENV.iterdir(), key=lambda path: [int(part) for part in path.name.split(".") if part.isdigit()]) if PYENV.is_dir() else []
INTERPRETERS = [path / "bin" / "python" for path in VERSIONS if path.name.startswith("3.")]
OLD = {"3.6": ("scikit-learn==0.20.4", "pandas"), "3.8": ("scikit-learn==0.24.2", "pandas"), "3.9": ("scikit-learn==1.0.2", "pandas<2", "numpy<1.24")}
CODE = "def add(a: int, b: float = 2.0) -> float:\n    return a + b\n"


@pytest.mark.skipif(not INTERPRETERS, reason="no other interpreters are installed here")
@pytest.mark.parametrize("python", INTERPRETERS, ids=lambda path: path.parents[1].name)
def test_a_function_is_hosted_by_any_python_without_any_library(python: Path, tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text(CODE)
    rows = Rows(n=2, chunks=(Chunk(data=struct.pack("<2q", 1, 2)), Chunk(data=struct.pack("<2d", 1.5, float("nan")))))
    zygote = Zygote(tmp_path, python=python)
    with zygote.host() as host:
        assert host.ready((f"{code}:add", "python"))["libraries"]["python"] == python.parents[1].name
        answer, errors = host.predict(rows)
        assert not errors and answer[0].values == [2.5, 4.0]
    zygote.end()
    with fresh_host(tmp_path, python) as host:
        host.ready((f"{code}:add", "python"))


@pytest.mark.skipif(not INTERPRETERS, reason="no other interpreters are installed here")
def test_every_file_of_the_child_script_compiles_on_the_oldest_python() -> None:
    files = [str(path) for path in sorted(SCRIPT.parent.glob("*.py"))]
    check = "import sys\nfor name in sys.argv[1:]:\n    with open(name, encoding='utf-8') as stream:\n        compile(stream.read(), name, 'exec')\n"
    subprocess.run([str(INTERPRETERS[0]), "-c", check, *files], check=True)


@pytest.fixture(scope="module", params=sorted(OLD))
def old_python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with an old scikit-learn, made once; the test skips where it cannot be made."""
    version: str = request.param
    found = [path for path in INTERPRETERS if path.parents[1].name.startswith(version + ".")]
    if not found:
        pytest.skip(f"Python {version} is not installed here")
    folder = tmp_path_factory.mktemp("old") / "env"
    subprocess.run([str(found[0]), "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "-q", "--only-binary", ":all:", "--disable-pip-version-check", *OLD[version]]
    if subprocess.run(install, check=False, capture_output=True).returncode:
        pytest.skip(f"{OLD[version][0]} cannot be installed here")
    return folder / "bin" / "python"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_models_of_their_time_answer_as_they_did(old_python: Path, tmp_path: Path) -> None:
    subprocess.run([str(old_python), old_builder.__file__, str(tmp_path)], check=True)
    zygote = Zygote(tmp_path, python=old_python, modules=["sklearn.linear_model", "sklearn.ensemble", "sklearn.pipeline", "pandas"])
    for path in sorted(tmp_path.glob("*.pkl")):
        expected = json.loads(path.with_suffix(".json").read_text())
        with zygote.host() as host:
            description = host.ready(path)
            answer, errors = host.predict(pack(path.stem, expected["rows"]))
            assert not errors, (path.stem, errors[0])
            classes = description["outputs"][0].get("classes")
            got = [classes[place] for place in answer[0].values] if classes else answer[0].values
            if classes:
                assert got == expected["predict"], path.stem
                np.testing.assert_allclose(np.reshape(answer[1].values, (len(got), -1)), expected["proba"], rtol=1e-12)
            else:
                np.testing.assert_allclose(got, expected["predict"], rtol=1e-12)
    zygote.end()


def pack(name: str, rows: list[list[float]]) -> Rows:
    if name == "text":
        return Rows(n=len(rows), chunks=(texts(rows),))  # type: ignore[arg-type]
    if name == "mixed":
        ages = [float("nan") if row[0] is None else row[0] for row in rows]
        return Rows(n=len(rows), chunks=(Chunk(data=struct.pack(f"<{len(rows)}d", *ages)), texts([str(row[1]) for row in rows])))
    return Rows(n=len(rows), chunks=(Chunk(data=np.array(rows, dtype=float).tobytes()),))
