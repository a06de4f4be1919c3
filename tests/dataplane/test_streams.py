"""Streamed answers over HTTP: functions of an application that yield, at every door, asked with what clients have."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from dataplane.conftest import Server, free_port

HERE = Path(__file__).parent


def command(door: str, port: int) -> list[str]:
    """What serves the application of ``chatty.py``: our own server, or waitress before the two other doors."""
    options = {"host": "127.0.0.1", "port": port, "workers": 1, "target": "chatty:door"}
    if door == "loop":
        return [sys.executable, "-m", "flask_carafe.cli.web", json.dumps(options)]
    return [sys.executable, "-c", f"import waitress, chatty; waitress.serve(chatty.app(), host='127.0.0.1', port={port}, threads=8)"]


@pytest.fixture(scope="module", params=["loop", "flask", "wsgi"])
def chatty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The application of ``chatty.py`` behind one of the doors."""
    folder, port = tmp_path_factory.mktemp("chatty"), free_port()
    environment = {**os.environ, "PYTHONPATH": str(HERE), "CARAFE_HOME": str(folder / "home"), "CARAFE_DOOR": request.param.replace("loop", "flask")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(request.param, port), env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    server = Server(port, process, folder)
    try:
        wait(server)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def wait(server: Server) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            server.ask("GET", "/livez", timeout=5)
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError((server.home / "log").read_text())


class Event(msgspec.Struct):
    name: str
    data: Any


def events(body: bytes) -> list[Event]:
    """The events in ``body``, each with its data decoded."""
    found = []
    for block in body.decode().removesuffix("\n\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append(Event(lines.get("event", ""), json.loads(lines["data"])))
    return found


def test_values_come_as_events_in_order_and_the_last_one_tells_the_rest(chatty):
    answer = chatty.post("/models/count/predict", {"to": 5})
    assert answer.status == 200
    assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    *values, last = events(answer.body)
    assert [(event.name, event.data) for event in values] == [("", number) for number in range(5)]
    assert last.name == "end"
    assert last.data == {"model": "count", "version": 1, "id": answer.headers["x-prediction-id"], "values": 5}


def test_a_text_cannot_end_an_event(chatty):
    *values, last = events(chatty.post("/models/say/predict", {"text": "a\n\nevent:end\ndata:1 b\r\nc \u2028d"}).body)
    assert [event.data for event in values] == ["a\n\nevent:end\ndata:1", "b\r\nc", "\u2028d"]
    assert last.name == "end"


def test_one_json_answer_has_all_values(chatty):
    for body, prediction in (({"to": 3}, [0, 1, 2]), ({"rows": [{"to": 2}]}, [[0, 1]])):
        answer = chatty.post("/models/count/predict", body, Accept="application/json")
        assert answer.json["prediction"] == prediction
        assert answer.headers["content-type"] == "application/json"


def test_an_answer_that_is_too_long_for_one_body_says_how_to_have_it(chatty):
    answer = chatty.post("/models/count/predict", {"to": 10_001}, Accept="application/json")
    assert answer.status == 406
    assert answer.json["code"] == "answer_too_long"
    assert "text/event-stream" in answer.json["hint"]


def test_several_rows_are_refused(chatty):
    answer = chatty.post("/models/count/predict", {"rows": [{"to": 1}, {"to": 2}]})
    assert answer.status == 422
    assert "one row" in answer.json["error"]


def test_what_fails_before_the_first_value_has_a_status_of_its_own_and_later_an_event(chatty):
    early = chatty.post("/models/say/predict", {"text": "raise"})
    assert (early.status, early.json["code"]) == (500, "model_error")
    late = chatty.post("/models/say/predict", {"text": "well raise never"}, X_Request_Id="mine")
    first, last = events(late.body)
    assert late.status == 200
    assert first.data == "well"
    assert last.name == "error"
    assert (last.data["code"], last.data["request_id"]) == ("model_error", "mine")
    assert b"passwd" not in late.body


def test_the_deadline_holds_for_the_first_value_only(chatty):
    slow = chatty.post("/models/count/predict", {"to": 4, "pause_s": 0.5}, X_Request_Timeout_Ms="1500")
    assert [event.name for event in events(slow.body)] == ["", "", "", "", "end"]


def test_requests_sees_each_value_before_the_next_is_made(chatty, tmp_path):
    url = f"http://127.0.0.1:{chatty.port}/models/relay/predict"
    with requests.post(url, json={"go": str(tmp_path / "go")}, stream=True, timeout=30) as response:
        lines = (line for line in response.iter_lines() if line)
        assert next(lines) == b'data: "ready"'
        (tmp_path / "go").touch()
        assert next(lines) == b'data: "gone"'


def test_curl_shows_each_value_before_the_next_is_made(chatty, need, tmp_path):
    body = json.dumps({"go": str(tmp_path / "go")})
    command = [need("curl"), "-sN", f"127.0.0.1:{chatty.port}/models/relay/predict", "-d", body, "-H", "Content-Type: application/json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline() == b'data: "ready"\n'
        (tmp_path / "go").touch()
        assert b'data: "gone"\n\nevent: end\n' in curl.stdout.read()


def ask_and_hang_up(server: Server, path: str, body: Any, after: bytes) -> float:
    """Close the connection once ``after`` has come; when that was."""
    sent = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(sent), sent))
        said = b""
        while after not in said:
            said += connection.recv(65536)
        return time.monotonic()


def until(path: Path) -> str:
    """What is written to ``path``, once it is."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.005)
    raise AssertionError(f"{path.name} was never written")


def test_a_client_that_leaves_ends_the_generator(chatty, tmp_path):
    mark = tmp_path / "mark"
    ask_and_hang_up(chatty, "/models/count/predict", {"to": 10_000, "pause_s": 0.01, "mark": str(mark)}, after=b"data: 3\n")
    assert int(until(mark)) < 1000


@pytest.mark.parametrize("chatty", ["loop"], indirect=True)  # waitress keeps 16 MiB before it makes a model wait
def test_a_client_that_does_not_read_stops_the_model(chatty, tmp_path):
    mark, parts = tmp_path / "mark", 1000  # of 64 KiB: 64 MiB
    body = json.dumps({"parts": parts, "mark": str(mark)}).encode()
    with socket.create_connection(("127.0.0.1", chatty.port), timeout=30) as connection:
        connection.sendall(b"POST /models/heavy/predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        before, made = -1, 0
        while made != before or not made:
            before = made
            time.sleep(0.5)
            made = int(until(mark))
        assert made < 200  # what the kernel's buffers hold, and a little
        said = 0
        while part := connection.recv(1 << 20):
            said += len(part)
            if part.endswith(b"0\r\n\r\n"):
                break
        assert said > parts << 16
    assert int(until(mark)) == parts


def data(body: bytes) -> list[Any]:
    """The data of events without names."""
    return [json.loads(line.removeprefix("data: ")) for line in body.decode().split("\n") if line]


def test_triton_clients_generate_and_read_a_stream(chatty):
    whole = chatty.post("/v2/models/say/generate", {"text_input": "to be", "id": "7", "parameters": {"temperature": 0}})
    assert whole.json == {"id": "7", "model_name": "say", "model_version": "1", "text_output": "tobe"}
    stream = chatty.post("/v2/models/say/generate_stream", {"text_input": "to be"}, Accept="*/*")
    assert stream.headers["content-type"].partition(";")[0] == "text/event-stream"
    assert data(stream.body) == [{"model_name": "say", "model_version": "1", "text_output": word} for word in ("to", "be")]
    numbers = chatty.post("/v2/models/count/generate_stream", {"parameters": {"to": 2}})
    assert [answer["prediction"] for answer in data(numbers.body)] == [0, 1]
    *_, last = data(chatty.post("/v2/models/say/generate_stream", {"text_input": "well raise"}).body)
    assert "failed" in last["error"]
    assert chatty.post("/v2/models/say/generate", {"text_input": "raise"}).status == 500
    assert chatty.post("/v2/models/say/generate", {"texts": "to be"}).status == 400
    assert chatty.post("/v2/models/say/generate", [1]).status == 400


def test_mlserver_clients_read_a_stream_of_inferences(chatty):
    body = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["to be"]}]}
    answers = data(chatty.post("/v2/models/say/infer_stream", body).body)
    assert [answer["outputs"][0]["data"] for answer in answers] == [["to"], ["be"]]
    assert answers[0]["model_name"] == "say"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/models/count/infer", {"inputs": [{"name": "to", "shape": [1], "datatype": "INT64", "data": [2]}]}),
        ("/v1/models/count:predict", {"instances": [{"to": 2}]}),
        ("/predictions/count", {"to": 2}),
    ],
)
def test_other_protocols_get_the_values_at_once(chatty, path, body):
    answer = chatty.post(path, body)
    assert answer.status == 200, answer.body
    assert b"0,1" in answer.body.replace(b" ", b"")
