"""Segments back to what was asked and answered. All decoding of the journal is here; nothing of it runs in a request.

>>> for frame in read(path):                                                              # doctest: +SKIP
...     frame.facts.name, frame.at, frame.inputs(), frame.answers()
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from ...errors import CarafeError
from ...hosting.frames import ANSWER, DTYPES, HAS_ERRORS, NAMES, Column, Header, RowError, read_answer, read_predict
from ...signature import Chunk, Field, Rows
from ...signature.answer import Encoder
from ...signature.kinds import kind_of
from ...signature.packing import unpack_column
from ...signature.unpack import values as unpacked
from . import format as form

STEP_BYTES = 1 << 20
JSON = DTYPES["json"]
# What decoding says to bytes that were not written by us, though their sums are right.
SENSELESS = (CarafeError, msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError, OverflowError, struct.error, RecursionError)


class Version:
    """The facts of a model's version, and what reads its frames."""

    def __init__(self, facts: form.Facts) -> None:
        self.facts, self.encoder = facts, Encoder(facts.signature, facts.name)


class Frame:
    """One frame of the journal; nothing of it is decoded before it is asked for.

    ``at`` is the Unix time of the answer; ``pieces`` says which rows belong to which prediction.
    """

    def __init__(self, version: Version, data: form.FrameData) -> None:
        self.version, self.data, self.facts = version, data, version.facts
        self.at, self.pieces, self.n = data.at, data.pieces, data.rows

    def inputs(self) -> list[dict[str, Any]]:
        """One dict a row: what was asked, by field, None where missing; fields that are not kept are absent.

        :raises ValueError: the frame was not written by us.
        """
        try:
            n, columns = read_predict(self.data.asked)
            if n != self.n:
                raise ValueError("another number of rows was asked")
            return self._by_field(columns)
        except SENSELESS as exc:
            raise ValueError(f"the question cannot be read: {exc}") from exc

    def _by_field(self, columns: Sequence[tuple[int, int, Chunk]]) -> list[dict[str, Any]]:
        signature = self.facts.signature
        if not self.facts.fields and columns:
            return unpacked(signature, Rows(self.n, tuple([chunk for _, _, chunk in columns])))
        shown = []
        for name, (dtype, _, chunk) in zip(self.facts.fields, columns, strict=True):
            field = signature.field(name)
            if field is None:
                raise ValueError(f"there is no field {name!r}")
            shown.append(_shown(field, dtype, chunk, self.n))
        return [dict(zip(self.facts.fields, row, strict=True)) for row in zip(*shown, strict=True)] if shown else [{} for _ in range(self.n)]

    @cached_property
    def answered(self) -> tuple[list[Column], list[RowError]]:
        """The answer's columns as flat Python values, and the rows that failed.

        :raises ValueError: the frame was not written by us.
        """
        data, outputs = self.data, self.facts.signature.outputs
        try:
            if data.from_python:
                predictions = msgspec.json.decode(data.answer, type=list[Any])
                return [Column(DTYPES[outputs[0].dtype], outputs[0].width, predictions)], []
            header = Header(ANSWER, data.answer_flags, data.columns, 0, data.rows, len(data.answer))
            if header.columns == header.flags & HAS_ERRORS:  # of a model whose answers are not kept
                outputs = ()
            return read_answer(header, data.answer, outputs)
        except SENSELESS as exc:
            raise ValueError(f"the answer cannot be read: {exc}") from exc

    def errors(self) -> dict[int, RowError]:
        """Rows that failed, by their place in this frame."""
        return {error.row: error for error in self.answered[1]} if self.data.answer else {}

    def answers(self, flat: bool = False) -> list[dict[str, Any]]:
        """One dict a row as the API spells it: ``prediction``, ``probabilities``, …, or ``error``; empty where answers are not kept.

        :param flat: as in CSV: ``probability_<class>`` each in a column of its own.
        :raises ValueError: the frame was not written by us.
        """
        errors = self.errors()
        return [{"error": f"{errors[row].code}: {errors[row].reason}"} if row in errors else self._answer(row, flat) for row in range(self.n)]

    def _answer(self, row: int, flat: bool) -> dict[str, Any]:
        if not self.data.answer or not self.answered[0]:
            return {}
        encoder, (columns, _) = self.version.encoder, self.answered
        try:
            return encoder.records(columns, row, 1)[0] if flat else encoder.body(columns, row, 1, True)
        except CarafeError as exc:  # what the model gave is no answer, and the client was told so
            return {"error": f"{exc.code}: {exc}"}
        except SENSELESS as exc:
            raise ValueError(f"the answer cannot be read: {exc}") from exc

    def records(self, flat: bool = False) -> Iterator[dict[str, Any]]:
        """One record a row: ``id``, ``row``, ``at``, ``model``, ``version``, ``latency_ms``, ``inputs``, and the answer.

        :raises ValueError: the frame was not written by us.
        """
        facts, inputs, answers = self.facts, self.inputs(), self.answers(flat)
        at = instant(self.at)
        place = 0
        for piece in self.pieces:
            for i in range(piece.n):
                told = {"id": piece.id, "row": piece.first + i, "at": at, "model": facts.name, "version": facts.version}
                told |= {"latency_ms": round(piece.age_s * 1000, 2), "inputs": inputs[place]} | answers[place]
                yield told | {"late": True} if piece.is_late else told
                place += 1


