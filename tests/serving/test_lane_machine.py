"""The channel is a specified state machine; Hypothesis drives it against a scripted host.

Whatever the order of arrivals, frames, answers, deadlines, hangs, lost connections, nonsense and shutdown: every waiter
is ended exactly once, one that gets an answer gets its own, and nobody is refused who could have been answered in time.
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flask_carafe.errors import CarafeError, DeadlineExceeded, HostFault, HostLost, ModelHung, NotReady, Overloaded
from flask_carafe.hosting.frames import ANSWER, COLUMN, DTYPES, HAS_ERRORS, HEADER, MAGIC, read_header
from flask_carafe.serving.admission import TRUST, Places
from flask_carafe.serving.channel import Channel
from flask_carafe.serving.lane import Lane
from flask_carafe.serving.request import Answer
from flask_carafe.signature import Chunk, Output, Rows

MOST_ROWS, HANG_S, QUEUE_ROWS, PLACES = 8, 10.0, 60, 24
OUTPUT = Output(name="prediction", dtype="int64", width=1)


def scripted_answer(frame: bytes, *, spoil: str = "") -> tuple[object, bytes]:
    """What an honest host says: each row's nonce, as an integer; rows with a nonce divisible by 11 fail. Or nonsense."""
    header = read_header(frame)
    _, _, _, _, _, size = COLUMN.unpack_from(frame, HEADER.size)
    nonces = [int(value) for value in struct.unpack(f"<{header.rows}d", frame[-size:])]
    if spoil == "short":
        nonces = nonces[:-1]
    data = struct.pack(f"<{len(nonces)}q", *nonces)
    failed = [[i, "model_error", f"nonce {nonce}"] for i, nonce in enumerate(nonces) if nonce % 11 == 0]
    columns, parts, flags = [COLUMN.pack(DTYPES["int64"], 0, 0, 1, 0, len(data))], [data], 0
    if failed:
        text = str(failed).replace("'", '"').encode()
        flags = HAS_ERRORS
        columns.append(COLUMN.pack(DTYPES["json"], 0, 0, 1, 4, len(text)))
        parts.append(struct.pack("<I", len(text)) + text)
    body = b"".join(columns + parts) + (b"more" if spoil == "longer" else b"")
    frame_id = header.frame_id + (1 if spoil == "stale" else 0)
    head = HEADER.pack(MAGIC, ANSWER, flags, len(columns), frame_id, len(nonces), len(body), 0)
    return read_header(head), body


class Waiter:
    """A client: it knows its nonces, and counts what it is told."""

    def __init__(self, nonces: list[int], deadline: float) -> None:
        self.nonces, self.deadline, self.told = nonces, deadline, []

    def done(self, outcome: object) -> None:
        self.told.append(outcome)

    def check(self, now: float) -> None:
        assert len(self.told) <= 1, "answered twice"
        if not self.told:
            return
        (outcome,) = self.told
        if isinstance(outcome, Answer):
            got = outcome.columns[0].values[outcome.start : outcome.start + outcome.n]
            assert got == self.nonces, "given another's answer"
            failed = [error.row for error in outcome.errors]
            assert failed == [i for i, nonce in enumerate(self.nonces) if nonce % 11 == 0]
            assert all(error.message == f"nonce {self.nonces[error.row]}" for error in outcome.errors)
        else:
            assert isinstance(outcome, CarafeError)
            if isinstance(outcome, DeadlineExceeded) and not isinstance(outcome, ModelHung):
                assert now >= self.deadline


