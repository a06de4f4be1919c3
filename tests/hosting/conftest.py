"""Fixtures of the hosting room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosting.host_client import Peer, Zygote


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """A zygote that has imported scikit-learn and pandas."""
    modules = ["sklearn.linear_model", "sklearn.ensemble", "sklearn.pipeline", "sklearn.compose", "sklearn.feature_extraction.text", "pandas"]
    made = Zygote(tmp_path_factory.mktemp("z"), modules=modules)
    yield made
    made.end()


@pytest.fixture
def host(zygote: Zygote) -> Iterator[Peer]:
    """An empty host with a control connection."""
    with zygote.host() as peer:
        yield peer
