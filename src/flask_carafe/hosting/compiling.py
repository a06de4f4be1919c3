"""A version compiled to ONNX: converted in the host that has loaded it, held against it row by row, served in its place.

What was found is kept beside the graph, under the digest of the model and the versions of the libraries, so that a restart neither
converts nor compares again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from ..artifacts.intake import Stored, take_in, verify
from ..artifacts.spec import ModelSpec, digest
from ..artifacts.verdict import installed
from ..errors import ArtifactRefused, CarafeError, CompileRefused, HostFault, HostLost
from ..signature import Signature
from ..signature.answer import Encoder
from ..signature.layout import pack
from . import compile_rows, trial_rows
from .admission import Admission, Compiled, Started
from .compile_compare import Comparison
from .handle import HostHandle
from .rundir import write_atomically
from .supervisor import Supervisor
from .trial import ANSWER_TIMEOUT_S, LOAD_TIMEOUT_S

log = logging.getLogger(__name__)
FILE = "compiled.onnx"
WIDTHS = ("float64", "float32")
MODULES = ("onnxruntime",)
KINDS = ("number", "integer", "boolean", "category")  # what rows are made up of
SIZES = (1, 64)  # rows of the frames that are timed
LIBRARIES = ("scikit-learn", "lightgbm", "xgboost", "xgboost-cpu", "skl2onnx", "onnxmltools", "onnx", "onnxruntime", "numpy", "Flask-Carafe")
HINT = "Leave compile out to serve the model as it is."
NEVER = {  # runtimes of which no model is converted
    "onnx": "it is an ONNX model already",
    "torch": "PyTorch models are not converted",
    "keras": "Keras models are not converted",
    "catboost": "CatBoost models are not converted",
    "python": "a Python function or class is not converted",
}


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled version as it passed: its graph in ``artifacts/``, the request that loads it, and what was found."""

    file: Stored
    load: dict[str, Any]
    admission: Admission


def kept_path(spec: ModelSpec, home: Path) -> Path:
    """Where the compiled form of ``spec`` is kept: by its digest and by the versions of all libraries that have a part in it."""
    parts = [digest(spec), *(f"{name} {installed(name)}" for name in LIBRARIES)]
    return home / "artifacts" / "compiled" / f"{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}.json"


def read_kept(spec: ModelSpec, home: Path) -> Kept | None:
    """The compiled form of ``spec`` if it was made before and its graph is whole."""
    try:
        kept = msgspec.json.decode(kept_path(spec, home).read_bytes(), type=Kept)
        verify(kept.file)
    except (OSError, msgspec.MsgspecError, ArtifactRefused, HostFault):
        return None
    return kept


def keep(spec: ModelSpec, home: Path, kept: Kept) -> None:
    """Write down a compiled form that has passed."""
    path = kept_path(spec, home)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.encode(kept))


async def start_kept(supervisor: Supervisor, spec: ModelSpec, kept: Kept) -> HostHandle | None:
    """A host with a graph that passed before; None where it does not come up, and has to be made again."""
    handle = await supervisor.start_host(MODULES)
    try:
        await load_graph(handle, spec, kept.load, kept.admission)
        signature = kept.admission.signature
        _, errors = await handle.predict(signature, trial_rows.packed(signature, [trial_rows.example(signature)]), ANSWER_TIMEOUT_S)
        if not errors:
            return handle
    except CarafeError as exc:
        log.warning("A compiled model that passed before does not come up: %s", exc)
    except BaseException:  # nobody wants it any more
        handle.kill()
        raise
    await supervisor.stop_host(handle)
    return None


async def load_graph(handle: HostHandle, spec: ModelSpec, load: dict[str, Any], admission: Admission) -> dict[str, Any]:
    """Load a graph and configure it with the signature of the model; the reply to ``load``.

    :raises CompileRefused: it does not load.
    """
    reply = await asked(handle, load, LOAD_TIMEOUT_S)
    await configure(handle, spec, admission)
    return reply


