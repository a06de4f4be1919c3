"""Predictions by a host on this machine: one started for a model file, or one that a running server has."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..artifacts.spec import ModelSpec
from ..errors import BadRequest, CarafeError, ConfigError, HostFault, HostLost, InvalidInput, ModelNotFound, NotReady, OutputInvalid
from ..hosting import trial
from ..hosting.frames import Column, RowError
from ..hosting.handle import HostHandle, connect
from ..hosting.rundir import run_dir
from ..hosting.starting import start
from ..hosting.supervisor import Supervisor
from ..serving.lane import FRAME_S
from ..serving.request import cut
from ..signature import Rows, Signature
from ..signature.answer import Encoder
from ..signature.decode import Decoder
from ..signature.layout import columns as frame_columns
from .predictors import FRAME_ROWS, PATIENCE_S, Fields, Refused, in_words, without_place
from .tables import Failed, Form, Outcome


class HostPredictor:
    """Rows through one host: decoded and encoded here as a web worker does it.

    :param find: gives the host to ask, at the beginning and again when it was lost.
    :raises ConfigError: a model that streams.
    """

    def __init__(self, name: str, signature: Signature, most_rows: int, timeout_s: float) -> None:
        if signature.streams:
            raise ConfigError(f"Model {name!r} answers value by value, which is asked over HTTP.", "Serve it, and give its address with --url.")
        self.name, self.signature, self.timeout_s = name, signature, timeout_s
        self.most_rows = max(1, min(FRAME_ROWS, most_rows))
        self._decoder, self._encoder = Decoder(signature, max_rows=0), Encoder(signature, name)
        self.keys: Sequence[str] | None = self._encoder.record_keys
        names = tuple(field.name for field in signature.fields)
        required = tuple(field.name for field in signature.fields if not field.nullable)
        self.fields: Fields | None = Fields(names, required, signature.extra == "ignore")
        self._asking: asyncio.Task[Any] | None = None
        self._frame_rows = 1  # until it is known how long a row takes
        self._widths = [width for _, width in frame_columns(signature)]
        self._runner = asyncio.Runner()
        self._handle: HostHandle | None = None

    def ask(self, form: Form, body: bytes, n: int) -> list[Outcome]:
        rows = self._decode(form, body)
        columns, errors = self._runner.run(self._predict(rows))
        failed = {error.row: error.reason for error in errors}
        try:
            if not failed:
                return list(self._encoder.records(columns, 0, n))
            return [Failed(failed[i]) if i in failed else self._encoder.records(columns, i, 1)[0] for i in range(n)]
        except OutputInvalid as exc:
            raise Refused(str(exc)) from exc

    def _decode(self, form: Form, body: bytes) -> Rows:
        try:
            rows = self._decoder.csv(body) if form == "csv" else self._decoder.ndjson(body)
        except InvalidInput as exc:
            raise Refused(without_place(str(exc)), in_words(exc.details)) from exc
        except BadRequest as exc:
            raise Refused(without_place(str(exc))) from exc
        if not isinstance(rows, Rows):
            raise Refused("pictures and documents are read by a server: use --url, or send numbers and text")
        return rows

    async def _predict(self, rows: Rows) -> tuple[list[Column], list[RowError]]:
        """The answers to ``rows``, in frames short enough that whoever else asks this host waits, and does not take it for hung."""
        self._asking = asyncio.current_task()
        began, columns, errors, at = time.monotonic(), list[Column](), list[RowError](), 0
        for piece in cut(rows, self._frame_rows, self._widths):
            answered, failed = await self._frame(piece)
            for kept, more in zip(columns, answered, strict=False):
                kept.values.extend(more.values)
            columns = columns or answered
            errors += [error._replace(row=error.row + at) for error in failed]
            at += piece.n
        row_s = max((time.monotonic() - began) / rows.n, 1e-9)
        self._frame_rows = max(1, min(self.most_rows, int(FRAME_S / row_s)))
        return columns, errors

    async def _frame(self, rows: Rows) -> tuple[list[Column], list[RowError]]:
        handle = self._handle or await self._connected()
        try:
            return await handle.predict(self.signature, rows, self.timeout_s)
        except HostLost:
            handle = await self._connected()  # it was replaced, and the new one answers; a second loss is told
            return await handle.predict(self.signature, rows, self.timeout_s)

    async def _connected(self) -> HostHandle:
        raise HostLost(self.name)

    def close(self) -> None:
        self._runner.close()


class FilePredictor(HostPredictor):
    """A model file, loaded and tried in a host of our own that ends with the command. Leaves nothing in the home."""

    def __init__(self, spec: ModelSpec) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="carafe-")
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(self._folder)
        runner = self._stack.enter_context(asyncio.Runner())
        try:
            admission, self._supervisor, handle = runner.run(self._begin(spec, Path(self._folder.name)))
            super().__init__(spec.name, admission.signature, admission.max_batch_rows or spec.max_batch_rows, spec.timeout_ms / 1000)
        except BaseException:
            self._stack.close()
            raise
        self._runner.close()
        self._runner, self._handle = runner, handle
        self.unverified: str = admission.unverified

    async def _begin(self, spec: ModelSpec, folder: Path) -> tuple[trial.Admission, Supervisor, HostHandle]:
        (folder / "hosts").mkdir(mode=0o700)
        supervisor = Supervisor(folder)
        try:
            started = await start(supervisor, spec, folder)
            return started.admission, supervisor, started.handle
        except BaseException:
            await supervisor.stop()
            raise

    def close(self) -> None:
        """Stop the host, then the loop, then remove the copies."""
        try:
            self._runner.run(self._end())
        finally:
            self._stack.close()

    async def _end(self) -> None:
        if self._asking is not None:  # a signal may have left it in the middle
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._supervisor.stop()


class ServedPredictor(HostPredictor):
    """A model that a running ``carafe serve`` or application has: its host is asked directly, without HTTP."""

    def __init__(self, home: Path, name: str) -> None:
        self._table = run_dir(home) / "table.json"
        entry = self._entry(name)
        if not entry.get("signature"):
            raise NotReady(name, entry.get("reason") or "it is still loading")
        super().__init__(name, msgspec.convert(entry["signature"], Signature), entry["max_batch_rows"], entry["timeout_ms"] / 1000)
        self.unverified: str = entry.get("unverified", "")

    def _entry(self, name: str) -> dict[str, Any]:
        try:
            table = msgspec.json.decode(self._table.read_bytes())
        except (OSError, msgspec.DecodeError):
            table = {}
        entry: dict[str, Any] | None = next((entry for entry in table.get("models", []) if entry["name"] == name), None)
        if entry is None:
            raise UnknownModel(name)
        return entry

    async def _connected(self) -> HostHandle:
        """A host of the model, waited for while it is being replaced."""
        end = time.monotonic() + PATIENCE_S
        if self._handle is not None:
            await self._handle.let_go()
            self._handle = None
        while True:
            entry = self._entry(self.name)
            with contextlib.suppress(HostFault):
                for host in entry["hosts"]:
                    self._handle = await connect(host["address"], host["token"], role="channel")
                    return self._handle
            if time.monotonic() > end or (entry["state"] == "ready" and not entry["hosts"]):
                raise NotReady(self.name, entry.get("reason") or "none of its hosts answers; is the server running?")
            await asyncio.sleep(0.2)

    def close(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(CarafeError):
                self._runner.run(self._handle.let_go())
        super().close()


class UnknownModel(ModelNotFound):
    hint = "Name a model file, or a model that `carafe serve` has here (--home), or give --url."
