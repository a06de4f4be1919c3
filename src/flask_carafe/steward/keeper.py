"""Keeps one model served: admits it, watches its host, starts it again, replaces it without a gap.

States of a table entry: ``loading`` (no version yet), ``ready``, ``failed`` (its host ended and is being started
again), ``refused`` (its file must not be served; nothing is tried until it is declared anew or reloaded), ``unloaded`` (an
operator took it away; it stays so until one brings it back).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

import msgspec

from ..artifacts.spec import DEFAULT_TIMEOUT_MS, ModelSpec, digest
from ..errors import ArtifactRefused, CarafeError, HostFault, HostLost
from ..hosting.backoff import Backoff
from ..hosting.handle import HostHandle
from . import bringup
from .owner import Owner, host_entry

log = logging.getLogger(__name__)
ACK_S = 2.0
LEAST_STOP_S = 2.0
LOOK_S = 0.25  # how often we look whether workers have left an old host
LONGEST_S = 3660.0  # the longest deadline that a request may have, and a bit: a worker that stays for longer has lost its way


class Live(msgspec.Struct):
    """The version that answers now: its host, how to load it again, and its part of the table."""

    handle: HostHandle
    digest: str
    facts: dict[str, Any]
    recipe: bringup.Recipe | None


class ModelKeeper:
    """One model of one steward: one task that keeps the live version up, one at a time beside it that takes up another."""

    def __init__(self, owner: Owner, name: str) -> None:
        self.name = name
        self._owner = owner
        self._live: Live | None = None
        self._wanted: tuple[ModelSpec, bool] | None = None
        self._state, self._reason, self._hint = "loading", "", ""
        self._spec: ModelSpec | None = None
        self._served_digest = self._refused_digest = self._refusal = ""
        self._version, self._restarts = 0, 0
        self._why_killed = ""
        self._wake, self._backoff = asyncio.Event(), Backoff()
        self._retiring: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[None] | None = None
        self._task = asyncio.create_task(self._run(), name=f"carafe-keep-{name}")

    # What the steward asks

    def want(self, spec: ModelSpec, *, again: bool = False) -> None:
        """Serve ``spec`` from now on; the same bytes and options change nothing, unless ``again``. What is unloaded stays so."""
        self._spec = spec
        if self._state != "unloaded":
            self._wanted = (spec, again)
            self._wake.set()

    def load(self, spec: ModelSpec) -> None:
        """Bring back what was unloaded or refused; what is served is looked at again, and replaced if its files have changed."""
        if self._live is None:
            self._set("loading")
        self.want(spec, again=self._live is None)

    def unload(self) -> None:
        """Answer no more: its host stops once workers have heard of it."""
        live, self._live, self._wanted = self._live, None, None
        if self._taking is not None:
            self._taking.cancel()
        self._set("unloaded", "it was unloaded")
        self._wake.set()
        if live is not None:
            self._send_home(live)

    def adopt(self, handle: HostHandle, entry: dict[str, Any], recipe: bringup.Recipe | None) -> bool:
        """Go on with a host that a steward before this one had in its table; False when it cannot be used."""
        if handle.state != "ready" or not entry.get("signature"):
            return False
        self.remember(entry)
        self._live = Live(handle, entry["digest"], {key: entry[key] for key in bringup.FACTS if key in entry}, recipe)
        self._state = "ready"
        self._backoff.started(time.monotonic())
        return True

    def remember(self, entry: dict[str, Any] | None) -> None:
        """Go on counting where a steward before this one stopped, if it left word."""
        if entry is not None:
            self._version, self._restarts, self._served_digest = entry["version"], entry["restarts"], entry["digest"]

    def kill(self, host_id: str, why: str) -> bool:
        """Kill the host ``host_id`` if it is this model's."""
        if self._live is None or self._live.handle.id != host_id:
            return False
        self._why_killed = why
        return self._live.handle.kill()

    @property
    def is_changing(self) -> bool:
        """What was wanted last is still being taken up."""
        return self._wanted is not None

    @property
    def wants_media(self) -> bool:
        """Whether some field is a picture or a document."""
        signature: dict[str, Any] = self._live.facts["signature"] if self._live else {"fields": []}
        return any(field["kind"] in {"image", "document"} for field in signature["fields"])

    def entry(self) -> dict[str, Any]:
        """This model's part of the routing table."""
        spec, live = self._spec, self._live
        shown: dict[str, Any] = {"name": self.name, "version": max(self._version, 1), "digest": self._served_digest, "restarts": self._restarts}
        shown |= {"state": self._state, "reason": self._reason, "hint": self._hint, "signature": None, "hosts": []}
        shown |= {"is_changing": self.is_changing, "refusal": self._refusal}
        if spec is not None:
            shown |= bringup.facts_of_spec(spec)
        if live is not None:
            shown |= live.facts | {"digest": live.digest}
            if self._state == "ready":
                shown["hosts"] = [host_entry(live.handle)]
        return shown

    def retire(self) -> None:
        """The model is declared no more: stop its host once workers have heard of it."""
        self._task.cancel()
        if self._taking is not None:
            self._taking.cancel()
        if self._live is not None:
            self._send_home(self._live)

    async def close(self) -> None:
        """End this keeper's tasks; its host is the supervisor's to stop."""
        tasks = [task for task in (self._task, self._taking, *self._retiring) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Its own task

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            if self._taking is not None and self._taking.done():
                self._taking = None
            if self._taking is None and self._wanted is not None:
                spec, again = self._wanted
                self._taking = asyncio.create_task(self._guarded(self._take_up(spec, again), spec), name=f"carafe-take-up-{self.name}")
            if self._live is not None and self._live.handle.closed.is_set():
                await self._guarded(self._restart(self._live))
            else:
                await self._something()

    async def _guarded(self, step: Any, spec: ModelSpec | None = None) -> None:
        """Run one step (that takes up ``spec``); a mistake of ours must show, and end neither the keeper nor a version that answers."""
        try:
            await step
        except Exception as exc:
            log.exception("Keeping model %r failed.", self.name)
            if spec is not None:
                self._settle(spec)
            if self._live is None or self._live.handle.closed.is_set():
                self._set("failed", f"Carafe itself failed on this model: {type(exc).__name__}.")
            await self._nap(5.0)

    async def _something(self) -> None:
        """Until something is wanted or was taken up, or the host has ended."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if self._live is not None:
            waits.append(asyncio.ensure_future(self._live.handle.closed.wait()))
        taking = [self._taking] if self._taking is not None else []
        try:
            await asyncio.wait([*waits, *taking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _set(self, state: str, reason: str = "", hint: str = "") -> None:
        self._state, self._reason, self._hint = state, reason, hint
        self._owner.publish()

    async def _take_up(self, spec: ModelSpec, again: bool) -> None:
        """Admit ``spec`` and put it in the place of what is served now; refused, that goes on."""
        before, wanted_digest = self._live, ""
        try:
            wanted_digest = await asyncio.to_thread(digest, spec)
            if not again and self._is_known(spec, wanted_digest):
                return
            if before is None:
                self._set("loading")
            async with self._owner.loading:
                loaded = await bringup.bring_up(self._owner.supervisor, spec, self._owner.home)
        except ArtifactRefused as exc:
            self._settle(spec)
            self._refused_digest = wanted_digest
            self._refuse(exc)
            return
        except (HostFault, HostLost) as exc:
            await self._try_later(exc)
            return
        self._settle(spec)
        self._live = Live(loaded.handle, wanted_digest, bringup.facts_of_spec(spec) | loaded.facts, loaded.recipe)
        if before is not None or wanted_digest != self._served_digest:
            self._version += 1
        self._served_digest, self._refused_digest, self._refusal = wanted_digest, "", ""
        self._owner.note_recipe(self.name, loaded.recipe)
        self._backoff.started(time.monotonic())
        self._set("ready")
        self._log(logging.INFO, f"is ready in version {self._version}: {bringup.in_short(loaded.facts)}.", is_first=before is None)
        if before is not None:
            self._send_home(before)

    def _settle(self, spec: ModelSpec) -> None:
        """``spec`` has been dealt with, unless another was wanted meanwhile."""
        if self._wanted is not None and self._wanted[0] is spec:
            self._wanted = None
            self._owner.publish()

    def _is_known(self, spec: ModelSpec, wanted_digest: str) -> bool:
        """Whether these bytes and options are served or refused already."""
        served = self._live is not None and self._live.digest == wanted_digest
        if not served and self._refused_digest != wanted_digest:
            return False
        if served:
            self._refusal = ""
        self._settle(spec)
        return True

    def _refuse(self, exc: ArtifactRefused) -> None:
        if self._live is None:
            self._log(logging.ERROR, f"is refused: {exc} {exc.hint}", is_first=True)
            self._set("refused", str(exc), exc.hint)
        else:
            self._log(logging.ERROR, f"goes on with version {self._version}; the new one is refused: {exc} {exc.hint}")
            self._refusal = f"{exc} {exc.hint}".strip()
            self._owner.publish()

    def _log(self, level: int, text: str, *, is_first: bool = False) -> None:
        """Log what became of a version; of the first one only where no command watches, which tells people itself."""
        log.log(logging.DEBUG if is_first and self._owner.is_watched else level, "Model %r %s", self.name, text)

    async def _try_later(self, exc: CarafeError) -> None:
        """A host could not be started: that is our trouble or the machine's, not the file's."""
        delay = self._backoff.after_crash(time.monotonic())
        log.error("No host for model %r: %s It is tried again in %g s.", self.name, exc, delay)
        if self._live is None:
            self._set("failed", str(exc))
        await self._nap(max(delay, 0.1))

    async def _restart(self, live: Live) -> None:
        """The host has ended: say so at once, start another, load the same bytes, and make one prediction before it serves."""
        why, self._why_killed = self._why_killed or "its process ended", ""
        delay = self._backoff.after_crash(time.monotonic())
        self._restarts += 1
        self._set("failed", f"It is being restarted: {why}.")
        host = f"{live.handle.id}, pid {live.handle.pid}"
        log.warning("The host of model %r (%s) is gone: %s. It is started again in %g s.", self.name, host, why, delay)
        if delay:
            await self._nap(delay)
        if self._live is not live:  # another version took its place meanwhile
            return
        if live.recipe is None:  # its steward died before it wrote this down: admit it anew
            self._live, self._wanted = None, (self._spec, True) if self._spec else None
            return
        try:
            handle = await bringup.bring_back(self._owner.supervisor, live.recipe, live.facts)
        except CarafeError as exc:
            self._why_killed = f"it could not be started again ({exc})"
            if self._spec is not None and self._wanted is None and self._live is live:
                self._wanted = (self._spec, False)  # if its files have changed, that is why: then they are a new version
            return
        live.handle = handle
        if self._live is not live:  # another version took its place meanwhile
            self._send_home(live)
            return
        self._backoff.started(time.monotonic())
        self._set("ready")

    def _send_home(self, live: Live) -> None:
        """Stop a host that serves no more, when every worker goes by a table without it and has left it.

        Workers leave when the last row that waited for it has been answered. A host that is deaf for longer than the hang limit
        is stopped, and so is one that ended by itself.
        """
        timeout_s = max(LEAST_STOP_S, live.facts.get("timeout_ms", DEFAULT_TIMEOUT_MS) / 1000)
        task = asyncio.create_task(self._retire_host(live.handle, timeout_s), name=f"carafe-retire-{live.handle.id}")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _retire_host(self, handle: HostHandle, timeout_s: float) -> None:
        await self._owner.published(ACK_S)
        with contextlib.suppress(HostFault, HostLost, TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                while (await handle.request({"op": "status"}, timeout_s)).get("connections", 1) > 1:  # the one is ours
                    await asyncio.sleep(LOOK_S)
        await self._owner.supervisor.stop_host(handle, timeout_s)
