"""The benchmarks run: a server that no longer starts as they start it is found here, and not when figures are wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SERVERS = ["ours", "prototype", "view-gunicorn", "door-gunicorn", "bare-gunicorn"]
SHORT = ["--rounds", "1", "--seconds", "1", "--warmup", "1", "--connections", "4"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_suites_of_our_own_servers_run(need: Any, tmp_path: Path) -> None:
    need("wrk")
    if not BENCHMARKS.is_dir():
        pytest.skip("this is no checkout")
    suites = ["--suite", "speed,views,memory,rows", "--models", "lr", "--only", ",".join(SERVERS)]
    environment = os.environ | {"BENCH_RESULTS": str(tmp_path)}
    command = [sys.executable, str(BENCHMARKS / "run.py"), *suites, *SHORT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = [json.loads(line) for suite in ("speed", "views") for line in (tmp_path / f"{suite}.jsonl").read_text().splitlines()]
    assert {cell["server"] for cell in cells} == set(SERVERS)
    assert all(cell["per_s"] > 0 and not cell["failed"] for cell in cells)
    assert "model libraries in a web worker: none" in done.stdout
    assert "of the bare frame exchange" in done.stdout
