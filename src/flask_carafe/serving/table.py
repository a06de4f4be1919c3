"""The routing table: which model a path or a name means, and where its hosts are. Immutable; a new one replaces it whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..errors import ModelNotFound, VersionNotFound
from ..signature import Signature
from ..signature.answer import Encoder
from ..signature.decode import Decoder
from .lane import Lane

Call = Callable[[list[dict[str, Any]]], list[Any]]  # a Python function of the app: rows in, predictions out


class HostAddress(msgspec.Struct, frozen=True):
    """Where a host listens: ``unix:PATH`` or ``tcp:HOST:PORT``, and the word it wants to hear."""

    id: str
    address: str
    token: str
    pid: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One model as the steward describes it; ``state`` is loading, ready, failed (restarting) or refused."""

    name: str
    version: int = 1
    digest: str = ""
    state: str = "loading"
    reason: str = ""
    hint: str = ""
    description: str = ""
    runtime: str = ""
    estimator: str = ""
    libraries: dict[str, str] = {}
    routes: tuple[str, ...] = ()
    signature: Signature | None = None
    hosts: tuple[HostAddress, ...] = ()
    timeout_ms: int = 10_000
    max_batch_rows: int = 256
    required: bool = False
    unverified: str = ""
    warnings: tuple[str, ...] = ()
    load_ms: float = 0.0
    memory_bytes: int = 0
    restarts: int = 0
    example: Any = None


class Media(msgspec.Struct, frozen=True):
    """The host that decodes pictures and documents."""

    hosts: tuple[HostAddress, ...] = ()


class TableData(msgspec.Struct, frozen=True, kw_only=True):
    """The table as it travels."""

    format: int = 1
    epoch: str = ""
    revision: int = 0
    default_model: str | None = None
    models: tuple[Entry, ...] = ()
    media: Media | None = None


class Model:
    """An :class:`Entry` made ready for requests: its decoder, its encoder, and where its rows go.

    Attributes of the entry (``name``, ``version``, ``state``, ``signature``, …) are read through.
    """

    def __init__(self, entry: Entry, max_rows: int, like: Model | None = None) -> None:
        self.entry = entry
        same = like is not None and like.entry.signature == entry.signature
        signature = entry.signature
        self.decoder: Decoder | None = like.decoder if same and like else Decoder(signature, max_rows=max_rows) if signature else None
        self.encoder: Encoder | None = like.encoder if same and like else Encoder(signature) if signature else None
        self.key = f"{entry.name}@{entry.version}:{entry.digest}"
        self.lane: Lane | None = None
        self.call: Call | None = None
        self.version_text = str(entry.version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.entry, name)


class RoutingTable:
    """Names and paths to models. ``revision`` grows with each table of one ``epoch``."""

    def __init__(self, data: TableData, max_rows: int = 10_000, before: RoutingTable | None = None, local: Mapping[str, Model] | None = None) -> None:
        old = before.models if before else {}
        self.epoch, self.revision, self.media = data.epoch, data.revision, data.media
        self.models: dict[str, Model] = {entry.name: Model(entry, max_rows, old.get(entry.name)) for entry in data.models}
        self.models.update(local or {})
        self.default = data.default_model or (next(iter(self.models)) if len(self.models) == 1 else None)
        self.routes: dict[str, Model] = {route: model for model in self.models.values() for route in model.entry.routes}

    @classmethod
    def read(cls, text: bytes, max_rows: int = 10_000, before: RoutingTable | None = None, local: Mapping[str, Model] | None = None) -> RoutingTable:
        """The table in ``text`` (JSON of :class:`TableData`)."""
        return cls(msgspec.json.decode(text, type=TableData), max_rows, before, local)

    def resolve(self, name: str | None = None, version: str | int | None = None) -> Model:
        """The model called ``name``, or the default one.

        :raises ModelNotFound: no such model, or no default among several.
        :raises VersionNotFound: it is served, but not in this version.
        """
        model = self.models.get(name if name is not None else self.default or "")
        if model is None:
            raise ModelNotFound(name if name is not None else "default")
        if version is not None and str(version) != model.version_text:
            raise VersionNotFound(model.name, version)
        return model
