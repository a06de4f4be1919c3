"""Pictures, documents and tables as numbers and text, in a process of their own with limits: the web worker never opens a file.

A row is the file's bytes and the conversion that is wanted, the same in all rows of a frame. A file that cannot be read is an
error of its row with the code ``invalid_value``.
"""

import json
import sys

from . import documents, pictures, tables, wire
from .calls import OutputInvalid
from .fields import column
from .runtime import Runtime

CONVERTERS = {"image": pictures.convert, "document": documents.convert, "table": tables.read, "write_table": tables.write}


class MediaRuntime(Runtime):
    """No model: ``image`` gives float32 numbers, ``document`` and ``table`` give text, ``write_table`` gives bytes."""

    name = "media"
    merges = False  # frames may want different conversions
    layout = [(wire.BYTES, 1), (wire.JSON, 1)]  # type: ignore[assignment]

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        self.estimator, self.input_build = "Pictures and documents", "bytes"
        self.columns = [column("file", "document", "bytes", nullable=False), column("wanted", "text", "json", nullable=False)]
        self._answer = (wire.TEXT, 1)
        self.output_words = [{"name": "prediction", "role": "prediction", "kind": "text", "dtype": "text", "width": 1}]
        for name in ("PIL", "pypdf"):
            try:
                self.libraries[name] = str(__import__(name).__version__)
            except ImportError:
                self.warnings.append("%s is not installed here" % name)

    @property
    def outputs(self):
        return [self._answer]

    def configure(self, signature):
        """The layout never changes."""
        return self.layout

    def build(self, columns, n):
        wanted = columns[1].pieces()
        if any(piece != wanted[0] for piece in wanted):
            raise OutputInvalid("the rows of one frame must want the same conversion")
        want = json.loads(wanted[0].decode("utf-8"))
        texts = wire.BYTES if want.get("kind") == "write_table" else wire.TEXT
        self._answer = (wire.FLOAT32, pictures.width_of(want)) if want.get("kind") == "image" else (texts, 1)
        return want, columns[0].pieces()

    def take(self, batch, rows):
        return batch if rows is None else (batch[0], [batch[1][row] for row in rows])

    def call(self, batch, n):
        want, blobs = batch
        convert = CONVERTERS[want["kind"]]
        made, errors = [], {}
        for row, blob in enumerate(blobs):
            try:
                made.append(convert(blob, want))
            except Exception as exc:  # the edge round libraries that read whatever was uploaded
                errors[row] = (code_of(exc), told(exc))
                made.append(bytes(4 * self._answer[1]) if self._answer[0] == wire.FLOAT32 else b"")
        data = b"".join(made) if self._answer[0] == wire.FLOAT32 else made
        return [wire.Packed(self._answer[0], self._answer[1], data)], errors


def code_of(exc):
    """What kind of refusal it is."""
    if isinstance(exc, tables.TooLarge):
        return "too_large"
    return "unavailable" if isinstance(exc, pictures.Unavailable) else "invalid_value"


def told(exc):
    """One line for the person who sent the file; what a library says stays in the log."""
    if isinstance(exc, (pictures.Refused, pictures.Unavailable)):
        return str(exc)
    sys.stderr.write("host: a file could not be read: %s\n" % type(exc).__name__)
    return "the file cannot be read: it is damaged or not what it seems"
