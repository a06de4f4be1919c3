"""Streams, merging, halving, lifetimes: the loop of a host, over real sockets to real processes."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from flask_carafe.hosting import frames
from flask_carafe.signature import Chunk, Rows
from hosting.host_client import TOKEN, Closed, Peer, Stream, Zygote, fresh_host, is_alive, texts, wait_for
from models import small

ECHO = """
class Echo:
    def predict(self, rows):
        return [dict(row, together=len(rows)) for row in rows]

class Picky:
    calls = 0
    def predict(self, rows):
        Picky.calls += 1
        if any(row["x"] < 0 for row in rows):
            raise ValueError("negative")
        return [row["x"] * 2 for row in rows]

class Short:
    def predict(self, rows):
        return [row["x"] for row in rows if row["x"] >= 0]

class Long:
    def predict(self, rows):
        return [row["x"] for row in rows] + [0]

class Leaving:
    def predict(self, rows):
        raise SystemExit(3)

class Hanging:
    def predict(self, rows):
        while True:
            pass

class Slow:
    def predict(self, rows):
        import time
        time.sleep(2.0)
        return [row["x"] for row in rows]

class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")

def wordless(x: float) -> float:
    raise Mute()

def torn(x: float) -> float:
    raise ValueError("half a pair: \\udcff")

class Deep:
    def predict(self, rows):
        return self.predict(rows)

def odd(x: float) -> float:
    return {0.0: float("nan"), 1.0: float("inf"), 2.0: "two", 3.0: None}.get(x, x)
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "echo.py"
    path.write_text(ECHO)
    return path


def python(host: Peer, code: Path, name: str, **columns: str) -> None:
    """Load a class or function of the code file, with fields of the given dtypes."""
    reply = host.load((f"{code}:{name}", "python"))
    assert reply["ok"], reply
    kinds = {"float64": "number", "int64": "integer", "bool": "boolean", "text": "text", "json": "text"}
    fields = [{"name": key, "kind": kinds[dtype], "dtype": dtype} for key, dtype in columns.items()]
    host.configure({"fields": fields, "layout": "columns"}, reply["description"]["outputs"])


def numbers(*values: float) -> Rows:
    return Rows(n=len(values), chunks=(Chunk(data=struct.pack(f"<{len(values)}d", *values)),))


def test_a_host_says_who_it_is_and_what_it_has(host: Peer) -> None:
    assert host.hello["ok"] and host.hello["protocol"] == 1 and host.hello["state"] == "empty"
    assert host.hello["started"] > 0 and is_alive(host.hello["pid"])
    assert host.request({"op": "configure", "signature": {}})["error"]["code"] == "not_loaded"
    assert host.request({"op": "nonsense"})["error"]["code"] == "unknown_op"


def test_every_dtype_travels_there_and_back_with_what_is_missing(host: Peer, code: Path) -> None:
    python(host, code, "Echo", number="float64", whole="int64", truth="bool", text="text", any="json")
    rows = Rows(n=3, chunks=(
        Chunk(data=struct.pack("<3d", 1.5, float("nan"), -0.0)), Chunk(data=struct.pack("<3q", 2**62, 0, -1), mask=b"\0\1\0"),
        Chunk(data=b"\1\0\0", mask=b"\0\0\1"), texts(["ä", None, ""]), Chunk(data=b'[1]{"a":2}', lengths=struct.pack("<3I", 3, 7, 0), mask=b"\0\0\1"),
    ))
    columns, errors = host.predict(rows)
    assert not errors
    assert columns[0].values == [
        {"number": 1.5, "whole": 2**62, "truth": True, "text": "ä", "any": [1], "together": 3},
        {"number": None, "whole": None, "truth": False, "text": None, "any": {"a": 2}, "together": 3},
        {"number": 0.0, "whole": -1, "truth": None, "text": "", "any": None, "together": 3},
    ]


