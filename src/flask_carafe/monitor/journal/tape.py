"""One model's way into the journal: frames and calls, as they were answered, become records."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from time import monotonic, time
from typing import Any, Protocol

import msgspec

from ...hosting.frames import DTYPES, Header, pack_predict
from ...signature import Rows, Signature
from ...signature.layout import columns as frame_columns
from . import format as form
from .writer import Journal

encode = msgspec.json.Encoder(enc_hook=str).encode


class Sent(Protocol):
    """What the journal must know of a request."""

    id: str
    arrived: float  # on the clock of time.monotonic
    ended: bool
    pieces: Sequence[Rows]


class Tape:
    """Writes what one version of a model answered.

    :param facts: of that version; they are written once per segment.
    """

    def __init__(self, journal: Journal, facts: form.Facts) -> None:
        self.journal, self.number = journal, journal.number(facts)
        columns = frame_columns(facts.signature)
        self.dtypes, self.widths = [DTYPES[dtype] for dtype, _ in columns], [width for _, width in columns]

    def frame(self, sent: Sequence[tuple[Sent, int]], asked: bytes, header: Header, answer: bytes, sent_at: float, now: float) -> None:  # noqa: PLR0917
        """A frame was answered, and nobody has been told so yet.

        :param sent: requests and the number of the piece that was in this frame.
        :param asked: the frame as it went to the host.
        :param header: of the frame that came back; ``answer`` is its body.
        :param sent_at: when it was sent; ``now`` is when it was answered, both by :func:`time.monotonic`.
        """
        pieces, flags = len(sent), 0
        lists = pack(f"<{pieces}f", *[now - request.arrived for request, _ in sent])
        if header.rows != pieces:
            flags |= form.COUNTED
            lists += pack(f"<{pieces}I", *[request.pieces[i].n for request, i in sent])
            if any([i for _, i in sent]):  # noqa: C419 - a list is faster than a generator here
                flags |= form.SPLIT
                lists += pack(f"<{pieces}I", *[i * request.pieces[0].n for request, i in sent])
        late = [request.ended for request, _ in sent]
        if True in late:
            flags |= form.LATE
            lists += bytes(late)
        ids = ",".join([request.id for request, _ in sent]).encode()
        buffers = form.frame_record(
            self.number, flags, time(), now - sent_at, pieces, lists, ids, asked, header.rows, header.columns, header.flags, answer
        )
        self.journal.append(self.number, buffers, pieces, now)

    def call(self, prediction_id: str, rows: Rows, predictions: Sequence[Any], began: float) -> None:
        """A function of the app answered ``rows``; in the thread that asked it.

        :param began: when it was called, by :func:`time.monotonic`.
        """
        now = monotonic()
        asked = pack_predict(0, [rows], self.dtypes, self.widths)
        flags, lists = form.FROM_PYTHON, pack("<f", now - began)
        if rows.n != 1:
            flags |= form.COUNTED
            lists += pack("<I", rows.n)
        buffers = form.frame_record(
            self.number, flags, time(), now - began, 1, lists, prediction_id.encode(), asked, rows.n, 1, 0, encode(predictions)
        )
        self.journal.append(self.number, buffers, 1, now)


def facts_of(name: str, version: int, digest: str, signature: Signature) -> form.Facts:
    """The facts of a version whose rows are kept as they travelled."""
    fields = () if signature.layout == "matrix" else tuple([field.name for field in signature.fields])
    return form.Facts(name=name, version=version, digest=digest, signature=signature, fields=fields)
