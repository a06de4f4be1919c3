"""Pictures, documents and tables on their way: the media host turns their bytes into what the model takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import pack
from time import monotonic
from typing import Any

import msgspec

from ..errors import BadRequest, HostFault, ModelRefused, NotReady, TooLarge, WrongMediaType
from ..hosting.frames import Column
from ..hosting.media_needs import EXTRA_HINTS
from ..signature import Chunk, Field, Output, Rows
from ..signature.pending import Columns, MediaRequest, Pending, PendingTable
from .engine import Engine
from .lane import Lane
from .request import Answer
from .table import Model

HANG_LIMIT_S = 10.0
ROWS_A_FRAME = 16
NAP_S = 0.05
COLUMNS = (("bytes", 1), ("json", 1))
ARROW = "application/vnd.apache.arrow"
TABLES = {"parquet": "application/vnd.apache.parquet", "stream": f"{ARROW}.stream", "file": f"{ARROW}.file"}  # format -> Content-Type


async def decode_media(engine: Engine, model: Model, pending: Pending, deadline: float) -> Rows:
    """Have every file of ``pending`` decoded, all columns at once; a whole table first of all.

    :raises InvalidInput: a file that is no picture, no document, too large or broken.
    :raises ModelRefused: what reads such files is not installed on this server.
    """
    if isinstance(pending, PendingTable):
        rows = await read_table(engine, model, pending, deadline)
        if not isinstance(rows, Pending):
            return rows
        pending = rows
    columns = await asyncio.gather(*[_column(engine, model, request, deadline) for request in pending.media])
    return pending.complete(columns)


async def _column(engine: Engine, model: Model, request: MediaRequest, deadline: float) -> Column:
    if engine.table.media is None:
        raise NotReady(model.entry.name, "the decoder of pictures and documents is not up yet")
    answer = await _converted(engine, request.wanted, request.blobs, lambda: _lane(model, request.field), deadline)
    for error in answer.errors:
        if error.code == "unavailable":
            raise ModelRefused(model.entry.name, error.message, EXTRA_HINTS[request.field.kind])
    if answer.errors:
        raise request.refusal(answer.errors)
    column = answer.columns[0]
    return Column(column.dtype, column.width, column.values[answer.start * column.width : (answer.start + answer.n) * column.width])


async def _converted(engine: Engine, wanted: dict[str, Any], blobs: list[bytes], lane: Callable[[], Lane], deadline: float) -> Answer:
    """What the media host makes of ``blobs``; its answer may have errors of single rows."""
    told = msgspec.json.encode(wanted)
    rows = Rows(
        len(blobs),
        (
            Chunk(b"".join(blobs), pack(f"<{len(blobs)}I", *map(len, blobs))),
            Chunk(told * len(blobs), pack("<I", len(told)) * len(blobs)),
        ),
    )
    return await engine.answer(engine.media_lane(told.decode(), lane), rows, deadline)


def _lane(model: Model, field: Field) -> Lane:
    """A lane of its own for each conversion: all rows of a frame are alike, and its answers have one width."""
    text = field.kind == "document"
    output = Output(name=field.name, kind=field.kind, dtype="text" if text else "float32", width=1 if text else field.width)
    return Lane(f"{model.entry.name}.{field.name}", model.version_text, COLUMNS, (output,), ROWS_A_FRAME, HANG_LIMIT_S)


# ---- tables


async def read_table(engine: Engine, model: Model, pending: PendingTable, deadline: float) -> Rows | Pending:
    """The rows of a Parquet file or of Arrow data; checking them may take a while, and the loop is everyone's.

    :raises BadRequest: it is damaged, or holds what is not read here.
    :raises TooLarge: more rows, columns or bytes than are read.
    :raises WrongMediaType: pyarrow is not installed on this server.
    """
    text = await _table(engine, model, pending.wanted, pending.body, deadline)

    def rows() -> Rows | Pending:
        table = msgspec.json.decode(text, type=Columns)
        if any(len(column) != table.n for column in table.columns) or len(table.names) != len(table.columns):
            raise HostFault("The host read a table whose columns differ in length.")
        return pending.read(table)

    return await asyncio.to_thread(rows)


async def write_table(engine: Engine, model: Model, records: Columns, format: str, deadline: float) -> bytes:
    """``records`` as a Parquet file or as Arrow data.

    :raises WrongMediaType: pyarrow is not installed on this server.
    """
    wanted = {"kind": "write_table", "format": format}
    written: bytes = await _table(engine, model, wanted, msgspec.json.encode(records), deadline)
    return written


async def _table(engine: Engine, model: Model, wanted: dict[str, Any], blob: bytes, deadline: float) -> Any:
    await _have_host(engine, model, deadline)
    answer = await _converted(engine, wanted, [blob], lambda: _table_lane(wanted), deadline)
    if answer.errors:
        error = answer.errors[0]
        if error.code == "unavailable":
            refused = WrongMediaType(TABLES[wanted["format"]])
            refused.hint = "This server reads and writes tables once pyarrow is there: pip install 'Flask-Carafe[arrow]'."
            raise refused
        if error.code == "too_large":
            raise TooLarge("The table", error.message[:100])
        raise BadRequest(f"The body cannot be read: {error.message[:300]}.")
    return answer.columns[0].values[answer.start]


async def _have_host(engine: Engine, model: Model, deadline: float) -> None:
    """Wait for the media host, which no model may have wanted so far: the first table asks the steward for it."""
    while not (engine.table.media and engine.table.media.hosts):
        if engine.link is None:
            raise NotReady(model.entry.name, "no host is running")
        if monotonic() > deadline:
            raise NotReady(model.entry.name, "the reader of tables is not up yet")
        engine.link.tell({"op": "media"})
        await asyncio.sleep(NAP_S)


def _table_lane(wanted: dict[str, Any]) -> Lane:
    dtype: Any = "bytes" if wanted["kind"] == "write_table" else "text"
    return Lane(f"{wanted['kind']} {wanted['format']}", "", COLUMNS, (Output(name="table", kind="text", dtype=dtype),), 1, HANG_LIMIT_S)
