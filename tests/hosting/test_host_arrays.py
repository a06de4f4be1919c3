"""Arrays on their way into a model and out of it: what may not be written to, and what no column can hold."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from flask_carafe.hosting.host import build, packing, wire
from flask_carafe.hosting.host.calls import OutputInvalid


@pytest.mark.parametrize(
    "column",
    [
        wire.Column(wire.FLOAT64, 1, struct.pack("<2d", 1, 2)),
        wire.Column(wire.INT64, 1, struct.pack("<2q", 1, 2)),
        wire.Column(wire.INT64, 1, struct.pack("<2q", 1, 2), mask=b"\0\1"),
        wire.Column(wire.FLOAT32, 1, struct.pack("<2f", 1, 2)),
    ],
)
def test_a_matrix_is_read_only_whatever_it_was_made_from(column: wire.Column) -> None:
    array = build.Matrix(1, "float64").build([column], 2)
    assert array.dtype == np.float64 and not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 9


@pytest.mark.parametrize("values", [np.array([1.0, np.inf]), np.array([1.0, -1e19]), np.array([1, 2**63], dtype=np.uint64)])
def test_a_number_beyond_64_bits_is_no_integer_answer(values: np.ndarray) -> None:
    with pytest.raises(OutputInvalid, match="64-bit"):
        packing.pack(values, wire.INT64, 1, {})


def test_whole_floats_are_integers() -> None:
    packed = packing.pack(np.array([3.0, -(2.0**63)]), wire.INT64, 1, {})
    assert struct.unpack("<2q", packed.data) == (3, -(2**63))
