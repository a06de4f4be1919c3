"""Parquet and Arrow in the media host: values that stay what they are, and tables that are refused."""

from __future__ import annotations

import datetime
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from flask_carafe.hosting.frames import RowError
from flask_carafe.signature import Output, Rows
from hosting.host_client import Peer, Zygote, blobs, jsons

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

FORMATS = ("parquet", "stream", "file")


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("z"), modules=[])
    yield made
    made.end()


@pytest.fixture(scope="module")
def media(zygote: Zygote) -> Iterator[Peer]:
    with zygote.host() as peer:
        assert peer.load(options={"runtime": "media"})["ok"]
        yield peer


def ask(media: Peer, wanted: dict[str, Any], blob: bytes) -> tuple[Any, list[RowError]]:
    media.signature = {"fields": [{"dtype": "bytes"}, {"dtype": "json"}], "layout": "columns"}
    media.outputs = [Output(name="table", dtype="bytes" if wanted["kind"] == "write_table" else "text")]
    answer, errors = media.predict(Rows(n=1, chunks=(blobs([blob]), jsons([wanted]))))
    return answer[0].values[0], errors


def written(table: Any, form: str) -> bytes:
    sink = io.BytesIO()
    if form == "parquet":
        pq.write_table(table, sink)
    else:
        with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def read(media: Peer, table: Any, form: str = "parquet", most_rows: int = 100) -> Any:
    text, errors = ask(media, {"kind": "table", "format": form, "most_rows": most_rows}, written(table, form))
    return errors[0].message if errors else json.loads(text)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_its_columns(media, form):
    table = pa.table({"age": [41.5, None, float("nan")], "city": ["Lagos", None, "Accra"], "__index_level_0__": [5, 6, 7]})
    assert read(media, table, form) == {"names": ["age", "city"], "columns": [[41.5, None, None], ["Lagos", None, "Accra"]], "n": 3}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (lambda: pa.array([2**53 + 1, -(2**63)], pa.int64()), [2**53 + 1, -(2**63)]),
        (lambda: pa.array([0.1, 1e300]), [0.1, 1e300]),
        (lambda: pa.array([0.5, None], pa.float32()), [0.5, None]),
        (lambda: pa.array([True, None]), [True, None]),
        (lambda: pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (lambda: pa.array([datetime.date(2026, 3, 1), None]), ["2026-03-01", None]),
        (lambda: pa.array([datetime.datetime(2026, 3, 1, 12, 30), None], pa.timestamp("ns")), ["2026-03-01T12:30:00", None]),
        (lambda: pa.array([[1.0, 2.0], [3.0, None]]), [[1.0, 2.0], [3.0, None]]),
        (lambda: pa.array([b"\x89PNG", None]), ["data:application/octet-stream;base64,iVBORw==", None]),
    ],
)
def test_values_stay_what_they_are(media, values, expected):
    assert read(media, pa.table({"x": values()}))["columns"] == [expected]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lambda: pa.table({"x": [float("inf")]}), "the column x holds infinity"),
        (lambda: pa.table({"x": [{"a": 1}]}), "the column x holds values that are not read here (dict)"),
        (lambda: pa.table({"x": list(range(101))}), "100 rows"),
        (lambda: pa.table({f"c{i}": [1] for i in range(10_001)}), "10,000 columns"),
    ],
)
def test_what_no_model_takes_is_refused_in_words(media, table, words):
    assert words in read(media, table(), "stream")


def test_a_small_file_that_unpacks_without_end_is_refused(media):
    table = pa.table({"text": ["x" * (1 << 20)] * 100})
    assert len(written(table, "parquet")) < 1 << 20
    assert "64 MiB when it is unpacked" in read(media, table)


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_table_is_refused_and_the_host_lives(media, form):
    whole = written(pa.table({"x": [1.0, 2.0]}), form)
    for blob in (whole[: len(whole) // 2], whole[:8] + bytes(len(whole) - 8), b"PAR1"):
        _, errors = ask(media, {"kind": "table", "format": form, "most_rows": 100}, blob)
        assert errors[0].code == "invalid_value"
    assert read(media, pa.table({"x": [1]}), form)["n"] == 1


@pytest.mark.parametrize("form", ["stream", "file"])
def test_a_table_whose_places_lead_out_of_it_is_refused_and_the_host_lives(media, form):
    whole = written(pa.table({"word": ["a", "b", "c"]}), form)
    right, wrong = struct.pack("<4i", 0, 1, 2, 3), struct.pack("<4i", 0, 1 << 28, 1 << 29, 1 << 30)
    assert whole.count(right) == 1
    _, errors = ask(media, {"kind": "table", "format": form, "most_rows": 10}, whole.replace(right, wrong))
    assert errors[0].code == "invalid_value" and "damaged" in errors[0].reason
    assert media.request({"op": "status"})["ok"]


@pytest.mark.parametrize("form", FORMATS)
def test_an_answer_is_written_in_every_format(media, form):
    said = {"names": ["prediction", "p"], "columns": [["a", "b"], [0.25, 0.75]], "n": 2}
    blob, errors = ask(media, {"kind": "write_table", "format": form}, json.dumps(said).encode())
    assert not errors
    source = pa.BufferReader(blob)
    table = pq.read_table(source) if form == "parquet" else (pa.ipc.open_stream if form == "stream" else pa.ipc.open_file)(source).read_all()
    assert table.to_pydict() == {"prediction": ["a", "b"], "p": [0.25, 0.75]}
