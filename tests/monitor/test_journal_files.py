"""The journal's files: any frames in are the same frames out, damage costs the end alone, and no disk can stop a prediction."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_carafe.monitor.journal import Journal, Limits, segment, upkeep
from flask_carafe.monitor.journal import format as form
from flask_carafe.monitor.journal.library import Follower, Wanted, last, merged, segments
from flask_carafe.monitor.journal.reader import read
from monitor.lines import PLAIN, Line, frames, records, tape
from processes import until

IDS = st.text(st.characters(blacklist_characters=",", blacklist_categories=("Cs",)), max_size=12)
PIECES = st.lists(st.tuples(IDS, st.integers(0, 9), st.integers(1, 4), st.floats(0, 60, width=32), st.booleans()), min_size=1, max_size=5)
FRAMES = st.lists(st.tuples(PIECES, st.binary(max_size=40), st.binary(max_size=40), st.floats(0, 2e9), st.integers(0, 9), st.booleans()), max_size=5)


def packed(pieces: list, asked: bytes, answer: bytes, at: float, columns: int, from_python: bool) -> bytes:
    """A frame's record with everything said about each piece."""
    ids, firsts, counts, ages, late = zip(*pieces, strict=True)
    n = len(pieces)
    lists = form.struct.pack(f"<{n}f{n}I{n}I{n}B", *ages, *counts, *firsts, *late)
    flags = form.COUNTED | form.SPLIT | form.LATE | form.FROM_PYTHON * from_python
    return form.frame_record(7, flags, at, 0.5, n, lists, ",".join(ids).encode(), asked, sum(counts), columns, 1, answer)


def parsed(data: bytes) -> list[tuple]:
    """The frames of ``data`` in the words of :func:`packed`."""
    at, found = 0, []
    while (record := form.read_record(data, at)) is not None:
        assert record.number == 7
        frame = form.parse_frame(record.payload, record.flags)
        pieces = [(piece.id, piece.first, piece.n, piece.age_s, piece.is_late) for piece in frame.pieces]
        found.append((pieces, frame.asked, frame.answer, frame.at, frame.columns, frame.from_python))
        at = record.end
    return found


@given(FRAMES)
def test_any_frames_in_are_the_same_frames_out(some):
    assert parsed(b"".join(packed(*frame) for frame in some)) == some


@given(FRAMES, st.data())
def test_a_cut_anywhere_loses_only_the_record_that_it_is_in(some, data):
    parts = [packed(*frame) for frame in some]
    whole = b"".join(parts)
    end = data.draw(st.integers(0, len(whole)))
    complete = sum(len(b"".join(parts[: i + 1])) <= end for i in range(len(parts)))
    assert parsed(whole[:end]) == some[:complete]


@pytest.fixture(scope="module")
def a_segment(tmp_path_factory) -> bytes:
    """The bytes of a real segment with rows, pieces and errors."""
    journal = Journal(tmp_path_factory.mktemp("home") / "journal", Limits(), lambda model, n: None)
    line = Line(tape(journal), most_rows=4)
    for nonce in range(1, 14):
        line.ask(f"id-{nonce}", nonce)
    line.turn()
    journal.close()
    (path,) = journal.folder.iterdir()
    return path.read_bytes()


@settings(deadline=None)
@given(st.data())
def test_flipped_bytes_never_crash_a_reader(tmp_path_factory, a_segment, data):
    spoiled = bytearray(a_segment)
    for place in data.draw(st.lists(st.integers(0, len(spoiled) - 1), min_size=1, max_size=4)):
        spoiled[place] ^= data.draw(st.integers(1, 255))
    if data.draw(st.booleans()):  # also where the CRC was made right by whoever spoils it
        spoiled = with_right_sums(spoiled)
    path = tmp_path_factory.getbasetemp() / f"000-{os.getpid()}-0.seg"
    path.write_bytes(spoiled)
    for frame in read(path):
        try:
            list(frame.records())
            list(frame.records(flat=True))
        except ValueError:
            continue


