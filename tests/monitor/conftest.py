"""A journal in a folder of its own, and what it says that it lost."""

from __future__ import annotations

import pytest

from flask_carafe.monitor.journal import Journal, Limits


@pytest.fixture
def lost() -> dict[str, int]:
    return {}


@pytest.fixture
def journal(tmp_path, lost):
    def on_lost(model: str, predictions: int) -> None:
        lost[model] = lost.get(model, 0) + predictions

    journal = Journal(tmp_path / "journal", Limits(), on_lost)
    yield journal
    journal.close()
