"""All that one application holds, composed once. Wired by ``init_app``, started at the first need, never before a fork."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time
from typing import Any

import msgspec

from .artifacts.spec import ModelSpec, limited
from .config import Settings
from .errors import CarafeError
from .hosting.ensure import ensure_steward
from .hosting.rundir import run_dir
from .monitor import Recorder
from .monitor.scrape import exposition
from .serving.background import LoopThread
from .serving.engine import Engine, Limits
from .serving.functions import Function, function_model
from .serving.ids import PredictionIds
from .serving.link import Link
from .serving.notes import Notes
from .serving.table import Entry, Model, RoutingTable
from .signals import model_loaded, prediction_made

log = logging.getLogger(__name__)
MARGIN_S = 60.0  # beyond notice and drain, a mark of draining is a relic
FIRST_TABLE_S = 20.0  # how long after its start a process lets requests wait for models that are still loading


class CarafeState:
    """What one Flask app (or one test) has of Carafe; two apps share nothing.

    :param settings: frozen.
    :param sender: what signals name as their sender.
    :param hosted: whether models run in hosts; False (under a test run, a shell, a task queue) starts no process.
    """

    def __init__(self, settings: Settings, sender: Any = None, hosted: bool = True) -> None:
        self.settings, self.sender, self.hosted = settings, sender, hosted
        self.specs: list[ModelSpec] = []
        self.functions: dict[str, Function] = {}
        self.on_routes: list[Callable[[dict[str, tuple[str, ...]]], None]] = []
        self._forget()
        _states.add(self)

    def _forget(self) -> None:
        """As new: what a thread, a socket or a file of another process made is of no use in this one."""
        self.lock = threading.Lock()
        self.ids = PredictionIds()  # two processes must not make the same ones
        self.is_started = False
        self.patient_until = 0.0
        self.background: LoopThread | None = None
        self.ready = threading.Event()
        self._loaded: set[str] = set()
        self._complaints: dict[str, str] = {}
        self.recorder = Recorder(None)
        settings = self.settings
        self.notes = Notes(settings, self.recorder, writes=False)
        limits = Limits(
            settings.max_rows, settings.queue_rows, settings.queue_bytes, settings.queue_requests, settings.threads, settings.default_model
        )  # fmt: skip
        self.engine = Engine(limits)
        self.engine.local = {name: function_model(function, settings.max_rows) for name, function in self.functions.items()}
        self.engine.table = RoutingTable.of_local(self.engine.local, settings.max_rows, settings.default_model)
        for spec in self.specs:
            self._announce(spec)

    # ---- life

    @property
    def run_dir(self) -> Path:
        """Where this home's sockets are on this machine."""
        return run_dir(self.settings.home)

    def start(self, loop: Any = None) -> None:
        """Begin: on ``loop`` if the server has one, else on one in a thread. A second call does nothing."""
        with self.lock:
            if self.is_started or not (self.hosted or loop):
                return
            if self.hosted:  # first what may fail: a run directory that is not ours
                self.recorder = Recorder(self.run_dir)
                self.engine.link = Link(self.engine, self.run_dir, self._ensure_steward, self._declared)
            self.notes = Notes(self.settings, self.recorder, writes=self.hosted)
            self.notes.attach(self.engine)
            self.is_started = True
            self.patient_until = monotonic() + FIRST_TABLE_S
            self.engine.on_table.append(self._told)
            if loop is not None:
                self.engine.start(loop)
            else:
                self.background = LoopThread(self.engine)
                self.background.start()

    def stop(self) -> None:
        """End what :meth:`start` began in a thread, and be as new; the steward and the hosts are not this process's to end."""
        with self.lock:
            background, recorder, notes = self.background, self.recorder, self.notes
            self._forget()
        if background:
            background.stop()
        recorder.close()
        notes.close()

    def _ensure_steward(self) -> None:
        ensure_steward(self.settings.home)

    def _declared(self) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(spec) for spec in self.specs]

    def _told(self, table: RoutingTable) -> None:
        for model in table.models.values():
            if model.entry.state == "ready" and model.key not in self._loaded:
                self._loaded.add(model.key)
                self._send(model_loaded, model=model.name, version=model.entry.version, signature=model.signature, runtime=model.entry.runtime)
        if self.engine.link is None or self.engine.link.is_heard:
            self._settled(table)
        self._routed({model.entry.name: model.entry.routes for model in table.models.values()})

    def _settled(self, table: RoutingTable) -> None:
        """Go by a table that came after the steward had heard what is declared here."""
        for spec in self.specs:
            model = table.models.get(spec.name)
            if model is not None and not model.entry.is_changing and self.background:  # `carafe serve` tells people itself
                self._complain(model.entry)
        if all(not model.entry.is_changing and model.entry.state != "loading" for model in table.models.values()) and self._has_all(table):
            self.ready.set()

    def _complain(self, entry: Entry) -> None:
        """Log once that a declared model is not served, or not in the version declared here."""
        told = f"is refused: {entry.reason} {entry.hint}".strip() if entry.state == "refused" else ""
        if entry.refusal:
            told = f"goes on with version {entry.version}; the one declared now is refused: {entry.refusal}"
        if told and self._complaints.get(entry.name) != told:
            log.error("Model %r %s", entry.name, told)
        self._complaints[entry.name] = told

    def _routed(self, routes: dict[str, tuple[str, ...]]) -> None:
        for told in self.on_routes:
            told(routes)

    def _has_all(self, table: RoutingTable) -> bool:
        return all(spec.name in table.models for spec in self.specs)

    # ---- what faces use

    @property
    def table(self) -> RoutingTable:
        """The routing table as it is now; a request takes it once."""
        return self.engine.table

    def at_first_need(self) -> None:
        """Start if need be, and let the first requests of a process wait while declared models are still loading."""
        if not self.is_started:
            self.start()
        if self.hosted and self.specs and not self.ready.is_set():
            self.ready.wait(max(0.0, self.patient_until - monotonic()))

    def declare(self, spec: ModelSpec) -> None:
        """Have the steward serve ``spec``; said now if this process already runs, else when it starts."""
        self.specs = [known for known in self.specs if known.name != spec.name] + [limited(spec, self.settings)]
        self._routed({spec.name: spec.routes})
        self._announce(spec)
        engine = self.engine
        if self.is_started and engine.link and engine.loop:
            self.ready.clear()
            engine.loop.call_soon_threadsafe(engine.link.tell_declared)

    def _announce(self, spec: ModelSpec) -> None:
        """Put what is known of a declared model into the table before a steward was met."""
        if spec.name in self.engine.table.models:
            return
        reason = "" if self.hosted else "no host is started in a test run; use flask_carafe.testing.serving(app)"
        entry = Entry(name=spec.name, description=spec.description, routes=spec.routes, required=spec.required, reason=reason)
        self.engine.table = self.engine.table.with_model(Model(entry, self.settings.max_rows))

    def declare_function(self, function: Function) -> None:
        """Serve a Python function in this process."""
        self.functions[function.name] = function
        model = self.engine.local[function.name] = function_model(function, self.settings.max_rows)
        self.engine.table = self.engine.table.with_model(model)
        self._routed({function.name: function.routes})

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status code and facts of ``/readyz``: ``ready``, ``degraded`` (still answering), ``draining`` or ``not ready``."""
        models = self.table.models.values()
        facts: dict[str, Any] = {"models": {model.entry.name: model.entry.state for model in models}}
        if self.is_draining():
            return 503, {"status": "draining", **facts}
        missing = [model.entry.name for model in models if model.entry.required and not model.is_answering]
        if missing or not any(model.is_answering for model in models):
            return 503, {"status": "not ready", "missing": missing, **facts}
        steward = not self.hosted or (self.engine.link is not None and self.engine.link.is_up)
        whole = steward and self.notes.state != "failing" and all(model.is_answering for model in models)
        return 200, {"status": "ready" if whole else "degraded", "steward": "up" if steward else "away", "journal": self.notes.state, **facts}

    def is_draining(self) -> bool:
        """The server was told to stop and finishes what it has."""
        if not self.hosted:
            return False
        try:
            since = (self.run_dir / "draining").stat().st_mtime
        except OSError:
            return False
        # An older mark was left behind by a server that was killed.
        return time() - since < (self.settings.notice_s or 0.0) + self.settings.drain_s + MARGIN_S

    def metrics_page(self, accept: str) -> tuple[bytes, str]:
        """The page ``/metrics`` of this application: body and Content-Type."""
        models = self.table.models.values()
        restarts = {model.entry.name: model.entry.restarts for model in models}
        return exposition(self.recorder, sum(model.is_answering for model in models), accept, restarts)

    def answered(self, model: Model, door: str, rows: int, seconds: float, prediction_id: str) -> None:
        """Count an answer and tell who listens."""
        self.recorder.soon((model.entry.name, model.version_text, door, "ok"), rows, seconds)
        if prediction_made.receivers:
            self._send(
                prediction_made, model=model.entry.name, version=model.entry.version, rows=rows, seconds=seconds,
                prediction_id=prediction_id, door=door,
            )  # fmt: skip

    def failed(self, model: Model | None, door: str, error: CarafeError | None, began: float) -> None:
        """Count a refusal or a failure; without an ``error`` of ours it was a fault of ours."""
        name, version = (model.entry.name, model.version_text) if model else ("", "")
        self.recorder.request(name, version, door, error.code if error else "internal_error", 0, monotonic() - began)

    def _send(self, signal: Any, **facts: Any) -> None:
        try:
            signal.send(self.sender, **facts)
        except Exception:  # the edge round signal receivers
            log.exception("A receiver of %s failed.", signal.name)


_states: weakref.WeakSet[CarafeState] = weakref.WeakSet()


def _after_fork() -> None:
    for state in list(_states):
        state._forget()


os.register_at_fork(after_in_child=_after_fork)
