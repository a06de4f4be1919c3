"""Which models the pages show: those of the routing table, and those declared that no table knows yet."""

from __future__ import annotations

from ..errors import ModelNotFound
from ..globals import current_carafe
from ..serving.table import Entry, Model

FIRST_S = 1.0  # a page waits this long for models that are loading, and then says that they are


def all_models() -> dict[str, Model]:
    """Every model by name. A page never waits for the slowest of them: it shows what it does."""
    state = current_carafe
    if not state.is_started:
        state.start()
    if state.hosted and state.specs and not state.ready.is_set():
        state.ready.wait(FIRST_S)
    waiting = {spec.name: Model(Entry(name=spec.name, description=spec.description), 1) for spec in state.specs}
    return waiting | state.table.models if state.hosted else dict(state.table.models)


def find(name: str) -> Model:
    """The model called ``name``.

    :raises ModelNotFound: there is none.
    """
    model = all_models().get(name)
    if model is None:
        raise ModelNotFound(name)
    return model
