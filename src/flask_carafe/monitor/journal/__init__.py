"""The durable local record of predictions, written before their answers leave.

:mod:`.format` says what the bytes are, :mod:`.tape` and :mod:`.writer` write them, :mod:`.privacy` says what of them,
:mod:`.reader` reads them, :mod:`.upkeep` keeps the folder in order.
"""

from __future__ import annotations

from .privacy import Kept
from .tape import Tape
from .writer import Journal, Limits

FOLDER = "journal"  # in the home

__all__ = ["FOLDER", "Journal", "Kept", "Limits", "Tape"]
