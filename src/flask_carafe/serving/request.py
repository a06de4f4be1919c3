"""One request's rows on their way: cut into pieces, answered exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from struct import unpack
from time import monotonic
from typing import Any

from ..errors import DeadlineExceeded
from ..hosting.frames import Column, RowError
from ..signature import Chunk, Rows


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

    :param deadline: seconds on the clock of :func:`time.monotonic`.
    """

    __slots__ = ("arrived", "at", "deadline", "done", "ended", "parts", "pieces", "rows", "size", "watch")

    def __init__(self, rows: Rows, pieces: Sequence[Rows], deadline: float, done: Callable[[Any], None]) -> None:
        self.rows, self.pieces, self.deadline, self.done = rows.n, pieces, deadline, done
        self.size = 0
        self.at = 0  # the next piece to send
        self.parts: dict[int, Answer] = {}
        self.ended = False
        self.arrived = monotonic()
        self.watch: Callable[[], None] | None = None  # called once if the answer takes long: see whether the client is still there

    def finish(self, outcome: Any) -> None:
        """End the wait; whoever comes second changes nothing."""
        if not self.ended:
            self.ended = True
            self.done(outcome)

    def expire(self) -> None:
        """Its own clock ran out; what is under way goes on without it."""
        self.finish(DeadlineExceeded(round(self.deadline - self.arrived, 3)))

    def take(self, piece: int, part: Answer) -> None:
        """Piece number ``piece`` was answered; the last one to come ends the wait, whatever their order."""
        if len(self.pieces) == 1:
            self.finish(part)
            return
        self.parts[piece] = part
        if len(self.parts) == len(self.pieces):
            self.finish(self._joined())

    def _joined(self) -> Answer:
        parts = [self.parts[i] for i in range(len(self.pieces))]
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
    return sum([len(chunk.data) + len(chunk.lengths or b"") for chunk in rows.chunks])


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


def settle(future: asyncio.Future[Any]) -> Callable[[Any], None]:
    """A ``done`` that gives the outcome to ``future``, unless its waiter has left."""

    def done(outcome: Any) -> None:
        if not future.done():
            future.set_result(outcome)

    return done
