"""What ``carafe demo`` serves: three small models, trained on the spot from what this package and scikit-learn ship.

Nothing is downloaded. Training runs as a process of its own (``python -m flask_carafe.demo.training FOLDER``), so
that no web process imports a model library; it leaves model files and a ``carafe.yaml`` that says how to serve them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..errors import ConfigError, LoadFailed

HERE = Path(__file__).parent
REVIEWS = HERE / "reviews.txt"
CONFIG = "carafe.yaml"
STAMP = ".trained"  # written last: which sources and libraries the models came from
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # these models are too small to gain from more
NEEDS = ("scikit-learn", "pandas", "pillow")


def libraries() -> dict[str, str]:
    """Versions of what training and serving the demo needs.

    :raises ConfigError: which are missing, and how to get them.
    """
    found, missing = {}, []
    for name in NEEDS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        raise ConfigError(f"The demo needs {', '.join(missing)}, not installed here.", "Install it with: pip install 'Flask-Carafe[demo]'")
    return found


def stamp() -> str:
    """A text that changes when the demo's sources, the libraries or Python do, so that old models are trained anew."""
    digest = hashlib.sha256()
    for path in sorted([REVIEWS, *HERE.rglob("*.py")]):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()} python {sys.version_info.major}.{sys.version_info.minor} {libraries()}\n"


def is_trained(folder: Path) -> bool:
    path = folder / STAMP
    return path.exists() and path.read_text() == stamp()


def train(folder: Path, tell: Callable[[str], None]) -> Path:
    """Train the models into ``folder`` unless that was done before; the path of their ``carafe.yaml``.

    :param tell: called with each line of progress.
    :raises ConfigError: a library is missing.
    :raises LoadFailed: training ended badly; its last line says why.
    """
    if not is_trained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        last = ""
        for last in _run(folder):
            tell(last)
        (folder / STAMP).write_text(stamp())
    return folder / CONFIG


def _run(folder: Path) -> Iterator[str]:
    """Lines of the training process as they come."""
    command = [sys.executable, "-m", "flask_carafe.demo.training", str(folder)]
    lines = [""]
    environment = os.environ | ONE_THREAD
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                yield lines[-1]
        finally:
            if process.poll() is None and sys.exc_info()[0] is not None:
                process.terminate()
    if process.returncode:
        raise LoadFailed(f"Training the demo's models failed: {lines[-1]}")
