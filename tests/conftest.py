"""What tests of every room share; a room's own fixtures stand in its own conftest."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"  # public data sets, beside the checkout where developers have them


def missing(what: str) -> None:
    """Skip for want of ``what``; in continuous integration, where it was promised, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and under CI=true it must be there", pytrace=False)
    pytest.skip(f"{what} is not installed here", allow_module_level=True)


BROWSER = "chromium"
ARGUMENTS = [
    "--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a browser come last: Playwright keeps an event loop running in the main thread, where others run theirs."""
    items.sort(key=lambda item: BROWSER in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def chromium(need: Callable[..., str]) -> Iterator[Any]:
    """The one browser of a run; each test opens contexts or pages of its own."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = need("chromium", "chromium-browser", "google-chrome")
    with sync_api.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def need() -> Callable[..., str]:
    """``need("chromium", "chromium-browser")`` gives the path of the first one found; ``need(module="uwsgi")`` its name."""

    def look(*programs: str, module: str = "", path: str = "") -> str:
        path_of_programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        found = [shutil.which(program, path=path_of_programs) for program in programs]
        found += [module if module and find_spec(module) else None, path if path and os.path.exists(path) else None]
        if not any(found):
            missing(" or ".join([*programs, *([module] if module else []), *([path] if path else [])]))
        return next(where for where in found if where)

    return look


@pytest.fixture(scope="session")
def clients_python() -> str:
    """The interpreter that has the clients of other servers: tritonclient, kserve, mlflow-skinny. ``make test`` sets it up."""
    folder = Path(os.environ.get("CLIENTS_VENV", ROOT / ".venv-clients"))
    if not (folder / ".ready").exists():
        missing(f"the environment of clients (make {folder.name}/.ready)")
    return str(folder / "bin" / "python")


@pytest.fixture(scope="session")
def data() -> Callable[[str], Path]:
    """``data("titanic/titanic.csv")``: a public data set; the test skips where developers' data are absent."""

    def look(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"public data {name} is not here")
        return DATA / name

    return look


@pytest.fixture(autouse=True)
def no_stray_threads() -> Iterator[None]:
    """Fail in the test that left a thread of ours running, not three tests later."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("carafe-")]
    for thread in left:
        thread.join(timeout=2)
    assert not [thread.name for thread in left if thread.is_alive()]
