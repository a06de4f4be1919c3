"""What every runtime has; a runtime loads one family of artifacts and knows nothing of sockets.

``describe()`` -> the description; ``configure(signature)`` -> the layout of its frames; ``build``, ``take``, ``call`` and
``outputs`` as :mod:`.calls` wants them; ``merges`` -> whether frames may travel together.
"""

import sys

from . import layout, wire
from .refusal import LoadError


class Runtime(object):
    """The common part: words for a description, and a builder that ``configure`` chooses."""

    name = ""
    merges = True
    streams = False  # it answers one row value by value: ``stream(batch)`` gives an iterator, ``part(value)`` its columns
    layout = None  # of the frames, for runtimes that need no signature

    def __init__(self):
        self.warnings, self.recorded = [], {}
        self.input_build, self.named, self.columns, self.dtype = "array", False, [], "float64"
        self.output_words, self.estimator, self.libraries, self.max_batch_rows = [], "", {}, None
        self.builder = None

    def describe(self):
        """The description of CONTRACT words; JSON can carry it."""
        libraries = dict({"python": sys.version.split()[0]}, **self.libraries)
        columns = [{key: value for key, value in one.items() if key not in ("missing", "unused", "pandas_category", "codes")} for one in self.columns]
        return {
            "runtime": self.name, "libraries": libraries, "estimator": self.estimator, "recorded": self.recorded, "outputs": self.output_words,
            "input": {"build": self.input_build, "named": self.named, "columns": columns}, "max_batch_rows": self.max_batch_rows,
            "streams": self.streams, "warnings": self.warnings,
        }

    @property
    def outputs(self):
        """``[(dtype code, width)]`` of the answer's columns."""
        return [(wire.DTYPES[word["dtype"]], word["width"]) for word in self.output_words]

    def configure(self, signature):
        """Fix how frames become the model's input.

        :raises LoadError: the signature does not fit.
        """
        if not signature.get("fields"):
            raise LoadError("signature_mismatch", "the signature has no fields")
        from . import build  # which needs numpy: a Python function does not

        self.builder = build.builder(self.input_build, self.columns, signature, self.dtype)
        return layout.layout_of(signature)

    def build(self, columns, n):
        return self.builder.build(columns, n)

    def take(self, batch, rows):
        return self.builder.take(batch, rows)

    def call(self, batch, n):
        """Answers of the model; see :mod:`.calls`."""
        raise NotImplementedError


def version_of(module, default=""):
    """The version that a loaded library tells, or ``default``."""
    return str(getattr(sys.modules.get(module), "__version__", default))


def version_tuple(text):
    """``(1, 5)`` of ``"1.5.2"``; zeros where it cannot be read."""
    numbers = []
    for part in text.split(".")[:2]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits) if digits else 0)
    return tuple(numbers + [0, 0])[:2]
