"""What hosts print: read from their log files and logged line by line with the host's id."""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger("flask_carafe.host")
MOST_BYTES_A_STEP = 64 * 1024
MOST_FILE_BYTES = 4 * 1024 * 1024
MOST_LINE = 2000


class LogTail:
    """Follows one file that others append to; truncates it when it has been read and grew past 4 MiB.

    Who writes faster than is read loses what lies more than 4 MiB ahead: a disk must not fill up with what a model prints.
    """

    def __init__(self, path: Path, name: str, *, from_end: bool = False) -> None:
        self.path, self.name = path, name
        self._offset = path.stat().st_size if from_end and path.exists() else 0
        self._rest = b""

    def step(self) -> int:
        """Log the lines that came since the last step; how many."""
        try:
            size = self.path.stat().st_size
            if size == self._offset:
                return 0
            self._offset = self._offset if size > self._offset else 0  # someone has truncated it
            if size - self._offset > MOST_FILE_BYTES:
                return self._pass_over(size - self._offset)
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read(MOST_BYTES_A_STEP)
                at_end = self._offset + len(data) >= os.fstat(file.fileno()).st_size
        except OSError:
            return 0
        self._offset += len(data)
        if at_end and self._offset > MOST_FILE_BYTES:
            self._empty()
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MOST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            log.info("%s: %s", self.name, line[:MOST_LINE].decode(errors="replace"), extra={"host": self.name})
        return len(lines)

    def _pass_over(self, size_bytes: int) -> int:
        self._empty()
        self._rest = b""
        log.warning("%s: printed %d bytes faster than they could be logged; they are lost.", self.name, size_bytes, extra={"host": self.name})
        return 1

    def _empty(self) -> None:
        os.truncate(self.path, 0)
        self._offset = 0
