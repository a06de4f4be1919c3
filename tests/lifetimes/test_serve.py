"""How ``carafe serve`` ends, and what survives the death of each of its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from typing import Any

from processes import nothing_left, of_world, until

WHOLE_S = 3.0


def after_kill(world: Any, pid: int) -> float:
    """Kill ``pid`` and wait until the service is whole; seconds that it took."""
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.02)
    until(world.whole, WHOLE_S, "a whole service")
    return time.monotonic() - began


def test_ctrl_c_on_a_terminal_ends_everything_with_exit_code_0(world: Any) -> None:
    process, terminal = world.on_terminal()
    hosts = world.host()
    os.write(terminal, b"\x03")
    assert process.wait(8) == 0
    assert not nothing_left(world.base, world.path, within_s=1.0)
    assert not os.path.exists(f"/proc/{hosts}")
    os.close(terminal)


def test_sigterm_under_load_fails_no_request_that_was_accepted(world: Any, load: Any) -> None:
    process = world.serve(environment={"CARAFE_NOTICE_S": "0.5"})
    slow: list[Any] = []
    with load:
        asking = threading.Thread(target=lambda: slow.append(world.try_ask(5.0, seconds=1.5)))
        asking.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        until(lambda: world.get("/readyz")[0] == 503, 1.0, "503 at /readyz")
        assert world.answers()
        asking.join(8)
        assert process.wait(8) == 0
    assert slow[0][0] == 200, slow
    assert slow[0][1]["prediction"] == 15
    answered = [answer for answer in load.failures() if answer[1] != 0 or "refused" not in answer[2]]
    assert not answered
    assert not nothing_left(world.base, world.path, within_s=1.0)


def test_a_second_signal_ends_it_at_once(world: Any) -> None:
    process = world.serve(environment={"CARAFE_NOTICE_S": "20"})
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(4) == 0
    assert not nothing_left(world.base, world.path, within_s=1.0)


def test_a_killed_host_is_replaced_and_only_what_was_in_it_fails(world: Any, load: Any) -> None:
    world.serve()
    with load:
        time.sleep(0.3)
        took = after_kill(world, world.host())
        time.sleep(0.3)
    assert took < WHOLE_S
    assert {status for _, status, _, _ in load.failures()} <= {503}
    assert load.answers[-1][1] == 200


def test_predictions_go_on_without_a_steward_and_its_successor_keeps_the_hosts(world: Any, load: Any) -> None:
    world.serve()
    host, steward = world.host(), world.status()["pid"]
    with load:
        after_kill(world, steward)
    assert not load.failures()
    assert world.status()["pid"] != steward
    assert world.host() == host


def test_a_killed_web_worker_is_replaced_and_the_other_goes_on(world: Any, load: Any) -> None:
    world.serve("--workers", "2")
    killed, other = sorted(until(lambda: len(world.workers()) == 2 and world.workers(), 5.0))
    with load:
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(world.workers()) == 2 and killed not in world.workers(), WHOLE_S, "a new worker")
        assert other in world.workers()
    assert {status for _, status, _, _ in load.failures()} <= {0}
    assert len(load.failures()) <= 8


def test_a_killed_zygote_is_replaced_and_nobody_notices(world: Any, load: Any) -> None:
    world.serve()
    zygote = world.status()["zygotes"][0]
    with load:
        after_kill(world, zygote)
        until(lambda: world.status()["zygotes"] not in ([], [zygote]), WHOLE_S, "a new zygote")
        after_kill(world, world.host())
    assert {status for _, status, _, _ in load.failures()} <= {503}


def test_a_killed_server_process_is_started_again(world: Any) -> None:
    process = world.serve()
    server = next(each for each, command in of_world(world.path).items() if "flask_carafe.cli.web" in command)
    began = time.monotonic()
    server.kill()
    until(lambda: not server.is_alive() and world.answers(), WHOLE_S, "a new server")
    assert time.monotonic() - began < WHOLE_S
    assert process.poll() is None


def test_nothing_outlives_a_parent_that_was_killed(world: Any) -> None:
    process = world.serve()
    process.kill()
    process.wait()
    assert not nothing_left(world.base, world.path, within_s=8.0)


def test_a_port_that_is_taken_is_told_before_anything_is_started(world: Any) -> None:
    world.serve()
    second = subprocess.run(
        [*world.command(), "--home", str(world.path / "other")], env=world.environment, cwd=world.path, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert f"Cannot listen at 127.0.0.1:{world.port}" in second.stderr
    assert "--port" in second.stderr


def test_a_second_serve_with_the_same_home_is_refused(world: Any) -> None:
    world.serve()
    second = subprocess.run([*world.command(), "--port", "0"], env=world.environment, cwd=world.path, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "Another `carafe serve`" in second.stderr
    assert world.answers()


def test_a_home_that_cannot_be_written_is_told_before_anything_is_started(world: Any) -> None:
    (world.path / "file").touch()
    command = [*world.command(), "--home", str(world.path / "file" / "home")]
    done = subprocess.run(command, env=world.environment, cwd=world.path, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "cannot be written to" in done.stderr
    assert "--home DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_refused_ends_serve_with_the_reason(world: Any) -> None:
    (world.path / "bad.pkl").write_bytes(b"no model")
    command = [*world.command()[:4], "bad.pkl", "--port", "0"]
    done = subprocess.run(command, env=world.environment, cwd=world.path, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "bad" in done.stderr
    assert "Traceback" not in done.stderr
    assert not nothing_left(world.base, world.path, within_s=1.0)


def test_dev_loads_a_changed_model_without_a_restart(world: Any) -> None:
    world.serve("--dev")
    world.code.write_text(world.code.read_text().replace("3 * x", "30 * x"))
    until(lambda: world.prediction(2.0) == 60, 8.0, "the new version")
    assert world.status()["models"][0]["version"] == 2


def test_a_model_that_hangs_is_replaced_and_pages_stay_quick(world: Any) -> None:
    world.serve("--timeout-ms", "700")
    host = world.host()
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(world.try_ask(5.0, seconds=30.0)))
    asking.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert world.get("/livez")[0] == 200
    assert time.monotonic() - began < 0.5
    asking.join(5)
    assert answers[0][0] == 504
    assert answers[0][1]["code"] == "model_hung"
    until(world.whole, WHOLE_S, "a whole service")
    assert world.host() != host


def test_after_a_model_is_gone_for_good_the_others_serve_and_readyz_says_degraded(world: Any) -> None:
    (world.path / "twice.py").write_text(
        "import os\n\n\ndef twice(x: float, seconds: float = 0.0) -> float:\n    return os._exit(3) if x == 13 else 2 * x\n"
    )
    world.serve(f"twice={world.path / 'twice.py'}:twice", "--workers", "1", environment={"CARAFE_DEFAULT_MODEL": "triple"})
    assert world.try_ask(4.0, path="/models/twice/predict")[1]["prediction"] == 8
    for _ in range(3):
        assert world.try_ask(13.0, path="/models/twice/predict")[0] == 503
        time.sleep(0.1)
    status, body = world.get("/readyz")
    assert (status, body["status"]) == (200, "degraded")
    assert world.try_ask(2.0, path="/models/triple/predict")[1]["prediction"] == 6