class LaneMachine(RuleBasedStateMachine):
    @initialize(channels=st.integers(0, 2))
    def begin(self, channels: int) -> None:
        self.lane = self.new_lane()
        self.now, self.nonce, self.ended = 100.0, 0, 0
        self.waiters: list[Waiter] = []
        self.frames: dict[Channel, bytes] = {}
        for _ in range(channels):
            Channel(self.lane, "h")

    def new_lane(self) -> Lane:
        lane = Lane("echo", "1", [("float64", 1)], (OUTPUT,), MOST_ROWS, HANG_S, QUEUE_ROWS)
        lane.places = Places(PLACES)
        return lane

    def sending(self) -> list[Channel]:
        return [channel for channel in self.lane.channels if channel in self.frames]

    def foreseen(self, n: int) -> tuple[int, float]:
        """Rows before ``n`` that come now, and seconds to their answer, worked out from nothing but what waits and what is under way."""
        lane = self.lane
        cut = n > lane.frame_rows
        before = sum(sum(piece.n for piece in request.pieces[request.at : None if cut else request.at + 1]) for request in lane.waiting)
        left = [abs(sum(p.n for p in one.pieces) * lane.pace.row_s - (self.now - one.sent_at)) if one.sent else 0.0 for one in lane.channels]
        return before, min(left, default=0.0) + (before + n) * lane.pace.row_s / max(1, len(lane.channels))

    @rule(n=st.integers(1, 3) | st.integers(7, 20), patience=st.sampled_from([0.5, 2.0, 60.0]))
    def arrive(self, n: int, patience: float) -> None:
        nonces = list(range(self.nonce, self.nonce + n))
        self.nonce += n
        waiter = Waiter(nonces, self.now + patience)
        rows = Rows(n, (Chunk(struct.pack(f"<{n}d", *nonces)),))
        queued, (before, wait_s) = len(self.lane.waiting), self.foreseen(n)
        try:
            self.lane.arrive(rows, waiter.deadline, self.now, waiter.done)
        except Overloaded as refusal:
            assert self.lane.waiting or self.sending(), "an idle lane refused"
            is_full = before >= QUEUE_ROWS or queued >= PLACES // 2
            assert is_full or wait_s > TRUST * patience, "refused though there was room and time"
            assert refusal.retry_after_s >= 1
            return
        self.waiters.append(waiter)

    @rule()
    def connect(self) -> None:
        if len(self.lane.channels) < 3:
            Channel(self.lane, f"h{self.ended}")

    @rule(data=st.data())
    @precondition(lambda self: any(channel.is_idle for channel in self.lane.channels))
    def send(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from([channel for channel in self.lane.channels if channel.is_idle]))
        frame = channel.send(self.now)
        if frame is None:
            assert not any(not request.ended for request in self.lane.waiting), "a row waits beside an idle channel"
        else:
            assert 0 < read_header(frame).rows <= MOST_ROWS
            assert all(request.deadline > self.now and not request.ended for request, _ in channel.sent), "a row was sent for nobody"
            self.frames[channel] = frame
        assert frame is None or channel.send(self.now) is None, "two frames under way on one channel"

    @rule(data=st.data())
    @precondition(lambda self: self.sending())
    def answer(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from(self.sending()))
        channel.answer(*scripted_answer(self.frames.pop(channel)), self.now)

    @rule(data=st.data(), spoil=st.sampled_from(["short", "longer", "stale"]))
    @precondition(lambda self: self.sending())
    def answer_nonsense(self, data: st.DataObject, spoil: str) -> None:
        channel = data.draw(st.sampled_from(self.sending()))
        waiting = [request for request, _ in channel.sent]
        with pytest.raises(HostFault):
            channel.answer(*scripted_answer(self.frames.pop(channel), spoil=spoil), self.now)
        self.gone(channel, waiting)

    @rule()
    @precondition(lambda self: self.lane.channels)
    def answer_unasked(self) -> None:
        idle = [channel for channel in self.lane.channels if channel not in self.frames]
        if idle:
            with pytest.raises(HostFault):
                idle[0].answer(read_header(HEADER.pack(MAGIC, ANSWER, 0, 0, 1, 0, 0, 0)), b"", self.now)
            self.gone(idle[0], [])

    @rule(data=st.data())
    @precondition(lambda self: self.lane.channels)
    def end_of_file(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from(self.lane.channels))
        waiting = [request for request, _ in channel.sent]
        open_before = [waiter for waiter in self.waiters if not waiter.told]
        channel.lost()
        self.frames.pop(channel, None)
        self.gone(channel, waiting)
        assert all(isinstance(waiter.told[0], HostLost) for waiter in open_before if waiter.told)

    def gone(self, channel: Channel, waiting: list) -> None:
        self.ended += 1
        assert not channel.is_open and channel not in self.lane.channels
        assert all(request.ended for request in waiting), "a waiter of an ended channel was left without an answer"

    @rule(seconds=st.sampled_from([0.1, 0.6, 3.0, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        before = {channel: channel.sent_at for channel in self.sending()}
        hung = self.lane.tick(self.now)
        assert set(hung) == {channel for channel, at in before.items() if self.now - at >= HANG_S}, "only the hang limit ends a channel"
        for channel in hung:
            self.frames.pop(channel)
        for waiter in self.waiters:
            assert waiter.told or waiter.deadline > self.now, "a deadline passed unnoticed"

    @rule(seconds=st.sampled_from([0.1, 0.6]))
    def time_passes_between_two_ticks(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def client_leaves(self) -> None:
        for request in [request for request in self.lane.waiting if not request.ended][:1]:
            request.ended = True
            left = next(waiter for waiter in self.waiters if waiter.done == request.done)
            self.waiters.remove(left)

    @rule()
    def shut(self) -> None:
        open_before = [waiter for waiter in self.waiters if not waiter.told]
        self.lane.shut("the server is stopping")
        self.frames.clear()
        assert all(isinstance(waiter.told[0], NotReady) for waiter in open_before)
        self.is_closed()

    @rule()
    def close(self) -> None:
        under_way = {id(request) for channel in self.lane.channels for request, _ in channel.sent}
        queued = {id(request) for request in self.lane.waiting}
        self.lane.close("this version has gone")
        for channel in self.sending():
            left = [request for request, _ in channel.sent if id(request) in under_way - queued and not request.ended]
            told = len([waiter for waiter in self.waiters if waiter.told])
            channel.answer(*scripted_answer(self.frames.pop(channel)), self.now)
            assert len([waiter for waiter in self.waiters if waiter.told]) == told + len(left), "a frame under way was not answered"
            assert channel.send(self.now) is None
        self.is_closed()

    def is_closed(self) -> None:
        """Nothing is left in the lane and nothing gets in; another version takes its place."""
        lane = self.lane
        assert not lane.waiting and not lane.rows_waiting and not lane.bytes_waiting and not lane.turn_rows and not lane.places.taken
        with pytest.raises(NotReady):
            self.lane.arrive(Rows(1, (Chunk(bytes(8)),)), self.now + 1.0, self.now, pytest.fail)
        self.frames.clear()
        self.lane = self.new_lane()

    @invariant()
    def nobody_is_wronged(self) -> None:
        for waiter in self.waiters:
            waiter.check(self.now)

    @invariant()
    def the_queue_is_counted(self) -> None:
        waiting = self.lane.waiting
        assert self.lane.rows_waiting == sum(piece.n for request in waiting for piece in request.pieces[request.at :])
        assert self.lane.bytes_waiting == sum(request.size for request in waiting)
        assert self.lane.turn_rows == sum(request.pieces[request.at].n for request in waiting)
        assert self.lane.places.taken == len(waiting)
        assert self.lane.sent_rows == sum(piece.n for channel in self.lane.channels for piece in channel.pieces)

    def teardown(self) -> None:
        if hasattr(self, "lane"):
            self.lane.shut("the end")
            assert all(len(waiter.told) == 1 for waiter in self.waiters), "a waiter was lost"


LaneMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
TestLane = LaneMachine.TestCase
