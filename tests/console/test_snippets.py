"""What is copied from a page runs: each snippet is started as it stands, against a server that echoes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.console.forms import _typed
from flask_carafe.console.snippets import snippets
from flask_carafe.signature import Field

ROW = {"name": 'O\'Neil "x" $HOME `id` \\ é', "age": 41, "ok": True, "gone": None, "list": [1.5, 2], "long": "word " * 60, "": 1, "a b": "<b>"}


class Echo(BaseHTTPRequestHandler):
    got: list[tuple[str, bytes]] = []
    body = b'{"prediction": "fine"}'

    def do_POST(self) -> None:
        Echo.got.append((self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
        body = self.body
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Echo.got.clear()
    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/models/x/predict"
        server.shutdown()
        thread.join()


def texts(url: str, row: dict[str, Any], fields: tuple[Field, ...] = ()) -> dict[str, str]:
    return {snippet.id: snippet.text for snippet in snippets(url, row, fields)}


def test_curl_sends_the_row_whatever_is_in_it(url: str, need: Callable[..., str]) -> None:
    need("curl")
    done = subprocess.run(["sh", "-c", texts(url, ROW)["curl"]], capture_output=True, text=True, check=True, timeout=20)
    assert json.loads(done.stdout) == {"prediction": "fine"}
    assert json.loads(Echo.got[0][1]) == ROW


def test_python_without_packages_sends_the_row(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", texts(url, ROW)["stdlib"]], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.strip() == "fine" and json.loads(Echo.got[0][1]) == ROW


def test_requests_and_fetch_hold_the_same_row(url: str) -> None:
    found = texts(url, ROW)
    call = found["requests"].partition("json=")[2].rpartition(",\n)")[0]
    assert eval(call) == ROW
    assert json.loads(found["fetch"].partition("JSON.stringify(")[2].rpartition("),\n});")[0]) == ROW


def test_a_stream_is_read_value_by_value(url: str, need: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    need("curl")
    monkeypatch.setattr(Echo, "body", b'data: "one"\n\ndata: {"two": 2}\n\nevent: end\ndata: {"values": 2}\n\n')
    found = {snippet.id: snippet.text for snippet in snippets(url, ROW, (), streams=True)}
    done = subprocess.run(["sh", "-c", found["curl"]], capture_output=True, check=True, timeout=20)
    assert done.stdout == Echo.body
    for name in ("stdlib", "requests"):
        done = subprocess.run([sys.executable, "-c", found[name]], capture_output=True, check=True, timeout=20)
        assert done.stdout == b"one\n{'two': 2}\n"
    assert [json.loads(body) for _, body in Echo.got] == [ROW] * 3


def test_files_travel_as_a_form(url: str, tmp_path: Path, need: Callable[..., str]) -> None:
    need("curl")
    (tmp_path / "three.png").write_bytes(b"PNG bytes")
    fields = (Field(name="image", kind="image"), Field(name="note", kind="text"))
    found = texts(url, {"image": {"file": "three.png"}, "note": "a;b=@c"}, fields)
    subprocess.run(["sh", "-c", found["curl"]], cwd=tmp_path, capture_output=True, check=True, timeout=20)
    assert b"PNG bytes" in Echo.got[0][1] and b"a;b=@c" in Echo.got[0][1]
    subprocess.run([sys.executable, "-c", found["stdlib"]], cwd=tmp_path, capture_output=True, check=True, timeout=20)
    assert json.loads(Echo.got[1][1]) == {"image": "UE5HIGJ5dGVz", "note": "a;b=@c"}


def test_a_file_is_sent_under_its_own_name_whatever_is_in_it(url: str, tmp_path: Path, need: Callable[..., str]) -> None:
    need("curl")
    name = 'it\'s; "three", $HOME é.png'
    (tmp_path / name).write_bytes(b"PNG bytes")
    found = texts(url, {"image": {"file": name}}, (Field(name="image", kind="image"),))
    subprocess.run(["sh", "-c", found["curl"]], cwd=tmp_path, capture_output=True, check=True, timeout=20)
    subprocess.run([sys.executable, "-c", found["stdlib"]], cwd=tmp_path, capture_output=True, check=True, timeout=20)
    assert b"PNG bytes" in Echo.got[0][1] and json.loads(Echo.got[1][1]) == {"image": "UE5HIGJ5dGVz"}


def test_a_refused_row_is_shown_with_values_of_their_own_types() -> None:
    fields = [
        (Field(name="pclass", kind="category", dtype="int64", choices=(1, 2, 3)), "3"),
        (Field(name="port", kind="category", dtype="text", choices=("C", "7")), "7"),
        (Field(name="ok", kind="boolean", dtype="bool"), "true"),
        (Field(name="age", kind="number"), "22"),
        (Field(name="fare", kind="number"), "much"),
    ]
    assert [_typed(field, text) for field, text in fields] == [3, "7", True, 22, "much"]


def test_words_are_coloured_and_nothing_is_lost(url: str) -> None:
    from html import unescape
    from re import sub

    for snippet in snippets(url, ROW, ()):
        assert unescape(sub(r"</?span[^>]*>", "", str(snippet.html))) == snippet.text
        assert '<span class="s">' in snippet.html
