"""How long one call of a model takes inside its host, without sockets: medians over equal rows."""

import time

from . import calls, probe, wire

MOST_CALLS, MOST_S = 200, 0.5


def measure(model, layout, sizes):
    """``{rows: microseconds}`` of one frame of as many rows, the middle one of up to 200 calls in half a second."""
    return {str(n): _median(model, frame(model, layout, n), n) for n in sizes}


def frame(model, layout, n):
    """Columns of ``n`` equal rows, made up from what the model says of its inputs."""
    if len(layout) == 1 and layout[0][1] == len(model.columns):
        each = [probe.column_of(one, None, layout[0][0], 1, 1) for one in model.columns]
        return [wire.Column(layout[0][0], layout[0][1], b"".join([bytes(one.data) for one in each]) * n)]
    return [probe.column_of(one, None, dtype, width, n) for one, (dtype, width) in zip(model.columns, layout)]


def _median(model, columns, n):
    took, until = [], time.perf_counter() + MOST_S
    calls.predict(model, columns, n)
    while len(took) < MOST_CALLS and (len(took) < 5 or time.perf_counter() < until):
        at = time.perf_counter()
        calls.predict(model, columns, n)
        took.append(time.perf_counter() - at)
    return round(1e6 * sorted(took)[len(took) // 2], 1)
