"""A steward keeps what was declared served. Real processes; models are small Python functions, which load at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flask_carafe.artifacts.spec import from_options
from flask_carafe.cli.steward_link import StewardLink
from flask_carafe.errors import HostFault
from flask_carafe.hosting.ensure import is_steward_there
from flask_carafe.hosting.process import Process
from flask_carafe.serving.asking import ask
from flask_carafe.serving.engine import Engine, Limits
from flask_carafe.serving.link import Link
from processes import nothing_left

Told = dict[str, Any]
TRIPLE = "def triple(x: float) -> float:\n    return 3 * x\n"


def is_ready(entry: Told) -> bool:
    return entry["state"] == "ready"


def host_of(entry: Told) -> int:
    return int(entry["hosts"][0]["pid"])


async def status(home: Any) -> Told:
    return await home.link.ask({"op": "status"})


def test_a_declared_model_is_admitted_and_stands_in_the_table_and_in_its_file(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec(routes="/api", description="Times three.")], "triple")
        entry = await home.until(is_ready)
        assert entry["routes"] == ["/api"]
        assert entry["description"] == "Times three."
        assert entry["signature"]["fields"][0]["name"] == "x"
        assert home.link.table["default_model"] == "triple"
        written = msgspec.json.decode((home.run_dir / "table.json").read_bytes())
        assert written["models"][0]["hosts"] == entry["hosts"]
        assert (home.run_dir / "table.json").stat().st_mode & 0o777 == 0o600

    home.drive(test)


def test_a_model_that_is_refused_says_why_and_the_others_serve(home: Any) -> None:
    async def test() -> None:
        bad = home.models / "bad.pkl"
        bad.write_bytes(b"this is no pickle at all")
        await home.link.declare([home.spec(), from_options("bad", files=str(bad))], "")
        refused = await home.until(lambda entry: entry["state"] == "refused", name="bad")
        assert refused["reason"]
        assert refused["hosts"] == []
        await home.until(is_ready)
        assert home.link.table["default_model"] is None

    home.drive(test)


def test_an_unloaded_model_stays_away_until_it_is_loaded_or_a_person_serves_it_again(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        reply = await home.link.ask({"op": "unload", "model": "triple"})
        assert reply["entry"]["state"] == "unloaded" and not reply["entry"]["hosts"]
        await home.link.declare([home.spec()], "")  # as a worker or a command does that meets this steward anew
        assert (await home.link.ask({"op": "status"}))["models"][0]["state"] == "unloaded"
        loaded = (await home.link.ask({"op": "load", "model": "triple"}))["entry"]
        assert loaded["state"] == "ready" and loaded["version"] == first["version"] and host_of(loaded) != host_of(first)
        await home.link.ask({"op": "unload", "model": "triple"})
        await home.link.declare([home.spec()], "", fresh=True)
        await home.until(is_ready)

    home.drive(test)


def test_a_killed_host_is_told_at_once_and_back_within_a_second(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        os.kill(host_of(first), signal.SIGKILL)
        failed = await home.until(lambda entry: entry["state"] == "failed", 0.5)
        assert failed["hosts"] == []
        assert failed["signature"] == first["signature"]
        back = await home.until(is_ready, 1.0)
        assert back["restarts"] == 1
        assert back["version"] == first["version"]
        assert host_of(back) != host_of(first)

    home.drive(test)


def test_a_host_that_hangs_is_replaced_on_a_workers_word(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        entry = await home.until(is_ready)
        home.link._say({"op": "hung", "host": entry["hosts"][0]["id"]})
        home.link._say({"op": "hung", "host": "h999"})
        home.link._say({"op": "gone", "host": "h999"})
        failed = await home.until(lambda entry: entry["state"] == "failed", 1.0)
        assert "limit" in failed["reason"]
        await home.until(is_ready, 1.0)
        assert home.link._replies.empty(), "what a worker only tells is not answered"

    home.drive(test)


def test_the_successor_of_a_killed_steward_goes_on_with_the_same_hosts(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec(), home.spec("twice", "def twice(x: float) -> float:\n    return 2 * x\n")], "twice")
        before = [await home.until(is_ready), await home.until(is_ready, name="twice")]
        killed = (await status(home))["pid"]
        revision = home.link.table["revision"]
        os.kill(killed, signal.SIGKILL)
        await home.link.ended.wait()
        await home.link.connect()
        after = [await home.until(is_ready, 3.0), await home.until(is_ready, 3.0, name="twice")]
        assert [entry["hosts"] for entry in after] == [entry["hosts"] for entry in before]
        assert [entry["version"] for entry in after] == [1, 1]
        assert (await status(home))["pid"] != killed
        assert home.link.table["default_model"] == "twice"
        assert home.link.table["revision"] > revision
        os.kill(host_of(after[0]), signal.SIGKILL)  # and it can start them again
        await home.until(lambda entry: is_ready(entry) and entry["restarts"] == 1, 3.0)

    home.drive(test)


def test_a_host_that_died_while_there_was_no_steward_is_started_again(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        os.kill((await status(home))["pid"], signal.SIGKILL)
        os.kill(host_of(first), signal.SIGKILL)
        await home.link.ended.wait()
        await home.link.connect()
        back = await home.until(lambda entry: is_ready(entry) and host_of(entry) != host_of(first), 3.0)
        assert back["digest"] == first["digest"]

    home.drive(test)


def test_declaring_the_same_again_changes_nothing(home: Any) -> None:
    async def test() -> None:
        spec = home.spec()
        await home.link.declare([spec], "")
        first = await home.until(is_ready)
        await home.link.declare([spec], "")
        await asyncio.sleep(0.3)
        assert (await home.until(is_ready))["hosts"] == first["hosts"]

    home.drive(test)


def test_changed_bytes_are_loaded_beside_the_live_version_which_answers_until_then(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        await home.link.declare([home.spec(code=TRIPLE.replace("3 * x", "4 * x"))], "")
        second = await home.until(lambda entry: entry["version"] == 2)
        assert second["state"] == "ready"
        assert second["digest"] != first["digest"]
        old = Process(host_of(first), 0)
        async with asyncio.timeout(6):
            while Path(f"/proc/{old.pid}").exists():
                await asyncio.sleep(0.05)

    home.drive(test)


def test_rows_that_waited_for_the_old_version_are_answered_by_it_however_slow_it_is(home: Any) -> None:
    """Ten rows of 0.5 s each: the last ones wait for longer than a usual request lives."""
    slow = "import time\n\ndef triple(x: float) -> float:\n    time.sleep(0.5)\n    return 3 * x\n"

    async def test() -> None:
        await home.link.declare([home.spec(code=slow)], "")
        first = await home.until(is_ready)
        engine = Engine(Limits())
        engine.link = Link(engine, home.run_dir, lambda: None, list)
        engine.start(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(10):
                while "triple" not in engine.table.models or not engine.table.resolve("triple").is_answering:
                    await asyncio.sleep(0.02)
            model = engine.table.resolve("triple")
            rows = [model.usable_decoder().value({"x": float(x)}) for x in range(10)]
            asked = [asyncio.ensure_future(ask(engine, model, row, time.monotonic() + 60)) for row in rows]
            await asyncio.sleep(0.1)
            await home.link.declare([home.spec(code=TRIPLE.replace("3 * x", "4 * x"))], "")
            await home.until(lambda entry: entry["version"] == 2)
            answers = await asyncio.gather(*asked)
            assert [answer.columns[0].values[answer.start] for answer in answers] == [3.0 * x for x in range(10)]
            async with asyncio.timeout(6):
                while Path(f"/proc/{host_of(first)}").exists():
                    await asyncio.sleep(0.05)
        finally:
            await engine.stop()

    home.drive(test)


def test_a_reload_that_is_refused_leaves_the_live_version_in_place(home: Any) -> None:
    async def test() -> None:
        spec = home.spec()
        await home.link.declare([spec], "")
        first = await home.until(is_ready)
        home.spec(code="def triple(x: float) -> float:\n    raise ValueError('no')\n")
        await home.link.ask({"op": "reload", "model": "triple"})
        await asyncio.sleep(1.0)
        entry = await home.until(is_ready)
        assert (entry["hosts"], entry["version"]) == (first["hosts"], 1)

    home.drive(test)


def test_a_declaration_that_is_refused_changes_neither_the_routes_nor_the_limits_of_the_live_version(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec(routes="/api", description="Times three.")], "")
        first = await home.until(is_ready)
        broken = home.models / "broken.pkl"
        broken.write_bytes(b"this is no pickle at all")
        await home.link.declare([from_options("triple", files=str(broken), routes="/other", timeout_ms=5)], "")
        await asyncio.sleep(0.5)
        entry = await home.until(is_ready)
        assert {key: entry[key] for key in ("routes", "timeout_ms", "description", "hosts")} == {
            key: first[key] for key in ("routes", "timeout_ms", "description", "hosts")
        }

    home.drive(test)


def test_what_serve_declares_no_more_is_served_no_more(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec(), home.spec("twice", "def twice(x: float) -> float:\n    return 2 * x\n")], "")
        await home.until(is_ready)
        await home.until(is_ready, name="twice")
        await home.link.declare([home.spec()], "")
        await asyncio.sleep(0.2)
        assert [entry["name"] for entry in home.link.table["models"]] == ["triple"]

    home.drive(test)


def test_a_model_that_crashes_again_and_again_is_met_with_patience(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        entry = await home.until(is_ready)
        for restarts in (1, 2):
            os.kill(host_of(entry), signal.SIGKILL)
            entry = await home.until(lambda entry, n=restarts: is_ready(entry) and entry["restarts"] == n, 3.0)
        loop = asyncio.get_running_loop()
        os.kill(host_of(entry), signal.SIGKILL)
        began = loop.time()
        await home.until(lambda entry: is_ready(entry) and entry["restarts"] == 3, 5.0)
        assert loop.time() - began > 0.9

    home.drive(test)


def test_the_steward_leaves_with_its_hosts_when_nobody_is_connected(home: Any) -> None:
    pids: list[int] = []

    async def test() -> None:
        await home.link.declare([home.spec()], "")
        pids.append(host_of(await home.until(is_ready)))

    home.drive(test)
    assert not nothing_left(home.run_dir, within_s=4.0)
    assert not is_steward_there(home.run_dir)
    assert not Path(f"/proc/{pids[0]}").exists()
    assert not (home.run_dir / "declared.json").exists()
    assert not list((home.run_dir / "hosts").iterdir())


def test_terminal_signals_do_not_end_a_steward_that_is_needed(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        await home.until(is_ready)
        pid = (await status(home))["pid"]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        await asyncio.sleep(0.3)
        assert (await status(home))["pid"] == pid
        assert os.getsid(pid) != os.getsid(0)

    home.drive(test)


def test_processes_that_need_a_steward_at_once_get_one_and_the_same(home: Any) -> None:
    async def test() -> None:
        links = [StewardLink(home.path) for _ in range(5)]
        await asyncio.gather(*(link.connect() for link in links))
        pids = {(await link.ask({"op": "status"}))["pid"] for link in links}
        await asyncio.gather(*(link.close() for link in links))
        assert len(pids) == 1

    asyncio.run(test())


def test_a_message_that_makes_no_sense_is_answered_and_harms_nobody(home: Any) -> None:
    async def test() -> None:
        with pytest.raises(HostFault, match="knows no"):
            await home.link.ask({"op": "dance"})
        with pytest.raises(HostFault, match="understood"):
            await home.link.ask({"op": "declare", "specs": [{"name": 3}]})
        with pytest.raises(HostFault, match="understood"):
            await home.link.ask({"op": "ack", "revision": "the last one"})
        with pytest.raises(HostFault, match="no model"):
            await home.link.ask({"op": "reload", "model": "nobody"})
        assert (await status(home))["op"] == "status"

    home.drive(test)


def test_a_steward_that_says_nothing_is_not_waited_for_without_end(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_carafe.cli.steward_link.GREETING_S", 0.3)

    async def test() -> None:
        pid = (await status(home))["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(HostFault, match=r"did not answer within 0\.3 s"):
                await StewardLink(home.path).connect()
        finally:
            os.kill(pid, signal.SIGCONT)

    home.drive(test)


def test_stop_does_not_end_a_steward_that_another_works_with(home: Any) -> None:
    async def test() -> None:
        other = StewardLink(home.path)
        await other.connect()
        assert (await home.link.ask({"op": "stop", "unless_used": True}))["op"] == "in_use"
        await other.close()
        await asyncio.sleep(0.1)
        assert (await home.link.ask({"op": "stop", "unless_used": True}))["op"] == "stopping"

    home.drive(test)


def test_every_worker_acknowledges_a_table_before_an_old_host_goes(home: Any) -> None:
    async def test() -> None:
        reader, writer = await asyncio.open_unix_connection(home.run_dir / "steward.sock")
        writer.write(b'{"op":"hello","role":"worker","pid":1}\n')
        table = msgspec.json.decode(await reader.readline())["table"]
        assert table["format"] == 1
        writer.write(msgspec.json.encode({"op": "ack", "revision": table["revision"]}) + b"\n")
        await asyncio.sleep(0.1)
        links = (await status(home))["links"]
        assert {"role": "worker", "pid": 1, "acked": table["revision"]} in links
        writer.close()
        await writer.wait_closed()

    home.drive(test)


def test_what_serve_was_told_stands_above_what_its_workers_declare(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        other = home.models / "other.py"
        other.write_text(TRIPLE.replace("3 *", "5 *"))
        spec = msgspec.to_builtins(from_options("triple", files=f"{other}:triple"))
        await home.link.ask({"op": "declare", "specs": [spec], "source": "app"})
        await asyncio.sleep(0.3)
        assert (await home.until(is_ready))["digest"] == first["digest"]

    home.drive(test)


def test_an_app_that_comes_again_is_served_only_what_it_declares_now(home: Any) -> None:
    async def declare(*names: str) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_unix_connection(home.run_dir / "steward.sock")
        specs = [msgspec.to_builtins(home.spec(name, f"def {name}(x: float) -> float:\n    return x\n")) for name in names]
        for message in ({"op": "hello", "role": "worker", "pid": 1}, {"op": "declare", "specs": specs, "source": "app", "replace": True}):
            writer.write(msgspec.json.encode(message) + b"\n")
        await asyncio.sleep(0.3)
        return writer

    def served() -> set[str]:
        return {entry["name"] for entry in home.link.table["models"]}

    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first, other = await declare("one", "two"), await declare("three")
        assert served() == {"triple", "one", "two", "three"}
        first.close()
        again = await declare("two")
        assert served() == {"triple", "two", "three"}  # the other app is still there
        again.close()
        other.close()
        (await declare()).close()
        assert served() == {"triple"}

    home.drive(test)


def test_a_crashed_host_is_back_while_a_slow_new_version_is_still_on_trial(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        slow = "import time\n\n\ndef triple(x: float) -> float:\n    time.sleep(1.5)\n    return 3 * x\n"
        (home.models / "slow.py").write_text(slow)
        await home.link.declare([from_options("triple", files=f"{home.models}/slow.py:triple")], "")
        await asyncio.sleep(0.5)
        os.kill(host_of(first), signal.SIGKILL)
        back = await home.until(lambda entry: is_ready(entry) and entry["restarts"] == 1, 1.5)
        assert back["version"] == 1
        await home.until(lambda entry: entry["version"] == 2, 30.0)

    home.drive(test)


def test_a_host_that_dies_after_its_python_file_was_edited_comes_back_as_a_new_version(home: Any) -> None:
    async def test() -> None:
        await home.link.declare([home.spec()], "")
        first = await home.until(is_ready)
        home.spec(code=TRIPLE.replace("3 *", "9 *"))
        os.kill(host_of(first), signal.SIGKILL)
        after = await home.until(lambda entry: is_ready(entry) and entry["version"] == 2, 5.0)
        assert after["digest"] != first["digest"]

    home.drive(test)
