"""The models of this home as a repository: which there are and in what state; take one away, bring it back."""

from __future__ import annotations

from typing import Any

from ..errors import ArtifactRefused, HostFault, InvalidInput, ModelNotFound, NotReady
from ..serving.control import ask_steward
from ..serving.table import Model
from ..state import CarafeState

WAIT_S = 90.0  # for a model to be loaded and every worker to go by it; the steward gives up before that


def load(state: CarafeState, name: str) -> None:
    """Bring model ``name`` back from its declaration; one that is served is replaced if its files have changed.

    Returns when every web worker of this home goes by it.

    :raises ModelNotFound: nobody declared it.
    :raises ArtifactRefused: its file must not be served.
    :raises NotReady: it is not there in time.
    """
    model = state.table.resolve(name)
    if model.call is not None:
        return
    entry = _asked(state, "load", name)
    if entry.get("state") == "refused" or entry.get("refusal"):
        raise ArtifactRefused(str(entry.get("refusal") or entry.get("reason")), str(entry.get("hint", "")))
    if entry.get("state") != "ready":
        raise NotReady(name, str(entry.get("reason") or "it is still loading"))


def unload(state: CarafeState, name: str) -> None:
    """Take model ``name`` away: its process ends, and who asks it is told so, until it is loaded again. A restart forgets it.

    :raises ModelNotFound: there is no such model.
    :raises InvalidInput: it is a function of the application, which has no process of its own.
    """
    model = state.table.resolve(name)
    if model.call is not None:
        raise InvalidInput(f"Model {name!r} is a function of the application and cannot be unloaded.", ())
    _asked(state, "unload", name)


def _asked(state: CarafeState, op: str, name: str) -> dict[str, Any]:
    """The model's entry, once the steward has done what it was asked."""
    try:
        reply = ask_steward(state.run_dir, {"op": op, "model": name}, WAIT_S)
    except HostFault as exc:
        raise NotReady(name, str(exc)) from exc
    if reply.get("code") == ModelNotFound.code:
        raise ModelNotFound(name)
    if reply.get("op") == "error":
        raise HostFault(str(reply.get("error")))
    entry: dict[str, Any] = reply.get("entry", {})
    return entry


def state_of(model: Model) -> tuple[str, str]:
    """What the repository index says of a model: its state and the reason."""
    entry = model.entry
    if model.is_answering or entry.state == "ready":
        return "READY", ""
    return ("LOADING" if entry.state == "loading" else "UNAVAILABLE"), entry.reason
