"""Generators in a host: values in order, as many as the peer has room for, in turn with others, closed when nobody listens."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from flask_carafe.hosting import frames
from flask_carafe.signature import Chunk, Rows
from hosting.host_client import PYENV, TOKEN, Closed, Peer, Zygote, fresh_host, is_alive, signature_of, wait_for

CODE = '''
import time
from typing import Dict, Generator, Iterator, List, Optional

def count(to: int, pause_s: float = 0.0, mark: str = "") -> Iterator[int]:
    number = -1
    try:
        for number in range(to):
            yield number
            time.sleep(pause_s)
    finally:
        if mark:
            with open(mark, "w") as stream:
                stream.write(str(number))

def broken(to: int) -> Iterator[int]:
    yield from range(to)
    raise ValueError("no more than that")

def wrong(to: int) -> Iterator[int]:
    yield to
    yield "two"

def promised(to: int) -> Generator[str, None, None]:
    return (str(number) for number in range(to))

def plain(to: int) -> int:
    return to

def stubborn(to: int):
    try:
        yield to
        yield to
    except GeneratorExit:
        yield "again"

class Words:
    text: str
    def predict(self, rows: List[Dict]) -> Iterator[str]:
        for word in rows[0]["text"].split():
            yield word

async def late(to: int):
    yield to
'''


class Part(NamedTuple):
    """One frame of a stream; ``value`` is None at its end."""

    kind: int
    value: Any
    errors: list[frames.RowError]


class StreamPeer(Peer):
    """A channel on which a stream is asked for."""

    def open(self, signature: dict[str, Any], *values: Any, credit: int = 16) -> None:
        chunks = tuple(chunk_of(value) for value in values)
        self.learn(signature, [{"name": "prediction", "kind": "json", "dtype": "json"}])
        dtypes = [frames.DTYPES[field["dtype"]] for field in signature["fields"]]
        self.sock.sendall(frames.pack_predict(7, [Rows(1, chunks)], dtypes, [1] * len(dtypes), frames.STREAM))
        self.more(credit)

    def more(self, credit: int) -> None:
        self.sock.sendall(frames.pack_word(frames.CREDIT, 7, credit))

    def cancel(self) -> None:
        self.sock.sendall(frames.pack_word(frames.CANCEL, 7))

    def part(self) -> Part:
        """The next frame that is no beat."""
        while True:
            header, body = self.receive()
            assert header.frame_id == 7
            if header.kind != frames.PART or header.rows:
                break
        columns, errors = frames.read_answer(header, body, self.outputs)
        return Part(header.kind, columns[0].values[0] if columns[0].values else None, errors)

    def rest(self) -> list[Any]:
        """All values up to the end, with credit for each."""
        values = []
        while (part := self.part()).kind == frames.PART:
            values.append(part.value)
            self.more(1)
        assert not part.errors
        return values

    def is_silent(self, seconds: float = 0.3) -> bool:
        self.sock.settimeout(seconds)
        try:
            return not self.sock.recv(1)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(60)


def chunk_of(value: Any) -> Chunk:
    if isinstance(value, str):
        return Chunk(value.encode(), struct.pack("<I", len(value.encode())))
    return Chunk(struct.pack("<d" if isinstance(value, float) else "<q", value))


class Host(NamedTuple):
    control: Peer
    signature: dict[str, Any]
    path: str
    peers: list[Peer]

    def channel(self) -> StreamPeer:
        peer = StreamPeer(self.path, role="channel")
        self.peers.append(peer)
        return peer

    def open(self, *values: Any, credit: int = 16) -> StreamPeer:
        peer = self.channel()
        peer.open(self.signature, *values, credit=credit)
        return peer


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    zygote = Zygote(tmp_path)
    yield zygote
    zygote.end()


@pytest.fixture
def host(zygote: Zygote, tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """``host("count")``: a host that holds this function of CODE."""
    (tmp_path / "chatty.py").write_text(CODE)
    peers: list[Peer] = []

    def start(name: str) -> Host:
        reply = zygote.fork()
        control = Peer(reply["socket"])
        description = control.ready((f"{tmp_path / 'chatty.py'}:{name}", "python"))
        assert description["streams"] is (name != "plain")
        peers.append(control)
        return Host(control, signature_of(description), reply["socket"], peers)

    yield start
    for peer in peers:
        peer.close()


def test_values_come_in_order_and_then_the_end(host):
    counting = host("count")
    peer = counting.open(100, 0.0, "")
    assert peer.rest() == list(range(100))
    peer.open(counting.signature, 0, 0.0, "")  # the connection may be used again
    assert peer.rest() == []


@pytest.mark.parametrize(("name", "value", "values"), [("promised", 3, ["0", "1", "2"]), ("Words", "to be or not", ["to", "be", "or", "not"])])
def test_a_hint_and_a_class_stream_as_well(host, name, value, values):
    assert host(name).open(value).rest() == values


def test_no_more_values_are_made_than_there_is_credit_for(host):
    peer = host("count").open(100, 0.0, "", credit=3)
    assert [peer.part().value for _ in range(3)] == [0, 1, 2]
    assert peer.is_silent()
    peer.more(1)
    assert peer.part().value == 3
    assert peer.is_silent()


def test_a_peer_that_does_not_read_stops_its_own_stream_alone(host, tmp_path):
    counting = host("count")
    deaf = counting.open(100_000, 0.0, str(tmp_path / "mark"), credit=1000)
    other = counting.open(50, 0.0, "")
    assert other.rest() == list(range(50))
    assert counting.control.request({"op": "status"})["streams"] == 1
    deaf.close()
    wait_for((tmp_path / "mark").exists)


def test_streams_take_turns_and_frames_go_between_their_steps(host):
    counting = host("count")
    first = counting.open(40, 0.01, "", credit=100)
    second = counting.open(40, 0.01, "", credit=100)
    assert first.part().value == 0
    assert second.part().value == 0
    assert counting.control.request({"op": "status"})["streams"] == 2  # asked and answered long before they end
    assert second.rest() == first.rest() == list(range(1, 40))


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_who_stops_listening_ends_the_generator(host, tmp_path, how):
    mark = tmp_path / "mark"
    peer = host("count").open(100_000, 0.01, str(mark))
    assert peer.part().value == 0
    getattr(peer, how)()
    wait_for(lambda: mark.exists() and mark.read_text())
    assert int(mark.read_text()) < 20
    if how == "cancel":
        while (part := peer.part()).kind == frames.PART:
            pass
        assert part == Part(frames.ANSWER, None, [])


def test_a_stream_of_who_has_gone_before_it_began_is_not_begun(host):
    counting = host("count")
    busy = counting.open(2, 0.5, "")
    assert busy.part().value == 0  # until the next value the host reads nothing
    chunks, dtypes = tuple(chunk_of(value) for value in (100_000, 0.0, "")), [frames.DTYPES[field["dtype"]] for field in counting.signature["fields"]]
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(counting.path)
        hello = frames.pack_control({"op": "hello", "protocol": 1, "token": TOKEN, "role": "channel"})
        opening = frames.pack_predict(7, [Rows(1, chunks)], dtypes, [1] * len(dtypes), frames.STREAM)
        gone.sendall(hello + opening + frames.pack_word(frames.CREDIT, 7, 1))
    assert busy.rest() == [1]
    wait_for(lambda: counting.control.request({"op": "status"})["connections"] == 2)
    assert counting.control.request({"op": "status"})["streams"] == 0


def test_a_host_that_stops_ends_its_generators(host, tmp_path):
    mark, counting = tmp_path / "mark", host("count")
    peer = counting.open(100_000, 0.01, str(mark))
    assert peer.part().value == 0
    counting.control.request({"op": "stop"})
    with pytest.raises(Closed):
        while peer.part().kind == frames.PART:
            pass
    assert mark.read_text()


def test_a_stream_that_waits_for_another_hears_that_the_host_is_alive(host):
    counting = host("count")
    slow = counting.open(5, 1.2, "")
    assert slow.part().value == 0
    waiting = counting.open(3, 0.0, "", credit=1)
    assert waiting.part().value == 0
    header, body = waiting.receive()  # no credit is left, so this is no value
    assert (header.kind, header.rows, body) == (frames.PART, 0, b"")


def test_an_error_ends_the_stream_and_says_what_it_was(host):
    peer = host("broken").open(2)
    assert [peer.part().value, peer.part().value] == [0, 1]
    part = peer.part()
    assert part.kind == frames.ANSWER
    assert part.errors[0].code == "model_error"
    assert part.errors[0].reason == "ValueError: no more than that"


def test_a_value_that_is_not_what_the_hint_says_ends_the_stream(host):
    peer = host("wrong").open(2)
    assert peer.part().value == 2
    assert peer.part().errors[0].code == "model_output_invalid"


def test_a_generator_that_will_not_end_is_left_and_the_host_goes_on(host):
    stubborn = host("stubborn")
    peer = stubborn.open(1)
    assert peer.part().value == 1
    peer.cancel()
    while peer.part().kind == frames.PART:
        pass
    assert stubborn.open(5).part().value == 5


def test_a_predict_frame_asks_for_the_first_value(host):
    counting = host("count")
    columns, errors = counting.control.predict(Rows(1, (chunk_of(9), chunk_of(0.0), chunk_of(""))))
    assert columns[0].values == [[0]] and not errors
    _, errors = counting.control.predict(Rows(1, (chunk_of(0), chunk_of(0.0), chunk_of(""))))
    assert "yielded nothing" in errors[0].reason


def test_an_asynchronous_generator_is_refused(zygote, tmp_path):
    (tmp_path / "chatty.py").write_text(CODE)
    with zygote.host() as peer:
        reply = peer.load((f"{tmp_path / 'chatty.py'}:late", "python"))
    assert "async generator" in reply["error"]["message"]


def test_what_is_no_stream_ends_its_own_connection(host):
    counting, plain = host("count"), host("plain")
    with pytest.raises(Closed):
        plain.open(1).receive()
    twice = counting.open(100_000, 0.1, "")
    twice.open(counting.signature, 1, 0.0, "")
    with pytest.raises(Closed):
        while twice.part():
            pass
    many = counting.channel()
    many.sock.sendall(frames.pack_word(frames.STREAM, 1, 1))
    with pytest.raises(Closed):
        many.receive()
    assert is_alive(counting.control.hello["pid"])


@pytest.mark.parametrize("version", ["3.6", "3.13"])
def test_streams_on_the_oldest_and_the_newest_python(tmp_path, version):
    found = sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not found:
        pytest.skip(f"no Python {version} here")
    (tmp_path / "chatty.py").write_text(CODE)
    with fresh_host(tmp_path, found[-1]) as control:
        description = control.ready((f"{tmp_path / 'chatty.py'}:count", "python"))
        assert description["streams"]
        peer = Host(control, signature_of(description), str(tmp_path / "fresh.sock"), []).open(30, 0.0, "")
        assert peer.rest() == list(range(30))
        peer.close()
