"""Parquet and Arrow at a real server: the same rows and the same answers as in JSON, by a process that no worker shares."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from dataplane.conftest import Answer, Server

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

PARQUET, STREAM, FILE = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
FLOWERS = pa.table({f"feature_{place + 1}": [row[place] for row in ROWS] for place in range(4)})
PATIENT = {"X-Request-Timeout-Ms": "60000"}  # the first table starts its reader


def written(table: Any, kind: str) -> bytes:
    sink = io.BytesIO()
    if kind == PARQUET:
        pq.write_table(table, sink)
    else:
        with (pa.ipc.new_stream if kind == STREAM else pa.ipc.new_file)(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


def read(answer: Answer) -> Any:
    source, kind = pa.BufferReader(answer.body), answer.headers["content-type"]
    if kind == PARQUET:
        return pq.read_table(source).to_pydict()
    return (pa.ipc.open_stream if kind == STREAM else pa.ipc.open_file)(source).read_all().to_pydict()


def send(server: Server, path: str, table: Any, kind: str = PARQUET, **headers: str) -> Answer:
    return server.ask("POST", path, written(table, kind), {"Content-Type": kind, **PATIENT, **headers}, timeout=90)


@pytest.mark.parametrize("kind", [PARQUET, STREAM, FILE])
@pytest.mark.parametrize("door", ["loop", "flask", "wsgi"])
def test_a_table_is_answered_as_json_is_and_in_its_own_format_if_asked(server, flask_door, wsgi_door, door, kind):
    asked = {"loop": server, "flask": flask_door, "wsgi": wsgi_door}[door]
    expected = server.post("/predict", {"features": ROWS}).json
    said = send(asked, "/predict", FLOWERS, kind)
    assert said.status == 200, said.body
    assert (said.json["prediction"], said.json["probabilities"]) == (expected["prediction"], expected["probabilities"])
    table = read(send(asked, "/predict", FLOWERS, kind, Accept=kind))
    assert table["prediction"] == expected["prediction"]
    assert table["probability_0"] == [row["0"] for row in expected["probabilities"]]


def test_columns_go_by_name_and_others_are_left_out(server):
    people = pa.table({"id": [1, 2], "member": [True, False], "city": ["Lagos", None], "visits": [3, 0], "age": [22.5, None]})
    rows = [{"age": 22.5, "visits": 3, "city": "Lagos", "member": True}, {"age": None, "visits": 0, "city": None, "member": False}]
    said = send(server, "/models/people/predict", people)
    assert said.status == 200, said.body
    assert said.json["prediction"] == server.post("/models/people/predict", {"rows": rows}).json["prediction"]


def test_mlflows_path_takes_parquet_as_well(server):
    assert send(server, "/invocations", FLOWERS).json == {"predictions": server.post("/predict", {"features": ROWS}).json["prediction"]}


def test_what_is_wrong_with_a_table_is_said(server):
    assert "feature_2 must be a number" in send(server, "/predict", FLOWERS.set_column(1, "feature_2", pa.array(["x", "y"]))).json["error"]
    assert "there is no field 'feature_9'" in send(server, "/predict", FLOWERS.rename_columns(["feature_1", "feature_9", "a", "b"])).json["error"]
    twice = send(server, "/predict", FLOWERS.rename_columns(["feature_1", "feature_1", "feature_2", "feature_3"]), STREAM)
    assert (twice.status, twice.json["error"]) == (422, "Two columns are called 'feature_1'.")
    for body in (b"not a table", b"PAR1 but damaged PAR1"):
        answer = server.ask("POST", "/predict", body, {"Content-Type": PARQUET, **PATIENT})
        assert (answer.status, answer.json["code"]) == (400, "malformed")
    many = send(server, "/predict", pa.table({f"feature_{place}": [0.0] * 10_001 for place in range(1, 5)}))
    assert (many.status, many.json["error"]) == (413, "The table is larger than the limit of 10,000 rows.")


def test_no_worker_loads_pyarrow(server):
    send(server, "/predict", FLOWERS)
    assert server.process is not None
    workers = [int(child) for child in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()]
    assert workers
    assert not any("libarrow" in Path(f"/proc/{worker}/maps").read_text() for worker in workers)
    assert json.loads(server.ask("GET", "/readyz").body)["status"] == "ready"
