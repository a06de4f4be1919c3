"""From a spec to a host that has passed the trial, and from a crashed host back to one that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..artifacts.spec import ModelSpec
from ..config import show_size
from ..errors import CarafeError, HostFault, HostLost
from ..hosting import trial, trial_rows
from ..hosting.handle import HostHandle
from ..hosting.starting import start
from ..hosting.supervisor import Supervisor
from ..signature import Signature
from ..signature.schema import example_request

LOAD_TIMEOUT_S = 300.0
FACTS = (
    "signature", "runtime", "estimator", "libraries", "max_batch_rows", "unverified", "compiled", "warnings", "load_ms", "memory_bytes",
    "example", "answer",
    "description", "routes", "timeout_ms", "required",
)  # fmt: skip


class Recipe(msgspec.Struct, frozen=True):
    """How to load the same bytes again: libraries to import beforehand, and the ``load`` request."""

    modules: tuple[str, ...]
    load: dict[str, Any]


class Loaded(msgspec.Struct):
    """A host that has passed the trial, and what the trial found: the version's part of a table entry."""

    handle: HostHandle
    facts: dict[str, Any]
    recipe: Recipe


async def bring_up(supervisor: Supervisor, spec: ModelSpec, home: Path) -> Loaded:
    """A host that serves ``spec``, and what the table tells of it.

    :raises ArtifactRefused: the file must not be served, or not so.
    :raises HostFault: no host could be started.
    """
    started = await start(supervisor, spec, home)
    return Loaded(started.handle, facts_of(started.admission), Recipe(started.modules, started.load))


async def bring_back(supervisor: Supervisor, recipe: Recipe, facts: dict[str, Any]) -> HostHandle:
    """Start a host again with the bytes that passed the trial; it answers one prediction before it serves.

    :raises CarafeError: it could not be started, did not load them, or did not answer.
    """
    handle = await supervisor.start_host(recipe.modules)
    try:
        await _reload(handle, recipe, facts)
    except HostLost as exc:
        raise HostFault("its process ended while it loaded the model") from exc
    except CarafeError:
        await supervisor.stop_host(handle)
        raise
    except BaseException:  # nobody wants it any more, or a mistake of ours
        handle.kill()
        raise
    return handle


async def _reload(handle: HostHandle, recipe: Recipe, facts: dict[str, Any]) -> None:
    await asked(handle, recipe.load, LOAD_TIMEOUT_S)
    signature = msgspec.convert(facts["signature"], Signature)
    await asked(handle, {"op": "configure", **{key: facts.get(key) for key in ("signature", "max_batch_rows", "timeout_ms")}})
    rows = trial_rows.packed(signature, [trial_rows.example(signature)])
    _, errors = await handle.predict(signature, rows, LOAD_TIMEOUT_S)
    if errors:
        raise HostFault(f"it fails on the example that it answered before: {errors[0].reason}")


async def asked(handle: HostHandle, message: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
    """A request whose refusal is an error.

    :raises HostFault: the host said no; its reason.
    """
    reply = await handle.request(message, timeout_s)
    if not reply.get("ok"):
        raise HostFault(str((reply.get("error") or {}).get("message", "no reason given")))
    return reply


def facts_of_spec(spec: ModelSpec) -> dict[str, Any]:
    """What the table tells of a version because it was declared so, not because the trial found it."""
    told = {"description": spec.description, "routes": list(spec.routes), "timeout_ms": spec.timeout_ms, "required": spec.required}
    return told | {"journal": msgspec.to_builtins(spec.journal)}


def facts_of(admission: trial.Admission) -> dict[str, Any]:
    """What the trial found, as the table tells it."""
    description = admission.description
    runtime = str(description.get("runtime", ""))
    source = str(description.get("compiled_from", ""))
    named = [f"{name} {admission.libraries.get(name, '')}".strip() for name in (runtime, source) if name]
    return {
        "signature": msgspec.to_builtins(admission.signature),
        "runtime": ", compiled from ".join(named),
        "estimator": str(description.get("estimator", "")),
        "libraries": admission.libraries,
        "max_batch_rows": admission.max_batch_rows,
        "unverified": admission.unverified,
        "compiled": admission.compiled.in_words if admission.compiled else "",
        "warnings": list(admission.warnings),
        "load_ms": admission.load_ms,
        "memory_bytes": admission.memory_bytes,
        "example": (example := _example(admission.signature)),
        "answer": admission.prediction if example is not None and example == admission.example else {},
    }


def _example(signature: Signature) -> Any:
    """A request that this model answers, or None where it wants files and nobody should paste one."""
    if any(field.kind in {"image", "document"} for field in signature.fields):
        return None
    return example_request(signature)


def in_short(facts: dict[str, Any]) -> str:
    """``scikit-learn 1.9.1, LogisticRegression, 1.6 MiB``."""
    memory = show_size(facts["memory_bytes"]) if facts["memory_bytes"] else ""
    return ", ".join(filter(None, (facts["runtime"], facts["estimator"], memory, facts.get("compiled"))))
