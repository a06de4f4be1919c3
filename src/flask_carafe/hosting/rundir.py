"""Where the sockets and records of one home live: machine-local, 0700, ours, and short.

A home may lie on a shared volume and have a long path; a Unix socket's name must stay under 108 characters and means
nothing on another machine. So every home has a run directory beside it, in a fixed place that all processes of one
user find without asking: ``/tmp/carafe-<uid>/<16 hex digits of the home's path>``.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ..errors import ConfigError

MOST_SOCKET_CHARS = 100  # of 107: room for the longest name that we give
BASE_VARIABLE = "CARAFE_RUN_DIR"


def run_dir(home: str | os.PathLike[str]) -> Path:
    """The run directory of ``home``, made if need be.

    :raises ConfigError: the directory belongs to someone else, is open to others, or its path is too long.
    """
    base = _private(Path(os.environ.get(BASE_VARIABLE) or f"/tmp/carafe-{os.getuid()}").absolute())
    name = hashlib.sha256(os.path.realpath(home).encode()).hexdigest()[:16]
    directory = _private(base / name)
    if len(str(directory / "hosts" / "h123456.sock")) > MOST_SOCKET_CHARS:
        raise ConfigError(f"The run directory {directory} has too long a path for a socket.", f"Set {BASE_VARIABLE} to a shorter one.")
    _private(directory / "hosts")
    return directory


def _private(path: Path) -> Path:
    """``path`` as a directory of ours with mode 0700; a symbolic link or someone else's directory is refused."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise ConfigError(f"{path} is not a directory of this user.", f"Remove it, or set {BASE_VARIABLE}.")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` as one step: a reader sees the old bytes or the new ones. Mode 0600."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)