def with_right_sums(data: bytearray) -> bytearray:
    at = 0
    while at + form.PREFIX_BYTES <= len(data):
        size = form.REST.unpack_from(data, at + form.HEAD.size)[0]
        end = at + form.PREFIX_BYTES + size
        if end > len(data):
            break
        form.HEAD.pack_into(data, at, form.MAGIC, form.crc32(data[at + form.HEAD.size : end]))
        at = end
    return data


def test_closed_segments_may_be_joined_end_to_end(journal, tmp_path):
    for number in (1, 2):
        line = Line(tape(journal))
        line.ask(f"id-{number}", number)
        line.turn()
        journal._close()
        until(lambda number=number: len(list(journal.folder.glob("*.seg"))) == number, 10, "the closing")
    joined = tmp_path / "joined.seg"
    joined.write_bytes(b"".join(path.read_bytes() for path in sorted(journal.folder.iterdir())))
    assert [record["id"] for frame in read(joined) for record in frame.records()] == ["id-1", "id-2"]


def test_a_segment_is_closed_by_size_and_by_age(tmp_path):
    journal = Journal(tmp_path, Limits(segment_bytes=4096, segment_s=60.0), lambda model, n: pytest.fail("lost"))
    line = Line(tape(journal))
    for nonce in range(100):
        line.ask(f"id-{nonce}", nonce)
        line.turn()
    until(lambda: len(list(tmp_path.glob("*.seg"))) >= 3, 10, "closing by size")
    line.later_s = 61.0
    journal.tick(line.now())
    until(lambda: not list(tmp_path.glob("*.open")), 10, "closing by age")
    journal.close()
    assert all(path.stat().st_size < 8192 for path in tmp_path.iterdir())
    assert sorted(record["id"] for frame in merged(tmp_path, Wanted()) for record in frame.records()) == sorted(f"id-{n}" for n in range(100))


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from flask_carafe.monitor.journal import Journal, Limits
from monitor.lines import Line, tape
journal = Journal(Path(sys.argv[1]), Limits(), print)
line = Line(tape(journal))
for nonce in range(5):
    line.ask(f"id-{nonce}", nonce)
    line.turn()
os.write(journal._segment.descriptor, b"CRJ1 and then the end")
if os.fork() == 0:  # a child that forgets its parent's file must not close it for others
    os._exit(0)
os.wait()
print("written", flush=True)
if sys.argv[3] == "stay":
    sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_closed_without_its_torn_end_and_what_a_living_one_writes_is_left_alone(tmp_path):
    tests = str(Path(__file__).parents[1])

    def start(how: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path), tests, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"written\n"
        return process

    dead, alive = start("die"), start("stay")
    dead.communicate()
    until(lambda: upkeep.recover(tmp_path) or list(tmp_path.glob("*.seg")), 10, "recovery")  # the living one may be at it as well
    (closed,) = tmp_path.glob("*.seg")
    (still_open,) = tmp_path.glob("*.open")
    assert f"-{dead.pid}-" in closed.name and f"-{alive.pid}-" in still_open.name
    assert not closed.read_bytes().endswith(b"the end")
    assert len([record for frame in merged(tmp_path, Wanted()) for record in frame.records()]) == 10  # open ones are read too
    alive.communicate()


