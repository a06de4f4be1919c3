"""Whatever comes in, what comes out is rows or one of three errors; and the fast reader never says another thing than the slow one."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_carafe.errors import BadRequest, CarafeError, InvalidInput, TooManyRows
from flask_carafe.signature import Rows, Signature, schema, shapes, strict, unpack
from flask_carafe.signature.check import Checker
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.fast import FastReader

from .signatures import ALL, PERSON_ROW

ALLOWED = (BadRequest, InvalidInput, TooManyRows)
READERS = {name: (signature, Decoder(signature, 50), FastReader(signature, 50), Checker(signature, 50)) for name, signature in ALL.items()}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["Lagos", "2026-01-01", "one", "a:b", "data:image/png;base64,iVBORw0KGgo="]),
)
NAMES = sorted(
    {field.name for signature in ALL.values() for field in signature.fields} | {"rows", "features", "columns", "data", "text", "texts", "image", "x"}
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5), max_leaves=12)


def value_of(signature: Signature) -> st.SearchStrategy[Any]:
    """Requests that are nearly right, so that the fast reader is often sure."""
    right = {field.name: SCALARS if field.kind != "number" else st.one_of(st.floats(-1e6, 1e6), SCALARS) for field in signature.fields}
    row = st.fixed_dictionaries({}, optional=right) | st.fixed_dictionaries(right)
    flat = st.lists(st.floats(-1e6, 1e6) | SCALARS, min_size=len(right), max_size=len(right))
    shaped = st.one_of(
        row,
        st.builds(lambda rows: {"rows": rows}, st.lists(row | flat, max_size=3)),
        st.builds(lambda values: {"features": values}, flat | st.lists(flat, max_size=3)),
        st.builds(lambda names, data: {"columns": names, "data": data}, st.permutations(list(right)), st.lists(flat, max_size=3)),
    )
    return shaped | VALUES


def slow(checker: Checker, body: bytes) -> Any:
    return checker.rows(shapes.interpret(strict.parse(body), checker.signature))


@pytest.mark.parametrize("name", list(ALL))
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_fast_reader_agrees_with_the_complete_one(name, data):
    signature, decoder, fast, checker = READERS[name]
    value = data.draw(value_of(signature))
    body = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode(errors="surrogatepass")
    try:
        quick = fast.read(body)
    except TooManyRows:
        quick = None
    try:
        wanted = slow(checker, body)
    except ALLOWED:
        assert quick is None
        with pytest.raises(ALLOWED):
            decoder.json(body)
        return
    if quick is not None:
        assert quick == wanted
    if isinstance(wanted, Rows):
        assert len(unpack.values(signature, wanted)) == wanted.n


@pytest.mark.parametrize("name", list(ALL))
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_key_that_stands_twice_gets_by(name, data):
    signature, _, fast, checker = READERS[name]
    row = json.loads(json.dumps(schema.trial_request(signature)))
    keys = data.draw(st.lists(st.sampled_from([*row, "x"]), max_size=len(row) + 2))
    escape = data.draw(st.booleans())
    pairs = []
    for key in keys:
        value = data.draw(st.sampled_from([row.get(key, 1), None, "a:b", 1, {"deep": 1, "er": 2}]))
        written = json.dumps(key)
        pairs.append((written.replace(":", "\\u003a") if escape else written) + ":" + json.dumps(value))
    body = ("{" + ",".join(pairs) + "}").encode()
    if data.draw(st.booleans()):
        body = b'{"rows":[' + body + b"]}"
    quick = fast.read(body)
    try:
        wanted = slow(checker, body)
    except ALLOWED:
        assert quick is None
    else:
        assert quick is None or quick == wanted


@given(body=st.binary(max_size=80), name=st.sampled_from(list(ALL)))
@settings(max_examples=250, deadline=None)
def test_any_bytes_are_rows_or_one_of_three_errors(body, name):
    _, decoder, _, _ = READERS[name]
    for read in (decoder.json, decoder.csv, decoder.ndjson):
        try:
            read(body)
        except ALLOWED as exc:
            assert json.dumps(exc.as_json())


@given(data=st.data(), name=st.sampled_from(list(ALL)))
@settings(max_examples=100, deadline=None)
def test_broken_and_spliced_requests_never_raise_anything_else(data, name):
    _, decoder, _, _ = READERS[name]
    body = bytearray(
        json.dumps(data.draw(st.sampled_from([PERSON_ROW, {"features": [1, 2, 3, 4]}, {"text": "a: b"}, {"rows": [PERSON_ROW] * 2}]))).encode()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        piece = data.draw(
            st.sampled_from([b"", b'"', b":", b"\\", b"\\ud800", b"{", b"]", b"NaN", b"1e999", b"\xff", b"\0", b",", b"9" * 30, b"-", b"null"])
        )
        body[at : at + data.draw(st.integers(0, 3))] = piece
    with contextlib.suppress(ALLOWED):
        decoder.json(bytes(body))


@given(
    text=st.text(max_size=60),
    charset=st.sampled_from(["utf-8", "utf-16", "latin-1", "utf-7", "nonsense", "", "idna", "rot13", "\0"]),
    name=st.sampled_from(list(ALL)),
)
@settings(max_examples=100, deadline=None)
def test_any_csv_in_any_charset_is_rows_or_an_error_of_ours(text, charset, name):
    _, decoder, _, _ = READERS[name]
    try:
        decoder.csv(text.encode("utf-16" if charset == "utf-16" else "utf-8", errors="surrogatepass"), charset)
    except CarafeError as exc:
        assert exc.status in (400, 413, 415, 422)


CELLS = [
    "",
    "1",
    "-1",
    "2.5",
    " 3 ",
    "1e3",
    "1e999",
    "nan",
    "9007199254740993",
    "200",
    "Lagos",
    "a",
    "one",
    "true",
    "yes",
    "2026-01-01",
    "1 2 3",
    "[1,2,3]",
    "1,5",
    "x",
]


@pytest.mark.parametrize("name", list(ALL))
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_whole_columns_and_single_rows_of_csv_come_out_alike(name, data):
    signature, decoder, _, checker = READERS[name]
    likely = [data.draw(st.sampled_from(CELLS), label=field.name) for field in signature.fields]
    n = data.draw(st.integers(1, 3))
    cells = [[cell if data.draw(st.integers(0, 5)) else data.draw(st.sampled_from(CELLS)) for cell in likely] for _ in range(n)]
    out = io.StringIO()
    csv.writer(out).writerows([[field.name for field in signature.fields], *cells])
    names = [field.name for field in signature.fields]
    try:
        wanted = checker.rows(shapes.Raw([dict(zip(names, row, strict=True)) for row in cells], False), text=True)
    except ALLOWED:
        with pytest.raises(ALLOWED):
            decoder.csv(out.getvalue().encode())
        return
    assert not isinstance(wanted, Rows) or decoder.csv(out.getvalue().encode()) == wanted


@given(data=VALUES, name=st.sampled_from(list(ALL)))
@settings(max_examples=100, deadline=None)
def test_any_python_value_is_rows_or_an_error_of_ours(data, name):
    _, decoder, _, _ = READERS[name]
    with contextlib.suppress(ALLOWED):
        decoder.value(data)
