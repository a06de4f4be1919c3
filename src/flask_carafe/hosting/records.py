"""What is written down about each running host, so that the successor of a dead steward finds and adopts it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from .process import Process
from .rundir import write_atomically


class HostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``started`` is the kernel's start time of ``pid``: a pid alone names nobody."""

    id: str
    pid: int
    started: int
    address: str
    token: str

    @property
    def process(self) -> Process:
        return Process(self.pid, self.started)


class HostRecords:
    """Files in ``<run directory>/hosts``: per host a record, a socket, a log and a private directory."""

    def __init__(self, run_dir: Path) -> None:
        self.directory = run_dir / "hosts"

    def path(self, host_id: str, ending: str) -> Path:
        return self.directory / f"{host_id}.{ending}"

    def private_directory(self, host_id: str) -> Path:
        """The one place that a host may write to; made empty."""
        path = self.path(host_id, "dir")
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        return path

    def add(self, record: HostRecord) -> None:
        write_atomically(self.path(record.id, "json"), msgspec.json.encode(record))

    def all(self) -> list[HostRecord]:
        """Every record that can be read; the others are removed."""
        found = []
        for path in sorted(self.directory.glob("h*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=HostRecord))
            except (OSError, msgspec.DecodeError):
                path.unlink(missing_ok=True)
        return found

    def forget(self, host_id: str) -> None:
        """Remove all that a host that has ended left behind."""
        for ending in ("json", "sock", "log"):
            self.path(host_id, ending).unlink(missing_ok=True)
        shutil.rmtree(self.path(host_id, "dir"), ignore_errors=True)

    def next_number(self) -> int:
        """One more than the highest number ever given here that still has a file."""
        numbers = [path.stem[1:] for path in self.directory.glob("h*.*")]
        return max((int(number) for number in numbers if number.isdigit()), default=0) + 1
