"""Ask a model: the wait between decoding and encoding, once for the loop and once for threads."""

from __future__ import annotations

import asyncio
from _thread import allocate_lock
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

from ..errors import CarafeError, DeadlineExceeded, ModelFailed, NotReady, OutputInvalid, Overloaded
from ..hosting.frames import DTYPES, Column
from ..signature import Rows
from ..signature.pending import Columns, Pending
from ..signature.unpack import values as unpacked
from .engine import Engine
from .functions import plain
from .media import decode_media, write_table
from .request import Answer, Watch, told_s
from .streaming import collect, collect_blocking
from .table import Model
from .threads import GUEST_S

Done = TypeVar("Done")
GRACE_S = 0.5  # a thread waits this much longer than its deadline before it stops trusting the loop


def ask(  # noqa: PLR0917 - on the request path, where keywords cost
    engine: Engine, model: Model, rows: Rows | Pending, deadline: float, watch: Watch | None = None, id: str = ""
) -> Awaitable[Answer]:
    """Run ``rows`` through ``model``; on the engine's loop. Awaited at once; a plain function, to save a coroutine.

    :param deadline: on the clock of :func:`time.monotonic`.
    :param watch: called once if the answer takes long, to look whether the client is still there; see :class:`Request`.
    :param id: the prediction's, for the journal.
    :raises CarafeError: what became of the request in place of an answer.
    """
    if isinstance(rows, Pending):
        return _ask_with_files(engine, model, rows, deadline, watch, id)
    if model.streams:
        return _collect_noted(engine, model, rows, deadline, watch, id)
    if model.call is not None:
        return engine.crew_of(model).run(lambda: _call_noted(engine, model, rows, id), deadline, watch)
    return engine.answer(engine.lane_of(model), rows, deadline, watch, id)


async def _ask_with_files(  # noqa: PLR0917
    engine: Engine, model: Model, rows: Pending, deadline: float, watch: Watch | None, id: str
) -> Answer:
    return await ask(engine, model, await decode_media(engine, model, rows, deadline), deadline, watch, id)


async def ready_rows(engine: Engine, model: Model, rows: Rows | Pending, deadline: float) -> Rows:
    """``rows`` with every file read; on the loop."""
    return await decode_media(engine, model, rows, deadline) if isinstance(rows, Pending) else rows


def ready_rows_blocking(engine: Engine, model: Model, rows: Rows | Pending, deadline: float) -> Rows:
    """The same from any thread but the loop's."""
    if not isinstance(rows, Pending):
        return rows
    return _on_loop(engine, model, lambda: decode_media(engine, model, rows, deadline), deadline)


def ask_blocking(engine: Engine, model: Model, rows: Rows | Pending, timeout_s: float, id: str = "") -> Answer:
    """The same from any thread but the loop's.

    :raises Overloaded: besides other reasons, the threads that a model may hold are all waiting for it; nothing was run.
    """
    if model.streams:
        return _collect_here(engine, model, rows, timeout_s, id)
    if model.call is not None:
        return _call_here(engine, model, rows, timeout_s, id)
    seats = engine.seats_of(model)
    is_seated = seats.take()
    try:
        return _ask_host(engine, model, rows, timeout_s if is_seated else min(GUEST_S, timeout_s), id)
    except DeadlineExceeded as late:
        if is_seated or timeout_s <= GUEST_S:
            raise
        raise Overloaded(model.entry.name, 1) from late
    finally:
        if is_seated:
            seats.leave()


def _ask_host(engine: Engine, model: Model, rows: Rows | Pending, timeout_s: float, id: str) -> Answer:
    deadline = monotonic() + timeout_s
    rows = ready_rows_blocking(engine, model, rows, deadline)
    answer = _Slot()
    engine.hand_over(model, rows, deadline, answer.put, id)
    return answer.get(timeout_s)


