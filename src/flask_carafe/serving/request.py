"""One request's rows on their way: cut into pieces, answered exactly once."""

from __future__ import annotations

from asyncio import InvalidStateError
from collections.abc import Callable, Sequence
from math import ceil
from struct import unpack
from typing import Any

from ..errors import DeadlineExceeded
from ..hosting.frames import Column, RowError
from ..signature import Chunk, Rows

# Told to look whether the client is still there: when it has left, the function that it is given is to be called.
Watch = Callable[[Callable[[], None] | None], None]
SLOW_S = 0.07  # after this long we look whether the client is still there


class Answer:
    """What the host said of one request: rows ``start`` to ``start + n`` of ``columns``.

    ``errors`` name rows by their place in the request. ``frames`` counts the frames it took, ``rows_beside`` the rows
    that travelled in its (last) frame, its own included.
    """

    __slots__ = ("columns", "errors", "n", "rows_beside", "start")

    def __init__(self, columns: Sequence[Column], start: int, n: int, errors: Sequence[RowError], rows_beside: int) -> None:
        self.columns, self.start, self.n, self.errors, self.rows_beside = columns, start, n, errors, rows_beside


class Request:
    """A waiter. ``done`` is called once, on the loop, with an :class:`Answer` or an exception.

    :param deadline: seconds on the clock of ``now``.
    :param id: the prediction's, for the journal.
    """

    at = 0  # the next piece to send
    ended = False
    watch: Watch | None = None  # called once if the answer takes long
    parts: dict[int, Answer] | None = None
    fail: Callable[[BaseException], None] | None = None  # called in place of ``done`` with an exception

    def __init__(  # noqa: PLR0917 - on the request path, where keywords cost
        self, rows: Rows, pieces: Sequence[Rows], size: int, deadline: float, now: float, done: Callable[[Any], None], id: str = ""
    ) -> None:
        self.rows, self.pieces, self.size, self.deadline, self.arrived, self.done, self.id = rows.n, pieces, size, deadline, now, done, id

    def finish(self, outcome: Any) -> None:
        """End the wait; whoever comes second changes nothing."""
        if not self.ended:
            self.ended = True
            try:  # noqa: SIM105 - a context manager costs, and this is the request path
                (self.done if self.fail is None or outcome.__class__ is Answer else self.fail)(outcome)
            except InvalidStateError:
                pass  # its future was cancelled in this very turn of the loop: the client has left

    def leave(self) -> None:
        """Its client has left: what has not been computed for it never will."""
        self.ended = True

    def expire(self) -> None:
        """Its own clock ran out; what is under way goes on without it."""
        self.finish(DeadlineExceeded(told_s(self.deadline - self.arrived)))

    def look_after(self, now: float) -> None:
        """Have somebody look whether the client is still there, once it has waited for long."""
        if self.watch is not None and now - self.arrived > SLOW_S:
            watch, self.watch = self.watch, None
            watch(self.leave)

    def take(self, piece: int, part: Answer) -> None:
        """Piece number ``piece`` was answered; the last one to come ends the wait, whatever their order."""
        if len(self.pieces) == 1:
            self.finish(part)
            return
        parts = self.parts = self.parts or {}
        parts[piece] = part
        if len(parts) == len(self.pieces):
            self.finish(_joined([parts[i] for i in range(len(parts))]))


def told_s(patience_s: float) -> float:
    """A patience as it was asked for: what was spent of it before the rows arrived is made up for.

    >>> told_s(0.0994), told_s(0.00097), told_s(1.9998)
    (0.1, 0.001, 2.0)
    """
    return ceil(100 * patience_s) / 100 if patience_s > 0.05 else max(1, ceil(1000 * patience_s)) / 1000


def _joined(parts: Sequence[Answer]) -> Answer:
    """The answers of a request's pieces as one, in order."""
    columns, errors, at = [], [], 0
    for i, first in enumerate(parts[0].columns):
        values: list[Any] = []
        for part in parts:
            width = part.columns[i].width
            values += part.columns[i].values[part.start * width : (part.start + part.n) * width]
        columns.append(Column(first.dtype, first.width, values))
    for part in parts:
        errors += [RowError(error.row + at, error.code, error.message) for error in part.errors]
        at += part.n
    return Answer(columns, 0, at, errors, parts[-1].rows_beside)


def size_bytes(rows: Rows) -> int:
    """Bytes that ``rows`` hold while they wait."""
    size = 0
    for chunk in rows.chunks:
        size += len(chunk.data) if chunk.lengths is None else len(chunk.data) + len(chunk.lengths)
    return size


def cut(rows: Rows, most: int, widths: Sequence[int]) -> Sequence[Rows]:
    """``rows`` in pieces of at most ``most`` rows each, in order; the one piece is ``rows`` itself when that is enough."""
    if rows.n <= most:
        return (rows,)
    columns = [_cut_chunk(chunk, rows.n, most, width) for chunk, width in zip(rows.chunks, widths, strict=True)]
    return [Rows(min(most, rows.n - i * most), tuple([column[i] for column in columns]), rows.scalar) for i in range((rows.n + most - 1) // most)]


def _cut_chunk(chunk: Chunk, n: int, most: int, width: int) -> list[Chunk]:
    pieces, at = [], 0
    step = len(chunk.data) // n if chunk.lengths is None else 0
    for first in range(0, n, most):
        last = min(first + most, n)
        lengths = chunk.lengths
        size = step * (last - first)
        if lengths is not None:
            lengths = lengths[4 * width * first : 4 * width * last]
            size = sum(unpack(f"<{len(lengths) // 4}I", lengths))
        mask = None if chunk.mask is None else chunk.mask[first * width : last * width]
        pieces.append(Chunk(chunk.data[at : at + size], lengths, mask))
        at += size
    return pieces
