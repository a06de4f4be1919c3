"""``carafe doctor``: what this machine can do for us, each line with a next step where there is one. Nothing is changed.

No library is imported to be named: versions are read from the installed metadata.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import resource
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import psutil

from ..config import SETTINGS, Settings, show, show_size
from ..errors import CarafeError
from ..hosting.ensure import is_steward_there
from ..hosting.rundir import run_dir
from ..monitor import past
from ..monitor.journal import FOLDER as JOURNAL
from ..monitor.journal.library import segments
from ..monitor.metrics import FOLDER as METRICS
from ..monitor.metrics import LOST
from .options import home_option, json_option, load_settings
from .output import Mark, heading, line, print_json

OURS = ("Flask-Carafe", "Flask", "Werkzeug", "granian", "msgspec", "prometheus_client", "PyYAML", "psutil")
# distribution -> what it is for, and the extra that brings it; none where people choose among builds
LIBRARIES = {
    "scikit-learn": ("models of scikit-learn", "sklearn"),
    "pandas": ("models that were fitted on named columns", "sklearn"),
    "skops": ("files of skops", "sklearn"),
    "joblib": ("files of joblib", "sklearn"),
    "threadpoolctl": ("one thread per host", "sklearn"),
    "onnxruntime": ("ONNX models", "onnx"),
    "lightgbm": ("models of LightGBM", "lightgbm"),
    "xgboost": ("models of XGBoost", "xgboost"),
    "catboost": ("models of CatBoost", "catboost"),
    "torch": ("models of PyTorch", ""),
    "keras": ("models of Keras", ""),
    "Pillow": ("pictures", "images"),
    "pypdf": ("PDF documents", "documents"),
    "docx2txt": ("Word documents", "documents"),
    "pyarrow": ("Parquet and Arrow bodies", "arrow"),
}
ALSO = {"xgboost": "xgboost-cpu"}  # the same module without the parts for graphics cards
WAL_IS_SAFE = (3, 51, 3)  # earlier ones have a bug that corrupts a database in WAL mode
LEAST_FREE_BYTES, LEAST_MEMORY_BYTES, LEAST_FILES = 200 << 20, 512 << 20, 1024
LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding; ``state`` is ``ok``, ``warn``, ``bad`` or ``note``."""

    name: str
    state: Mark
    text: str
    hint: str = ""


@click.command("doctor")
@home_option
@click.option("--config", metavar="FILE", help="Configuration file (default: carafe.yaml, or CARAFE_CONFIG).")
@click.option("--host", help="Address to try (default: 127.0.0.1).")
@click.option("--port", help="Port to try (default: 5000).")
@json_option
def doctor(as_json: bool, **given: Any) -> int:
    """Say what works on this machine, what does not, and what to do about it.

    Exit code 1 when something is in the way of serving.
    """
    settings, checks = _settings(given)
    groups = {"Python": [*_python(), *_libraries()], "Settings": checks, "Machine": list(_machine(settings))}
    found = [check for group in groups.values() for check in group]
    is_well = all(check.state != "bad" for check in found)
    if as_json:
        print_json({"ok": is_well, "checks": found})
    else:
        _print(groups, is_well)
    return 0 if is_well else 1


def _print(groups: dict[str, list[Check]], is_well: bool) -> None:
    for title, checks in groups.items():
        click.echo(heading(title))
        for check in checks:
            click.echo(line(check.state, check.name, check.text, check.hint, 18))
        click.echo()
    click.echo("Everything that serving needs is here." if is_well else "What is marked ✗ is in the way of serving.")


def _settings(given: dict[str, Any]) -> tuple[Settings, list[Check]]:
    try:
        settings = load_settings(**given)
    except CarafeError as exc:
        return Settings(home=Path(given.get("home") or ".carafe").absolute()), [Check("settings", "bad", str(exc), "docs: Configuration")]
    told = [
        Check(setting.name, "note", f"{show(setting, getattr(settings, setting.name)) or '(empty)'}  ({source})")
        for setting in SETTINGS
        if (source := settings.provenance(setting.name)) != "default"
    ]
    return settings, told or [Check("settings", "ok", "all at their defaults")]


def _python() -> Iterator[Check]:
    version = platform.python_version()
    state: Mark = "ok" if (3, 11) <= sys.version_info < (3, 14) else "warn" if sys.version_info >= (3, 14) else "bad"
    yield Check("python", state, f"{version} in {sys.prefix}", "" if state == "ok" else "Python 3.11 to 3.13 are tested.")
    yield Check("carafe", "ok", ", ".join(f"{name} {version}" for name in OURS if (version := _version(name))))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _libraries() -> Iterator[Check]:
    for name, (purpose, extra) in LIBRARIES.items():
        version = _version(name) or _version(ALSO.get(name, name))
        if version:
            yield Check(name, "ok", f"{version}: {purpose}")
        elif extra:
            yield Check(name, "warn", f"not installed: no {purpose}", f"pip install 'Flask-Carafe[{extra}]'")
        else:
            yield Check(name, "note", f"not installed: no {purpose}")


