"""Pictures and documents on their way: the media host turns their bytes into what the model takes."""

from __future__ import annotations

import asyncio
from struct import pack
from typing import Any

import msgspec

from ..errors import InvalidInput, NotReady
from ..errors import Detail
from ..signature import Chunk, Field, Output, Rows
from ..signature.decode import MediaRequest, Pending
from .engine import Engine
from .lane import Lane
from .request import Answer
from .table import Model

HANG_LIMIT_S = 10.0
ROWS_A_FRAME = 16
COLUMNS = (("bytes", 1), ("json", 1))


async def decode_media(engine: Engine, model: Model, pending: Pending, deadline: float) -> Rows:
    """Have every file of ``pending`` decoded, all columns at once.

    :raises InvalidInput: a file that is no picture, no document, too large or broken.
    """
    chunks = await asyncio.gather(*[_column(engine, model, wanted, deadline) for wanted in pending.media])
    return pending.complete(chunks)


async def _column(engine: Engine, model: Model, wanted: MediaRequest, deadline: float) -> Chunk:
    conversion = msgspec.json.encode(wanted.conversion)
    lane = engine.media_lane(conversion.decode(), lambda: _lane(model, wanted.field))
    if engine.table.media is None:
        raise NotReady(model.name, "the decoder of pictures and documents is not up yet")
    blobs = wanted.blobs
    rows = Rows(
        len(blobs),
        (
            Chunk(b"".join(blobs), pack(f"<{len(blobs)}I", *map(len, blobs))),
            Chunk(conversion * len(blobs), pack("<I", len(conversion)) * len(blobs)),
        ),
    )
    answer = await _answer(engine, lane, rows, deadline)
    if answer.errors:
        details = [Detail(wanted.field.name, wanted.field.kind, error.message, error.row) for error in answer.errors]
        raise InvalidInput(f"{wanted.field.name} is not a usable {wanted.field.kind}: {answer.errors[0].message}", details)
    return _packed(answer, wanted.field)


async def _answer(engine: Engine, lane: Lane, rows: Rows, deadline: float) -> Answer:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    engine.submit(lane, rows, deadline, lambda outcome: future.done() or future.set_result(outcome))
    outcome = await future
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome  # type: ignore[no-any-return]


def _lane(model: Model, field: Field) -> Lane:
    """A lane of its own for each conversion: all rows of a frame are alike, and its answers have one width."""
    text = field.kind == "document"
    output = Output(name=field.name, kind=field.kind, dtype="text" if text else "float32", width=1 if text else field.width)
    return Lane(f"{model.name}.{field.name}", COLUMNS, (output,), ROWS_A_FRAME, HANG_LIMIT_S)


def _packed(answer: Answer, field: Field) -> Chunk:
    column = answer.columns[0]
    values = column.values[answer.start * column.width : (answer.start + answer.n) * column.width]
    if field.kind == "document":
        texts = [text.encode() for text in values]
        return Chunk(b"".join(texts), pack(f"<{len(texts)}I", *map(len, texts)))
    return Chunk(pack(f"<{len(values)}{'f' if field.dtype == 'float32' else 'd'}", *values))
