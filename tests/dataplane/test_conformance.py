"""One model, every dialect, every door: the same rows get the same labels, and probabilities that differ by rounding at most."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from dataplane.conftest import Answer, Server

Row = dict[str, Any]
Told = tuple[list[Any], "list[list[float]] | None"]  # labels, and probabilities row by row where the dialect tells them
Ask = Callable[[Server, str, list[Row]], Told]

ROWS: dict[str, list[Row]] = {
    "iris": [dict(zip(["feature_1", "feature_2", "feature_3", "feature_4"], row, strict=True)) for row in (
        [5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 3.0, 4.2, 1.5], [0.1, 1e-300, 1e15, -7.25],
    )],
    "sentiment": [{"text": text} for text in ("great and lovely", "awful: broken", "", "naïve “日本” 🎉")],
    "people": [
        {"age": 22.5, "visits": 3, "city": "Lagos", "member": True}, {"age": None, "visits": 0, "city": None, "member": False},
        {"age": 61.0, "visits": 8, "city": "Accra", "member": True},
    ],
}  # fmt: skip


def checked(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def csv_of(rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# ---- native


def native(server: Server, name: str, body: Any, **headers: str) -> Told:
    said = checked(server.post(f"/models/{name}/predict", body, **headers))
    return said["prediction"], [list(one.values()) for one in said["probabilities"]]


def native_rows(server: Server, name: str, rows: list[Row]) -> Told:
    return native(server, name, {"rows": rows})


def native_columns(server: Server, name: str, rows: list[Row]) -> Told:
    return native(server, name, {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]})


def native_csv(server: Server, name: str, rows: list[Row]) -> Told:
    return native(server, name, csv_of(rows), Content_Type="text/csv")


def native_ndjson(server: Server, name: str, rows: list[Row]) -> Told:
    return native(server, name, b"".join(json.dumps(row).encode() + b"\n" for row in rows), Content_Type="application/x-ndjson")


# ---- V2

DATATYPES = {float: "FP64", int: "INT64", bool: "BOOL", str: "BYTES"}
CODES = {"FP64": "d", "INT64": "q", "BOOL": "?"}


def column(name: str, values: list[Any]) -> dict[str, Any]:
    kind = next(type(value) for value in values if value is not None)
    return {"name": name, "datatype": DATATYPES[kind], "shape": [len(values), 1], "data": values}


def told_by_v2(said: Any) -> Told:
    labels, chances = (one["data"] for one in said["outputs"])
    width = said["outputs"][1]["shape"][1]
    return labels, [chances[at : at + width] for at in range(0, len(chances), width)]


def v2_columns(server: Server, name: str, rows: list[Row]) -> Told:
    inputs = [column(field, [row[field] for row in rows]) for field in rows[0]]
    return told_by_v2(checked(server.post(f"/v2/models/{name}/infer", {"inputs": inputs})))


def v2_matrix(server: Server, name: str, rows: list[Row]) -> Told:
    one = column("all", [value for row in rows for value in row.values()]) | {"shape": [len(rows), len(rows[0])]}
    return told_by_v2(checked(server.post(f"/v2/models/{name}/infer", {"inputs": [one]})))


def v2_binary(server: Server, name: str, rows: list[Row]) -> Told:
    """Every column as a blob; NaN is a missing number, and what has no such value stays in JSON."""
    inputs = [column(field, [row[field] for row in rows]) for field in rows[0]]
    blobs = []
    for one in inputs:
        data = one["data"]
        if one["datatype"] == "FP64":
            data = [float("nan") if value is None else value for value in data]
        if None not in data:
            del one["data"]
            blobs.append(blob(one["datatype"], data))
            one["parameters"] = {"binary_data_size": len(blobs[-1])}
    head = json.dumps({"inputs": inputs}).encode()
    answer = server.ask("POST", f"/v2/models/{name}/infer", b"".join([head, *blobs]), {"Inference-Header-Content-Length": str(len(head))})
    return told_by_v2(checked(answer))


def blob(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    return struct.pack(f"<{len(values)}{CODES[datatype]}", *values)


# ---- MLflow, which asks the default model and tells no probabilities


def by_field(rows: list[Row]) -> dict[str, list[Any]]:
    return {field: [row[field] for row in rows] for field in rows[0]}


def mlflow_split(server: Server, name: str, rows: list[Row]) -> Told:
    split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows], "index": list(range(len(rows)))}
    return invoked(server, {"dataframe_split": split})


def mlflow_records(server: Server, name: str, rows: list[Row]) -> Told:
    return invoked(server, {"dataframe_records": rows})


def mlflow_instances(server: Server, name: str, rows: list[Row]) -> Told:
    return invoked(server, {"instances": [list(row.values()) for row in rows]})


def mlflow_inputs(server: Server, name: str, rows: list[Row]) -> Told:
    return invoked(server, {"inputs": by_field(rows)})


def mlflow_csv(server: Server, name: str, rows: list[Row]) -> Told:
    return invoked(server, csv_of(rows), Content_Type="text/csv")


def invoked(server: Server, body: Any, **headers: str) -> Told:
    return checked(server.post("/invocations", body, **headers))["predictions"], None


# ---- V1: TensorFlow Serving and KServe


def v1_instances(server: Server, name: str, rows: list[Row]) -> Told:
    path, body = f"/v1/models/{name}:predict", {"instances": rows}
    labels = checked(server.post(path, body))["predictions"]
    return labels, checked(server.post(path, body | {"signature_name": "probabilities"}))["predictions"]


def v1_inputs(server: Server, name: str, rows: list[Row]) -> Told:
    """Missing numbers as the bare word NaN, as TensorFlow has them."""
    body = json.dumps({"inputs": by_field(rows)}).replace("null", "NaN").encode()
    return checked(server.post(f"/v1/models/{name}:predict", body))["outputs"], None


def v1_classify(server: Server, name: str, rows: list[Row]) -> Told:
    results = checked(server.post(f"/v1/models/{name}:classify", {"examples": rows}))["results"]
    return native_rows(server, name, rows)[0], [[score for _, score in row] for row in results]


# ---- TorchServe, one row a request


def torchserve(server: Server, name: str, rows: list[Row]) -> Told:
    """The likeliest class first; back in the order of the others by its name."""
    said = [checked(server.post(f"/predictions/{name}", row)) for row in rows]
    order = list(checked(server.post(f"/models/{name}/predict", rows[0]))["probabilities"])
    return native_rows(server, name, rows)[0], [[row[key] for key in order] for row in said]


EVERY: dict[str, Ask] = {
    "native rows": native_rows, "native columns": native_columns, "native CSV": native_csv, "native NDJSON": native_ndjson,
    "V2 columns": v2_columns, "V2 matrix": v2_matrix, "V2 binary": v2_binary,
    "MLflow split": mlflow_split, "MLflow records": mlflow_records, "MLflow instances": mlflow_instances, "MLflow inputs": mlflow_inputs,
    "MLflow CSV": mlflow_csv, "V1 instances": v1_instances, "V1 inputs": v1_inputs, "V1 classify": v1_classify, "TorchServe": torchserve,
}  # fmt: skip
LEFT_OUT = {
    ("native CSV", "sentiment"): "an empty cell is a missing value there, and an empty text is none",
    ("V2 matrix", "people"): "one tensor has one datatype",
}
DEFAULT_ONLY = {dialect for dialect in EVERY if dialect.startswith("MLflow")}  # they ask the default model, iris


@pytest.mark.parametrize("door", ["loop", "flask", "wsgi"])
@pytest.mark.parametrize("model", ROWS)
def test_every_dialect_answers_alike(server, flask_door, wsgi_door, model, door):
    asked = {"loop": server, "flask": flask_door, "wsgi": wsgi_door}[door]
    expected, chances = native_rows(server, model, ROWS[model])
    for dialect, ask in EVERY.items():
        if (dialect, model) in LEFT_OUT or (dialect in DEFAULT_ONLY and model != "iris"):
            continue
        labels, probabilities = ask(asked, model, ROWS[model])
        assert labels == expected, dialect
        if probabilities is not None:
            for one, other in zip(probabilities, chances or [], strict=True):
                assert one == pytest.approx(other, abs=1e-12, rel=0), dialect


def test_a_wrong_value_is_told_in_the_same_words_in_every_dialect(server):
    """Not the status, which each dialect has its own, but what is wrong, and where."""
    rows = [ROWS["people"][0], ROWS["people"][1] | {"visits": "many"}]
    words = "Row 1: visits must be"
    assert words in server.post("/models/people/predict", {"rows": rows}).json["error"]
    inputs = [column(field, [rows[0][field]]) for field in ("age", "city", "member")] + [column("visits", ["many"])]
    assert "visits must be" in server.post("/v2/models/people/infer", {"inputs": inputs}).json["error"]
    for key in ("instances", "examples"):
        call = {"instances": "predict", "examples": "classify"}[key]
        assert words in server.post(f"/v1/models/people:{call}", {key: rows}).json["error"]
    assert words in server.post("/v1/models/people:predict", {"inputs": by_field(rows)}).json["error"]
    assert "visits must be" in server.post("/predictions/people", rows[1]).json["error"]