def test_frames_that_wait_on_two_connections_go_through_the_model_together(host: Peer, code: Path) -> None:
    python(host, code, "Echo", x="float64")
    other = Peer(host.sock.getpeername(), "channel")
    other.learn(host.signature, [msgspec.to_builtins(output) for output in host.outputs])
    os.kill(host.hello["pid"], signal.SIGSTOP)
    first, second = host.send(numbers(1, 2)), other.send(numbers(3))
    os.kill(host.hello["pid"], signal.SIGCONT)
    assert [row["x"] for row in other.answer(second)[0][0].values] == [3]
    answers = host.answer(first)[0][0].values
    assert [row["x"] for row in answers] == [1, 2] and {row["together"] for row in answers} == {3}
    other.close()


def test_merging_stops_at_the_most_rows_of_a_batch(host: Peer, code: Path) -> None:
    python(host, code, "Echo", x="float64")
    host.configure(host.signature, [msgspec.to_builtins(output) for output in host.outputs], max_batch_rows=3)
    os.kill(host.hello["pid"], signal.SIGSTOP)
    ids = [host.send(numbers(i, i)) for i in range(3)] + [host.send(numbers(9))]
    os.kill(host.hello["pid"], signal.SIGCONT)
    together = [host.answer(i)[0][0].values[0]["together"] for i in ids]
    assert together == [2, 2, 3, 3]


def test_a_bad_row_fails_alone(host: Peer, code: Path) -> None:
    python(host, code, "Picky", x="float64")
    columns, errors = host.predict(numbers(*range(100), -1, *range(100), -2))
    assert [(error.row, error.code, error.reason) for error in errors] == [
        (100, "model_error", "ValueError: negative"), (201, "model_error", "ValueError: negative"),
    ]
    assert columns[0].values[:100] == [2 * i for i in range(100)] and columns[0].values[101:201] == [2 * i for i in range(100)]


def test_rows_are_never_shifted_by_a_model_that_drops_some(host: Peer, code: Path) -> None:
    python(host, code, "Short", x="float64")
    columns, errors = host.predict(numbers(5, -1, 7))
    assert [(error.row, error.code) for error in errors] == [(1, "model_output_invalid")]
    assert (columns[0].values[0], columns[0].values[2]) == (5, 7)


def test_too_many_answers_are_no_answer(host: Peer, code: Path) -> None:
    python(host, code, "Long", x="float64")
    _, errors = host.predict(numbers(1, 2, 3))
    assert [(error.row, error.code) for error in errors] == [(row, "model_output_invalid") for row in range(3)]


@pytest.mark.parametrize(("name", "text"), [("Leaving", "SystemExit: 3"), ("Deep", "RecursionError")])
def test_a_model_that_leaves_or_recurses_fails_its_rows_and_the_host_lives(host: Peer, code: Path, name: str, text: str) -> None:
    python(host, code, name, x="float64")
    for _ in range(2):
        _, errors = host.predict(numbers(1, 2))
        assert [error.row for error in errors] == [0, 1] and errors[0].reason.startswith(text)


@pytest.mark.parametrize(("name", "reason"), [("wordless", "Mute: its message cannot be told"), ("torn", "ValueError: half a pair: ?")])
def test_an_exception_that_cannot_be_told_fails_its_row_and_the_host_lives(host: Peer, code: Path, name: str, reason: str) -> None:
    python(host, code, name, x="float64")
    for _ in range(2):
        _, errors = host.predict(numbers(1))
        assert [error.reason for error in errors] == [reason]


def test_what_is_no_answer_of_the_promised_type_fails_its_row(host: Peer, code: Path) -> None:
    python(host, code, "odd", x="float64")
    columns, errors = host.predict(numbers(0, 1, 2, 3, 4))
    assert [error.row for error in errors] == [0, 1, 2, 3] and {error.code for error in errors} == {"model_output_invalid"}
    assert columns[0].values[4] == 4.0


def test_an_answer_larger_than_a_socket_buffer_arrives_whole(host: Peer, code: Path) -> None:
    python(host, code, "Echo", text="text")
    long = ["x" * 100_000 + str(i) for i in range(60)]
    columns, _ = host.predict(Rows(n=60, chunks=(texts(long),)))
    assert [row["text"] for row in columns[0].values] == long


@pytest.mark.parametrize("hello", [
    {"token": "wrong"}, {"token": ""}, {"role": "king"}, {"protocol": 2}, {"op": "load"},
])
def test_a_hello_that_is_not_right_closes_the_connection(host: Peer, hello: dict[str, object]) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(host.sock.getpeername())
    with pytest.raises(Closed):
        Stream(sock).request({"op": "hello", "role": "control", "token": TOKEN, "protocol": 1, **hello})
    sock.close()
    assert host.request({"op": "status"})["ok"]