@pytest.fixture
def full_disk():
    """From the call on no file of this process grows beyond so many bytes; until the end of the test, or the next call."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if size is None else size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_predictions_go_on_the_loss_is_counted_and_writing_begins_again(journal, lost, full_disk, caplog):
    line = Line(tape(journal))
    line.ask("first", 1.0)
    line.turn()
    full_disk(os.path.getsize(journal._segment.path) + 10)
    line.ask("lost-1", 2.0)
    line.turn()  # torn in the middle of its record
    line.ask("lost-2", 3.0)
    line.turn()
    assert [answer.n for answer in line.told.values()] == [1, 1, 1] and lost == {"m": 2} and journal.trouble
    assert sum("not journalled" in message for message in caplog.messages) == 1
    full_disk(None)
    line.later_s = 10.0
    line.ask("again", 4.0)
    line.turn()
    assert not journal.trouble
    until(lambda: len(list(journal.folder.glob("*.seg"))) == 1, 10, "the closing of the torn one")
    assert [record["id"] for record in records(journal)] == ["first", "again"]


def test_a_disk_that_is_nearly_full_is_left_to_others(journal, lost, monkeypatch):
    monkeypatch.setattr(segment, "LEAST_FREE_BYTES", 1 << 62)
    line = Line(tape(journal))
    line.ask("id", 1.0)
    line.turn()
    assert line.told["id"].n == 1 and lost == {"m": 1} and not list(journal.folder.iterdir())


def test_a_folder_that_is_removed_is_noticed_and_made_again(journal, lost):
    line = Line(tape(journal))
    line.ask("gone", 1.0)
    line.turn()
    shutil.rmtree(journal.folder)
    line.later_s = 2.0
    journal.tick(line.now())
    line.ask("id", 2.0)
    line.turn()
    assert lost == {"m": 1} and [record["id"] for record in records(journal)] == ["id"]


def test_the_oldest_segments_go_when_there_are_more_bytes_than_are_kept(tmp_path, a_segment):
    for number in range(5):
        (tmp_path / f"{number:012x}-1-0.seg").write_bytes(a_segment)
    (tmp_path / "notes.txt").write_text("not ours")
    upkeep.tidy(tmp_path, int(2.5 * len(a_segment)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000003-1-0.seg", "000000000004-1-0.seg", "notes.txt"]


def test_after_a_fork_the_child_writes_to_a_file_of_its_own(journal):
    line = Line(tape(journal))
    line.ask("parent", 1.0)
    line.turn()
    child = os.fork()
    if child == 0:
        line.ask("child", 2.0)
        line.turn()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(journal.folder.iterdir())) == 2
    assert sorted(record["id"] for record in records(journal)) == ["child", "parent"]
    assert upkeep.recover(journal.folder) == 1  # the child's; the parent holds its own still


def test_segments_of_several_processes_are_merged_by_time_followed_and_read_from_the_end(tmp_path):
    journals = [Journal(tmp_path, Limits(), lambda model, n: pytest.fail("lost")) for _ in range(3)]
    for serial, journal in enumerate(journals):
        journal._serial = serial + 1  # one process has three here
    lines = [Line(tape(journal)) for journal in journals]
    for nonce in range(30):
        lines[nonce % 3].ask(f"{nonce:02}", nonce)
        lines[nonce % 3].turn()
    ids = [f"{nonce:02}" for nonce in range(30)]
    assert [frame.pieces[0].id for frame in merged(tmp_path, Wanted())] == ids
    assert [frame.pieces[0].id for frame in last(tmp_path, Wanted("m"), 4)] == ids[-4:]
    assert not list(merged(tmp_path, Wanted("other"))) and not last(tmp_path, Wanted("other"), 4)
    middle = [frame.at for frame in merged(tmp_path, Wanted())][15]
    assert [frame.pieces[0].id for frame in merged(tmp_path, Wanted(since=middle))] == ids[15:]
    assert [frame.pieces[0].id for frame in merged(tmp_path, Wanted(until=middle))] == ids[:15]

    follower = Follower(tmp_path, Wanted(), middle)
    assert [frame.pieces[0].id for frame in follower.new()] == ids[16:]
    assert follower.new() == []
    lines[0].ask("new-0", 1.0)
    lines[0].turn()
    journals[0].close()  # closed before anybody looked
    lines[1].ask("new-1", 1.0)
    lines[1].turn()
    assert [frame.pieces[0].id for frame in follower.new()] == ["new-0", "new-1"]
    assert follower.new() == []
    follower.close()
    for journal in journals:
        journal.close()
    assert len(segments(tmp_path)) == 3 and PLAIN.fields


def test_an_open_segment_is_read_up_to_what_is_whole(journal):
    line = Line(tape(journal))
    line.ask("id", 1.0)
    line.turn()
    with open(journal._segment.path, "ab") as file:
        file.write(form.record(form.FRAME, b"x" * 50)[:-10])
    assert [frame.pieces[0].id for frame in frames(journal)] == ["id"]
