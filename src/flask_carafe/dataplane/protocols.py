"""All protocols of predictions, and which path of a routing table asks which model in which of them."""

from __future__ import annotations

from typing import NamedTuple

from ..serving.table import Model, RoutingTable
from .dialects.generate import Generate, GenerateStream, InferStream
from .dialects.mlflow import MLflow
from .dialects.torchserve import TorchServe
from .dialects.v1 import Classify, Predict, Regress
from .dialects.v2 import V2
from .native import NATIVE
from .protocol import Protocol

PROTOCOLS: tuple[Protocol, ...] = (
    NATIVE, V2(), Generate(), GenerateStream(), InferStream(), MLflow(), Predict(), Classify(), Regress(), TorchServe(),
)  # fmt: skip


class Route(NamedTuple):
    """Where a path leads."""

    protocol: Protocol
    model: Model


class Routes:
    """Exact paths to routes, made once for each routing table. Where two protocols share a path the first listed has it."""

    def __init__(self) -> None:
        self.made: tuple[RoutingTable | None, dict[str, Route]] = (None, {})  # both at once: threads may find beside each other

    def find(self, table: RoutingTable, path: str) -> Route | None:
        """The route of ``path``, given without the application's prefix; None where it is no prediction."""
        known, paths = self.made
        if known is not table:
            paths = {path: Route(protocol, model) for protocol in reversed(PROTOCOLS) for path, model in protocol.paths(table)}
            self.made = (table, paths)
        return paths.get(path)
