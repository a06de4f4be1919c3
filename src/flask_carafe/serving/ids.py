"""Ids of predictions and requests."""

from __future__ import annotations

import os
import re
from itertools import count
from time import time

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class PredictionIds:
    """Makes UUIDs of version 7: 48 bits of milliseconds, then what tells workers and answers apart.

    Source: RFC 9562, section 5.7; the counter is its method 1, the rest is random once per worker.
    """

    def __init__(self) -> None:
        self.worker = f"{0x80 | os.urandom(1)[0] & 0x3F:02x}{os.urandom(1).hex()}"
        self.tail = os.urandom(3).hex()
        self.counter = count(int.from_bytes(os.urandom(4), "big"))

    def next(self) -> str:
        """The next id; ids of one worker sort by the millisecond they were made in."""
        ms = f"{int(time() * 1000):012x}"
        n = next(self.counter) & 0xFFFFFFFFF
        n_text = f"{n:09x}"
        return f"{ms[:8]}-{ms[8:]}-7{n_text[:3]}-{self.worker}-{n_text[3:]}{self.tail}"


def request_id(sent: str | None, otherwise: str) -> str:
    """The client's own id of its request if it can stand in a header and a log line, else ``otherwise``."""
    return sent if sent and REQUEST_ID.fullmatch(sent) else otherwise