def test_another_user_is_refused(zygote: Zygote) -> None:
    reply = zygote.fork(uid=os.getuid() + 1)
    with pytest.raises(Closed):
        Peer(reply["socket"])
    os.kill(reply["pid"], signal.SIGKILL)


def header(**words: int) -> bytes:
    filled = {"kind": frames.PREDICT, "flags": 0, "columns": 1, "id": 1, "rows": 1, "size": 24, "spare": 0, **words}
    return frames.HEADER.pack(frames.MAGIC, *filled.values())


COLUMN = frames.COLUMN.pack(1, 0, 0, 4, 0, 32) + bytes(32)
MALFORMED = {
    "magic": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "rows that are not there": header(rows=2, size=len(COLUMN)) + COLUMN,
    "no rows": header(rows=0, size=len(COLUMN)) + COLUMN,
    "bytes left over": header(size=len(COLUMN) + 1) + COLUMN + b"x",
    "a table that is cut": header(columns=2, size=16) + COLUMN[:16],
    "an unknown dtype": header(size=len(COLUMN)) + b"\x63" + COLUMN[1:],
    "an unknown flag": header(size=len(COLUMN), flags=9) + COLUMN,
    "a kind that is no request": header(size=len(COLUMN), kind=frames.REPLY) + COLUMN,
    "another width": header(size=40) + frames.COLUMN.pack(1, 0, 0, 3, 0, 24) + bytes(24),
    "another dtype": header(size=32) + frames.COLUMN.pack(2, 0, 0, 4, 0, 16) + bytes(16),
    "control that is no JSON": header(kind=frames.CONTROL, columns=0, rows=0, size=1) + b"{",
    "control that is no object": header(kind=frames.CONTROL, columns=0, rows=0, size=2) + b"[]",
    "more than is read": header(size=(1 << 30) + 1),
    "lengths that do not add up": header(size=21) + frames.COLUMN.pack(5, 0, 0, 1, 4, 1) + b"\xff\xff\xff\xffx",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_closes_its_connection_and_the_host_lives(name: str, zygote: Zygote, tmp_path: Path) -> None:
    with zygote.host() as host:
        host.ready(small.save(small.logistic(), tmp_path / "m.joblib"))
        bad = Peer(host.sock.getpeername())
        bad.sock.sendall(MALFORMED[name])
        with pytest.raises(Closed):
            bad.receive()
        bad.close()
        columns, errors = host.predict(Rows(n=1, chunks=(Chunk(data=bytes(32)),)))
        assert len(columns) == 2 and not errors


def test_a_frame_that_comes_byte_by_byte_is_answered(zygote: Zygote, tmp_path: Path) -> None:
    with zygote.host() as host:
        host.ready(small.save(small.logistic(), tmp_path / "m.joblib"))
        rows = small.points()[0][:2]
        data = frames.pack_predict(5, [Rows(n=2, chunks=(Chunk(data=rows.tobytes()),))] * 2, [1], [4])
        for byte in data:
            host.sock.sendall(bytes([byte]))
        columns, errors = host.answer(5)
        assert not errors and columns[1].values == small.logistic().predict_proba(np.vstack([rows, rows])).ravel().tolist()


def test_a_predict_frame_before_configure_closes_the_connection(host: Peer) -> None:
    host.signature = {"fields": [{"name": "x"}], "layout": "columns"}
    host.send(numbers(1))
    with pytest.raises(Closed):
        host.receive()


def test_a_host_leaves_when_nobody_has_been_there_for_a_while(zygote: Zygote) -> None:
    reply = zygote.fork(limits={"idle_s": 0.5})
    peer = Peer(reply["socket"], "channel")
    time.sleep(2.0)
    assert is_alive(reply["pid"])
    peer.close()
    wait_for(lambda: not is_alive(reply["pid"]))
    assert not os.path.exists(reply["socket"])


def test_a_stopped_host_answers_and_leaves(zygote: Zygote) -> None:
    host = zygote.host()
    assert host.request({"op": "stop"})["ok"]
    wait_for(lambda: not is_alive(host.hello["pid"]))
    host.close()


def test_a_host_that_hangs_when_nobody_is_left_ends_by_itself(zygote: Zygote, code: Path) -> None:
    host = zygote.host(limits={"orphan_s": 1.0})
    python(host, code, "Hanging", x="float64")
    host.send(numbers(1))
    host.close()
    wait_for(lambda: not is_alive(host.hello["pid"]))


def test_a_model_that_may_take_long_is_not_ended_before_its_own_limit(zygote: Zygote, code: Path) -> None:
    with zygote.host(limits={"orphan_s": 1.0}) as host:
        python(host, code, "Slow", x="float64")
        host.request({"op": "configure", "signature": host.signature, "timeout_ms": 3000})
        columns, errors = host.predict(numbers(7))
        assert (columns[0].values, errors) == ([7.0], [])


def test_a_signature_that_a_runtime_cannot_make_sense_of_is_refused_and_the_host_lives(host: Peer, code: Path) -> None:
    assert host.load((f"{code}:odd", "python"))["ok"]
    reply = host.request({"op": "configure", "signature": {"fields": [{"name": "x", "dtype": "float999"}]}})
    assert not reply["ok"] and "float999" in reply["error"]["message"]
    assert host.request({"op": "status"})["ok"]


def test_hosts_do_not_hear_the_signals_of_a_terminal(host: Peer) -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(host.hello["pid"], name)
    assert host.request({"op": "status"})["ok"]
    assert os.getsid(host.hello["pid"]) == host.hello["pid"]


def test_hosts_live_on_when_their_zygote_ends(tmp_path: Path) -> None:
    zygote = Zygote(tmp_path)
    host = zygote.host()
    zygote.close()
    assert zygote.process.wait(10) == 0
    assert host.request({"op": "status"})["ok"]
    assert host.request({"op": "stop"})["ok"]
    host.close()


def test_the_zygote_imports_only_what_is_on_its_list(zygote: Zygote) -> None:
    answer = zygote.request({"op": "import", "modules": ["antigravity", "sklearn.nonsense", "sklearn.svm"]})
    assert answer["imported"] == ["sklearn.svm"] and answer["threads"] == 1
    assert set(answer["failed"]) == {"antigravity", "sklearn.nonsense"}


def test_a_socket_name_that_is_too_long_is_told_and_no_host_is_left(zygote: Zygote) -> None:
    reply = zygote.request({"op": "fork", "id": "x", "socket": "/tmp/" + "x" * 200, "token": "t"})
    assert not reply["ok"] and "longer than 107 bytes" in reply["error"]["message"]


def test_dead_hosts_are_reaped(zygote: Zygote) -> None:
    reply = zygote.fork()
    os.kill(reply["pid"], signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{reply['pid']}"))


def test_fifty_hosts_are_ready_in_a_moment_and_small(zygote: Zygote, tmp_path: Path) -> None:
    path = small.save(small.logistic(), tmp_path / "m.joblib")
    began = time.monotonic()
    hosts = [zygote.host() for _ in range(50)]
    sizes = [host.load(path)["memory_bytes"] for host in hosts]
    took = time.monotonic() - began
    for host in hosts:
        host.request({"op": "stop"})
        host.close()
    assert took < 30, took
    assert max(sizes) < 20 << 20


def test_a_fresh_host_needs_no_zygote(tmp_path: Path) -> None:
    with fresh_host(tmp_path) as host:
        host.ready(small.save(small.logistic(), tmp_path / "m.joblib"))
        assert host.request({"op": "status"})["state"] == "ready"


def test_a_peer_that_never_reads_does_not_hold_up_the_others(host: Peer, code: Path) -> None:
    python(host, code, "Echo", text="text")
    lazy = Peer(host.sock.getpeername(), "channel")
    lazy.learn(host.signature, [msgspec.to_builtins(output) for output in host.outputs])
    for _ in range(20):
        lazy.send(Rows(n=1, chunks=(texts(["x" * 500_000]),)))
        assert select.select([], [lazy.sock], [], 5)[1]
    columns, _ = host.predict(Rows(n=1, chunks=(texts(["here"]),)))
    assert columns[0].values[0]["text"] == "here"
    lazy.close()
