"""What is in a model's files, and does it work here: a look without loading, then a trial in a host of its own."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..artifacts.eras import era, notes
from ..artifacts.inspection import Inspection, Survey, code_given, look, refuse
from ..artifacts.spec import ModelSpec
from ..artifacts.verdict import difference, refuse_break, versions_here
from ..errors import ArtifactRefused, CarafeError
from ..hosting.admission import Admission, Compiled
from ..hosting.starting import start
from ..hosting.supervisor import Supervisor
from ..signature import Signature

Outcome = Literal["passed", "unverified", "refused", "looked"]


class FileReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one file says of itself. ``names`` counts by kind, ``listed`` holds all that are not known."""

    name: str
    format: str = ""
    compression: str = ""
    size_bytes: int = 0
    sha256: str = ""
    holds: str = ""
    protocol: int = -1
    versions: dict[str, tuple[str, ...]] = {}
    classes: tuple[str, ...] = ()
    names: dict[str, int] = {}
    listed: dict[str, tuple[str, ...]] = {}
    notes: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()
    broken: str = ""
    onnx: dict[str, Any] = {}
    folder: str = ""  # what the folder around the file is


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a host found: times in milliseconds, memory in bytes."""

    runtime: str
    estimator: str
    libraries: dict[str, str]
    signature: Signature
    example: dict[str, Any]
    prediction: dict[str, Any]
    load_ms: float
    first_ms: float
    memory_bytes: int
    max_batch_rows: int
    replayed: int
    warnings: tuple[str, ...]
    compiled: Compiled | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``outcome``: ``passed``, ``unverified`` (served with a mark), ``refused``, or ``looked`` (not tried)."""

    model: str
    outcome: Outcome
    reason: str = ""
    hint: str = ""
    code: str = ""
    difference: str = ""
    era: tuple[str, ...] = ()
    files: tuple[FileReport, ...] = ()
    trial: TrialReport | None = None


async def check(spec: ModelSpec, *, static: bool = False) -> Report:
    """Look into the files of ``spec`` without loading them; then, unless ``static``, try them in a fresh host.

    A file that asks for dangerous names is reported and never loaded. Nothing is kept.

    :raises HostFault: no host could be started; that says nothing about the model.
    """
    inspections: list[Inspection] = []
    try:
        for file in spec.files:
            inspections.append(await asyncio.to_thread(look, file))
        for inspection in inspections:
            refuse(inspection, has_code=code_given(spec, inspection))
        found = Survey(files=tuple(inspections))
        refuse_break(found, versions_here(found))
    except ArtifactRefused as exc:
        return _report(spec, inspections, "refused", error=exc)
    if static:
        return _report(spec, inspections, "looked")
    try:
        admission = await _try(spec)
    except ArtifactRefused as exc:
        return _report(spec, inspections, "refused", error=exc)
    tried = _trial_report(admission)
    if admission.unverified:
        return _report(spec, inspections, "unverified", trial=tried, reason=admission.unverified, hint=admission.verdict.hint)
    return _report(spec, inspections, "passed", trial=tried)


async def _try(spec: ModelSpec) -> Admission:
    """The trial, in a run directory that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="carafe-check-") as folder:
        (Path(folder) / "hosts").mkdir(mode=0o700)
        supervisor = Supervisor(Path(folder))
        try:
            return (await start(supervisor, spec, Path(folder))).admission
        finally:
            await supervisor.stop()


def _report(spec: ModelSpec, inspections: list[Inspection], outcome: Outcome, *, error: CarafeError | None = None, **facts: Any) -> Report:
    found = Survey(files=tuple(inspections))
    if error is not None:
        facts |= {"reason": str(error), "hint": error.hint, "code": error.code}
    return Report(
        model=spec.name,
        outcome=outcome,
        difference=difference(found),
        era=era(found),
        files=tuple(map(_file_report, inspections)),
        **facts,
    )


def _file_report(file: Inspection) -> FileReport:
    kinds = ("known", "code", "main", "unknown", "dangerous")
    facts = file.pickle
    fitted = [estimator for estimator in file.estimators if estimator.version] or file.estimators
    return FileReport(
        name=file.name,
        format=file.format,
        compression=file.compression,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        holds=file.root,
        protocol=facts.protocol if facts else -1,
        versions=file.versions,
        classes=tuple(dict.fromkeys(f"{estimator.module}.{estimator.name}" for estimator in fitted)),
        names={kind: count for kind in kinds if (count := len(file.named(kind)))},
        listed={kind: tuple(str(name) for name in names) for kind in kinds[1:] if (names := file.named(kind))},
        notes=notes(file),
        oddities=facts.oddities if facts else (),
        broken=facts.broken if facts else "",
        onnx=msgspec.to_builtins(file.onnx) if file.onnx else {},
        folder=file.mlflow.told if file.mlflow else "",
    )


def _trial_report(admission: Admission) -> TrialReport:
    description = admission.description
    return TrialReport(
        runtime=str(description.get("runtime", "")),
        estimator=str(description.get("estimator", "")),
        libraries=admission.libraries,
        signature=admission.signature,
        example=admission.example,
        prediction=admission.prediction,
        load_ms=admission.load_ms,
        first_ms=admission.first_ms,
        memory_bytes=admission.memory_bytes,
        max_batch_rows=admission.max_batch_rows,
        replayed=admission.replayed,
        warnings=admission.warnings,
        compiled=admission.compiled,
    )
