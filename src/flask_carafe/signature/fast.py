"""The happy path of a JSON body: one typed decode, a few checks that cost less than a microsecond, packed.

Everything here may answer None, "not sure", and then the complete reader decides. It is never sure when a key may
stand twice (more colons than keys), when a number is beyond 2^53 (the decoder has rounded it already) or when
anything at all is wrong; so no error is made here, and no bad row passes.
"""

from __future__ import annotations

import struct
import types
from collections.abc import Callable, Sequence
from itertools import chain
from math import hypot
from typing import Any

import msgspec

from ..errors import TooManyRows
from . import layout
from .fast_parts import LENGTH, are_exact, fill, is_nameable, never, one_packer, without_unset
from .kinds import Blob, Wrong, kind_of
from .model import Chunk, Rows, Signature
from .packing import pack_array
from .shapes import aliases

Reader = Callable[[bytes], "Rows | None"]
MAY_BE_TEXT = ("text", "document", "category", "datetime", "image")  # kinds whose JSON values may hold colons
MOST_ORDERS = 16  # orders of columns that are remembered
ESCAPED_COLON = b"\\u003"
NOTHING = msgspec.Raw(b"")
SURE = float(2**52)  # the length of a row is at least its largest number, so one call says that all are below


class FastReader:
    """Readers for one signature, made once; ``read`` picks one by the first key of the body."""

    def __init__(self, signature: Signature, max_rows: int) -> None:
        self.signature, self.max_rows = signature, max_rows
        self.fields = signature.fields
        self.k = len(self.fields)
        self.kinds = [kind_of(field) for field in self.fields]
        fast = [kind.fast(field) for kind, field in zip(self.kinds, self.fields, strict=True)]
        self.types = [kind_type | None if field.nullable else kind_type for (kind_type, _), field in zip(fast, self.fields, strict=True)]
        self.converts = [convert for _, convert in fast]
        self.texts = [i for i, field in enumerate(self.fields) if field.kind in MAY_BE_TEXT]
        self.takes_files = any(kind.takes_files for kind in self.kinds)
        self.nullable = any(field.nullable for field in self.fields)
        self.default = self._row_reader([field.name for field in self.fields])
        self.readers = self._readers()
        self.read = self._entry()

    def _entry(self) -> Reader:
        """``read(body)``: the rows, or None when the complete reader must look. May raise TooManyRows: sure of that, at least."""
        get, default = self.readers.get, self.default
        usual = b"text" if b"text" in self.readers else b"features"
        head, reader = b'{"' + usual + b'"', get(usual, default)
        size = len(head)

        def read(body: bytes) -> Rows | None:
            try:
                if body[:size] == head:
                    return reader(body)
                start = body.find(b'"') + 1
                return get(body[start : body.find(b'"', start)], default)(body)
            except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError, Wrong):
                return None

        return read

    def _readers(self) -> dict[bytes, Reader]:
        names = {field.name for field in self.fields}
        readers: dict[bytes, Reader] = {}
        for alias in aliases(self.signature):
            readers[alias.encode()] = self._row_reader([alias])
        if "features" not in names:
            readers[b"features"] = self._features_reader()
        if "rows" not in names:
            readers[b"rows"] = self._rows_reader("rows")
        if not names & {"columns", "data", "index"}:
            readers[b"columns"] = readers[b"index"] = self._split_reader()
        if self.k == 1 and self.types[0] is str and "texts" not in names and not self.takes_files:
            readers[b"texts"] = self._texts_reader()
        return readers

    # one row

    def _struct(self, names: Sequence[str]) -> Any:
        fields: list[Any] = []
        for i, (kind_type, field) in enumerate(zip(self.types, self.fields, strict=True)):
            # UNSET and not None where a key is absent: only keys that are there may be counted against the colons
            fields.append((f"f{i}", kind_type | msgspec.UnsetType, msgspec.UNSET) if field.nullable else (f"f{i}", kind_type))
        rename = {f"f{i}": name for i, name in enumerate(names)}
        forbid = self.signature.extra == "forbid"
        return msgspec.defstruct("Row", fields, rename=rename, kw_only=True, forbid_unknown_fields=forbid, gc=False)

    def _row_reader(self, names: Sequence[str]) -> Reader:
        if not is_nameable(names):
            return never
        row_type = self._struct(names)
        if self.signature.layout == "matrix":
            return self._matrix_row_reader(row_type)
        if self.k == 1 and self.types[0] is str and self.fields[0].dtype == "text" and self.converts[0] is None:
            return self._text_reader(row_type)
        return self._columns_row_reader(row_type, names)

    def _text_reader(self, row_type: Any) -> Reader:
        decode = msgspec.json.Decoder(row_type).decode

        def read(body: bytes) -> Rows | None:
            text = decode(body).f0
            found = body.count(b":")
            if found != 1 and (ESCAPED_COLON in body or found != 1 + text.count(":")):
                return None
            data = text.encode()
            return Rows(1, (Chunk(data, LENGTH(len(data))),), True)

        return read

    def _matrix_row_reader(self, row_type: Any) -> Reader:
        decode, astuple = msgspec.json.Decoder(row_type).decode, msgspec.structs.astuple
        colons, pack = self.k, self._packer()
        nullable, clean = self.nullable, self._matrix_cleaner()

        def read(body: bytes) -> Rows | None:
            values: Sequence[Any] = astuple(decode(body))
            expected = colons
            if nullable and msgspec.UNSET in values:
                values, absent = without_unset(values)
                expected -= absent
            if body.count(b":") != expected:
                return None
            if clean is not None:
                values = clean(values)
            if nullable and None in values:
                return Rows(1, (Chunk(pack(*fill(values))),), True) if are_exact(values) else None
            if hypot(*values) > SURE:
                return None
            return Rows(1, (Chunk(pack(*values)),), True)

        return read

    def _columns_row_reader(self, row_type: Any, names: Sequence[str]) -> Reader:
        decode, astuple = msgspec.json.Decoder(row_type).decode, msgspec.structs.astuple
        colons, texts, nullable = len(names), self.texts, self.nullable
        packers = [one_packer(field, convert) for field, convert in zip(self.fields, self.converts, strict=True)]

        def read(body: bytes) -> Rows | None:
            values: Sequence[Any] = astuple(decode(body))
            more = body.count(b":") - colons
            if nullable and msgspec.UNSET in values:
                values, absent = without_unset(values)
                more += absent
            if more and not self._colons_are_in_texts(body, more, [values[i] for i in texts]):
                return None
            chunks = tuple([packer(value) for packer, value in zip(packers, values)])  # noqa: B905 - both have k
            return None if None in chunks else Rows(1, chunks, True)  # type: ignore[arg-type]

        return read

    def _colons_are_in_texts(self, body: bytes, more: int, texts: Sequence[Any]) -> bool:
        """Whether ``more`` colons all stand inside values, so that no key can stand twice."""
        inside = sum([text.count(":") for text in texts if type(text) is str])
        return more == inside and ESCAPED_COLON not in body

    # several rows

    def _rows_reader(self, key: str) -> Reader:
        if not is_nameable([field.name for field in self.fields]):
            return never
        if self.k == 1 and self.types[0] is str and not self.takes_files and self.fields[0].dtype == "text" and self.converts[0] is None:
            return self._first(self._envelope_reader(key, self._struct([self.fields[0].name]), msgspec.structs.astuple), self._texts_reader(key))
        return self._envelope_reader(key, self._struct([field.name for field in self.fields]), msgspec.structs.astuple)

    def _envelope_reader(self, key: str, row_type: Any, as_tuple: Callable[[Any], Sequence[Any]], keys: bool = True) -> Reader:
        envelope: Any = msgspec.defstruct("Envelope", [("rows", list[row_type])], rename={"rows": key}, forbid_unknown_fields=True)
        decode: Any = msgspec.json.Decoder(envelope).decode
        a_row, nullable = self.k if keys else 0, self.nullable and keys

        def read(body: bytes) -> Rows | None:
            decoded = decode(body).rows
            self._count(len(decoded))
            rows = [as_tuple(row) for row in decoded]
            more = body.count(b":") - 1 - a_row * len(rows)
            if nullable:
                settled = [without_unset(row) for row in rows]
                rows = [row for row, _ in settled]
                more += sum([absent for _, absent in settled])
            if more and not self._colons_are_in_texts(body, more, [row[i] for row in rows for i in self.texts]):
                return None
            return self._pack_rows(rows)

        return read

    def _texts_reader(self, key: str = "texts") -> Reader:
        return self._envelope_reader(key, str, lambda text: (text,), keys=False)

    def _count(self, n: int) -> None:
        if n > self.max_rows:
            raise TooManyRows(n, self.max_rows)

    def _pack_rows(self, rows: list[Sequence[Any]]) -> Rows | None:
        """Rows of decoded values to columns; None when a value cannot be sure to be what was sent."""
        if not rows:
            return None
        columns = []
        for values, field, convert in zip(zip(*rows, strict=True), self.fields, self.converts, strict=True):
            column: Sequence[Any] = values
            if None in column and not field.nullable:
                return None
            if convert is not None:
                column = [None if value is None else convert(value) for value in values]
            if field.dtype in ("float64", "float32") and not field.shape and not are_exact(column):
                return None
            columns.append(column)
        if self.takes_files and any(isinstance(value, Blob) for column in columns for value in column):
            return None
        return layout.pack(self.signature, columns, len(rows), False)

    def _split_reader(self) -> Reader:
        """``{"columns": […], "data": [[…], …]}``: typed by the order of the columns, which clients rarely change."""
        members: Any = [("columns", list[str]), ("data", msgspec.Raw), ("index", msgspec.Raw, NOTHING)]
        split: Any = msgspec.defstruct("Split", members, forbid_unknown_fields=True)
        decode: Any = msgspec.json.Decoder(split).decode
        places = {field.name: place for place, field in enumerate(self.fields)}
        decoders: dict[tuple[str, ...], Any] = {}

        def read(body: bytes) -> Rows | None:
            request = decode(body)
            names = tuple(request.columns)
            if set(names) != set(places) or len(names) != self.k:
                return None
            if names not in decoders and len(decoders) < MOST_ORDERS:
                decoders[names] = msgspec.json.Decoder(list[types.GenericAlias(tuple, tuple(self.types[places[name]] for name in names))])  # type: ignore[misc]
            if names not in decoders:
                return None
            data = decoders[names].decode(request.data)
            self._count(len(data))
            order = [names.index(field.name) for field in self.fields]
            rows: list[Sequence[Any]] = [[row[at] for at in order] for row in data]
            inside = sum(name.count(":") for name in names)
            if (index := bytes(request.index)) != b"":  # let pass, as the complete reader does
                inside += 1 + index.count(b":")
            if not self._colons_are_in_texts(body, body.count(b":") - 2 - inside, [row[i] for row in rows for i in self.texts]):
                return None
            return self._pack_rows(rows)

        return read

    # features

    def _features_reader(self) -> Reader:
        if self.signature.layout == "matrix" and all(field_type in (float, float | None) for field_type in self.types):
            return self._matrix_features_reader()
        if self.k == 1 and self.fields[0].shape:
            return never
        row_type: Any = types.GenericAlias(tuple, tuple(self.types))
        several = self._envelope_reader("features", row_type, lambda row: row, keys=False)
        flat: Any = msgspec.defstruct("Flat", [("features", row_type)], forbid_unknown_fields=True)
        decode: Any = msgspec.json.Decoder(flat).decode

        def one(body: bytes) -> Rows | None:
            row = decode(body).features
            more = body.count(b":") - 1
            if more and not self._colons_are_in_texts(body, more, [row[i] for i in self.texts]):
                return None
            return self._pack_rows([row])

        return self._first(one, several)

    def _matrix_features_reader(self) -> Reader:
        number: Any = float | None if self.nullable else float
        flat = self._features_decoder(list[number])
        several = self._features_decoder(list[list[number]])
        k, pack, dtype = self.k, self._packer(), self.fields[0].dtype
        nullable, required = self.nullable, [i for i, field in enumerate(self.fields) if not field.nullable]

        def one(body: bytes) -> Rows | None:
            values = flat(body).features
            if body.count(b":") != 1 or len(values) != k:
                return None
            if nullable and b"null" in body:
                return Rows(1, (Chunk(pack(*fill(values))),)) if allowed(values) and are_exact(values) else None
            if hypot(*values) > SURE:
                return None
            return Rows(1, (Chunk(pack(*values)),))

        def many(body: bytes) -> Rows | None:
            rows = several(body).features
            self._count(len(rows))
            if body.count(b":") != 1 or {*map(len, rows)} != {k}:
                return None
            values = list(chain.from_iterable(rows))
            if not are_exact(values) or (nullable and b"null" in body and not allowed(values)):
                return None
            return Rows(len(rows), (Chunk(pack_array(dtype, fill(values) if nullable else values)),))

        def allowed(values: list[Any]) -> bool:
            return not any(values[start + at] is None for start in range(0, len(values), k) for at in required)

        def read(body: bytes) -> Rows | None:
            at = body.find(b"[") + 1
            return one(body) if body.find(b"[", at, at + 20) < 0 else many(body)

        return read

    @staticmethod
    def _features_decoder(features: Any) -> Callable[[bytes], Any]:
        return msgspec.json.Decoder(msgspec.defstruct("Features", [("features", features)], forbid_unknown_fields=True, gc=False)).decode

    def _packer(self) -> Callable[..., bytes]:
        code = {"float64": "d", "float32": "f", "int64": "q"}[self.fields[0].dtype]
        return struct.Struct(f"<{self.k}{code}").pack

    def _matrix_cleaner(self) -> Callable[[Sequence[Any]], Sequence[Any]] | None:
        """Makes decoded values clean where a kind asks for it; None when every value already is."""
        if all(convert is None for convert in self.converts):
            return None
        converts = [convert or (lambda value: value) for convert in self.converts]
        nullable = [field.nullable for field in self.fields]

        def clean(values: Sequence[Any]) -> Sequence[Any]:
            if any(value is None and not may for value, may in zip(values, nullable, strict=True)):
                raise ValueError("A value is missing that may not be.")
            return [None if value is None else convert(value) for convert, value in zip(converts, values, strict=True)]

        return clean

    @staticmethod
    def _first(*readers: Reader) -> Reader:
        """Tries one reader after the other; the last one's failure is everyone's."""

        def read(body: bytes) -> Rows | None:
            for reader in readers[:-1]:
                try:
                    rows = reader(body)
                except (msgspec.MsgspecError, Wrong, ValueError):
                    continue
                if rows is not None:
                    return rows
            return readers[-1](body)

        return read
