"""Requests to checked, packed rows: one Decoder per version, made once, asked by every face."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from json import dumps
from typing import Any

from ..errors import BadRequest
from . import forms, objects, shapes, strict, tabular
from .check import Checker
from .columnar import NumberBlock
from .fast import FastReader
from .fast_foreign import OURS, as_native
from .kinds import Upload
from .model import Rows, Signature
from .pending import Columns, Pending, PendingTable
from .places import place_columns
from .refusal import refusal
from .schema import example_request
from .shapes import Raw

MOST_ROWS = 10_000
MAGIC = {"parquet": b"PAR1", "stream": b"\xff\xff\xff\xff", "file": b"ARROW1"}  # how tables begin
MOST_SHOWN = 8  # fields in an example within a sentence


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
        self._hint = _hint(signature)
        self._takes_foreign = OURS.isdisjoint(field.name for field in signature.fields)
        self.block = NumberBlock(signature)

    def json(self, body: bytes) -> Rows | Pending:
        """A native JSON request; :mod:`shapes` lists its forms."""
        return self._fast(body) or self._complete(body)

    def foreign(self, body: bytes, keys: Container[bytes]) -> Rows | None:
        """The rows that a JSON body has under one of another server's ``keys``; None when :meth:`rows` must look at them."""
        native = as_native(body, keys) if self._takes_foreign else None
        return self._fast(native) if native is not None else None

    def _complete(self, body: bytes) -> Rows | Pending:
        try:
            raw = shapes.interpret(strict.parse(body), self.signature)
        except BadRequest as exc:
            exc.hint = self._hint
            raise
        return self._checker.rows(raw)

    def csv(self, body: bytes, charset: str = "utf-8", foreign: bool = False) -> Rows | Pending:
        """Comma-separated rows under a line of field names, in any order; an empty cell is a missing value.

        :param foreign: made for another server; :mod:`places` says what its columns are.
        :raises WrongMediaType: a charset that is not read here.
        """
        return tabular.read_csv(body, charset, self._checker, foreign)

    def ndjson(self, body: bytes) -> Rows | Pending:
        """One JSON object (by name) or list (by position) a line."""
        return tabular.read_ndjson(body, self._checker)

    def count(self, n: int) -> None:
        """:raises TooManyRows, InvalidInput: more rows than one request may have, or none."""
        self._checker.count(n)

    def columns(self, columns: Mapping[str, Sequence[Any]], n: int) -> Rows | Pending:
        """Values as JSON would hold them, by field: ``n`` in each column, None where one is missing; a :class:`Blob` is a file's bytes."""
        return self._checker.columns(columns, n)

    def numbers(self, values: Sequence[float], n: int) -> Rows | None:
        """``n`` rows of :attr:`block`'s width, row-major, NaN where one is missing; None when :meth:`columns` must look at them."""
        self.count(n)
        return self.block.rows(values, n)

    def table(self, body: bytes, format: str) -> PendingTable:
        """A Parquet file or Arrow data (``parquet``, ``stream``, ``file``), which the media host must read first.

        :raises BadRequest: it does not begin as such a table does.
        """
        if not body.startswith(MAGIC[format]):
            raise BadRequest("The body is not what its Content-Type says: it does not begin as such a table does.")
        return PendingTable(body, format, self._checker.max_rows, self._of_table)

    def _of_table(self, table: Columns) -> Rows | Pending:
        """The rows of a table that was read; its columns are placed as those of any other server's."""
        placed = place_columns(table.names, self.signature) or table.names
        if twice := next((name for name, count in Counter(placed).items() if count > 1 and name is not None), ""):
            raise refusal(f"Two columns are called {twice[:60]!r}.", field=twice, expected="one column of each name", got="two")
        columns = zip(placed, table.columns, strict=True)
        return self._checker.columns({name: values for name, values in columns if name is not None}, table.n)

    def form(self, values: Mapping[str, list[str]], files: Mapping[str, Upload] | None = None) -> Rows | Pending:
        """One row from an HTML form or multipart body; the answer is a scalar."""
        return forms.read_form(values, files or {}, self._checker)

    def rows(self, rows: list[Any], scalar: bool = False) -> Rows | Pending:
        """Rows that another protocol held: each a dict by field name, a list by position, or a bare value for a model of one field.

        :param scalar: the answer is a value and not a list.
        """
        return self._checker.rows(Raw(rows, scalar))

    def value(self, data: Any) -> Rows | Pending:
        """Python objects: a dict, a list of dicts or lists, a single text, a DataFrame, an array, or a native request."""
        return self._checker.rows(objects.interpret(data, self.signature))


def _hint(signature: Signature) -> str:
    """What to send in place of something that is no request at all, as short as it can be shown."""
    kinds = {field.kind for field in signature.fields}
    if len(signature.fields) > MOST_SHOWN or kinds & {"image", "vector", "tensor"}:
        return "Send a JSON object whose keys are the fields of this model."
    example = row = example_request(signature)
    if shapes.aliases(signature):
        example = {shapes.aliases(signature)[0]: row[signature.fields[0].name]}
    elif not signature.named and "features" not in row:
        example = {"features": list(row.values())}
    return f"Send a JSON object, for example {dumps(example, ensure_ascii=False)}."
