"""A CSV as people have it: columns that the model does not take are passed over, and a row that is wrong spoils no other."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import InvalidInput, TooManyRows
from ..signature import Rows, Signature
from ..signature.decode import Decoder
from ..signature.pending import Pending
from ..signature.tabular import malformed, read_text

ERROR = "error"
PLACE = re.compile(r"^Line \d+: ")  # where the decoder saw a row that it got alone


class Sheet:
    """``header`` and ``lines`` as they were sent; ``passed`` names the columns that are not asked about.

    Those are passed over only where every field has its column: otherwise one may be a field misspelt.
    """

    def __init__(self, body: bytes, signature: Signature, most_rows: int) -> None:
        numbered = list(_numbered(read_text(body, "utf-8"), most_rows))
        known = {field.name for field in signature.fields}
        names = numbered[0][1] if numbered else []
        self.header = [name if name in known else name.strip() for name in names]
        self.lines = [cells for _, cells in numbered[1:]]
        self._numbers = [number for number, _ in numbered[1:]]
        whole = known.issubset(self.header)
        self._columns = [i for i, name in enumerate(self.header) if name in known or not whole]
        self.passed = [name for name in self.header if whole and name not in known]

    def read(self, decoder: Decoder) -> tuple[Rows | Pending, dict[int, str]]:
        """The rows that can be asked, and by its place what is wrong with each of the others.

        :raises InvalidInput: none of them can.
        """
        faults = self._ragged()
        good = [i for i in range(len(self.lines)) if i not in faults]
        if faults and not good:
            raise InvalidInput(faults[0], (), "")
        try:
            return decoder.csv(self._text(good), "utf-8"), faults
        except InvalidInput as exc:
            faults |= self._wrong(decoder, good)
            good = [i for i in good if i not in faults]
            if not good:
                raise exc
        return decoder.csv(self._text(good), "utf-8"), faults

    def _ragged(self) -> dict[int, str]:
        width = len(self.header)
        return {
            i: f"Line {self._numbers[i]}: a row must have {width} cells as the header has, got {len(cells)}."
            for i, cells in enumerate(self.lines)
            if len(cells) != width
        }

    def _wrong(self, decoder: Decoder, places: Iterable[int]) -> dict[int, str]:
        """What is wrong with each row, asked alone."""
        faults = {}
        for i in places:
            try:
                decoder.csv(self._text([i]), "utf-8")
            except InvalidInput as exc:
                faults[i] = PLACE.sub(f"Line {self._numbers[i]}: ", str(exc))
        return faults

    def _text(self, places: Iterable[int]) -> bytes:
        """The header and these rows, without what is passed over."""
        text = io.StringIO()
        rows = [self.header, *(self.lines[i] for i in places)] if self.header else []
        csv.writer(text, lineterminator="\n").writerows([row[column] for column in self._columns] for row in rows)
        return text.getvalue().encode()


def _numbered(text: str, most_rows: int) -> Iterator[tuple[int, list[str]]]:
    """``(line number, cells)`` of the header and every row. :raises BadRequest, TooManyRows: no CSV, or too long."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    count, number = 0, 1
    try:
        for cells in reader:
            if cells:
                yield number, cells
                count += 1
            if count > most_rows + 1:
                raise TooManyRows(max(text.count("\n"), count - 1), most_rows)
            number = reader.line_num + 1
    except csv.Error as exc:
        raise malformed(f"The CSV cannot be read at line {max(reader.line_num, 1)}: {exc}.") from None


def with_faults(records: Sequence[Mapping[str, Any]], faults: Mapping[int, str]) -> list[dict[str, Any]]:
    """The answers in the order of the rows; where some rows have none, a column says why."""
    if not faults:
        return [dict(record) for record in records]
    answers, blank = iter(records), dict.fromkeys(records[0] if records else ())
    return [{**blank, ERROR: faults[i]} if i in faults else {**next(answers), ERROR: ""} for i in range(len(records) + len(faults))]
