"""Carafe beside the bare prototype of its shape, in interleaved rounds; see benchmarks/README.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[1] / "benchmarks" / "run.py"


@pytest.mark.slow
@pytest.mark.load
@pytest.mark.timeout(400)
def test_each_model_has_two_thirds_of_the_prototypes_speed(need: Callable[..., str]) -> None:
    need("wrk")
    need("taskset")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one CPU: server and load generator would share it")
    command = [sys.executable, str(RUN), "--connections", "64", "--rounds", "3", "--seconds", "2", "--warmup", "1", "--least", "0.65"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
