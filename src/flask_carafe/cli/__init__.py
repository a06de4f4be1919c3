"""Face: commands. ``carafe …`` and ``flask carafe …`` are one group; importing it imports click and nothing heavier."""

from __future__ import annotations

from .main import group, main

__all__ = ["group", "main"]
