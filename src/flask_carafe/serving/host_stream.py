"""A stream of a model in a host, on a connection of its own. Plain state, no I/O, one clock passed in; then the wire under it.

::

    asked ──> values come ──> end ─────────────> over
      │            ├── an error of the model ──> over
      │            ├── connection lost ────────> over, HostLost
      │            ├── hang limit ─────────────> over, ModelHung; the host is replaced
      ├────────────┴── closed by the reader ───> cancelled ── end, or hang limit ──> over
      └── deadline before the first value ─────> cancelled, DeadlineExceeded

The host makes no more values than it has credit for, and credit is given for those that were read. A stream that was left is
waited for until the host has closed it: only so is a step that never ends seen by anybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import CarafeError, DeadlineExceeded, HostFault, HostLost, InvalidInput, ModelFailed, ModelHung, OutputInvalid
from ..hosting.frames import (
    ANSWER,
    CANCEL,
    CREDIT,
    HAS_ERRORS,
    PART,
    REPLY,
    STREAM,
    Header,
    RowError,
    pack_predict,
    pack_word,
    read_answer,
)  # fmt: skip
from ..signature import Rows
from .connection import Connection
from .lane import Lane
from .request import told_s
from .table import HostAddress

WINDOW = 16  # values that the host may be ahead of the reader
FULL_BYTES = 1 << 20  # of values that wait here; beyond it no more is read from the host
FRAME_ID = 1
END: Any = object()  # in place of a value: there is none any more


class HostStream:
    """One stream, as the loop's side knows it.

    :param deadline: on the clock of ``now``; counts up to the first value.
    """

    def __init__(self, lane: Lane, rows: Rows, deadline: float, now: float) -> None:
        self.lane, self.rows, self.deadline, self.asked_at = lane, rows, deadline, now
        self.values: deque[tuple[Any, int]] = deque()
        self.waiting_bytes = 0
        self.outcome: Any = None  # END, or the error that ended it
        self.is_sent = self.is_greeted = self.has_values = self.is_cancelled = self.is_cancel_sent = False
        self.credit, self.room = 0, WINDOW  # values that the host may still make; those that there is room for beside
        self.heard_at = now
        self.reader: asyncio.Future[None] | None = None
        self.wake: Callable[[], None] = lambda: None  # whoever carries the frames is told that something waits
        self.over: Callable[[], None] = lambda: None  # as that the connection is of no more use

    # ---- the reader's side

    async def next(self) -> Any:
        """The next value, or :data:`END`.

        :raises CarafeError: what became of it; there are no more values.
        """
        while not self.values:
            if isinstance(self.outcome, BaseException):
                raise self.outcome
            if self.outcome is not None:
                return END
            self.reader = asyncio.get_running_loop().create_future()
            await self.reader
        value, size = self.values.popleft()
        was_full = self.is_full
        self.waiting_bytes -= size
        self.room += 1
        if self.room >= WINDOW // 2 or was_full:
            self.wake()
        return value

    def close(self) -> None:
        """Read no more: the generator is closed as soon as it has ended its step."""
        if self.outcome is None:
            self._cancel(END)

    def end(self, error: CarafeError) -> None:
        """There will be no more values, whatever the host does."""
        self._finish(error)

    def _cancel(self, outcome: Any) -> None:
        self.is_cancelled = True
        self.values.clear()
        self.waiting_bytes = 0
        self._finish(outcome)
        self.wake()

    def _finish(self, outcome: Any) -> None:
        """No more values come; the first outcome stands."""
        if self.outcome is None:
            self.outcome = outcome
        self._tell_reader()

    def _tell_reader(self) -> None:
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    @property
    def is_full(self) -> bool:
        """More waits to be read than should."""
        return self.waiting_bytes > FULL_BYTES

    # ---- the host's side

    def send(self, now: float) -> bytes | None:
        """The next frames to write, if there is something to say."""
        said = b""
        if not self.is_sent:
            self.is_sent, self.heard_at = True, now
            said = pack_predict(FRAME_ID, [self.rows], self.lane.dtypes, self.lane.widths, STREAM)
        if self.is_cancelled:
            said += b"" if self.is_cancel_sent else pack_word(CANCEL, FRAME_ID)
            self.is_cancel_sent = True
        elif self.room >= WINDOW // 2:
            if not self.credit:
                self.heard_at = now  # until now nothing was owed
            said += pack_word(CREDIT, FRAME_ID, self.room)
            self.credit, self.room = self.credit + self.room, 0
        return said or None

    def answer(self, header: Header, body: bytes, now: float) -> None:
        """Take a frame of the host. One that is not as promised ends the stream.

        :raises HostFault: after the reader was told.
        """
        self.heard_at = now
        try:
            self._take(header, body)
        except HostFault as fault:
            self._finish(fault)
            raise

    def _take(self, header: Header, body: bytes) -> None:
        if not self.is_greeted:
            if header.kind != REPLY:
                raise HostFault("The host did not answer the greeting.")
            self.is_greeted = True
        elif header.frame_id != FRAME_ID or header.kind not in (PART, ANSWER) or header.rows > 1:
            raise HostFault("The host answered a stream that was not asked.")
        elif header.kind == ANSWER:
            _, errors = read_answer(header, body, self.lane.outputs)
            self._finish(row_error(self.lane.name, errors[0]) if errors else END)
            self.over()
        elif header.rows:
            self._value(header, body)
        elif header.columns or header.size:
            raise HostFault("The host's sign of life has something in it.")

    def _value(self, header: Header, body: bytes) -> None:
        if not self.credit or header.flags & HAS_ERRORS:
            raise HostFault("The host sent a value that was not asked.")
        columns, _ = read_answer(header, body, self.lane.outputs)
        self.credit -= 1
        if self.outcome is None:
            self.has_values = True
            self.values.append((columns[0].values[0], header.size))
            self.waiting_bytes += header.size
            self._tell_reader()

    def lost(self) -> None:
        """The connection has ended."""
        self._finish(HostLost(self.lane.name))

    def tick(self, now: float) -> bool:
        """Let the deadline pass; end at the hang limit and say so.

        The host is silent for a reason while it has no credit, or while nothing is read from it.
        """
        if self.outcome is None and not self.has_values and now >= self.deadline:
            self._cancel(DeadlineExceeded(told_s(self.deadline - self.asked_at)))
        is_owed = self.credit or self.is_cancelled or not self.is_greeted
        if not is_owed or self.is_full:
            self.heard_at = now
        if now - self.heard_at < self.lane.hang_limit_s:
            return False
        self._finish(ModelHung(self.lane.name, self.lane.hang_limit_s))
        return True


def row_error(model: str, error: RowError) -> CarafeError:
    """What the host said of the one row, as the error that a client gets."""
    if error.code == "invalid_value":
        return InvalidInput(error.reason, ())
    if error.code == OutputInvalid.code:
        return OutputInvalid(model, error.reason)
    return ModelFailed(model, (), error.message)


class StreamConnection(Connection):
    """The wire under a :class:`HostStream`: the question goes out with the greeting, so that a busy host need be met only once."""

    def __init__(self, stream: HostStream, host: HostAddress, on_end: Callable[[Connection, bool], None]) -> None:
        super().__init__(stream.lane, host.id, host.token, on_end)
        self.channel = self.stream = stream
        stream.over = self.close

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is not None:
            self.stream.wake = self.wake
            self.pump()

    def pump(self) -> None:
        """Write what there is to say, and read on or not."""
        if self.ended:
            return
        super().pump()
        if self.transport is not None and self.stream.is_full == self.transport.is_reading():
            if self.stream.is_full:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
