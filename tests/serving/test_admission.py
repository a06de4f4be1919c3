"""Who may wait: a prediction of the wait that is honest, that forgets, and that never keeps an idle model from its work."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from flask_carafe.errors import DeadlineExceeded, Overloaded
from flask_carafe.hosting.frames import read_header
from flask_carafe.serving.admission import MOST_RETRY_S, TRUST, Places
from flask_carafe.serving.channel import Channel
from flask_carafe.serving.lane import Lane
from flask_carafe.signature import Chunk, Rows
from serving.test_lane_machine import OUTPUT, scripted_answer


class World:
    """A lane, its host and a clock: ``row_s`` is what the model needs for a row just now."""

    def __init__(self, row_s: float, channels: int = 1, places: Places | None = None) -> None:
        self.lane = Lane("m", "1", [("float64", 1)], (OUTPUT,), 256, 10.0)
        self.lane.places = places or Places()
        self.channels = [Channel(self.lane, f"h{i}") for i in range(channels)]
        self.row_s, self.now = row_s, 100.0

    def ask(self, n: int = 1, patience: float = 2.0, done: Callable[..., None] = lambda outcome: None) -> None:
        self.lane.arrive(Rows(n, (Chunk(struct.pack(f"<{n}d", *[1.0] * n)),)), self.now + patience, self.now, done)

    def turn(self) -> int:
        """One frame there and back; how many rows it had."""
        frame = self.channels[0].send(self.now)
        if frame is None:
            return 0
        rows = read_header(frame).rows
        self.now += rows * self.row_s
        self.channels[0].answer(*scripted_answer(frame), self.now)
        return rows

    def work(self, frames: int) -> None:
        for _ in range(frames):
            self.ask()
            self.turn()

    def fill(self, patience: float = 2.0) -> Overloaded:
        """Ask until the lane refuses."""
        for _ in range(5000):
            try:
                self.ask(patience=patience)
            except Overloaded as refusal:
                return refusal
        raise AssertionError("nobody was refused")


def test_who_would_be_answered_too_late_is_told_at_once_and_when_to_come_again() -> None:
    world = World(row_s=0.05)
    world.work(5)
    refusal = world.fill(patience=8.0)
    assert world.lane.rows_waiting == pytest.approx(8.0 * TRUST / 0.05, abs=1)
    assert refusal.retry_after_s == 5  # 97 rows need 4.85 s
    world.ask(patience=9.0)  # who has more time may wait


def test_everybody_who_was_let_in_is_answered_in_time() -> None:
    world, told = World(row_s=0.005), []
    world.work(5)
    for _ in range(1000):
        try:
            world.ask(done=told.append)
        except Overloaded:
            break
    while world.turn():
        pass
    assert len(told) == pytest.approx(2.0 * TRUST / 0.005, abs=1)
    assert not [outcome for outcome in told if isinstance(outcome, DeadlineExceeded)]


def test_an_idle_model_and_one_of_which_nothing_is_known_refuse_nobody() -> None:
    world = World(row_s=30.0)
    for _ in range(100):
        world.ask(patience=0.001)  # nothing is known yet
    while world.turn():
        world.now += 1.0
    world.work(3)
    world.ask(patience=0.001)  # known to be slow, but idle
    with pytest.raises(Overloaded):
        world.ask(patience=0.001)


def test_a_model_that_was_slow_once_is_trusted_again() -> None:
    world = World(row_s=10.0)
    world.work(3)
    world.row_s = 0.001
    refused = 0
    for _ in range(60):
        for _ in range(5):
            try:
                world.ask()
            except Overloaded as refusal:
                assert refusal.retry_after_s <= MOST_RETRY_S
                refused += 1
        world.turn()
    assert 0 < refused < 200
    for _ in range(500):
        world.ask()  # nobody is refused any more


def test_a_single_row_is_not_refused_for_the_ten_thousand_rows_of_others_that_take_turns_with_it() -> None:
    world = World(row_s=0.001)
    world.work(40)
    world.ask(10_000, patience=60.0)
    world.turn()
    answered: list[object] = []
    world.ask(done=answered.append)
    assert world.turn() > 100  # the next piece of the big one
    world.turn()
    assert len(answered) == 1


def test_behind_a_frame_that_takes_much_longer_than_foreseen_nobody_is_kept_until_his_deadline() -> None:
    world = World(row_s=0.001)
    world.work(5)
    world.ask()
    world.channels[0].send(world.now)
    world.now += 0.1
    world.lane.tick(world.now)
    world.ask()  # a moment's delay is no reason
    world.now += 1.8
    world.lane.tick(world.now)
    with pytest.raises(Overloaded) as refused:
        world.ask()
    assert refused.value.retry_after_s == 2
    world.channels[0].lost()
    world.channels = [Channel(world.lane, "another")]
    world.lane.tick(world.now)
    world.ask()


def test_a_second_host_that_is_free_answers_for_one_that_is_stuck() -> None:
    world = World(row_s=0.001, channels=2)
    world.work(5)
    world.ask()
    world.channels[1].send(world.now)
    world.now += 5.0
    world.lane.tick(world.now)
    world.ask(patience=0.5)
    assert world.turn() == 1


def test_a_row_whose_deadline_passed_before_its_frame_left_is_not_computed() -> None:
    world, told = World(row_s=0.1), []
    world.ask(patience=0.05)
    world.now += 0.06
    world.ask(patience=9.0, done=told.append)
    assert world.turn() == 1
    assert len(told) == 1 and world.lane.rows == 1


def test_no_model_takes_more_than_half_of_the_places_of_a_worker() -> None:
    places = Places(40)
    slow, quick = World(row_s=1.0, places=places), World(row_s=0.001, places=places)
    slow.fill(patience=3600.0)
    assert len(slow.lane.waiting) == 20 == places.taken
    quick.fill(patience=3600.0)
    assert len(quick.lane.waiting) == 20
    while quick.turn():
        pass
    assert places.taken == 20
    slow.lane.shut("the end")
    assert places.taken == 0
