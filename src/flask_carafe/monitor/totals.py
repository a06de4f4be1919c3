"""What one model has answered so far, in sums over all workers."""

from __future__ import annotations

from typing import NamedTuple

from .mapped import Values
from .metrics import FRAME_SECONDS, FRAMES, OK, REQUESTS, ROWS, SUM


class Totals(NamedTuple):
    """Requests that were answered and that failed, with their seconds; rows answered; frames and the seconds that hosts took for them."""

    answered: int = 0
    answered_s: float = 0.0
    failed: int = 0
    failed_s: float = 0.0
    rows: int = 0
    frames: int = 0
    frames_s: float = 0.0


def totals(values: Values, model: str, version: str) -> Totals:
    """The sums of one version; frames are counted for the model alone.

    :param values: as :meth:`Recorder.read` gives them.
    """
    found = dict.fromkeys(Totals._fields, 0.0)
    for (kind, labels), cells in values.items():
        if kind == FRAMES and labels == (model,):
            found["frames"] += cells[0]
            found["frames_s"] += cells[FRAME_SECONDS]
        elif kind == REQUESTS and labels[:2] == (model, version):
            told = "answered" if labels[3] == OK else "failed"
            found[told] += sum(cells[:SUM])
            found[told + "_s"] += cells[SUM]
            found["rows"] += cells[ROWS]
    whole = {name: value if name.endswith("_s") else int(value) for name, value in found.items()}
    return Totals(**whole)  # type: ignore[arg-type]
