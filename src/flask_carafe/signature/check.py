"""Raw rows to clean columns: every value is tried, and the first twenty that are wrong are told, in words."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ..errors import MOST_DETAILS, Detail, InvalidInput, TooManyRows
from . import layout
from .kinds import Blob, Upload, Wrong, kind_of, shown
from .model import Field, Rows, Signature
from .pending import Pending
from .shapes import Raw, depth, value_shape

MOST_NEAREST = 3
NEAR = 0.65  # below it difflib takes "income" for "name"
Place = Callable[[int], str]


class Checker:
    """Checks raw rows against one signature; keeps nothing between calls."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.signature, self.max_rows = signature, max_rows
        self.names = [field.name for field in signature.fields]
        self.known = set(self.names)
        self.kinds = [kind_of(field) for field in signature.fields]
        self.takes_files = any(kind.takes_files for kind in self.kinds)

    def count(self, n: int) -> None:
        """:raises TooManyRows, InvalidInput: more rows than one request may have, or none."""
        if n > self.max_rows:
            raise TooManyRows(n, self.max_rows)
        if n == 0:
            raise InvalidInput("There are no rows.", [Detail(field="rows", expected="at least one row", got="none")], "Send at least one row.")

    def rows(self, raw: Raw, *, text: bool = False, place: Place | None = None) -> Rows | Pending:
        """Checked and packed; :class:`Pending` where a picture or document still has to be read.

        :param text: the values are CSV cells or form values, '' where missing, and not JSON.
        :param place: how an error names row ``i`` (``line 3``), in place of its number.
        :raises InvalidInput: with at most twenty details.
        """
        self.count(len(raw.rows))
        report = _Report(place, many=len(raw.rows) > 1)
        values: list[list[Any]] = [[] for _ in self.names]
        for position, row in enumerate(raw.rows):
            by_name = self._by_name(row, position, report)
            if by_name is not None:
                self._row(by_name, position, values, report, text)
            if report.full:
                break
        report.finish()
        return self._packed(values, len(raw.rows), raw.scalar)

    def cells(self, columns: Mapping[str, Sequence[str]], n: int, place: Place, rows: Callable[[], list[Any]]) -> Rows | Pending:
        """The same for texts by column, as CSV has them: whole columns at once, and row by row only when one is not right.

        :param rows: gives the rows as dicts, for the telling of what is wrong.
        """
        self.count(n)
        values: list[list[Any]] = []
        for field, kind in zip(self.signature.fields, self.kinds, strict=True):
            column = columns.get(field.name)
            read = kind.from_cells(column, field) if column is not None else [None] * n if field.nullable else None
            if read is None:
                return self.rows(Raw(rows(), False), text=True, place=place)
            values.append(read)
        return self._packed(values, n, False)

    def columns(self, columns: Mapping[str, Sequence[Any]], n: int) -> Rows | Pending:
        """The same for values by column, as JSON would hold them."""
        self.count(n)
        values: list[list[Any]] = []
        for field, kind in zip(self.signature.fields, self.kinds, strict=True):
            column = columns.get(field.name)
            read = kind.from_values(column, field) if column is not None else [None] * n if field.nullable else None
            if read is None:
                break
            values.append(read)
        if len(values) < len(self.names) or (self.signature.extra == "forbid" and not self.known.issuperset(columns)):
            rows: list[Any] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            return self.rows(Raw(rows or [{}] * n, False))
        return self._packed(values, n, False)

    def _row(self, row: dict[str, Any], position: int, values: list[list[Any]], report: _Report, text: bool) -> None:
        if not self.known.issuperset(row) and self.signature.extra == "forbid":
            for name, value in row.items():
                if report.full:
                    return
                if name not in self.known:
                    report.unknown(position, str(name), value, self.names, row)
        for field, kind, column in zip(self.signature.fields, self.kinds, values, strict=True):
            raw = row.get(field.name)
            if raw is None or (text and isinstance(raw, str) and kind.is_blank(raw, field)):
                if not field.nullable:
                    report.missing(position, field, kind.expected)
                column.append(None)
                continue
            try:
                if isinstance(raw, Upload):
                    column.append(kind.from_upload(raw, field))
                else:
                    column.append(kind.from_text(raw, field) if text else kind.from_json(raw, field))
            except Wrong as exc:
                report.wrong(position, field, exc)

    def _by_name(self, row: Any, position: int, report: _Report) -> dict[str, Any] | None:
        """One raw row as a dict, whichever of its three forms it has; None when it has none of them."""
        if isinstance(row, dict):
            return row
        if len(self.names) == 1 and (not isinstance(row, list) or self._is_value(row)):
            return {self.names[0]: row}
        if isinstance(row, list) and len(row) == len(self.names):
            return dict(zip(self.names, row, strict=True))
        if isinstance(row, list):
            report.ragged(position, len(self.names), len(row))
        else:
            report.shape(position, row)
        return None

    def _is_value(self, row: list[Any]) -> bool:
        """Whether a list is itself the value of the only field (a vector, a picture), and not a row that holds it."""
        shape = value_shape(self.signature)
        if not shape:
            return False
        holds = len(row) == 1 and isinstance(row[0], (list, str))
        return not holds or (shape[0] == 1 and len(shape) > 1 and depth(row) == len(shape))

    def _packed(self, values: list[list[Any]], n: int, scalar: bool) -> Rows | Pending:
        if self.takes_files and any(isinstance(value, Blob) for column in values for value in column):
            return Pending(self.signature, values, n, scalar)
        return layout.pack(self.signature, values, n, scalar)


