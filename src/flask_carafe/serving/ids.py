"""Ids of predictions and requests."""

from __future__ import annotations

import os
import re
from itertools import count
from time import time

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class PredictionIds:
    """Makes UUIDs of version 7: 48 bits of milliseconds, then what tells workers and answers apart.

    Source: RFC 9562, section 5.7. Within a millisecond a counter tells answers apart; the rest is random once per worker.
    """

    def __init__(self) -> None:
        noise = os.urandom(7).hex()
        self.middle = f"{noise[:3]}-{0x80 | int(noise[3:5], 16) & 0x3F:02x}{noise[5:7]}-"
        self.tail = noise[7:13]
        self.counter = count(int.from_bytes(os.urandom(3), "big"))
        self.ms, self.head = 0, ""

    def next(self) -> str:
        """The next id; ids of one worker sort by the millisecond they were made in."""
        ms = int(time() * 1000)
        if ms != self.ms:
            text = f"{ms:012x}"
            self.ms, self.head = ms, f"{text[:8]}-{text[8:]}-7{self.middle}"
        return f"{self.head}{next(self.counter) & 0xFFFFFF:06x}{self.tail}"


def request_id(sent: str | None, otherwise: str) -> str:
    """The client's own id of its request if it can stand in a header and a log line, else ``otherwise``."""
    return sent if sent and REQUEST_ID.fullmatch(sent) else otherwise
