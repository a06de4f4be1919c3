"""Generators of the model, stepped in turn between frames: a long one holds up no other, and nobody's values pile up.

A peer opens a stream with a frame of one row, and says with credit how many values it has room for. A stream takes a step
only while it has credit and its peer reads what was sent. The end is an answer frame: of no row, or of one row with its error.
A stream is closed, and with it the generator, when it is cancelled or its connection ends. While others take their steps a stream
that waits is told every second that the host is alive.
"""

import sys
import time

from . import calls, wire

BEAT_S = 1.0


class Stream(object):
    """One generator under way; the only stream of its connection."""

    __slots__ = ("connection", "credit", "frame", "told_at", "values")

    def __init__(self, connection, frame):
        self.connection, self.frame = connection, frame
        self.credit, self.values, self.told_at = 0, None, time.monotonic()


class Streams(object):
    """All streams of a host.

    :param send: ``send(connection, bytes)``.
    """

    def __init__(self, send):
        self.send, self.model = send, None
        self.open = []  # the one whose turn is next stands first

    def take(self, connection, frame, model):
        """A frame that opens, feeds or cancels the stream of ``connection``.

        :raises WireError: a second stream on one connection.
        """
        stream = self._of(connection)
        if frame.kind == wire.STREAM:
            if stream is not None:
                raise wire.WireError("a second stream on one connection")
            self.model = model
            self.open.append(Stream(connection, frame))
        elif stream is None or stream.frame.frame_id != frame.frame_id:
            pass  # it has just ended
        elif frame.kind == wire.CREDIT:
            stream.credit = min(stream.credit + frame.rows, wire.MOST_CREDIT)
        else:
            self._end(stream, None)

    def drop(self, connection):
        """The connection has ended, and with it its stream."""
        stream = self._of(connection)
        if stream is not None:
            self.open.remove(stream)
            self._close(stream)

    def _of(self, connection):
        return next((stream for stream in self.open if stream.connection is connection), None)

    def ready(self):
        """The stream that may take the next step, or None."""
        if not self.open:  # most hosts have none, and are asked twice for each frame
            return None
        return next((stream for stream in self.open if stream.credit and not stream.connection.unsent), None)

    def step(self, stream):
        """Let one stream make its next value; then it is another's turn."""
        self.open.remove(stream)
        self.open.append(stream)
        try:
            columns = self._next(stream)
        except StopIteration:
            self._end(stream, None)
        except calls.RowsRefused as exc:
            self._end(stream, exc.rows[0])
        except BaseException as exc:  # the edge round a user's model, as in calls.predict
            self._end(stream, calls.explain(exc))
        else:
            stream.credit -= 1
            self._tell(stream, wire.answer(stream.frame.frame_id, 1, columns, (), wire.PART))
        self._beat()

    def _next(self, stream):
        if stream.values is None:
            stream.values = self.model.stream(self.model.build(stream.frame.columns, 1))
        return self.model.part(next(stream.values))

    def _end(self, stream, error):
        """Close the generator, so that its ``finally`` runs, and tell the peer that there is no more."""
        self.open.remove(stream)
        self._close(stream)
        rows = 1 if error else 0
        blanks = [wire.blank(dtype, width, rows) for dtype, width in self.model.outputs]
        self._tell(stream, wire.answer(stream.frame.frame_id, rows, blanks, [[0] + list(error)] if error else ()))

    def _close(self, stream):
        try:
            getattr(stream.values, "close", int)()
        except BaseException as exc:  # the edge round a user's model
            sys.stderr.write("host: a stream raised %s while it was closed: %s\n" % (type(exc).__name__, calls.words_of(exc)[: calls.MOST_TEXT]))

    def _tell(self, stream, data):
        stream.told_at = time.monotonic()
        self.send(stream.connection, data)

    def _beat(self):
        """Tell streams that have waited for long that theirs is not the step that takes so."""
        now = time.monotonic()
        for stream in list(self.open):
            if now - stream.told_at > BEAT_S and not stream.connection.unsent:
                self._tell(stream, wire.word(wire.PART, stream.frame.frame_id, 0))
