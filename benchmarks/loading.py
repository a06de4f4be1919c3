"""Models to ask, and load by wrk, on a CPU of its own where there are two."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from servers import Server
from table import RESULTS
from usage import CPUS, pinned

HERE = Path(__file__).resolve().parent
SERVER_CPU, LOAD_CPU = (CPUS[0], CPUS[1]) if len(CPUS) > 1 and shutil.which("taskset") else (None, None)


def wrk(server: Server, connections: int, seconds: int) -> dict[str, float]:
    """Load ``server`` and read what wrk counted: ``requests``, ``seconds``, ``failed``, ``p50_ms``, ``p99_ms``."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(HERE / "load.lua")]
    environment = os.environ | {"BODIES": str(server.bodies), "TARGET": server.target}
    address = f"http://127.0.0.1:{server.port}"
    done = subprocess.run([*pinned(LOAD_CPU), *command, address], env=environment, capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("LOAD ")]
    if not told:
        raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")
    found: dict[str, float] = json.loads(told[0].removeprefix("LOAD "))
    return found


def trained() -> Path:
    """The folder of the models; made when it is not there, in a process apart, so that this one needs no library for it."""
    folder = RESULTS / "models"
    if not (folder / "many.right.json").exists():
        subprocess.run([sys.executable, HERE / "models.py", folder], check=True)
    return folder
