"""What is known about predictions after the fact. Nothing here knows Flask, and nothing here can fail a prediction."""

from __future__ import annotations

from .metrics import Recorder
from .scrape import exposition

__all__ = ["Recorder", "exposition"]
