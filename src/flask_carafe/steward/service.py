"""The steward itself: one per home, held by a lock; links on one side, keepers of models on the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from ..access import admin_token
from ..artifacts.spec import ModelSpec
from ..errors import ModelNotFound
from ..hosting.ensure import is_steward_there, steward_socket, try_lock
from ..hosting.process import this_process
from ..hosting.rundir import run_dir
from ..hosting.supervisor import Supervisor
from .bringup import Recipe
from .clock import KeepFilesYoung, KeepLogShort, run_jobs
from .declared import SERVE, DeclaredFile
from .keeper import ModelKeeper
from .links import ROLES, Link, Links, json_line
from .media import MediaKeeper
from .table import TableFile, TableMaker

log = logging.getLogger(__name__)
LOCK_WAIT_S = 30.0
LOOK_EVERY_S = 5.0
LOAD_WAIT_S, LOOK_LOADED_S = 60.0, 0.02  # how long who asked for a model waits for it, and how often we look
LOADING_AT_ONCE = 4  # models; the machine has few CPUs and serves meanwhile


class AlreadyRunning(Exception):
    """Another steward serves this home."""


class Steward:
    """Owns the hosts of one home and tells workers where they are.

    ``idle_s``: it leaves, and takes its hosts along, when nobody has been connected for so long; ``stay`` keeps it.
    """

    def __init__(self, home: Path, *, stay: bool = False, idle_s: float = 15.0, host_idle_s: float = 15.0) -> None:
        self.home, self.run_dir, self.stay, self.idle_s = home, run_dir(home), stay, idle_s
        self.supervisor = Supervisor(self.run_dir, idle_s=host_idle_s)
        self.loading = asyncio.Semaphore(LOADING_AT_ONCE)
        self.links = Links(self._handle, self._count)
        self.leaving = asyncio.Event()
        self._counted = asyncio.Event()
        self.keepers: dict[str, ModelKeeper] = {}
        self.media = MediaKeeper(self)
        self._reads_tables = False  # a worker was sent one, which the media host reads
        self._declared_file, self._table_file = DeclaredFile(self.run_dir), TableFile(self.run_dir)
        self._declared = self._declared_file.read()
        self._table = TableMaker()
        self._line = b""
        self._warming: asyncio.Task[None] | None = None
        self._publishing: asyncio.Handle | None = None
        self._alone_since: float | None = time.monotonic()
        self._began = time.monotonic()

    async def run(self) -> None:
        """Serve until told to leave or left alone; then end every host.

        :raises AlreadyRunning: another steward holds this home.
        """
        descriptor = await self._lock()
        try:
            self._make_token()
            await self._take_over()
            await self.links.listen(steward_socket(self.run_dir))
            log.debug("The steward of %s is ready (pid %d).", self.home, os.getpid())
            upkeep = asyncio.create_task(run_jobs([KeepFilesYoung(self.run_dir), KeepLogShort(self.run_dir)], self.leaving), name="carafe-upkeep")
            await self._watch_time()
            await upkeep
            await self._leave()
        finally:
            os.close(descriptor)

    def _make_token(self) -> None:
        try:
            admin_token(self.home)
        except OSError as exc:
            log.error("The admin token cannot be made in %s: %s", self.home, exc.strerror)

    async def _lock(self) -> int:
        """Hold ``steward.lock``; a predecessor that is leaving is waited for, one that serves is not."""
        descriptor = os.open(self.run_dir / "steward.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + LOCK_WAIT_S
        while not try_lock(descriptor):
            if is_steward_there(self.run_dir) or time.monotonic() > end:
                os.close(descriptor)
                raise AlreadyRunning
            await asyncio.sleep(0.05)
        self._declared = self._declared_file.read()  # now that nobody else writes it
        return descriptor

    async def _take_over(self) -> None:
        """Adopt the hosts of a predecessor: those of the last table go on serving, the others are ended."""
        last = self._table_file.read()
        self._table = TableMaker(int(last.get("revision", 0)))
        adopted = await self.supervisor.adopt()
        entries = {entry["name"]: entry for entry in last.get("models", [])}
        for name, known in self._declared.models.items():
            keeper = self._keeper(name)
            is_unloaded = name in self._declared.unloaded
            for host in entries.get(name, {}).get("hosts", []) if not is_unloaded else ():
                if host["id"] in adopted and keeper.adopt(adopted[host["id"]], entries[name], self._declared.recipes.get(name)):
                    del adopted[host["id"]]
            if is_unloaded:
                keeper.remember(entries.get(name))
                keeper.unload()
            keeper.want(known.spec)
        for host in (last.get("media") or {}).get("hosts", []):
            if host["id"] in adopted and self.keepers:
                self.media.adopt(adopted.pop(host["id"]))
        await asyncio.gather(*(self.supervisor.stop_host(handle) for handle in adopted.values()))
        self._publish_now()
        modules = {module for recipe in self._declared.recipes.values() for module in recipe.modules}
        if modules:
            self._warming = asyncio.create_task(self.supervisor.warm(sorted(modules)), name="carafe-warm")

    def _keeper(self, name: str) -> ModelKeeper:
        if name not in self.keepers:
            self.keepers[name] = ModelKeeper(self, name)
        return self.keepers[name]

    def note_recipe(self, name: str, recipe: Recipe) -> None:
        """Write down how to load an admitted version again, so that a successor can."""
        self._declared.recipes[name] = recipe
        self._note_declared()

    def _note_declared(self) -> None:
        try:
            self._declared_file.write(self._declared)
        except OSError as exc:
            log.error("What is declared cannot be written to %s, so a successor would not know it: %s", self._declared_file.path, exc)

    @property
    def is_watched(self) -> bool:
        """A command follows the tables and tells people about them."""
        return any(link.watches for link in self.links.greeted)

    def publish(self) -> None:
        """Push a new table; changes of one turn of the loop travel in one."""
        if self._publishing is None:
            self._publishing = asyncio.get_running_loop().call_soon(self._publish_now)

    def _publish_now(self) -> int:
        if self._publishing is not None:
            self._publishing.cancel()
            self._publishing = None
        models = [keeper.entry() for keeper in self.keepers.values()]
        self.media.wanted = self._reads_tables or any(keeper.wants_media for keeper in self.keepers.values())
        table = self._table.make(models, self._declared.default_model, self.media.entry())
        try:
            self._table_file.write(table)
        except OSError as exc:  # a full disk must not keep workers from hearing of it
            log.error("The table cannot be written to %s: %s", self._table_file.path, exc)
        self._line = json_line({"op": "table", "table": table})
        self.links.broadcast(self._line)
        return self._table.revision

    async def published(self, timeout_s: float = 2.0) -> bool:
        """Push a table and wait until every worker goes by it; False when one did not say so in time."""
        return await self.links.wait_acked(self._publish_now(), timeout_s)

    async def _watch_time(self) -> None:
        """Wait for a reason to leave: told to, alone for too long, or the run directory was removed under us."""
        while not self.leaving.is_set():
            nap = LOOK_EVERY_S
            if self._alone_since is not None and not self.stay:
                nap = min(nap, self._alone_since + self.idle_s - time.monotonic())
                if nap <= 0:
                    log.info("Nobody has been here for %g s; the steward leaves.", self.idle_s)
                    self.leaving.set()
                    break
            if not steward_socket(self.run_dir).exists():
                log.warning("The run directory %s was removed; the steward leaves.", self.run_dir)
                self.leaving.set()
                break
            self._counted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(nap, 0.01)):
                    await self._counted.wait()

    def _count(self) -> None:
        """Note since when nobody is connected; called whenever a link greeted or went."""
        if self.links.greeted:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = time.monotonic()
            self._counted.set()

    def leave_when_alone(self) -> None:
        """What SIGTERM means: not to outlive those who are connected now."""
        self.stay, self.idle_s = False, min(self.idle_s, 1.0)
        if not self.links.greeted:
            self.leave()

    def leave(self) -> None:
        """Stop every host and end, now."""
        self.leaving.set()
        self._counted.set()

    async def _leave(self) -> None:
        await self.links.close()
        if self._warming is not None:
            self._warming.cancel()
        await asyncio.gather(*(keeper.close() for keeper in self.keepers.values()), self.media.close())
        await self.supervisor.stop()
        for path in (self._declared_file, self._table_file):
            path.remove()
        steward_socket(self.run_dir).unlink(missing_ok=True)

    # What links ask

    async def _handle(self, link: Link, message: dict[str, Any]) -> dict[str, Any] | None:
        op = message["op"]
        if op == "hello":
            self._hello(link, message)
            return None
        if not link.role:
            return {"op": "error", "error": "Say hello first.", "code": "malformed"}
        if op == "ack":
            await self.links.note_ack(link, int(message["revision"]))
            return None
        if op == "hung":
            self._hung(link, str(message["host"]))
            return None
        if op == "media":
            self._read_tables()
            return None
        if op == "gone":
            return None  # the end of a host is seen here as soon as there
        if op == "declare":
            return self._declare(link, message)
        if op == "reload":
            return self._reload(message.get("model"))
        if op in ("load", "unload"):
            return await self._load(str(message["model"]), op == "load")
        if op == "status":
            return self._status()
        if op == "stop":
            if message.get("unless_used") and any(other is not link for other in self.links.greeted):
                return {"op": "in_use"}
            asyncio.get_running_loop().call_soon(self.leave)
            return {"op": "stopping"}
        return {"op": "error", "error": f"The steward knows no {op!r}.", "code": "malformed"}

    def _hello(self, link: Link, message: dict[str, Any]) -> None:
        if message.get("role") in ROLES:
            link.role, link.pid, link.watches = str(message["role"]), int(message.get("pid", 0)), bool(message.get("watch"))
            if link.role == "worker" or link.watches:
                link.send(self._line)

    def _hung(self, link: Link, host_id: str) -> None:
        """A worker saw the hang limit pass; its word is enough, since only our own workers are let in."""
        why = "it did not answer within its limit"
        if self.media.kill(host_id, why) or any(keeper.kill(host_id, why) for keeper in self.keepers.values()):
            log.warning("Host %s hung; worker %d saw it. It is replaced.", host_id, link.pid)

    def _read_tables(self) -> None:
        if not self._reads_tables:
            self._reads_tables = True
            self.publish()

    def _declare(self, link: Link, message: dict[str, Any]) -> dict[str, Any]:
        """Serve what ``link`` declares; what another app of this home declares, whose workers are here, stays."""
        specs = msgspec.convert(message["specs"], list[ModelSpec])
        link.declared = {spec.name for spec in specs}
        others = {name for other in self.links.greeted if other is not link and other.role == "worker" for name in other.declared}
        if "default" in message:
            self._declared.default = str(message["default"] or "")
        source, replace = str(message.get("source", "app")), bool(message.get("replace"))
        wanted, gone = self._declared.declare(specs, source, replace=replace, keep=others if source != SERVE else ())
        back = self._declared.unloaded.intersection(spec.name for spec in wanted) if message.get("fresh") else set()
        self._declared.unloaded -= back
        self._note_declared()
        for name in gone:
            self.keepers.pop(name).retire()
        for spec in wanted:
            keeper = self._keeper(spec.name)
            (keeper.load if spec.name in back else keeper.want)(spec)
        self.publish()
        return {"op": "declared", "names": [spec.name for spec in specs]}

    def _reload(self, name: str | None) -> dict[str, Any]:
        if name is not None and name not in self.keepers:
            raise ModelNotFound(name)
        for keeper in [self.keepers[name]] if name is not None else self.keepers.values():
            keeper.want(self._declared.models[keeper.name].spec, again=True)
        return {"op": "reloading"}

    async def _load(self, name: str, wanted: bool) -> dict[str, Any]:
        """Take a model away, or bring it back from what is declared; answered when every worker goes by it, or it cannot be had."""
        if name not in self.keepers:
            raise ModelNotFound(name)
        keeper = self.keepers[name]
        (self._declared.unloaded.discard if wanted else self._declared.unloaded.add)(name)
        self._note_declared()
        if wanted:
            keeper.load(self._declared.models[name].spec)
        else:
            keeper.unload()
        end = time.monotonic() + LOAD_WAIT_S
        while keeper.is_changing and time.monotonic() < end:
            await asyncio.sleep(LOOK_LOADED_S)
        await self.published()
        return {"op": "loaded" if wanted else "unloaded", "entry": keeper.entry()}

    def _status(self) -> dict[str, Any]:
        me = this_process()
        return {
            "op": "status",
            "pid": me.pid,
            "started": me.started,
            "uptime_s": round(time.monotonic() - self._began, 3),
            "revision": self._table.revision,
            "zygotes": [pid for pid in [self.supervisor.zygote_pid] if pid is not None],
            "links": [{"role": link.role, "pid": link.pid, "acked": link.acked} for link in self.links.greeted],
            "models": [keeper.entry() for keeper in self.keepers.values()],
            "media": self.media.entry(),
        }
