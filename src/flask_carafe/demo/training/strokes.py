"""Digits as a pen draws them on the page's canvas: a few hand-made strokes per digit, bent and shifted at random.

The scans that scikit-learn ships are of one hand's style (every 1 has a flag, every 4 is closed), 8 by 8 pixels,
and thick; these strokes teach the model what a line drawn with a mouse looks like.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

Array = np.ndarray

# Points in percent of the box, x to the right and y down; "/" lifts the pen. "~" at the start: drawn in curves.
STROKES: dict[int, tuple[str, ...]] = {
    0: (
        "~50,10 30,20 22,50 30,80 50,90 70,80 78,50 70,20 50,10",
        "~55,8 36,22 30,55 40,86 58,90 72,66 70,28 52,10",
        "~62,16 44,10 28,30 24,62 38,88 62,86 76,60 72,28 54,12",
        "~50,14 26,34 24,66 50,88 76,66 74,34 50,14",
    ),
    1: (
        "50,10 50,90",
        "35,27 52,10 52,90",
        "35,27 52,10 52,90 / 35,90 70,90",
        "58,10 44,90",
        "44,10 54,90",
        "30,35 55,10 52,92",
        "40,22 52,10 50,90 / 32,90 68,90",
        "28,30 54,8 54,90",
        "38,24 54,10 52,90 / 30,92 72,90",
    ),
    2: (
        "~28,30 35,15 50,10 68,17 70,33 55,57 27,90 / 27,90 75,90",
        "~28,25 45,10 66,15 70,35 50,62 30,85 38,80 55,88 75,85",
        "~25,22 48,10 72,22 66,44 44,66 28,88 / 28,88 74,88",
        "~30,20 52,10 70,28 58,52 30,84 26,92 34,84 52,86 78,92",
    ),
    3: (
        "~30,17 50,10 67,18 66,38 47,48 68,58 72,76 55,90 30,85",
        "28,10 70,10 46,42 / ~46,42 68,52 72,75 52,90 28,83",
        "~26,20 48,8 70,22 62,42 44,48 66,56 74,74 54,92 26,82",
        "~32,12 58,10 68,28 48,46 40,47 64,54 70,78 46,92 28,86",
    ),
    4: (
        "45,10 25,60 78,60 / 62,35 62,92",
        "65,90 65,10 25,65 80,65",
        "30,12 28,50 70,50 / 70,12 70,90",
        "38,10 30,52 74,48 / 66,14 60,92",
        "60,10 22,62 82,62 / 60,10 60,92",
        "~32,10 26,36 32,50 66,48 / 68,10 66,50 64,92",
    ),
    5: (
        "70,10 33,10 30,45 / ~30,45 50,40 70,50 74,70 60,88 30,88",
        "35,10 32,48 / ~32,48 55,42 72,58 68,80 48,90 28,82 / 35,10 70,10",
        "~72,12 40,12 34,20 32,44 52,40 70,54 70,76 50,90 26,84",
        "74,10 36,12 32,42 / ~32,42 60,40 76,62 62,88 30,90",
    ),
    6: (
        "~62,10 42,28 30,55 30,75 45,90 63,87 70,70 60,55 42,55 31,68",
        "~45,10 33,40 30,75 50,90 68,78 62,60 45,57 32,70",
        "~66,14 46,16 32,44 30,74 48,92 68,82 68,62 50,54 32,66",
        "~54,8 34,46 34,82 56,90 68,72 52,56 34,70",
    ),
    7: (
        "27,12 73,12 45,90",
        "27,12 73,12 50,50 42,90 / 35,50 65,50",
        "25,14 74,10 56,44 50,92",
        "28,24 28,12 74,12 44,92",
        "~24,16 44,10 74,14 58,40 48,66 44,92",
    ),
    8: (
        "~50,48 33,35 35,17 50,10 65,17 67,35 50,48 30,63 30,82 50,90 70,82 70,63 50,48",
        "~66,20 50,10 34,20 40,40 62,58 68,78 50,90 32,78 40,55 66,20",
        "~50,10 36,20 38,38 52,46 66,36 64,18 50,10 / ~52,46 32,62 34,82 52,90 70,80 68,60 52,46",
        "~62,14 40,12 36,32 56,48 70,68 60,88 38,86 34,66 54,46 66,28 62,14",
    ),
    9: (
        "~68,30 58,14 40,14 30,30 38,47 58,47 68,30 / 68,30 68,60 60,90",
        "~68,25 50,10 32,22 35,42 52,48 67,35 68,25 66,90",
        "~66,22 48,10 30,26 38,46 60,44 68,24 / ~68,24 68,60 58,84 36,88",
        "~70,20 46,12 32,30 44,48 64,38 70,20 58,92",
    ),
}


def parse(drawing: str) -> list[tuple[bool, Array]]:
    """Each stroke as (is it curved?, points of shape ``(n, 2)`` between 0 and 1)."""
    strokes = []
    for stroke in drawing.split("/"):
        curved = stroke.strip().startswith("~")
        points = [[float(number) / 100 for number in point.split(",")] for point in stroke.strip().removeprefix("~").split()]
        strokes.append((curved, np.array(points)))
    return strokes


def draw(digit: int, size: int, rng: np.random.Generator, drawings: tuple[str, ...] | None = None) -> Array:
    """One drawing of ``digit``, shape ``(size, size)``, ink 1 and paper 0, with a pen of 14 to 28 of 280 pixels."""
    choices = drawings or STROKES[digit]
    height, pen = rng.uniform(0.5, 0.97), rng.uniform(0.045, 0.1)
    room = (1 - height) / 2
    centre = 0.5 + rng.uniform(-1, 1, 2) * room * 0.8
    lean, aspect, turn = rng.uniform(-0.2, 0.2), rng.uniform(0.75, 1.2), np.deg2rad(rng.uniform(-9, 9))
    form = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.array([[aspect, -lean], [0, 1.15]]) * height
    ink = np.zeros((size, size))
    for curved, points in parse(choices[rng.integers(len(choices))]):
        shaky = points + rng.normal(0, 0.022, points.shape)
        line = (_curve(shaky) if curved else _dense(shaky)) - 0.5
        ink = np.maximum(ink, _pen_on_paper(line @ form.T + centre, pen, size))
    return ink


def _curve(points: Array) -> Array:
    """A Catmull-Rom curve through ``points``, 12 steps a piece."""
    ends = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, 12, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack([*pieces, points[-1:]])


def _dense(points: Array) -> Array:
    """Straight lines through ``points``, 24 steps each."""
    t = np.linspace(0, 1, 24)[:, None]
    return np.vstack([start + (end - start) * t for start, end in pairwise(points)])


def _pen_on_paper(line: Array, pen: float, size: int) -> Array:
    """How much of each pixel lies within half a pen's width of the line."""
    grid = (np.arange(size) + 0.5) / size
    gaps = np.hypot(grid[None, :, None] - line[:, 0], grid[:, None, None] - line[:, 1]).min(axis=2)
    return np.asarray(np.clip((pen / 2 - gaps) * size + 0.5, 0, 1))
