"""Threads that one model may hold, so that a model that hangs leaves the others theirs: half of them, and not one more.

A function of the app runs in threads: beside the loop in those of its own :class:`Crew`, and where a server answers in threads in
the very thread that was asked. There, :class:`Seats` count who waits for a model, be it a function or one in a host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar

from ..errors import DeadlineExceeded, Overloaded
from .admission import TRUST, Pace, Places, refusal
from .request import SLOW_S, Watch, told_s

T = TypeVar("T")
GUEST_S = 0.25  # a thread beyond a model's share is lent to it for so long: many threads at once are no harm where answers are quick


class Seats:
    """Places for threads of the server that wait for one model.

    :param most: how many may wait until their deadlines.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.free: SimpleQueue[None] = SimpleQueue()  # the cheapest counter that threads can wait at
        self.moved_at = 0.0  # when a seat was last given back
        for _ in range(most):
            self.free.put(None)

    def take(self) -> bool:
        """Take a seat. Without one, a thread may stay for :data:`GUEST_S`."""
        try:
            self.free.get_nowait()
        except Empty:
            return False
        return True

    def wait(self, timeout_s: float) -> None:
        """Take a seat, for what cannot be stopped once it runs. One that is soon free is waited for.

        :raises Overloaded: none was, or all have been held for long.
        """
        is_moving = monotonic() - self.moved_at < GUEST_S
        try:
            self.free.get(timeout=min(GUEST_S, timeout_s) if is_moving else 0.0)
        except Empty:
            raise Overloaded(self.name, 1) from None

    def leave(self) -> None:
        """Give a seat back."""
        self.moved_at = monotonic()
        self.free.put(None)


class Crew:
    """The threads of one function of the app beside the loop, and its calls that wait for one; used on the loop.

    :param most: how many threads.
    """

    def __init__(self, name: str, most: int, places: Places) -> None:
        self.name, self.most, self.places = name, most, places
        self.pool = ThreadPoolExecutor(most, thread_name_prefix="carafe-call")
        self.asked = 0  # calls that run or wait
        self.pace = Pace()  # of calls
        self.moved_at = 0.0  # when a call last began to run in a free thread, or ended

    async def run(self, call: Callable[[], T], deadline: float, watch: Watch | None = None) -> T:
        """``call()`` in a thread; past the deadline nobody waits for it, and what has not begun never will.

        :param watch: called once if it takes long, to look whether the client is still there.
        :raises Overloaded: it would be too late; it was not called.
        :raises DeadlineExceeded: it was too late.
        """
        now = monotonic()
        patience = max(0.0, deadline - now)
        self._admit(patience, now)
        loop = asyncio.get_running_loop()
        began: list[float] = []
        future = self.pool.submit(_timed, call, began)
        self.asked += 1
        future.add_done_callback(lambda done: _tell(loop, lambda: self._ended(done, began)))
        watching = loop.call_later(SLOW_S, watch, None) if watch is not None else None
        try:
            async with asyncio.timeout(patience):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlineExceeded(told_s(patience)) from None
        finally:
            if watching is not None:
                watching.cancel()

    def _admit(self, patience: float, now: float) -> None:
        before = self.asked - self.most
        if before < 0:
            self.moved_at = now
            return
        late_s = max(0.0, now - self.moved_at - self.pace.row_s)  # how long every thread has been held beyond what is usual
        wait_s = late_s + (before + 1 + self.most) * self.pace.row_s / self.most  # its turn, and its own time
        if before >= self.places.share or wait_s > TRUST * patience:
            raise refusal(self.name, wait_s)

    def _ended(self, done: Future[T], began: list[float]) -> None:
        self.asked -= 1
        if not done.cancelled():
            self.moved_at = monotonic()
            self.pace.learn(1, self.moved_at - began[0])


def _timed(call: Callable[[], T], began: list[float]) -> T:
    began.append(monotonic())
    return call()


def _tell(loop: asyncio.AbstractEventLoop, news: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop has ended, and with it whoever would care
        loop.call_soon_threadsafe(news)