def _shown(field: Field, dtype: int, chunk: Chunk, n: int) -> list[Any]:
    """The values of one field: as they travelled, or as JSON where something stands for them."""
    if NAMES.get(dtype) != field.dtype and dtype != JSON:
        raise ValueError(f"{field.name} is of another dtype")
    if NAMES.get(dtype) != field.dtype:
        field = msgspec.structs.replace(field, kind="text", dtype="json", shape=())
        return unpack_column(chunk, field, n)
    show = kind_of(field).show
    return [value if value is None or is_stand_in(value) else show(value, field) for value in unpack_column(chunk, field, n)]


def is_stand_in(value: Any) -> bool:
    """Whether ``value`` stands for one that is not kept: ``{"hash": …}`` or ``{"hash": …, "bytes": …}``."""
    return isinstance(value, dict) and "hash" in value


def instant(at: float) -> str:
    """Unix seconds as ISO 8601 in UTC, with microseconds.

    >>> instant(0.5)
    '1970-01-01T00:00:00.500000Z'
    """
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (OverflowError, ValueError, OSError) as exc:
        raise ValueError("no instant") from exc


class SegmentReader:
    """Reads a segment from where it stopped last, so that one that is still written can be followed.

    :raises FileNotFoundError: it was removed since it was listed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.at = path, 0
        self._file = path.open("rb", buffering=0)
        self._versions: dict[int, Version] = {}

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are whole and new since the last time. What cannot be made sense of is left out; never raises for it."""
        for record in self._records():
            try:
                if record.kind == form.BEGIN:
                    self._versions.clear()
                elif record.kind == form.MODEL:
                    self._versions[record.number] = Version(msgspec.json.decode(record.payload, type=form.Facts))
                elif record.kind == form.FRAME and record.number in self._versions:
                    yield Frame(self._versions[record.number], form.parse_frame(record.payload, record.flags))
            except SENSELESS:
                continue

    def _records(self) -> Iterator[form.Record]:
        data, base = b"", self.at
        while True:
            record = form.read_record(data, self.at - base)
            if record is not None:
                self.at = base + record.end
                yield record
                continue
            more = self._read(len(data) - (self.at - base))
            if len(more) <= len(data) - (self.at - base):
                return  # the end, or what is written in this moment, or torn
            data, base = more, self.at

    def _read(self, have: int) -> bytes:
        """What comes next, at least one whole record if there is one; ``have`` bytes of it were not enough."""
        left = os.fstat(self._file.fileno()).st_size - self.at
        return os.pread(self._file.fileno(), max(0, min(left, max(STEP_BYTES, 2 * have))), self.at)


def read(path: Path) -> Iterator[Frame]:
    """Every whole frame of a segment, in the order in which they were written."""
    reader = SegmentReader(path)
    try:
        yield from reader
    finally:
        reader.close()
