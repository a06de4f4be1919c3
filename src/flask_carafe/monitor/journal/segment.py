"""One file of the journal while this process writes it, and what becomes of it: ``….open``, then ``….seg``.

The writer holds an ``flock`` on its file: who can take that lock knows that the writer is gone, whatever pids say.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

import msgspec

from . import format as form

OPEN, CLOSED = ".open", ".seg"
LEAST_FREE_BYTES = 64 << 20  # the last of a disk is for others: a journal must not be what stops a database


class Segment:
    """An open segment of this process.

    ``counts`` has the predictions in it by the number of their model; ``size`` is its bytes.

    :param serial: tells segments of one process and millisecond apart.
    :raises OSError: it cannot be made, or the disk is nearly full.
    """

    def __init__(self, folder: Path, serial: int) -> None:
        now = time.time()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_free(folder)
        self.path = folder / f"{int(now * 1000):012x}-{os.getpid()}-{serial}{OPEN}"
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.size = 0
        self.counts: dict[int, int] = {}
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)  # who looks whether we live holds it for an instant
            beginning = form.Beginning(pid=os.getpid(), began_at=now)
            self.write(form.record(form.BEGIN, msgspec.json.encode(beginning)))
        except OSError:
            os.close(self.descriptor)
            self.path.unlink(missing_ok=True)
            raise

    def write(self, data: bytes) -> None:
        """Append ``data`` in one system call; all of it or, as far as readers see, nothing.

        :raises OSError: after which nothing more may be written here.
        """
        size = os.write(self.descriptor, data)
        if size != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += size

    @property
    def is_there(self) -> bool:
        """Whether others still find this file; someone may have removed the folder."""
        return os.fstat(self.descriptor).st_nlink > 0

    def seal(self) -> None:
        """Cut off what was torn, bring the rest to the disk, and give the file the name of a closed one. Never raises."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, self.size)
        with contextlib.suppress(OSError):
            os.fsync(self.descriptor)
        with contextlib.suppress(OSError):
            if self.counts and self.is_there:
                self.path.rename(self.path.with_suffix(CLOSED))
            else:
                self.path.unlink(missing_ok=True)
        self.drop()

    def drop(self) -> None:
        """Let go of the file and leave it as it is: it is another process's."""
        os.close(self.descriptor)


def _check_free(folder: Path) -> None:
    """:raises OSError: the disk is nearly full."""
    facts = os.statvfs(folder)
    if facts.f_bavail * facts.f_frsize < LEAST_FREE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
