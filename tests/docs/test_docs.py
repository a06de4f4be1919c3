"""The documentation builds without a warning, its Python is Python, and what is marked in it runs as it says.

A comment before a block marks it: ``<!-- run -->`` runs it (``python`` as a script, ``console`` line by line, what follows a
command being its output, ``...`` for anything), ``<!-- file: NAME -->`` writes it to a file, ``<!-- serve -->`` starts its command and
leaves it running while the rest of the page runs. One folder a page; port 5000 stands for a free one.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"(?:<!-- (?P<mark>run|serve|file: [\w.-]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
READY_S = 60


class Block(NamedTuple):
    language: str
    text: str
    mark: str


def blocks(page: Path) -> list[Block]:
    return [Block(found["language"], found["text"], found["mark"] or "") for found in FENCE.finditer(page.read_text(encoding="utf-8"))]


def by_name(page: Path) -> str:
    return page.stem


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_python_in_the_docs_is_python(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            ast.parse(block.text)


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    gone = [link for link in links if not (page.parent / link).exists() and not link.startswith("docs/_static/")]
    assert not gone


class Story:
    """The marked blocks of one page, run in order in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[subprocess.Popen[bytes]] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("CARAFE_")} | {"PATH": path, "CARAFE_PORT": str(self.port)}

    def tell(self, block: Block) -> None:
        text = block.text.replace("localhost:5000", f"127.0.0.1:{self.port}")
        if block.mark.startswith("file: "):
            (self.folder / block.mark.removeprefix("file: ")).write_text(text, encoding="utf-8")
        elif block.mark == "serve":
            self._serve(text.removeprefix("$ "))
        elif block.language == "python":
            self._run([sys.executable, "-c", text])
        else:
            for command, output in commands(text):
                said = self._run(["bash", "-c", command])
                assert matches(output, said), f"$ {command}\n{said}\n--- and the page says:\n{output}"

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _serve(self, command: str) -> None:
        with (self.folder / "server.log").open("wb") as log:
            self.servers.append(subprocess.Popen(["bash", "-c", "exec " + command], cwd=self.folder, env=self.environment, stdout=log, stderr=log))
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.servers[-1].poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError((self.folder / "server.log").read_text())

    def end(self) -> None:
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(40)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each ``$ command`` with the lines under it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.strip()


def matches(expected: str, said: str) -> bool:
    """Whether ``said`` is ``expected``, in which ``...`` and ``…`` stand for anything.

    >>> matches('{"a": ..., "b": 2}', '{"a": 1, "b": 2}')
    True
    """
    pattern = ".*".join(re.escape(part) for part in re.split(r"\.\.\.|…", expected))
    return not expected or re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    story = Story(tmp_path)
    yield story
    story.end()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.mark for block in blocks(page))], ids=by_name)
def test_what_a_page_shows_is_what_happens(page: Path, story: Story) -> None:
    for block in blocks(page):
        if block.mark:
            story.tell(block)
