"""Hosts are started, watched, adopted and ended, and leave nothing behind. Real processes, no model."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.errors import HostFault
from flask_carafe.hosting.backoff import Backoff
from flask_carafe.hosting.handle import connect
from flask_carafe.hosting.process import Process, clean_environment, interpreter, start_time
from flask_carafe.hosting.records import HostRecord, HostRecords
from flask_carafe.hosting.rundir import run_dir
from flask_carafe.hosting.supervisor import Supervisor, importable
from flask_carafe.hosting.tail import LogTail
from flask_carafe.hosting.zygote_client import Zygote

Test = Callable[[Supervisor], Coroutine[Any, Any, None]]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run directory whose processes must all be gone afterwards."""
    base = Path(f"/tmp/carafe-t{os.getpid()}")
    monkeypatch.setenv("CARAFE_RUN_DIR", str(base))
    path = run_dir(tmp_path)
    yield path
    left = processes_of(path)
    for process in left:
        process.kill()
    subprocess.run(["rm", "-rf", base], check=True)
    assert not left


def processes_of(path: Path) -> list[Process]:
    """Living processes that have anything of ``path`` open or as their directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            places = [os.readlink(entry / "cwd"), *(os.readlink(fd) for fd in (entry / "fd").iterdir())]
        except OSError:
            continue
        started = start_time(int(entry.name))
        if started is not None and any(place.startswith(str(path)) for place in places):
            found.append(Process(int(entry.name), started))
    return found


def supervised(directory: Path, test: Test) -> None:
    async def run() -> None:
        supervisor = Supervisor(directory, idle_s=3.0)
        try:
            await asyncio.wait_for(test(supervisor), 30)
        finally:
            await supervisor.stop()

    asyncio.run(run())


async def until(condition: Callable[[], bool], seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_hosts_are_forked_from_one_zygote_in_sessions_of_their_own(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        hosts = await asyncio.gather(*(supervisor.start_host() for _ in range(5)))
        assert len({host.pid for host in hosts}) == 5
        for host in hosts:
            assert os.getsid(host.pid) == host.pid
            assert Path(f"/proc/{host.pid}/stat").read_text().split()[3] == str(supervisor.zygote_pid)
            assert (await host.request({"op": "status"}))["ok"]

    supervised(directory, test)


def test_a_host_that_is_killed_is_seen_at_once_and_leaves_no_files(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        os.kill(host.pid, signal.SIGKILL)
        await asyncio.wait_for(host.closed.wait(), 1)
        await until(lambda: not supervisor.hosts)
        assert not list((directory / "hosts").iterdir())
        with pytest.raises(Exception, match="ended"):
            await host.request({"op": "status"})

    supervised(directory, test)


def test_hosts_live_on_when_the_zygote_is_killed_and_another_takes_its_place(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        first = await supervisor.start_host()
        killed = supervisor.zygote_pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        second = await supervisor.start_host()
        assert supervisor.zygote_pid not in {None, killed}
        assert (await first.request({"op": "status"}))["ok"]
        assert (await second.request({"op": "status"}))["ok"]

    supervised(directory, test)


def test_hosts_ignore_the_signals_of_a_terminal(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(host.pid, number)
        assert (await host.request({"op": "status"}))["ok"]

    supervised(directory, test)


def test_a_host_that_stays_deaf_is_killed_when_it_is_stopped(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        os.kill(host.pid, signal.SIGSTOP)
        await host.stop(timeout_s=0.3)
        assert not host.process.is_alive()

    supervised(directory, test)


def test_a_successor_adopts_the_same_processes(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        successor = Supervisor(directory)
        adopted = await successor.adopt()
        assert {handle.id: handle.pid for handle in adopted.values()} == {host.id: host.pid}
        fresh = await successor.start_host()
        assert fresh.id != host.id
        await successor.stop()
        assert not host.process.is_alive()

    supervised(directory, test)


def test_a_record_whose_pid_now_belongs_to_a_stranger_is_dropped_and_the_stranger_lives(directory: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])

    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        record = directory / "hosts" / f"{host.id}.json"
        lie = record.read_text().replace(f'"pid":{host.pid}', f'"pid":{stranger.pid}')
        (directory / "hosts" / "h900.json").write_text(lie.replace(f'"id":"{host.id}"', '"id":"h900"'))
        successor = Supervisor(directory)
        adopted = await successor.adopt()
        assert list(adopted) == [host.id]
        assert stranger.poll() is None
        assert not (directory / "hosts" / "h900.json").exists()
        await successor.stop()

    try:
        supervised(directory, test)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_deaf_host_is_not_adopted_but_ended(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        os.kill(host.pid, signal.SIGSTOP)
        monkeypatch.setattr("flask_carafe.hosting.supervisor.ADOPT_TIMEOUT_S", 0.3)
        successor = Supervisor(directory)
        assert await successor.adopt() == {}
        assert not host.process.is_alive()

    supervised(directory, test)


LIAR = """
import os, socket, sys
from flask_carafe.hosting.frames import HEADER, MAGIC, REPLY
from flask_carafe.hosting.process import start_time
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
peer, _ = listener.accept()
peer.recv(65536)
body = eval(sys.argv[2])
peer.sendall(HEADER.pack(MAGIC, REPLY, 0, 0, 1, 0, len(body), 0) + body)
peer.recv(1)
"""
GREETING = '{"ok":true,"protocol":1,"id":"%s","pid":%d,"started":%d}'


@pytest.mark.parametrize(
    "answer",
    [
        f"({GREETING!r} % ('../evil', os.getpid(), start_time(os.getpid()))).encode()",
        """b'{"ok":true,"protocol":1,"id":"h900","pid":"one","started":1}'""",
        "b'[' * 200000",
        "b'\\xff'",
    ],
)
def test_a_host_that_lies_about_itself_is_not_adopted_but_ended(directory: Path, answer: str) -> None:
    path = directory / "hosts" / "h900.sock"
    liar = subprocess.Popen([sys.executable, "-c", LIAR, path, answer], stdout=subprocess.PIPE)
    assert liar.stdout is not None
    liar.stdout.readline()
    HostRecords(directory).add(HostRecord(id="h900", pid=liar.pid, started=start_time(liar.pid) or 0, address=f"unix:{path}", token="t"))

    async def test(supervisor: Supervisor) -> None:
        assert await supervisor.adopt() == {}

    try:
        supervised(directory, test)
        assert liar.wait(5) == -signal.SIGKILL
        assert not list((directory / "hosts").iterdir())
    finally:
        liar.kill()
        liar.wait()
        liar.stdout.close()


def test_pandas_with_pyarrow_beside_it_starts_no_thread() -> None:
    """The zygote could fork no host of a model over a data frame, nor of scikit-learn, which imports pandas."""
    pytest.importorskip("pyarrow")
    script = "import os, pandas, pyarrow, sklearn.linear_model; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([interpreter(), "-c", script], env=clean_environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_libraries_imported_before_are_not_blamed_for_the_threads_of_another(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def import_modules(zygote: Zygote, modules: list[str]) -> None:
        zygote.imported.update(modules)
        zygote.threads = 2 if "xgboost" in modules else 1

    async def test(supervisor: Supervisor) -> None:
        monkeypatch.setattr("flask_carafe.hosting.supervisor.importable", list)
        monkeypatch.setattr(Zygote, "import_modules", import_modules)
        await supervisor.start_host(["numpy", "sklearn"])
        await supervisor.start_host(["numpy", "xgboost"])
        assert supervisor.zygote_pid is None
        await supervisor.start_host(["numpy", "sklearn"])
        assert supervisor.zygote_pid is not None

    supervised(directory, test)


def test_where_the_zygote_cannot_fork_a_host_is_started_fresh(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(supervisor: Supervisor) -> None:
        supervisor._unforkable.add("json")
        monkeypatch.setattr("flask_carafe.hosting.supervisor.importable", list)
        host = await supervisor.start_host(["json"])
        assert supervisor.zygote_pid is None
        assert (await host.request({"op": "status"}))["id"] == host.id
        await supervisor.stop_host(host)

    supervised(directory, test)


def test_what_a_host_prints_is_logged_with_its_id(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        with open(directory / "hosts" / f"{host.id}.log", "a") as file:
            file.write("hello from the model\n")
        with caplog.at_level("INFO", "flask_carafe.host"):
            await until(lambda: f"{host.id}: hello from the model" in caplog.messages)

    supervised(directory, test)


def test_a_host_without_any_connection_leaves_by_itself(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        supervisor.idle_s = 0.5
        host = await supervisor.start_host()
        await host.let_go()
        assert await host.process.gone(5.0) or not host.process.is_alive()

    supervised(directory, test)


def test_a_wrong_token_is_refused(directory: Path) -> None:
    async def test(supervisor: Supervisor) -> None:
        host = await supervisor.start_host()
        with pytest.raises(HostFault):
            await connect(host.address, "0" * 32)
        assert (await host.request({"op": "status"}))["ok"]

    supervised(directory, test)


def test_children_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARAFE_SECRET_KEY", "s")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("DATABASE_URL", "s")
    environment = clean_environment()
    assert not {"CARAFE_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL"} & set(environment)
    assert environment["OMP_NUM_THREADS"] == environment["OPENBLAS_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "1"


def test_the_interpreter_is_found_where_the_executable_is_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/sbin/apache2")
    assert os.path.realpath(interpreter()) == os.path.realpath(Path(sys.prefix, "bin", "python3"))
    monkeypatch.setenv("CARAFE_PYTHON", "/opt/python")
    assert interpreter() == "/opt/python"


def test_a_signal_reaches_no_process_that_started_at_another_time() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        started = start_time(child.pid)
        assert started is not None
        assert not Process(child.pid, started + 1).kill()
        assert child.poll() is None
        assert Process(child.pid, started).kill()
    finally:
        child.kill()
        child.wait()
    assert start_time(child.pid) is None


def test_what_hangs_is_ended_where_no_descriptor_is_left_to_hold_it_by(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(pid: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        monkeypatch.setattr(os, "pidfd_open", none_left)
        started = start_time(child.pid) or 0
        assert not Process(child.pid, started + 1).kill()
        assert Process(child.pid, started).kill()
        assert child.wait(5) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait()


def test_relative_paths_in_the_environment_are_made_whole(tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent.parent)
    monkeypatch.setenv("CARAFE_RUN_DIR", directory.parent.name)
    monkeypatch.setenv("CARAFE_PYTHON", "bin/python")
    assert run_dir(tmp_path) == directory
    assert interpreter() == str(directory.parent.parent / "bin" / "python")
    monkeypatch.setenv("CARAFE_PYTHON", "python3.11")
    assert interpreter() == "python3.11"


def test_only_installed_libraries_from_the_list_are_imported_beforehand() -> None:
    assert importable(["sklearn.svm", "numpy", "os", "shutil", "evil_module", "sklearn.svm"]) == ["sklearn.svm", "numpy"]


def test_crashes_in_a_row_are_met_with_growing_patience_and_a_minute_of_health_is_forgotten() -> None:
    backoff = Backoff()
    assert [backoff.after_crash(now) for now in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.started(100.0)
    assert backoff.after_crash(130.0) == 30
    backoff.started(200.0)
    assert backoff.after_crash(261.0) == 0


def test_the_run_directory_is_private_short_and_the_same_for_every_process(tmp_path: Path, directory: Path) -> None:
    assert run_dir(tmp_path) == directory
    assert directory.stat().st_mode & 0o777 == 0o700
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert run_dir(link) == directory


def test_a_run_directory_that_is_someone_elses_link_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "base").symlink_to(tmp_path / "target")
    monkeypatch.setenv("CARAFE_RUN_DIR", str(tmp_path / "base"))
    with pytest.raises(Exception, match="not a directory of this user"):
        run_dir(tmp_path)


def test_a_log_is_followed_through_long_lines_and_truncation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "h1.log"
    tail = LogTail(path, "h1")
    assert tail.step() == 0
    with caplog.at_level("INFO", "flask_carafe.host"):
        path.write_bytes(b"one\ntw")
        assert tail.step() == 1
        with path.open("ab") as file:
            file.write(b"o\n" + b"x" * 5000)
        assert tail.step() == 2
        path.write_bytes(b"new\n")
        assert tail.step() == 1
    assert [message[:12] for message in caplog.messages] == ["h1: one", "h1: two", "h1: xxxxxxxx", "h1: new"]


def test_a_model_that_prints_faster_than_is_logged_does_not_fill_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "h1.log"
    tail = LogTail(path, "h1")
    with path.open("ab") as file, caplog.at_level("INFO", "flask_carafe.host"):
        file.write(b"first\n")
        file.flush()
        tail.step()
        file.write(b"noise\n" * 1_000_000)
        file.flush()
        tail.step()
        assert path.stat().st_size == 0
        file.write(b"last\n")
        file.flush()
        tail.step()
    assert caplog.messages == ["h1: first", "h1: printed 6000000 bytes faster than they could be logged; they are lost.", "h1: last"]
