"""The demo as people start it: trained once, and served by `carafe demo`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_carafe import demo

START_S = 90


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder with the models, and what training said."""
    folder, lines = tmp_path_factory.mktemp("home") / "demo", []
    demo.train(folder, lines.append)
    return folder, lines


@pytest.fixture(scope="session")
def demo_url(trained: tuple[Path, list[str]]) -> Iterator[str]:
    """Where ``carafe demo`` serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home, log = trained[0].parent, trained[0].parent / "log"
    command = [sys.executable, "-m", "flask_carafe", "demo", "--home", str(home), "--port", str(port), "--workers", "1"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CARAFE_")} | {"CARAFE_NOTICE_S": "0"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=home)
    end = time.monotonic() + START_S
    try:
        while not is_ready(f"http://127.0.0.1:{port}/readyz"):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def is_ready(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True
