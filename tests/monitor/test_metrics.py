"""Metrics: right over many processes, never backwards, bounded, and whole after anything that happens to a file."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from flask_carafe.monitor import Recorder, exposition, mapped, past
from flask_carafe.monitor.metrics import FOLDER, OTHER

WORKER = """
import sys, time
from pathlib import Path
from flask_carafe.monitor import Recorder
recorder = Recorder(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    recorder.request("iris", "1", "loop", "ok", 2, 0.003)
print("counted", flush=True)
time.sleep(60)
"""


def samples(recorder: Recorder) -> dict[tuple[str, ...], float]:
    """``{("carafe_requests_total", "iris", …labels by name): value}``"""
    families = parse_text(exposition(recorder, 1, restarts={"iris": 1})[0].decode())
    return {(s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for family in families for s in family.samples}


def requests(recorder: Recorder) -> float:
    return sum(value for key, value in samples(recorder).items() if key[0] == "carafe_requests_total")


@pytest.fixture
def recorder(tmp_path):
    recorder = Recorder(tmp_path)
    yield recorder
    recorder.close()


def test_a_scrape_tells_requests_rows_frames_errors_and_restarts(recorder):
    recorder.request("iris", "1", "loop", "ok", 3, 0.004)
    recorder.request("iris", "1", "flask", "invalid_value", 0, 0.0001)
    recorder.request("iris", "2", "flask", "invalid_value", 0, 20.0)
    recorder.frame("iris", 3, 0.25)
    found = samples(recorder)
    assert found["carafe_requests_total", "ok", "loop", "iris", "1"] == 1
    assert found["carafe_requests_total", "invalid_value", "flask", "iris", "2"] == 1
    assert found["carafe_rows_total", "iris", "1"] == 3
    assert (found["carafe_frames_total", "iris"], found["carafe_frame_rows_total", "iris"]) == (1, 3)
    assert found["carafe_frame_seconds_total", "iris"] == 0.25
    assert found["carafe_errors_total", "invalid_value", "iris"] == 2
    assert found["carafe_host_restarts_total", "iris"] == 1
    assert found["carafe_models_ready",] == 1


def test_the_histogram_is_cumulative_and_its_count_is_that_of_the_requests(recorder):
    for seconds in (0.0005, 0.0006, 0.003, 9.0, 11.0):
        recorder.request("iris", "1", "loop", "ok", 1, seconds)
    found = samples(recorder)
    bounds = ("0.0005", "0.001", "0.005", "10.0", "+Inf")
    assert [found["carafe_request_seconds_bucket", "loop", bound, "iris", "1"] for bound in bounds] == [1, 2, 3, 4, 5]
    assert found["carafe_request_seconds_count", "loop", "iris", "1"] == 5
    assert found["carafe_request_seconds_sum", "loop", "iris", "1"] == pytest.approx(20.0041)


def test_openmetrics_is_given_to_who_asks_for_it(recorder):
    recorder.request("iris", "1", "loop", "ok", 1, 0.1)
    body, content_type = exposition(recorder, 1, "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text") and body.endswith(b"# EOF\n")
    assert "carafe_requests" in {family.name for family in parse_openmetrics(body.decode())}
    assert exposition(recorder, 1, "text/html")[1].startswith("text/plain")


def test_labels_that_need_escapes_come_back_as_they_were(recorder):
    name = 'a"b\\c\nd é'
    recorder.request(name, "1", "loop", "ok", 1, 0.1)
    assert samples(recorder)["carafe_requests_total", "ok", "loop", name, "1"] == 1


def test_all_threads_of_a_process_count(recorder):
    def work():
        for _ in range(2000):
            recorder.request("iris", "1", "flask", "ok", 1, 0.001)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests(recorder) == 16_000


def test_workers_are_summed_and_a_killed_one_keeps_counting(tmp_path, recorder):
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, tmp_path, str(n)], stdout=subprocess.PIPE) for n in (100, 23)]
    try:
        for worker in workers:
            assert worker.stdout and worker.stdout.readline() == b"counted\n"
        recorder.request("iris", "1", "loop", "ok", 2, 0.003)
        assert requests(recorder) == 124
        workers[0].kill()
        workers[0].wait(10)
        assert requests(recorder) == 124
        assert len(list((tmp_path / FOLDER).glob("*.map"))) == 2, "the dead one's file was folded into the past"
        assert samples(recorder)["carafe_rows_total", "iris", "1"] == 248
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(10)
            worker.stdout.close()
    assert requests(recorder) == 124


def test_a_thousand_restarts_leave_one_file_and_lose_nothing(tmp_path):
    for _ in range(1000):
        restarted = Recorder(tmp_path)
        restarted.request("iris", "1", "loop", "ok", 1, 0.001)
        restarted.close()
    recorder = Recorder(tmp_path)
    began = time.perf_counter()
    assert requests(recorder) == 1000
    assert time.perf_counter() - began < 0.5
    assert len(list((tmp_path / FOLDER).iterdir())) <= 3
    assert (tmp_path / FOLDER / past.PAST).stat().st_size < 4 * past.MOST_NAMES * 16
    recorder.close()


def test_counters_never_run_backwards_while_workers_come_and_go(tmp_path, recorder):
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            worker = Recorder(tmp_path)
            worker.request("iris", "1", "loop", "ok", 1, 0.001)
            worker.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(2)]
    for thread in threads:
        thread.start()
    seen = []
    until = time.monotonic() + 1
    while time.monotonic() < until:
        seen.append(requests(recorder))
    stop.set()
    for thread in threads:
        thread.join()
    assert seen == sorted(seen)
    assert seen[-1] > 0


def test_a_crash_between_folding_and_removing_counts_nothing_twice(tmp_path, recorder):
    worker = Recorder(tmp_path)
    worker.request("iris", "1", "loop", "ok", 1, 0.001)
    folder = tmp_path / FOLDER
    worker.close()
    (file,) = folder.glob("*.map")
    content = file.read_bytes()
    assert requests(recorder) == 1
    file.write_bytes(content)
    assert requests(recorder) == 1
    assert not file.exists()


TORN = {
    "empty": b"",
    "short": b"CRFM",
    "zeros": bytes(4096),
    "boastful": b"CRFM" + struct.pack("<II", 1, 2**31) + bytes(600),
    "of another format": b"CRFM" + struct.pack("<II", 9, 1) + bytes(4096),
    "noise": random.Random(7).randbytes(70_000),
}


@pytest.mark.parametrize("content", TORN.values(), ids=TORN)
def test_a_torn_file_is_as_good_as_what_is_whole_in_it(tmp_path, recorder, content):
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    (tmp_path / FOLDER / "1-1.map").write_bytes(content)
    assert requests(recorder) == 1


def test_one_torn_block_costs_that_block_only(tmp_path, recorder):
    worker = Recorder(tmp_path)
    for model in ("a", "b", "c"):
        worker.request(model, "1", "loop", "ok", 1, 0.001)
    (file,) = (tmp_path / FOLDER).glob("*.map")
    worker.close()
    content = bytearray(file.read_bytes())
    at = content.index(b'["b"')
    content[at : at + 4] = b"\xff\xfe[{"
    content[content.index(b'["c"') - 4 + mapped.VALUES_AT : content.index(b'["c"') + 4 + mapped.VALUES_AT] = struct.pack("<d", float("nan"))
    file.write_bytes(content)
    assert requests(recorder) == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"series": 3}', b'{"folded": [], "series": [[1, ["x"], [1.0]]]}', b"\xff" * 10])
def test_a_past_that_cannot_be_read_is_a_counter_reset_and_no_error(tmp_path, recorder, content):
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    (tmp_path / FOLDER / past.PAST).write_bytes(content)
    assert requests(recorder) == 1


def test_a_file_that_something_tidied_away_comes_back(tmp_path, recorder):
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    (file,) = (tmp_path / FOLDER).glob("*.map")
    file.unlink()
    assert requests(recorder) == 1
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    other = Recorder(tmp_path)
    assert requests(other) == 2
    other.close()


def test_a_folder_that_cannot_be_written_costs_the_sharing_and_no_request(tmp_path):
    (tmp_path / FOLDER).write_text("in the way")
    recorder = Recorder(tmp_path)
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    assert requests(recorder) == 1
    recorder.close()


def test_more_series_than_there_is_room_for_share_one(recorder, monkeypatch):
    monkeypatch.setattr(mapped, "MOST_BLOCKS", 300)
    for i in range(mapped.MOST_BLOCKS + 10):
        recorder.request(f"m{i}", "1", "loop", "ok", 1, 0.001)
    found = samples(recorder)
    assert sum(value for key, value in found.items() if key[0] == "carafe_requests_total") == mapped.MOST_BLOCKS + 10
    assert found["carafe_requests_total", OTHER, OTHER, OTHER, OTHER] > 0


def count_in_child(recorder: Recorder, queue: multiprocessing.Queue) -> None:
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    queue.put(requests(recorder))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_counts_in_a_file_of_its_own(tmp_path, recorder):
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=count_in_child, args=(recorder, queue))
    child.start()
    assert queue.get(timeout=10) == 2
    child.join(10)
    recorder.request("iris", "1", "loop", "ok", 1, 0.001)
    assert requests(recorder) == 3


def test_nothing_is_opened_before_the_first_count(tmp_path):
    Recorder(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_two_applications_in_one_process_share_nothing(tmp_path):
    one, two = Recorder(tmp_path / "one"), Recorder(tmp_path / "two")
    one.request("iris", "1", "loop", "ok", 1, 0.001)
    assert (requests(one), requests(two)) == (1, 0)
    one.close()
    two.close()


def test_a_worker_that_is_stopped_does_not_hold_a_scrape_up(tmp_path, recorder):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, tmp_path, "5"], stdout=subprocess.PIPE)
    try:
        assert worker.stdout and worker.stdout.readline()
        worker.send_signal(signal.SIGSTOP)
        began = time.perf_counter()
        assert requests(recorder) == 5
        assert time.perf_counter() - began < 1
    finally:
        worker.kill()
        worker.wait(10)
        worker.stdout.close()


def test_the_past_is_plain_json_that_names_what_it_holds(tmp_path, recorder):
    worker = Recorder(tmp_path)
    worker.request("iris", "1", "loop", "ok", 1, 0.001)
    worker.close()
    requests(recorder)
    content = json.loads((tmp_path / FOLDER / past.PAST).read_bytes())
    assert len(content["folded"]) == 1 and Path(content["folded"][0]).suffix == ".map"


def test_every_metric_has_its_line_in_the_docs(recorder):
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    for family in parse_openmetrics(exposition(recorder, 1, "application/openmetrics-text; version=1.0.0")[0].decode()):
        assert f"`{family.name}{'_total' if family.type == 'counter' else ''}`" in text
