"""Pictures and documents on their way: the media host turns their bytes into what the model takes."""

from __future__ import annotations

import asyncio
from struct import pack

import msgspec

from ..errors import NotReady
from ..hosting.frames import Column
from ..signature import Chunk, Field, Output, Rows
from ..signature.pending import MediaRequest, Pending
from .engine import Engine
from .lane import Lane
from .table import Model

HANG_LIMIT_S = 10.0
ROWS_A_FRAME = 16
COLUMNS = (("bytes", 1), ("json", 1))


async def decode_media(engine: Engine, model: Model, pending: Pending, deadline: float) -> Rows:
    """Have every file of ``pending`` decoded, all columns at once.

    :raises InvalidInput: a file that is no picture, no document, too large or broken.
    """
    columns = await asyncio.gather(*[_column(engine, model, request, deadline) for request in pending.media])
    return pending.complete(columns)


async def _column(engine: Engine, model: Model, request: MediaRequest, deadline: float) -> Column:
    wanted, blobs = msgspec.json.encode(request.wanted), request.blobs
    if engine.table.media is None:
        raise NotReady(model.entry.name, "the decoder of pictures and documents is not up yet")
    lane = engine.media_lane(wanted.decode(), lambda: _lane(model, request.field))
    rows = Rows(
        len(blobs),
        (
            Chunk(b"".join(blobs), pack(f"<{len(blobs)}I", *map(len, blobs))),
            Chunk(wanted * len(blobs), pack("<I", len(wanted)) * len(blobs)),
        ),
    )
    answer = await engine.answer(lane, rows, deadline)
    if answer.errors:
        raise request.refusal(answer.errors)
    column = answer.columns[0]
    return Column(column.dtype, column.width, column.values[answer.start * column.width : (answer.start + answer.n) * column.width])


def _lane(model: Model, field: Field) -> Lane:
    """A lane of its own for each conversion: all rows of a frame are alike, and its answers have one width."""
    text = field.kind == "document"
    output = Output(name=field.name, kind=field.kind, dtype="text" if text else "float32", width=1 if text else field.width)
    return Lane(f"{model.entry.name}.{field.name}", model.version_text, COLUMNS, (output,), ROWS_A_FRAME, HANG_LIMIT_S)
