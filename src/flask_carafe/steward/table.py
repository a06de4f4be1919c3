"""The routing table that workers work by: composed here, written atomically, pushed on every change."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import msgspec

from ..hosting.rundir import write_atomically

FORMAT = 1


class TableFile:
    """``table.json`` in the run directory: the last table, which a worker falls back on and a successor starts from."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "table.json"

    def read(self) -> dict[str, Any]:
        """The last table written, or an empty one."""
        try:
            table = msgspec.json.decode(self.path.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.MsgspecError):
            return {}
        return table if table.get("format") == FORMAT else {}

    def write(self, table: dict[str, Any]) -> None:
        write_atomically(self.path, msgspec.json.encode(table))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class TableMaker:
    """Numbers the tables of one steward: revisions go up, also over its predecessor's."""

    def __init__(self, last_revision: int = 0) -> None:
        self.epoch, self.revision = secrets.token_hex(8), last_revision

    def make(self, models: list[dict[str, Any]], default_model: str | None, media: dict[str, Any] | None) -> dict[str, Any]:
        self.revision += 1
        return {
            "format": FORMAT,
            "epoch": self.epoch,
            "revision": self.revision,
            "default_model": default_model,
            "models": models,
            "media": media,
        }
