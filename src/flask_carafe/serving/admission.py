"""Who may wait for an answer, and who is told at once to come again. Plain state, no I/O.

A request is refused when it is predicted to be answered too late: that costs it a round trip, where waiting in vain would cost
it its deadline and the model the work. A prediction never closes a door for good: one is only asked for while frames are under
way, each of them teaches, and what finds a lane idle is always let in.
"""

from __future__ import annotations

from math import ceil

from ..errors import Overloaded

TRUST = 0.6  # of its patience that a request may be predicted to wait; the rest is for what nobody can foresee
FADE, MOST_FADE = 0.2, 0.5  # how much the latest frame counts in a pace: more if it was long, since others come seldom then
LONG_S = 0.4
MOST_RETRY_S = 60  # nobody is sent away for longer on the word of a prediction


class Places:
    """Places for waiting requests in one worker, over all models. No model may hold more than ``share``, half of them.

    :param most: how many there are.
    """

    __slots__ = ("most", "share", "taken")

    def __init__(self, most: int = 8192) -> None:
        self.most, self.share, self.taken = most, max(1, most // 2), 0


class Pace:
    """Seconds a row of late: ``row_s``, 0.0 while nothing is known.

    Seconds and rows fade apart, so that full frames, which cost least a row, count for what they carry: under load ``row_s`` is
    what the model really needs, and after a slow moment it is right again within some frames.

    >>> pace = Pace()
    >>> pace.learn(rows=1, seconds=0.003)
    >>> pace.learn(rows=100, seconds=0.012)
    >>> round(pace.row_s, 5)
    0.00014
    """

    __slots__ = ("row_s", "rows", "seconds")

    def __init__(self) -> None:
        self.row_s = self.rows = self.seconds = 0.0

    def learn(self, rows: int, seconds: float) -> None:
        """A frame of ``rows`` rows was answered after ``seconds``."""
        fade = max(FADE, min(MOST_FADE, seconds / LONG_S))
        self.rows += fade * (rows - self.rows)
        self.seconds += fade * (seconds - self.seconds)
        self.row_s = self.seconds / self.rows


def refusal(name: str, wait_s: float) -> Overloaded:
    """The 429 for a request that would wait ``wait_s`` seconds: by then, what is in its way now has been dealt with."""
    return Overloaded(name, max(1, min(MOST_RETRY_S, ceil(wait_s))))
