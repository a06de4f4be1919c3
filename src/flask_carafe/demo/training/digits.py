"""Handwritten digits: scikit-learn's 1,797 scans made to look drawn, pen strokes beside them, a small neural network."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from .strokes import STROKES, draw

Array = np.ndarray
SIZE = 20  # pixels; the page's canvas is brought down to it
COPIES, DRAWN = 20, 8000
ENLARGED = 8  # scans are warped at 80 x 80, where their edge is smooth


def enlarge(image: Array) -> Array:
    """An 8 x 8 scan of 0..16 as 80 x 80 of 0..1, a pixel of paper around it."""
    return np.asarray(ndimage.zoom(np.pad(image / 16.0, 1), ENLARGED, order=3), dtype=np.float32)


def warp(big: Array, rng: np.random.Generator, size: int = SIZE) -> Array:
    """One enlarged scan as a drawing might show it: other thickness, size, slant, place; shape ``(size, size)``, ink 1."""
    ink = 1 / (1 + np.exp((rng.uniform(0.3, 0.65) - big) * rng.uniform(12, 30)))
    scale = rng.uniform(0.5, 0.95) * size / (8 * ENLARGED)
    turn, lean, aspect = np.deg2rad(rng.uniform(-12, 12)), rng.uniform(-0.2, 0.2), rng.uniform(0.65, 1.15)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.array([[1 / scale, 0], [lean / scale, 1 / (scale * aspect)]]) @ rotation / 2  # twice the size, then halved: smooth edges
    room = max(0.0, (size - 8 * ENLARGED * scale) / 2) * 0.8
    centre = size + 2 * rng.uniform(-1, 1, 2) * room - 0.5
    offset = (np.array(big.shape) - 1) / 2 - matrix @ centre
    drawn = ndimage.affine_transform(ink, matrix, offset=offset, output_shape=(2 * size, 2 * size), order=1)
    return np.asarray(drawn.reshape(size, 2, size, 2).mean(axis=(1, 3)))


def warped(images: Array, copies: int, rng: np.random.Generator) -> Array:
    big = [enlarge(image) for image in images]
    return np.array([warp(image, rng).ravel() for image in big for _ in range(copies)], dtype=np.float32)


def drawn(count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """``count`` pen drawings, the digits in turn."""
    digits = np.arange(count) % 10
    return np.array([draw(int(digit), SIZE, rng).ravel() for digit in digits], dtype=np.float32), digits


def train(seed: int = 0, copies: int = COPIES) -> tuple[Any, dict[str, float]]:
    """The fitted network and its accuracy on scans that it has not seen, warped in the same way.

    :param copies: warped copies of each scan.
    """
    rng = np.random.default_rng(seed)
    data = load_digits()
    learn, held, learn_y, held_y = train_test_split(data.images, data.target, test_size=0.2, random_state=seed, stratify=data.target)
    pens, pens_y = drawn(DRAWN, rng)
    x, y = np.vstack([warped(learn, copies, rng), pens]), np.concatenate([np.repeat(learn_y, copies), pens_y])
    model = MLPClassifier((192,), batch_size=256, max_iter=14, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        model.fit(x, y)
    return model, {"accuracy": float(model.score(warped(held, 3, rng), np.repeat(held_y, 3)))}


def leave_one_drawing_out(seed: int = 0) -> float:
    """Accuracy on pen drawings of a shape that was kept from training: each digit's first shape in STROKES is left out."""
    kept = {digit: shapes[:1] for digit, shapes in STROKES.items()}
    rest = {digit: shapes[1:] for digit, shapes in STROKES.items()}
    original = dict(STROKES)
    try:
        STROKES.update(rest)
        model, _ = train(seed, copies=5)
    finally:
        STROKES.update(original)
    rng = np.random.default_rng(seed + 1)
    digits = np.arange(1000) % 10
    x = [draw(int(digit), SIZE, rng, kept[int(digit)]).ravel() for digit in digits]
    return float(model.score(np.array(x), digits))
