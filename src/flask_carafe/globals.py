"""The way from a request to the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import current_app
from werkzeug.local import LocalProxy

if TYPE_CHECKING:
    from .state import CarafeState


def found_carafe() -> CarafeState:
    """What :data:`current_carafe` stands for: the state itself, for those who use it more than once."""
    state = current_app.extensions.get("carafe")
    if state is None:
        raise RuntimeError("This app has no Carafe: call Carafe(app) first.")
    return cast("CarafeState", state.state)


current_carafe: CarafeState = LocalProxy(found_carafe)  # type: ignore[assignment]
"""The :class:`~flask_carafe.state.CarafeState` of the application at hand."""