def _call_here(engine: Engine, model: Model, rows: Rows | Pending, timeout_s: float, id: str) -> Answer:
    """Run a function of the app in this thread, where nobody can stop it; what comes too late is of no use."""
    deadline, seats = monotonic() + timeout_s, engine.seats_of(model)
    rows = ready_rows_blocking(engine, model, rows, deadline)
    began = monotonic()
    seats.wait(timeout_s)
    try:
        answer = call_local(model, rows)
    finally:
        seats.leave()
    if monotonic() > deadline:
        raise DeadlineExceeded(told_s(timeout_s))
    return _noted(engine, model, rows, id, began, answer)


def _collect_here(engine: Engine, model: Model, rows: Rows | Pending, timeout_s: float, id: str) -> Answer:
    began = monotonic()
    rows = ready_rows_blocking(engine, model, rows, began + timeout_s)
    return _noted(engine, model, rows, id, began, collect_blocking(engine, model, rows, timeout_s))


class _Slot:
    """A place for one outcome, waited for on a bare lock: the cheapest hand-over between two threads."""

    __slots__ = ("lock", "outcome")

    def __init__(self) -> None:
        self.lock = allocate_lock()
        self.lock.acquire()
        self.outcome: Any = None

    def put(self, outcome: Any) -> None:
        self.outcome = outcome
        self.lock.release()

    def get(self, timeout_s: float) -> Answer:
        if not self.lock.acquire(timeout=timeout_s + GRACE_S):
            raise DeadlineExceeded(timeout_s)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome  # type: ignore[no-any-return]


def write_table_blocking(engine: Engine, model: Model, records: Columns, format: str, deadline: float) -> bytes:
    """:func:`write_table` from any thread but the loop's."""
    return _on_loop(engine, model, lambda: write_table(engine, model, records, format, deadline), deadline)


def _on_loop(engine: Engine, model: Model, work: Callable[[], Coroutine[Any, Any, Done]], deadline: float) -> Done:
    """Have ``work`` done on the engine's loop and wait for it in this thread."""
    if engine.loop is None:
        raise NotReady(model.entry.name, "no host is running")
    patience = max(0.0, deadline - monotonic())
    future = asyncio.run_coroutine_threadsafe(work(), engine.loop)
    try:
        return future.result(patience + GRACE_S)
    except TimeoutError:
        future.cancel()
        raise DeadlineExceeded(told_s(patience)) from None


def _call_noted(engine: Engine, model: Model, rows: Rows, id: str) -> Answer:
    began = monotonic()
    return _noted(engine, model, rows, id, began, call_local(model, rows))


async def _collect_noted(  # noqa: PLR0917
    engine: Engine, model: Model, rows: Rows, deadline: float, watch: Watch | None, id: str
) -> Answer:
    began = monotonic()
    return _noted(engine, model, rows, id, began, await collect(engine, model, rows, deadline, watch))


def _noted(engine: Engine, model: Model, rows: Rows, id: str, began: float, answer: Answer) -> Answer:  # noqa: PLR0917
    """``answer``, after whoever keeps the journal was told of it."""
    if engine.on_call is not None:
        engine.on_call(model, id, rows, answer, began)
    return answer


def call_local(model: Model, rows: Rows) -> Answer:
    """Run a Python function of the app on ``rows``, in this thread.

    :raises ModelFailed: the function raised.
    :raises OutputInvalid: it gave another number of predictions than it got rows.
    """
    signature, call = model.signature, model.call
    assert call is not None and signature is not None
    asked = unpacked(signature, rows, native=True)
    try:
        predictions = list(call(asked))
    except CarafeError:
        raise
    except Exception as exc:  # the edge round a user's model
        raise ModelFailed(model.entry.name) from exc
    if len(predictions) != rows.n:
        raise OutputInvalid(model.entry.name, f"{len(predictions)} predictions for {rows.n} rows")
    try:
        predictions = plain(predictions)
    except (ValueError, RecursionError) as exc:
        raise OutputInvalid(model.entry.name, str(exc)) from exc
    output = signature.outputs[0]
    return Answer([Column(DTYPES[output.dtype], output.width, predictions)], 0, rows.n, (), rows.n)
