"""The request path stays within sight of the bare decoder. Ratios, interleaved, best of many: a busy machine slows both alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any

import msgspec
import pytest

from flask_carafe.signature import Field, Signature
from flask_carafe.signature.answer import Encoder
from flask_carafe.signature.decode import Decoder

from .signatures import REVIEW
from .test_answer import Column

WIDE = Signature(fields=tuple(Field(name=f"feature_{i}", kind="number") for i in range(30)), layout="matrix")
FLAT = json.dumps({"features": [i * 1.37 for i in range(30)]}).encode()
ROW = json.dumps({f"feature_{i}": i * 1.37 for i in range(30)}).encode()
TEXT = b'{"text": "great product, love it"}'


def bare(*fields: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(msgspec.defstruct("Bare", list(fields), forbid_unknown_fields=True, gc=False)).decode


def best(*calls: Callable[[], Any]) -> list[float]:
    """Microseconds of one call of each, the best of a hundred interleaved rounds."""
    times = [1e9] * len(calls)
    for _ in range(100):
        for place, call in enumerate(calls):
            started = perf_counter()
            for _ in range(100):
                call()
            times[place] = min(times[place], (perf_counter() - started) * 1e4)
    return times


@pytest.mark.parametrize(
    ("signature", "body", "decode", "times"),
    [
        (WIDE, FLAT, bare(("features", list[float])), 6),
        (WIDE, ROW, bare(*[(f"feature_{i}", float) for i in range(30)]), 6),
        (REVIEW, TEXT, bare(("text", str)), 10),
    ],
    ids=["thirty numbers", "thirty fields", "one text"],
)
def test_reading_costs_a_few_times_what_the_bare_decoder_costs(signature, body, decode, times):
    read = Decoder(signature).json
    ours, theirs = best(lambda: read(body), lambda: decode(body))
    assert ours < times * theirs


def test_an_answer_costs_little_more_than_writing_it_down():
    encoder, columns = Encoder(REVIEW), [Column([0, 1]), Column([0.9, 0.1, 0.2, 0.8])]
    build, encode = encoder.body, msgspec.json.Encoder().encode
    body = build(columns, 1, 1, True)
    ours, theirs = best(lambda: build(columns, 1, 1, True), lambda: (encode(body), encode(body), encode(body), encode(body)))
    assert ours < 2 * theirs
