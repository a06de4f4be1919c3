"""One row from an HTML form: '' is missing, and a box that is left empty is told by its hidden companion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check import Checker
from .kinds import Upload, shown
from .model import Rows
from .pending import Pending
from .refusal import refusal
from .shapes import Raw, aliases

OURS = "_carafe"  # hidden inputs of our own pages start with this


def read_form(values: Mapping[str, list[str]], files: Mapping[str, Upload], checker: Checker) -> Rows | Pending:
    """See :meth:`Decoder.form`.

    A checkbox sends ``false`` from its hidden companion and then ``true`` when it is ticked: the last one counts.
    A model with one field that takes files takes the only file under whatever name it came.
    """
    row: dict[str, Any] = {}
    booleans = {field.name for field in checker.signature.fields if field.kind == "boolean"}
    for name, given in values.items():
        key = _name(name, checker)
        if name.startswith(OURS) and key not in checker.known:
            continue
        if len(given) > 1 and key not in booleans:
            raise refusal(f"{name[:60]} is given {len(given)} times.", field=name, expected="one value", got=f"{len(given)} values")
        row[key] = _lines(given[-1]) if given else ""
    for name, upload in files.items():
        if upload.data or upload.filename:
            _take(row, _file_name(name, checker, len(files)), upload)
    return checker.rows(Raw([row], True), text=True)


def _take(row: dict[str, Any], name: str, upload: Upload) -> None:
    if row.get(name):
        raise refusal(f"{name[:60]} is given as a value and as a file.", field=name, expected="one of both", got=shown(upload.data))
    row[name] = upload


def _lines(text: str) -> str:
    """Browsers send every line break of a textarea as CR LF, whatever was typed."""
    return text.replace("\r\n", "\n")


def _name(name: str, checker: Checker) -> str:
    if name not in checker.known and name in aliases(checker.signature):
        return checker.names[0]
    return name


def _file_name(name: str, checker: Checker, n_files: int) -> str:
    taking = [field.name for field, kind in zip(checker.signature.fields, checker.kinds, strict=True) if kind.takes_files]
    if name not in checker.known and len(taking) == 1 and n_files == 1:
        return taking[0]
    return name
