"""Flask-Carafe turns a trained model into a production web application on Flask.

Names are handed on when they are first used: the command line imports this package and must not pay for Flask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .extension import Carafe as Carafe
    from .extension import Model as Model
    from .globals import current_carafe as current_carafe
    from .signals import model_loaded as model_loaded
    from .signals import prediction_made as prediction_made

__version__ = "0.1.0"
__all__ = ["Carafe", "Model", "current_carafe", "model_loaded", "prediction_made"]
WHERE = {
    "Carafe": "extension",
    "Model": "extension",
    "current_carafe": "globals",
    "model_loaded": "signals",
    "prediction_made": "signals",
}


def __getattr__(name: str) -> Any:
    if name in WHERE:
        return getattr(import_module(f".{WHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
