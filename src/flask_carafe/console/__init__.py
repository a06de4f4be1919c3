"""Face: pages. They read as well without a script as with one; every word of an error is the API's own.

``blueprint`` holds all routes and never reaches beyond them; ``register`` gives a whole application our error pages
and is for the ready-made application alone.
"""

from __future__ import annotations

from . import docs as docs
from .errors import register
from .views import blueprint

__all__ = ["blueprint", "register"]
