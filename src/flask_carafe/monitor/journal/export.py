"""Records of the journal as lines: NDJSON, or CSV whose columns are known before its first row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from ...signature.tabular import harmless
from .library import Wanted, merged, opened, segments
from .reader import Frame

FIRST, LAST = ("id", "row", "at", "model", "version", "latency_ms"), ("late", "error")
encode = msgspec.json.Encoder(enc_hook=str).encode


def records(frames: Iterable[Frame], flat: bool = False) -> Iterator[dict[str, Any]]:
    """One record a row; frames that cannot be read are passed over."""
    for frame in frames:
        try:
            yield from list(frame.records(flat))
        except ValueError:
            continue


def write_ndjson(folder: Path, wanted: Wanted, stream: IO[str], advance: Callable[[int], Any]) -> int:
    """One JSON object a line and row; how many."""
    count = 0
    for record in records(merged(folder, wanted, advance)):
        stream.write(encode(record).decode() + "\n")
        count += 1
    return count


def write_csv(folder: Path, wanted: Wanted, stream: IO[str], advance: Callable[[int], Any]) -> int:
    """One line a row under a header with the columns of all versions that are wanted; how many rows."""
    inputs, answers = columns(folder, wanted)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([harmless(name) for name in (*FIRST, *[own_name(name) for name in inputs], *answers, *LAST)])
    count = 0
    for record in records(merged(folder, wanted, advance), flat=True):
        given = record["inputs"]
        cells = [*[record[name] for name in FIRST], *[given.get(name) for name in inputs], *[record.get(name) for name in (*answers, *LAST)]]
        writer.writerow([_cell(cell) for cell in cells])
        count += 1
    return count


def columns(folder: Path, wanted: Wanted) -> tuple[list[str], list[str]]:
    """Names of the inputs and of the answer's columns, of every version that a wanted segment speaks of."""
    inputs: dict[str, None] = {}
    answers: dict[str, None] = {}
    for shelf in segments(folder):
        reader = opened(shelf) if shelf.ended_at >= wanted.since and shelf.began_at < wanted.until else None
        if reader is None:
            continue
        for frame in reader:
            if wanted.has(frame):
                facts = frame.facts
                inputs |= dict.fromkeys(facts.fields or [field.name for field in facts.signature.fields])
                answers |= dict.fromkeys(frame.version.encoder.record_keys)
        reader.close()
    return list(inputs), [name for name in answers if name not in (*FIRST, *LAST)]


def own_name(name: str) -> str:
    """A column's name for an input: its own, unless one of ours is called so."""
    return f"input_{name}" if name in (*FIRST, *LAST) or name == "prediction" or name.startswith("probability_") else name


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return harmless(value)