async def configure(handle: HostHandle, spec: ModelSpec, admission: Admission) -> None:
    """Fix the frames of a loaded graph by the signature in ``admission``."""
    message = {"op": "configure", "signature": msgspec.to_builtins(admission.signature), "max_batch_rows": admission.max_batch_rows}
    await asked(handle, message | {"timeout_ms": spec.timeout_ms})


async def asked(handle: HostHandle, message: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
    """A request whose refusal refuses the compiled version.

    :raises CompileRefused: with the host's reason.
    """
    try:
        reply = await handle.request(message, timeout_s)
    except (HostLost, HostFault) as exc:
        raise CompileRefused(f"It cannot be compiled: its process failed ({exc}).", HINT) from exc
    if not reply.get("ok"):
        error = reply.get("error") or {}
        hint = "pip install 'Flask-Carafe[convert]'" if error.get("code") == "missing_module" else HINT
        raise CompileRefused(f"It cannot be compiled: {str(error.get('message', 'no reason given')).rstrip('.')}.", hint)
    return reply


class Compiling:
    """One model on its way to a graph; ``native`` is the model itself in its host, tried and configured."""

    def __init__(self, supervisor: Supervisor, spec: ModelSpec, native: Started, home: Path) -> None:
        self.supervisor, self.spec, self.home = supervisor, spec, home
        self.native, self.admission, self.columns = native.handle, native.admission, native.load.get("columns")

    async def run(self) -> tuple[HostHandle, Kept]:
        """The host that serves the graph, and what is to be kept of it; the graph that computes in float64 is tried first.

        :raises CompileRefused: it cannot be converted, or answers otherwise than the model.
        """
        if never := NEVER.get(str(self.admission.description.get("runtime"))):
            raise CompileRefused(f"It cannot be compiled: {never}.", HINT)
        strange = next((field for field in self.admission.signature.fields if field.kind not in KINDS), None)
        if strange is not None:
            raise CompileRefused(f"It cannot be compiled: its field {strange.name} is {strange.kind}, and such models are not converted.", HINT)
        first: CompileRefused | None = None
        for width in WIDTHS:
            handle = None
            try:
                converted = await asked(self.native, {"op": "convert", "width": width}, LOAD_TIMEOUT_S)
                file = await asyncio.to_thread(take_in, self.supervisor.private_file(self.native, FILE), self.home)
                handle = await self.supervisor.start_host(MODULES)
                return handle, await self._admitted(handle, converted, file, width)
            except CompileRefused as exc:
                first = first or exc
                if handle is not None:
                    await self.supervisor.stop_host(handle)
                if exc.__cause__ is not None:  # a host failed, not the graph
                    raise
            except BaseException:
                if handle is not None:
                    handle.kill()
                raise
        assert first is not None
        raise first

    async def _admitted(self, handle: HostHandle, converted: dict[str, Any], file: Stored, width: str) -> Kept:
        load = self._load_request(converted.get("plan") or {}, file)
        loaded = await load_graph(handle, self.spec, load, self.admission)
        signature = _with_digits(self.admission.signature, loaded["description"])
        edges = _checked_edges(converted.get("edges"), self.admission.signature)
        comparison = await self._compare(handle, edges)
        native, graph = [await asked(one, {"op": "measure", "rows": SIZES}) for one in (self.native, handle)]
        report = Compiled(
            width=width, rows=comparison.rows, largest=comparison.largest, native_us=native["us"], graph_us=graph["us"],
            tools={str(name): str(version) for name, version in (converted.get("tools") or {}).items()},
        )  # fmt: skip
        description = self.admission.description | {"runtime": "onnx", "compiled_from": str(self.admission.description.get("runtime", ""))}
        libraries = {str(name): str(version) for name, version in (loaded["description"].get("libraries") or {}).items()}
        status = await asked(handle, {"op": "status"})
        admission = msgspec.structs.replace(
            self.admission, signature=signature, description=description, libraries=self.admission.libraries | libraries, compiled=report,
            load_ms=float(loaded.get("load_ms") or 0.0), memory_bytes=int(status.get("memory_bytes") or 0),
        )  # fmt: skip
        await configure(handle, self.spec, admission)
        prediction = await self._own_answer(handle, signature)
        return Kept(file=file, load=load, admission=msgspec.structs.replace(admission, prediction=prediction))

    async def _own_answer(self, handle: HostHandle, signature: Signature) -> dict[str, Any]:
        """What the graph answers to the example, as it is told to clients."""
        columns, errors = await self._answer(handle, signature, trial_rows.packed(signature, [self.admission.example]))
        if errors:
            raise CompileRefused(f"The graph fails at the example: {errors[0].reason}", HINT)
        return Encoder(signature, self.spec.name).body(columns, 0, 1, True)

    def _load_request(self, plan: dict[str, Any], file: Stored) -> dict[str, Any]:
        """The ``load`` message of the graph: as that of the model, with its file in place of the model's."""
        files = [{"path": file.path, "format": "onnx", "name": f"{self.spec.name}.onnx", "sha256": file.sha256}]
        options = {"threads": self.spec.threads, "compiled": plan}
        return {"op": "load", "files": files, "options": options, "code": None, "columns": self.columns}

    async def _compare(self, handle: HostHandle, edges: list[list[float]]) -> Comparison:
        """Ask both for the same rows. :raises CompileRefused: the first row that is answered otherwise."""
        signature = self.admission.signature
        comparison = Comparison(signature)
        sample = await asyncio.to_thread(compile_rows.of_sample, self.spec.sample, signature) if self.spec.sample else []
        makers = (compile_rows.corners, compile_rows.at_splits, compile_rows.by_chance)
        generated = chain.from_iterable(make(signature, edges) for make in makers)
        step = min(256, self.admission.max_batch_rows)
        for rows, is_shown in ((iter(sample), False), (generated, True)):
            start = 0
            while piece := await asyncio.to_thread(list, islice(rows, step)):
                packed = pack(signature, [list(column) for column in zip(*piece, strict=True)], len(piece), False)
                answers = [await self._answer(one, signature, packed) for one in (self.native, handle)]
                comparison.add(answers[0], answers[1], piece if is_shown else None, start)
                start += len(piece)
        comparison.finish()
        return comparison

    async def _answer(self, handle: HostHandle, signature: Signature, rows: Any) -> Any:
        try:
            return await handle.predict(signature, rows, ANSWER_TIMEOUT_S)
        except (HostLost, HostFault) as exc:
            raise CompileRefused(f"It cannot be compared with the model: {exc}", HINT) from exc


def _with_digits(signature: Signature, description: dict[str, Any]) -> Signature:
    """The same signature; answers that the graph computes in float32 are told in as few digits as that has."""
    small = [bool(output.get("float32")) for output in description.get("outputs") or ()]
    if len(small) != len(signature.outputs):
        raise CompileRefused("It cannot be compiled: the graph gives other outputs than the model.", HINT)
    outputs = [msgspec.structs.replace(own, float32=own.float32 or is_small) for own, is_small in zip(signature.outputs, small, strict=True)]
    return msgspec.structs.replace(signature, outputs=tuple(outputs))


def _checked_edges(edges: Any, signature: Signature) -> list[list[float]]:
    """Splits as the converting host told them, those that a field of numbers can hold.

    :raises CompileRefused: it told something else.
    """
    try:
        told = [(int(place), float(value)) for place, value in edges or ()]
    except (TypeError, ValueError, OverflowError) as exc:
        raise CompileRefused("It cannot be compiled: its process told places that are none.", HINT) from exc
    numbers = {at for at, field in enumerate(signature.fields) if field.kind in ("number", "integer") and not field.choices}
    return [[place, value] for place, value in told if place in numbers and abs(value) < 1e30]
