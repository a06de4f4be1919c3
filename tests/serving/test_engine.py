"""The engine against scripted hosts on real sockets: versions that change, hosts that speak nonsense, conversions that change."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from flask_carafe.errors import DeadlineExceeded, HostFault, NotReady
from flask_carafe.hosting.frames import CONTROL, HEADER, REPLY, pack_control, read_header
from flask_carafe.serving import engine as room
from flask_carafe.serving.asking import ask
from flask_carafe.serving.engine import Engine, Limits
from flask_carafe.serving.lane import Lane
from flask_carafe.serving.table import Entry, HostAddress, Media, Model, RoutingTable, TableData
from flask_carafe.signature import Chunk, Field, Output, Rows, Signature
from serving.test_lane_machine import OUTPUT, scripted_answer

SIGNATURE = Signature(fields=(Field(name="x", kind="number"),), outputs=(OUTPUT,))


class Host:
    """Greets, and answers each row by its own value when ``go`` is set; counts who came."""

    def __init__(self, name: str, path: Path) -> None:
        self.address = HostAddress(name, f"unix:{path / name}", "t")
        self.go, self.greeted, self.asked, self.spoil = asyncio.Event(), 0, 0, ""
        self.path = path / name

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(HEADER.size)
                header = read_header(head)
                body = await reader.readexactly(header.size)
                if header.kind == CONTROL:
                    self.greeted += 1
                    writer.write(pack_control({"ok": True}, header.frame_id, REPLY))
                    continue
                self.asked += 1
                await self.go.wait()
                spoil, self.spoil = self.spoil, ""
                answered, said = scripted_answer(head + body, spoil=spoil)
                writer.write(HEADER.pack(b"CRF1", *answered[:3], *answered[3:], 0) + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the engine has left
        finally:
            writer.close()


def drive(tmp_path: Path, test: Callable[[Engine, Callable[[str], Awaitable[Host]]], Awaitable[None]]) -> None:
    """Run ``test`` with an engine that runs and a maker of hosts."""

    async def run() -> None:
        engine, servers, tasks = Engine(Limits()), [], set(asyncio.all_tasks())
        engine.start(asyncio.get_running_loop())

        async def start(name: str) -> Host:
            host = Host(name, tmp_path)
            servers.append(await asyncio.start_unix_server(host.serve, host.path))
            return host

        try:
            await test(engine, start)
        finally:
            await engine.stop()
            for server in servers:
                server.close()
            await asyncio.sleep(0.02)
            left = asyncio.all_tasks() - tasks
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    asyncio.run(run())


def table(version: int, *hosts: Host, media: Media | None = None) -> RoutingTable:
    entry = Entry(name="m", version=version, digest=str(version), state="ready", signature=SIGNATURE, hosts=tuple(host.address for host in hosts))
    return RoutingTable(TableData(models=(entry,), media=media))


def rows(value: float) -> Rows:
    return Rows(1, (Chunk(struct.pack("<d", value)),))


async def value_of(answer: Awaitable[Any]) -> Any:
    done = await answer
    return done.columns[0].values[done.start]


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not look():
            await asyncio.sleep(0.005)


def asked(engine: Engine, model: Model, value: float, patience: float = 10.0) -> asyncio.Task[Any]:
    return asyncio.ensure_future(value_of(ask(engine, model, rows(value), monotonic() + patience)))


def test_requests_of_a_version_that_goes_are_answered_by_it(tmp_path: Path) -> None:
    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        old, new = await start("old"), await start("new")
        engine.apply(table(1, old))
        first = engine.table.resolve("m")
        await until(lambda: first.is_answering)
        under_way = asked(engine, first, 1.0)
        await until(lambda: old.asked == 1)
        waiting = asked(engine, first, 2.0)
        await asyncio.sleep(0)
        engine.apply(table(2, new))
        late = asked(engine, first, 3.0)  # took the table before, and its body took its time
        await until(lambda: engine.table.resolve("m").is_answering)
        new.go.set()
        assert await asked(engine, engine.table.resolve("m"), 4.0) == 4
        old.go.set()
        assert [await under_way, await waiting, await late] == [1, 2, 3]
        assert new.asked == 1

    drive(tmp_path, test)


def test_nobody_waits_in_a_lane_that_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAVE_S", 0.05)

    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        old, new = await start("old"), await start("new")
        engine.apply(table(1, old))
        first = engine.table.resolve("m")
        await until(lambda: first.is_answering)
        under_way = asked(engine, first, 1.0)
        await until(lambda: old.asked == 1)
        engine.apply(table(2, new))
        await asyncio.sleep(0.15)
        with pytest.raises(NotReady, match="this version has gone"):
            await asyncio.wait_for(asked(engine, first, 2.0), 1.0)
        assert engine.leaving  # its frame is under way
        old.go.set()
        assert await under_way == 1
        await until(lambda: not engine.leaving and [key[1] for key in engine.connections] == ["new"])

    drive(tmp_path, test)


def test_a_version_that_goes_answers_all_that_it_took_however_long_that_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAVE_S", 0.05)

    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        old, new = await start("old"), await start("new")
        engine.apply(table(1, old))
        first = engine.table.resolve("m")
        await until(lambda: first.is_answering)
        under_way = asked(engine, first, 1.0)
        await until(lambda: old.asked == 1)
        patient, hasty = asked(engine, first, 2.0), asked(engine, first, 3.0, patience=0.1)
        engine.apply(table(2, new))
        await asyncio.sleep(0.3)
        old.go.set()
        assert [await under_way, await patient] == [1, 2]
        with pytest.raises(DeadlineExceeded):
            await hasty
        assert old.asked == 2
        await until(lambda: not engine.leaving and [key[1] for key in engine.connections] == ["new"])

    drive(tmp_path, test)


def test_a_version_that_has_gone_and_lost_its_host_lets_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LEAVE_S", 0.05)

    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        old, new = await start("old"), await start("new")
        engine.apply(table(1, old))
        first = engine.table.resolve("m")
        await until(lambda: first.is_answering)
        under_way = asked(engine, first, 1.0)
        await until(lambda: old.asked == 1)
        waiting = asked(engine, first, 2.0)
        await asyncio.sleep(0)
        engine.apply(table(2, new))
        old.path.unlink()
        old.spoil = "stale"
        old.go.set()
        with pytest.raises(HostFault):
            await under_way
        with pytest.raises(NotReady, match="this version has gone"):
            await asyncio.wait_for(waiting, 5.0)

    drive(tmp_path, test)


def test_a_host_that_spoke_nonsense_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AGAIN_S", 0.01)

    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        host = await start("h")
        host.go.set()
        host.spoil = "stale"
        engine.apply(table(1, host))
        model = engine.table.resolve("m")
        await until(lambda: model.is_answering)
        with pytest.raises(Exception, match="not asked"):
            await asked(engine, model, 1.0)
        assert await asked(engine, model, 2.0) == 2
        assert host.greeted == 2

    drive(tmp_path, test)


def test_a_conversion_that_changes_gets_a_connection_of_its_own(tmp_path: Path) -> None:
    async def test(engine: Engine, start: Callable[[str], Awaitable[Host]]) -> None:
        media = await start("media")
        engine.apply(table(1, media=Media((media.address,))))
        lanes = [engine.media_lane(wanted, lambda: Lane("m.photo", "1", [("float64", 1)], (Output(name="p"),), 8, 10.0)) for wanted in ("28", "32")]
        await until(lambda: all(lane.channels for lane in lanes))

    drive(tmp_path, test)
