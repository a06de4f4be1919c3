"""The lane of one version: requests wait here, idle channels take frames from it. Plain state, no I/O, one clock passed in.

::

    arrive ──> waiting ──send──> under way ──answer──> done
                  │                  ├── deadline ───> 504, that waiter only; its late answer is dropped
                  ├── deadline ──────┘
                  │                  ├── hang limit ─> 504 to all in the frame, the channel ends
                  │                  ├── end of file ─> 503 to all in the frame, the channel ends
                  │                  └── protocol error -> 500 to all in the frame, the channel ends
                  └── shutdown ────────────────────> 503 to all

Rows that wait outlive a channel: they go to the next one, or to their deadline. A client's deadline never ends a
channel. A lane that was closed takes nothing more and says so. Every request is ended exactly once, by :meth:`Request.finish`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import NotReady
from ..hosting.frames import DTYPES, Header
from ..signature import Output, Rows
from .admission import TRUST, Pace, Places, refusal
from .request import Request, cut, size_bytes

if TYPE_CHECKING:
    from .channel import Channel

FIRST_ROWS = 8  # rows of a first frame; while frames prove short, the next may be twice as long
FRAME_S = 0.2  # what a frame should take at most: a slow model's rows must neither add up to a hang nor hold others up

# Told of each answered frame before its waiters are: requests and the numbers of their pieces, the frame as it was sent, header and body
# of the answer, when it was sent, when it was answered.
OnFrame = Callable[[Sequence[tuple[Request, int]], bytes, Header, bytes, float, float], None]


class Lane:
    """Requests that wait for one version, taking turns: a request of many pieces gives one piece a frame.

    :param columns: frame columns as ``(dtype name, width)``, in order.
    :param outputs: what the host promised to answer.
    :param most_rows: most rows in one frame.

    Only rows travel together. What a request says beside its rows (the parameters of some protocols) would make another question
    of them: it needs a lane of its own, as each conversion of a picture has one, and must never be merged into a frame.
    """

    def __init__(  # noqa: PLR0917
        self, name: str, version: str, columns: Sequence[tuple[str, int]], outputs: Sequence[Output], most_rows: int, hang_limit_s: float,
        queue_rows: int = 4096, queue_bytes: int = 64 << 20,
    ) -> None:  # fmt: skip
        self.name, self.version, self.outputs, self.most_rows, self.hang_limit_s = name, version, outputs, most_rows, hang_limit_s
        self.dtypes = [DTYPES[dtype] for dtype, _ in columns]
        self.widths = [width for _, width in columns]
        self.queue_rows, self.queue_bytes = queue_rows, queue_bytes
        self.waiting: deque[Request] = deque()
        self.rows_waiting = self.bytes_waiting = 0
        self.turn_rows = 0  # rows of the piece that each waiting request sends next: what somebody new has before him
        self.sent_rows = 0  # under way on all channels
        self.late_s = 0.0  # how much longer than foreseen the frames under way take, as of the last tick
        self.pace, self.places = Pace(), Places()
        self.channels: list[Channel] = []
        self.alone_since = monotonic()  # when the last channel went
        self.closed_for = ""  # why nothing is taken any more
        self.frames = self.rows = 0
        self.frame_rows = min(FIRST_ROWS, most_rows)  # most rows in the next frame
        self.on_frame: OnFrame | None = None

    def arrive(self, rows: Rows, deadline: float, now: float, done: Callable[..., None], id: str = "") -> Request:
        """Let ``rows`` wait for a frame.

        :param deadline: on the same clock as ``now``.
        :raises Overloaded: ``queue_rows`` rows or more are before it, ``queue_bytes`` or the worker's places are taken, or the answer
            would come too late; nothing was run. Where nothing waits and nothing is under way, every request may wait.
        :raises NotReady: the lane was closed.
        """
        if self.closed_for:
            raise NotReady(self.name, self.closed_for)
        size, places, waiting = size_bytes(rows), self.places, self.waiting
        pieces = (rows,) if rows.n <= self.frame_rows else cut(rows, self.frame_rows, self.widths)
        before = self.turn_rows if len(pieces) == 1 else self.rows_waiting
        if waiting and (
            before >= self.queue_rows or self.bytes_waiting + size > self.queue_bytes
            or len(waiting) >= places.share or places.taken >= places.most
        ):  # fmt: skip
            raise refusal(self.name, self.wait_s(before, now))
        trusted_s = TRUST * (deadline - now)
        if (before + rows.n + self.sent_rows) * self.pace.row_s + self.late_s > trusted_s and (waiting or self.sent_rows):
            wait_s = self.wait_s(before + rows.n, now)  # looked at closely only where a first glance raises doubts
            if wait_s > trusted_s:
                raise refusal(self.name, wait_s)
        request = Request(rows, pieces, size, deadline, now, done, id)
        waiting.append(request)
        places.taken += 1
        self.turn_rows += pieces[0].n
        self.rows_waiting += rows.n
        self.bytes_waiting += size
        return request

    def wait_s(self, rows: int, now: float) -> float:
        """Seconds until ``rows`` rows will have been answered after what is under way, as far as can be foreseen."""
        busy = min([channel.busy_s(now) for channel in self.channels], default=0.0)
        return busy + rows * self.pace.row_s / max(1, len(self.channels))

    def fill(self, now: float) -> list[tuple[Request, int]]:
        """Take the next frame out of the queue: requests with their pieces' numbers; more than :attr:`frame_rows` rows only as one piece.

        What has ended, or is past its deadline, is left out: nobody waits for it.
        """
        waiting, taken, again = self.waiting, list[tuple[Request, int]](), list[Request]()
        left, freed_bytes = self.frame_rows, 0
        while waiting:
            request = waiting[0]
            if request.ended or request.deadline <= now:
                request.expire()
                self._forget(waiting.popleft())
                continue
            piece = request.pieces[request.at]
            if piece.n > left and taken:
                break
            waiting.popleft()
            taken.append((request, request.at))
            left -= piece.n
            request.at += 1
            if request.at < len(request.pieces):
                again.append(request)
            else:
                freed_bytes += request.size
            if left <= 0:
                break
        rows = self.frame_rows - left
        self.rows_waiting -= rows
        self.turn_rows += sum([request.pieces[request.at].n for request in again]) - rows
        self.bytes_waiting -= freed_bytes
        self.places.taken -= len(taken) - len(again)
        waiting.extend(again)
        return taken

    def learn(self, rows: int, seconds: float) -> None:
        """A frame of ``rows`` rows took ``seconds``: how long may the next be, and how long will others wait?"""
        self.pace.learn(rows, seconds)
        self.late_s = 0.0
        self.frame_rows = max(1, min(self.most_rows, 2 * self.frame_rows, int(FRAME_S / max(self.pace.row_s, 1e-9))))

    def _forget(self, request: Request) -> None:
        """Take back what an ended request that still waited held of the queue."""
        self.rows_waiting -= sum([piece.n for piece in request.pieces[request.at :]])
        self.turn_rows -= request.pieces[request.at].n
        self.bytes_waiting -= request.size
        self.places.taken -= 1

    def tick(self, now: float) -> list[Channel]:
        """Let deadlines and hang limits pass; return the channels that hung (they have ended)."""
        overdue = [request for request in self.waiting if request.ended or request.deadline <= now]
        for request in overdue:
            request.expire()
            self._forget(request)
        if overdue:
            self.waiting = deque([request for request in self.waiting if not request.ended])
        for request in self.waiting:
            request.look_after(now)
        hung = [channel for channel in list(self.channels) if channel.tick(now)]
        self.late_s = max(0.0, min([channel.late_s(now) for channel in self.channels], default=0.0))
        return hung

    def take_no_more(self, reason: str) -> None:
        """Take nothing more; what came before is still answered."""
        self.closed_for = reason

    def close(self, reason: str) -> None:
        """Take nothing more, and end what waits; frames under way are still answered."""
        self.take_no_more(reason)
        waiting, self.waiting = self.waiting, deque()
        self.rows_waiting = self.turn_rows = self.bytes_waiting = 0
        self.places.taken -= len(waiting)
        for request in waiting:
            request.finish(NotReady(self.name, reason))

    def shut(self, reason: str) -> None:
        """End every wait at once, and every channel."""
        self.close(reason)
        for channel in list(self.channels):
            channel.end(NotReady(self.name, reason))