def _machine(settings: Settings) -> Iterator[Check]:
    """Checks that touch the machine; one that cannot be done is a finding too."""
    for name, check in MACHINE.items():
        try:
            yield from check(settings)
        except (OSError, CarafeError) as exc:
            yield Check(name, "bad", str(exc), getattr(exc, "hint", ""))


def _home(settings: Settings) -> Iterator[Check]:
    home = settings.home
    place = next(parent for parent in (home, *home.parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Check("home", "bad", f"{home} cannot be written", "Give another: --home DIR or CARAFE_HOME.")
        return
    free = shutil.disk_usage(place).free
    state: Mark = "ok" if free >= LEAST_FREE_BYTES else "warn"
    will = "" if home.exists() else " (will be made)"
    yield Check("home", state, f"{home}{will}, {show_size(free)} free", "" if state == "ok" else "Model files are copied there; make room.")


def _journal(settings: Settings) -> Iterator[Check]:
    if not settings.journal:
        yield Check("journal", "note", "off: predictions are not written down")
        return
    folder = settings.home / JOURNAL
    shelves = segments(folder)
    size = sum([shelf.size for shelf in shelves])
    text = f"{show_size(size)} in {len(shelves)} file{'s' * (len(shelves) != 1)}, at most {show_size(settings.journal_keep_bytes)} is kept"
    lost = sum([cells[0] for (kind, _), cells in past.collect(run_dir(settings.home) / METRICS).items() if kind == LOST])
    missing = f"; {lost:,.0f} predictions are missing" if lost else ""
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        yield Check("journal", "warn", f"{folder} cannot be written{missing}", "Make it a folder of this user; predictions go on without it.")
    else:
        yield Check("journal", "warn" if lost else "ok", text + missing, "The disk was full, or the folder could not be written." if lost else "")


def _run_dir(settings: Settings) -> Iterator[Check]:
    directory = run_dir(settings.home)
    path = directory / "doctor.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.unlink()
    yield Check("run directory", "ok", f"{directory}, sockets work")
    running = is_steward_there(directory)
    yield Check("steward", "note", "runs for this home" if running else "none runs for this home now")


def _sqlite(_: Settings) -> Iterator[Check]:
    version = sqlite3.sqlite_version
    wal = sqlite3.sqlite_version_info >= WAL_IS_SAFE
    yield Check("sqlite", "ok", version if wal else f"{version}, rollback journal (write-ahead logging is safe from 3.51.3 on)")


def _fork(_: Settings) -> Iterator[Check]:
    if hasattr(os, "fork") and sys.platform != "darwin":
        yield Check("fork", "ok", "hosts are forked from a process that has the libraries: ready in milliseconds")
    else:
        yield Check("fork", "warn", "hosts are started fresh: a second or two each, more memory", "Linux forks them.")


def _port(settings: Settings) -> Iterator[Check]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as exc:
            reason = exc.strerror or str(exc)
            yield Check("port", "warn", f"{settings.host}:{settings.port}: {reason}", "Another server may be there; give another: --port.")
        else:
            yield Check("port", "ok", f"{settings.host}:{settings.port} is free")


def _resources(settings: Settings) -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    state: Mark = "ok" if memory.available >= LEAST_MEMORY_BYTES else "warn"
    text = f"{cores} cores, {show_size(memory.total)} of memory, {show_size(memory.available)} free"
    yield Check("machine", state, text, "" if state == "ok" else "scikit-learn alone takes some 150 MiB.")
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 0 <= files < LEAST_FILES
    yield Check("open files", "warn" if few else "ok", f"{files} at once" if files >= 0 else "no limit", "ulimit -n 4096" if few else "")


def _isolation(_: Settings) -> Iterator[Check]:
    abi = landlock_abi()
    kernel = f"Landlock {abi} is in this kernel, hosts are not confined by it" if abi else "this kernel has no Landlock"
    ties = "" if sys.platform.startswith("linux") else "; no prctl: a server's children may outlive its kill -9"
    yield Check("isolation", "note", f"crash isolation only: {kernel}{ties}", "A model file can run code as this user: serve files that you trust.")


def landlock_abi() -> int:
    """Version of the kernel's Landlock, 0 without it. Asks the kernel and restricts nothing."""
    if not sys.platform.startswith("linux"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_VERSION))))


MACHINE: dict[str, Callable[[Settings], Iterator[Check]]] = {
    "home": _home,
    "journal": _journal,
    "run directory": _run_dir,
    "port": _port,
    "fork": _fork,
    "machine": _resources,
    "sqlite": _sqlite,
    "isolation": _isolation,
}
