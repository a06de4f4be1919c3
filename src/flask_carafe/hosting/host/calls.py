"""One call of the model for many rows, so that a bad row fails alone.

A batch that raises, or that is answered by the wrong number of rows, is halved until the rows that cannot be answered stand
alone. Halving ends after ``MOST_S`` seconds: a model that fails slowly on everything must not be killed as hung.
"""

import time
import traceback

from . import wire

MOST_S = 4.0
MOST_TEXT = 500
MOST_CALLS, MOST_TRACE = 8, 1400


class OutputInvalid(Exception):
    """The model answered, but not what a version may answer: wrong length, wrong type, NaN."""


class RowsRefused(Exception):
    """Rows that never reached the model; ``rows`` maps row -> (code, message)."""

    def __init__(self, rows):
        Exception.__init__(self, "%d rows refused" % len(rows))
        self.rows = rows


def predict(model, columns, n):
    """Answers for ``n`` rows.

    :param model: a runtime: ``build(columns, n)`` -> batch, or raises :class:`RowsRefused`; ``take(batch, rows)`` -> batch
        of a list of rows; ``call(batch, n)`` -> (list of Packed, {row: (code, message)}); ``outputs`` -> [(dtype, width)].
    :return: (list of Packed with ``n`` rows each, {row: (code, message)}).
    """
    rows, errors = range(n), {}
    try:
        try:
            batch = model.build(columns, n)
        except RowsRefused as exc:
            errors = dict(exc.rows)
            rows = [row for row in rows if row not in errors]
            batch = model.build([_only(column, rows) for column in columns], len(rows)) if rows else None
        if not errors:
            answers, invalid = model.call(batch, n)
            return answers, invalid
    except BaseException as exc:  # the edge round a user's model: SystemExit, MemoryError and RecursionError included
        if n == 1:
            return _blanks(model, 1), {0: explain(exc)}
        batch = _again(model, columns, rows)
        if batch is None:
            return _blanks(model, n), {row: explain(exc) for row in range(n)}
        return _halve(model, batch, list(rows), n, errors, exc)
    if not rows:
        return _blanks(model, n), errors
    return _halve(model, batch, rows, n, errors, None)


def _again(model, columns, rows):
    """The batch built anew, for the model may have changed it before it raised; None when it cannot be built."""
    try:
        return model.build(columns, len(rows))
    except BaseException:  # as in predict(), which tells of the first failure
        return None


def _only(column, rows):
    """The column of some rows only; fixed values and texts alike."""
    width = column.width
    places = [row * width + i for row in rows for i in range(width)]
    mask = bytes([column.mask[place] for place in places]) if column.mask is not None else None
    if column.dtype >= wire.TEXT:
        pieces = column.pieces()
        lengths = b"".join([column.lengths[4 * place : 4 * place + 4] for place in places])
        return wire.Column(column.dtype, width, b"".join([pieces[place] for place in places]), lengths, mask)
    size, data = wire.SIZES[column.dtype], bytes(column.data)
    return wire.Column(column.dtype, width, b"".join([data[p * size : (p + 1) * size] for p in places]), b"", mask)


def _halve(model, batch, rows, n, errors, known):
    """Call for ``rows`` (their places in the answer), halving what fails; ``known`` is how the whole batch failed already."""
    pieces, until = {}, time.monotonic() + MOST_S
    todo = [(0, len(rows), known)]
    while todo:
        start, stop, failure = todo.pop()
        if failure is None:
            try:
                part = batch if stop - start == len(rows) else model.take(batch, list(range(start, stop)))
                answers, invalid = model.call(part, stop - start)
                pieces[start] = (stop, answers)
                for row, error in invalid.items():
                    errors[rows[start + row]] = error
                continue
            except BaseException as exc:  # as in predict()
                failure = exc
        if stop - start > 1 and time.monotonic() < until:
            middle = (start + stop) // 2
            todo += [(middle, stop, None), (start, middle, None)]
            continue
        for row in rows[start:stop]:
            errors[row] = explain(failure)
        pieces[start] = (stop, _blanks(model, stop - start))
    return _place(model, pieces, rows, n), errors


def _place(model, pieces, rows, n):
    """Put the answers of ``rows`` where they belong among ``n`` rows."""
    ordered = [pieces[start][1] for start in sorted(pieces)]
    stacked = [wire.stack(list(column)) for column in zip(*ordered)]
    if len(rows) == n:
        return stacked
    places = {row: i for i, row in enumerate(rows)}
    blanks = _blanks(model, 1)
    made = []
    for column, blank in zip(stacked, blanks):
        made.append(wire.stack([column.part(places[row], places[row] + 1) if row in places else blank for row in range(n)]))
    return made


def _blanks(model, n):
    return [wire.blank(dtype, width, n) for dtype, width in model.outputs]


def explain(exc):
    """Code and message of a failure. The last line says what it was; the traceback stands before it, for the asker's log."""
    if isinstance(exc, OutputInvalid):
        return "model_output_invalid", words_of(exc)[:MOST_TEXT]
    text = words_of(exc).strip().split("\n")[0][:MOST_TEXT]
    name = type(exc).__name__
    trace = sendable("".join(traceback.format_tb(exc.__traceback__)[-MOST_CALLS:]))[-MOST_TRACE:]
    return "model_error", "Traceback (most recent call last):\n%s%s" % (trace, "%s: %s" % (name, text) if text else name)


def words_of(exc):
    """The text of an exception; one of a user's own may fail even at that, and must not take the host with it."""
    try:
        return sendable(str(exc))
    except Exception:  # the edge round a user's model
        return "its message cannot be told"


def sendable(text):
    """``text`` with what UTF-8 cannot carry, halves of surrogate pairs, replaced: the other side reads nothing else."""
    return text.encode("utf-8", "replace").decode("utf-8")