class _Report:
    """Gathers what is wrong; the first entry becomes the sentence of the error."""

    def __init__(self, place: Place | None, many: bool) -> None:
        self.place, self.many = place, many
        self.details: list[Detail] = []
        self.sentence = self.hint = ""

    @property
    def full(self) -> bool:
        return len(self.details) >= MOST_DETAILS

    def wrong(self, row: int, field: Field, exc: Wrong) -> None:
        self._add(Detail(field=field.name, expected=exc.expected, got=exc.got, row=row), f"{name_of(field.name)} must be {exc.must}, got {exc.got}")

    def missing(self, row: int, field: Field, expected: str) -> None:
        self._add(Detail(field=field.name, expected=expected, got="nothing", row=row), f"{name_of(field.name)} is missing")

    def unknown(self, row: int, name: str, value: Any, names: list[str], present: Container[str]) -> None:
        name = encodable(name[:100])
        near: list[str] = []
        if len(self.details) < MOST_NEAREST:  # looking for it takes time that a hostile request should not get
            unused = [known for known in names[:1000] if known not in present]
            near = get_close_matches(name, unused, 1, NEAR) or get_close_matches(name, names[:1000], 1, NEAR)
        hint = f"Did you mean {near[0]!r}?" if near else f"The fields are: {listed(names)}."
        expected = "a field of this model" + (f" (nearest: {near[0]})" if near else "")
        self._add(Detail(field=name, expected=expected, got=shown(value), row=row), f"there is no field {name!r}", hint, general=True)

    def ragged(self, row: int, expected: int, got: int) -> None:
        wanted, found = (f"{count} value{'s' * (count != 1)}" for count in (expected, got))
        self._add(Detail(expected=wanted, got=found, row=row), f"a row must have {wanted}, got {got}", general=True)

    def shape(self, row: int, value: Any) -> None:
        sentence = f"a row must be an object or a list, got {shown(value)}"
        self._add(Detail(expected="an object or a list", got=shown(value), row=row), sentence, general=True)

    def _add(self, detail: Detail, sentence: str, hint: str = "", general: bool = False) -> None:
        """``general``: the sentence does not begin with a field's name, so it may begin with a capital."""
        if self.full:
            return
        if not self.details:
            where = self.place(detail.row or 0) if self.place else f"Row {detail.row}" if self.many else ""
            first = sentence[0].upper() if general else sentence[0]
            self.sentence, self.hint = (f"{where}: {sentence}." if where else f"{first}{sentence[1:]}."), hint
        self.details.append(detail)

    def finish(self) -> None:
        """:raises InvalidInput: when anything was gathered."""
        if self.details:
            raise InvalidInput(self.sentence, self.details, self.hint)


def encodable(name: str) -> str:
    """A name that a client made up, as something that JSON can hold."""
    return name.encode("utf-8", "replace").decode()


def name_of(name: str) -> str:
    """A field's name in a sentence: quoted where it would not read as a word."""
    return name if name and len(name) <= 60 and name.isprintable() and name == name.strip() else repr(name[:60])


def listed(names: list[str]) -> str:
    """The first ten names and how many more there are."""
    rest = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(name_of(name) for name in names[:10]) + rest
