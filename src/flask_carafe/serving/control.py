"""A word with the steward from any thread: one question on a connection of its own, one answer."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import msgspec

from ..errors import HostFault
from ..hosting.ensure import steward_socket
from ..hosting.process import peer_uid


def ask_steward(run_dir: Path, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """What the steward of ``run_dir`` answers to ``message``; ``op`` is ``error`` where it refuses.

    :raises HostFault: there is none, or it did not answer in time.
    """
    hello = {"op": "hello", "role": "cli", "pid": os.getpid()}
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(steward_socket(run_dir)))
            if peer_uid(connection) != os.getuid():
                raise HostFault("The steward's socket is somebody else's.")
            connection.sendall(b"".join([msgspec.json.encode(line) + b"\n" for line in (hello, message)]))
            with connection.makefile("rb") as lines:
                return msgspec.json.decode(lines.readline(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as exc:
        raise HostFault("The steward cannot be asked; it may be starting. Try again in a moment.") from exc
