"""Requests to checked, packed rows: one Decoder per version, made once, asked by every face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import forms, objects, shapes, strict, tabular
from .check import Checker
from .fast import FastReader
from .kinds import Upload
from .model import Rows, Signature
from .pending import Pending

MOST_ROWS = 10_000


class Decoder:
    """Reads every form in which rows may be sent to one signature.

    :param max_rows: rows that one request may have; 0 for no limit (a stream that the caller cuts itself).

    All methods raise :exc:`BadRequest` (cannot be parsed), :exc:`InvalidInput` (a value is wrong; at most twenty
    details) and :exc:`TooManyRows`, and for any bytes whatever nothing else. Where a field holds pictures or
    documents they answer :class:`Pending`, whose files must be read first.
    """

    def __init__(self, signature: Signature, max_rows: int = MOST_ROWS) -> None:
        self.signature = signature
        self._checker = Checker(signature, max_rows or 2**62)
        self._fast = FastReader(signature, max_rows or 2**62).read

    def json(self, body: bytes) -> Rows | Pending:
        """A native JSON request; :mod:`shapes` lists its forms."""
        return self._fast(body) or self._checker.rows(shapes.interpret(strict.parse(body), self.signature))

    def csv(self, body: bytes, charset: str = "utf-8") -> Rows | Pending:
        """Comma-separated rows under a line of field names, in any order; an empty cell is a missing value.

        :raises WrongMediaType: a charset that is not read here.
        """
        return tabular.read_csv(body, charset, self._checker)

    def ndjson(self, body: bytes) -> Rows | Pending:
        """One JSON object (by name) or list (by position) a line."""
        return tabular.read_ndjson(body, self._checker)

    def form(self, values: Mapping[str, list[str]], files: Mapping[str, Upload] | None = None) -> Rows | Pending:
        """One row from an HTML form or multipart body; the answer is a scalar."""
        return forms.read_form(values, files or {}, self._checker)

    def value(self, data: Any) -> Rows | Pending:
        """Python objects: a dict, a list of dicts or lists, a single text, a DataFrame, an array, or a native request."""
        return self._checker.rows(objects.interpret(data, self.signature))
