"""How many tables are asked at once: each holds a thread that other pages need too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore
from weakref import WeakKeyDictionary

from ..errors import Overloaded
from ..state import CarafeState

_free: WeakKeyDictionary[CarafeState, Semaphore] = WeakKeyDictionary()


@contextmanager
def table_turn(state: CarafeState, name: str) -> Iterator[None]:
    """One of the turns that tables have: half of the threads of pages.

    :raises Overloaded: all are taken; nothing was asked of the model called ``name``.
    """
    turns = _free.setdefault(state, Semaphore(max(1, state.settings.threads // 2)))
    if not turns.acquire(blocking=False):
        raise Overloaded(name)
    try:
        yield
    finally:
        turns.release()
