"""Upkeep: jobs with a ``step(now)``, and the one runner that owns time for them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from ..hosting.ensure import LOG_NAME, shorten

log = logging.getLogger(__name__)


class Job(Protocol):
    """One piece of upkeep; ``step`` runs in a thread and returns how much it did."""

    name: str
    every_s: float

    def step(self, now: datetime) -> int: ...


@dataclass
class KeepFilesYoung:
    """Touch the files of the run directory: cleaners of ``/tmp`` remove what nobody has touched for days."""

    run_dir: Path
    name: str = "keep-files-young"
    every_s: float = 3600.0

    def step(self, now: datetime) -> int:
        """Set the times of every file to ``now``; how many there were."""
        instant, count = now.timestamp(), 0
        for path in [self.run_dir, *self.run_dir.rglob("*")]:
            try:
                os.utime(path, (instant, instant), follow_symlinks=False)
                count += 1
            except FileNotFoundError:
                continue  # a host ended meanwhile
        return count


@dataclass
class KeepLogShort:
    """Shorten the steward's own log, which has what hosts print as well: it would fill the run directory within weeks."""

    run_dir: Path
    name: str = "keep-log-short"
    every_s: float = 10.0

    def step(self, now: datetime) -> int:
        """1 where it was too long."""
        return int(shorten(self.run_dir / LOG_NAME))


async def run_jobs(jobs: Sequence[Job], stop: asyncio.Event) -> None:
    """Run each job when its time has come, one at a time, until ``stop``; a job that fails is tried again at its next time."""
    due = {job.name: 0.0 for job in jobs}
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        for job in jobs:
            if loop.time() >= due[job.name]:
                due[job.name] = loop.time() + job.every_s
                await _step(job)
        nap = max(0.1, min(due.values(), default=loop.time() + 60.0) - loop.time())
        try:
            async with asyncio.timeout(nap):
                await stop.wait()
        except TimeoutError:
            continue


async def _step(job: Job) -> None:
    try:
        await asyncio.to_thread(job.step, datetime.now(UTC))
    except Exception:
        log.exception("The job %s failed; it is tried again in %g s.", job.name, job.every_s)
