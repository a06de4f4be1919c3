"""One model's way into the journal: frames and calls, as they were answered, become records."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from time import monotonic, time
from typing import Any, Protocol

import msgspec

from ...hosting.frames import Header
from ...signature import Rows
from . import format as form
from .privacy import Kept
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

    :param kept: what of it may be written.
    """

    def __init__(self, journal: Journal, name: str, version: int, digest: str, kept: Kept) -> None:
        self.journal, self.kept = journal, kept
        self.number = journal.number(form.Facts(name=name, version=version, digest=digest, signature=kept.told, fields=kept.fields))

    def frame(self, sent: Sequence[tuple[Sent, int]], asked: bytes, header: Header, answer: bytes, sent_at: float, now: float) -> None:  # noqa: PLR0917
        """A frame was answered, and nobody has been told so yet. Never raises.

        :param sent: requests and the number of the piece that was in this frame.
        :param asked: the frame as it went to the host.
        :param header: of the frame that came back; ``answer`` is its body.
        :param sent_at: when it was sent; ``now`` is when it was answered, both by :func:`time.monotonic`.
        """
        try:
            if not self.kept.leaves(asked):
                whole, sent = sent, [(request, i) for request, i in sent if self.kept.wants(request.id)]
                if not sent:
                    return
                asked = self.kept.question([request.pieces[i] for request, i in sent])
                header, answer = self.kept.answer(header, answer, _spans(whole, sent))
            lists, flags = _lists(sent, header.rows, now)
            ids = ",".join([request.id for request, _ in sent]).encode()
            record = form.frame_record(
                self.number, flags, time(), now - sent_at, len(sent), lists, ids, asked, header.rows, header.columns, header.flags, answer
            )
            self.journal.append(self.number, record, len(sent), now)
        except Exception as exc:  # the edge round the journal: a fault in it must cost no prediction
            self.journal.lose(self.number, len(sent), exc)

    def call(self, prediction_id: str, rows: Rows, predictions: Sequence[Any], began: float) -> None:
        """A function of the app answered ``rows``; in the thread that asked it. Never raises.

        :param began: when it was called, by :func:`time.monotonic`.
        """
        if not self.kept.wants(prediction_id):
            return
        try:
            now = monotonic()
            flags, lists = form.FROM_PYTHON, pack("<f", now - began)
            if rows.n != 1:
                flags |= form.COUNTED
                lists += pack("<I", rows.n)
            asked, answer = self.kept.question([rows]), b"" if self.kept.rules.answer == "dropped" else encode(predictions)
            ids = prediction_id.encode()
            record = form.frame_record(self.number, flags, time(), now - began, 1, lists, ids, asked, rows.n, 1, 0, answer)
            self.journal.append(self.number, record, 1, now)
        except Exception as exc:  # as above
            self.journal.lose(self.number, 1, exc)


def _lists(sent: Sequence[tuple[Sent, int]], rows: int, now: float) -> tuple[bytes, int]:
    """What stands for each piece of a frame of ``rows`` rows, and the flags that say so."""
    flags, pieces = 0, len(sent)
    lists = pack(f"<{pieces}f", *[now - request.arrived for request, _ in sent])
    if rows != pieces:
        flags |= form.COUNTED
        lists += pack(f"<{pieces}I", *[request.pieces[i].n for request, i in sent])
        if any([i for _, i in sent]):  # noqa: C419 - a list is faster than a generator here
            flags |= form.SPLIT
            lists += pack(f"<{pieces}I", *[i * request.pieces[0].n for request, i in sent])
    late = [request.ended for request, _ in sent]
    if True in late:
        flags |= form.LATE
        lists += bytes(late)
    return lists, flags


def _spans(whole: Sequence[tuple[Sent, int]], kept: Sequence[tuple[Sent, int]]) -> list[tuple[int, int]]:
    """Where the pieces of ``kept`` are in the frame: first row and number of rows."""
    at, spans, wanted = 0, [], set(kept)
    for request, i in whole:
        n = request.pieces[i].n
        if (request, i) in wanted:
            spans.append((at, n))
        at += n
    return spans
