"""How long to wait before a crashed process is started again."""

from __future__ import annotations

DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
HEALTHY_S = 60.0


class Backoff:
    """Crashes in a row cost more and more; a minute of health makes them forgotten.

    >>> backoff = Backoff()
    >>> [backoff.after_crash(now) for now in (100.0, 101.0, 102.0, 103.0)]
    [0.0, 0.5, 1.0, 2.0]
    >>> backoff.started(110.0)
    >>> backoff.after_crash(171.0)
    0.0
    """

    def __init__(self) -> None:
        self._crashes = 0
        self._since: float | None = None

    def started(self, now: float) -> None:
        """The process answers, from ``now`` (monotonic seconds) on."""
        self._since = now

    def after_crash(self, now: float) -> float:
        """Seconds to wait before the next start."""
        if self._since is not None and now - self._since >= HEALTHY_S:
            self._crashes = 0
        self._since = None
        delay = DELAYS_S[min(self._crashes, len(DELAYS_S) - 1)]
        self._crashes += 1
        return delay
