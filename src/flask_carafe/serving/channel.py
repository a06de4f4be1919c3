"""A channel of a lane: takes frames out of it and hands each waiter its rows of the answer. Plain state, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from ..errors import CarafeError, HostFault, HostLost, ModelHung
from ..hosting.frames import ANSWER, Column, Header, RowError, pack_predict, read_answer
from ..signature import Rows
from .lane import Lane
from .request import Answer, Request


class Channel:
    """One connection of a lane to a host; at most one frame is under way on it."""

    def __init__(self, lane: Lane, host_id: str) -> None:
        self.lane, self.host_id = lane, host_id
        self.is_open = True
        self.sent: list[tuple[Request, int]] = []
        self.pieces: list[Rows] = []
        self.asked = b""  # the frame under way
        self.sent_at, self.sent_rows = 0.0, 0
        self.frame_id = 0
        self.retired: Callable[[], None] | None = None
        self.wake: Callable[[], None] = lambda: None  # whoever carries the frames is told that something waits
        lane.channels.append(self)

    @property
    def is_idle(self) -> bool:
        return self.is_open and not self.sent and self.retired is None

    def late_s(self, now: float) -> float:
        """Seconds that the frame under way is over its time; below 0, what it has left."""
        return now - self.sent_at - self.sent_rows * self.lane.pace.row_s if self.sent else 0.0

    def busy_s(self, now: float) -> float:
        """Seconds until the next frame may go: what is left of the one under way. One that is late may take as long again as it is late."""
        return abs(self.late_s(now))

    def retire(self, then: Callable[[], None]) -> None:
        """Take no more frames, and call ``then`` when the one under way has been answered."""
        self.retired = then

    def send(self, now: float) -> bytes | None:
        """The next frame to write, or None when nothing waits or one is under way."""
        if not self.is_idle:
            return None
        taken = self.lane.fill(now)
        if not taken:
            return None
        self.sent, self.sent_at = taken, now
        self.pieces = [request.pieces[i] for request, i in taken]
        self.sent_rows = sum([piece.n for piece in self.pieces])
        self.lane.sent_rows += self.sent_rows
        self.frame_id = (self.frame_id + 1) & 0xFFFFFFFF
        self.asked = pack_predict(self.frame_id, self.pieces, self.lane.dtypes, self.lane.widths)
        return self.asked

    def answer(self, header: Header, body: bytes, now: float) -> None:
        """Hand each waiter its rows of the answer. A frame that is not as promised ends the channel.

        :raises HostFault: after every waiter in the frame has got it.
        """
        sent, lane = self.sent, self.lane
        try:
            columns, errors = self._checked(header, body)
        except HostFault as fault:
            self.end(fault)
            raise
        pieces = self._clear()
        lane.frames += 1
        lane.rows += header.rows
        lane.learn(header.rows, now - self.sent_at)
        if lane.on_frame is not None:
            lane.on_frame(sent, self.asked, header, body, self.sent_at, now)
        self.asked = b""
        at, rows = 0, header.rows
        for (request, i), piece in zip(sent, pieces, strict=True):
            if not request.ended:
                request.take(i, Answer(columns, at, piece.n, _own(errors, at, piece.n) if errors else (), rows))
            at += piece.n
        if self.retired is not None:
            self.retired()

    def _checked(self, header: Header, body: bytes) -> tuple[list[Column], list[RowError]]:
        if header.kind != ANSWER or not self.sent or header.frame_id != self.frame_id:
            raise HostFault("The host answered a frame that was not asked.")
        if header.rows != self.sent_rows:
            raise HostFault("The host answered another number of rows than it was asked.")
        return read_answer(header, body, self.lane.outputs)

    def _clear(self) -> list[Rows]:
        """Nothing is under way any more; what was."""
        pieces = self.pieces
        self.lane.sent_rows -= self.sent_rows
        self.sent, self.pieces, self.sent_rows = [], [], 0
        return pieces

    def tick(self, now: float) -> bool:
        """Let the deadlines of what is under way pass; end at the hang limit and say so."""
        if not self.sent:
            return False
        for request, _ in self.sent:
            if request.deadline <= now:
                request.expire()
            else:
                request.look_after(now)
        if now - self.sent_at < self.lane.hang_limit_s:
            return False
        self.end(ModelHung(self.lane.name, self.lane.hang_limit_s))
        return True

    def lost(self) -> None:
        """The host's end of the connection closed."""
        self.end(HostLost(self.lane.name))

    def end(self, error: CarafeError) -> None:
        """Close for good; every waiter in the frame under way gets ``error``."""
        if not self.is_open:
            return
        self.is_open = False
        self.lane.channels.remove(self)
        self.lane.alone_since = monotonic()
        sent = self.sent
        self._clear()
        for request, _ in sent:
            request.finish(error)  # pieces of it that still wait leave the queue when they are met


def _own(errors: Sequence[RowError], start: int, n: int) -> list[RowError]:
    return [RowError(error.row - start, error.code, error.message) for error in errors if start <= error.row < start + n]
