"""The routing table: which model a path or a name means, and where its hosts are. Immutable; a new one replaces it whole."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from ..artifacts.journal import USUAL, JournalRules
from ..errors import ModelNotFound, ModelRefused, NoDefaultModel, NotFound, NotReady, VersionNotFound
from ..signature import Signature
from ..signature.answer import Encoder
from ..signature.decode import Decoder
from .lane import Lane

Call = Callable[[list[dict[str, Any]]], Iterable[Any]]  # a Python function of the app: rows in, predictions out; or one row, and its values


class HostAddress(msgspec.Struct, frozen=True):
    """Where a host listens: ``unix:PATH`` or ``tcp:HOST:PORT``, and the word it wants to hear."""

    id: str
    address: str
    token: str
    pid: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One model as the steward describes it; ``state`` is loading, ready, failed (restarting), refused or unloaded.

    ``is_changing``: what was declared last is still being taken up; ``refusal``: why it was refused while an older version goes on.
    """

    name: str
    version: int = 1
    digest: str = ""
    state: str = "loading"
    reason: str = ""
    hint: str = ""
    is_changing: bool = False
    refusal: str = ""
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
    compiled: str = ""  # what compiling brought, in words
    warnings: tuple[str, ...] = ()
    load_ms: float = 0.0
    memory_bytes: int = 0
    restarts: int = 0
    example: Any = None
    journal: JournalRules = USUAL
    answer: dict[str, Any] = {}  # what the version answered to its example when it was tried


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
        self.encoder: Encoder | None = like.encoder if same and like else Encoder(signature, entry.name) if signature else None
        self.key = f"{entry.name}@{entry.version}:{entry.digest}"
        self.lane: Lane | None = None
        self.call: Call | None = None
        self.streams = signature is not None and signature.streams
        self.version_text = str(entry.version)
        self.said = b"," + msgspec.json.encode({"model": entry.name, "version": entry.version})[1:-1] + b',"id":"'  # in every answer

    @property
    def is_answering(self) -> bool:
        """Predictions can be had of it now: it is a function here, or a host is connected."""
        return self.call is not None or (self.lane is not None and bool(self.lane.channels))

    def unready(self, otherwise: str) -> NotReady:
        """The error that says why it does not answer; ``otherwise`` where the steward gave no reason."""
        entry = self.entry
        if entry.state == "refused":
            return ModelRefused(entry.name, entry.reason or otherwise, entry.hint)
        error = NotReady(entry.name, entry.reason or otherwise)
        if entry.state == "unloaded":
            error.hint = f"Bring it back with POST /v2/repository/models/{entry.name}/load."
        return error

    def usable_decoder(self) -> Decoder:
        """The decoder.

        :raises NotReady: there is none yet, since no version of it has been tried.
        :raises ModelRefused: it was tried, and must not be served.
        """
        if self.decoder is None:
            raise self.unready("it is still loading")
        return self.decoder

    def usable_encoder(self) -> Encoder:
        """The encoder; there is one wherever there is a decoder."""
        assert self.encoder is not None
        return self.encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.entry, name)


class RoutingTable:
    """Names and paths to models. ``revision`` grows with each table of one ``epoch``.

    :param default: the application's own word on its default model; without it the table's.
    """

    def __init__(
        self, data: TableData, max_rows: int = 10_000, before: RoutingTable | None = None, local: Mapping[str, Model] | None = None, default: str = ""
    ) -> None:
        old = before.models if before else {}
        self.epoch, self.revision, self.media = data.epoch, data.revision, data.media
        self.models: dict[str, Model] = {entry.name: Model(entry, max_rows, old.get(entry.name)) for entry in data.models}
        self.models.update(local or {})
        self.chosen = default or data.default_model
        self.default = self._default()
        self.declared_paths = self._declared()

    def _default(self) -> str | None:
        """As chosen, else the only one there is."""
        return self.chosen or (next(iter(self.models)) if len(self.models) == 1 else None)

    def with_model(self, model: Model) -> RoutingTable:
        """The same table with ``model`` in it."""
        table = copy.copy(self)
        table.models = self.models | {model.entry.name: model}
        table.default = table._default()
        table.declared_paths = table._declared()
        return table

    def _declared(self) -> dict[str, Model]:
        """Every path that a model declares for itself, without the application's prefix."""
        return {path: model for model in self.models.values() for path in model.entry.routes}

    @classmethod
    def of_local(cls, local: Mapping[str, Model], max_rows: int, default: str = "") -> RoutingTable:
        """A table of nothing but functions of the application, before any steward was met."""
        return cls(TableData(), max_rows, None, local, default)

    @classmethod
    def read(cls, text: bytes, max_rows: int = 10_000, before: RoutingTable | None = None, local: Mapping[str, Model] | None = None) -> RoutingTable:
        """The table in ``text`` (JSON of :class:`TableData`)."""
        return cls(msgspec.json.decode(text, type=TableData), max_rows, before, local)

    def resolve(self, name: str | None = None, version: str | int | None = None) -> Model:
        """The model called ``name``, or the default one.

        :raises ModelNotFound: no such model.
        :raises NoDefaultModel: no name, and no default among several.
        :raises VersionNotFound: it is served, but not in this version.
        """
        model = self.models.get(name if name is not None else self.default or "")
        if model is None:
            raise NoDefaultModel(len(self.models)) if name is None else self._unknown(name)
        if version is not None and str(version) != model.version_text:
            raise VersionNotFound(model.name, version)
        return model

    def _unknown(self, name: str) -> ModelNotFound:
        error = ModelNotFound(name)
        if near := get_close_matches(name[:100], list(self.models)[:1000], n=1):
            error.hint = f"Did you mean {near[0]!r}?"
        return error

    def declared(self, path: str) -> Model:
        """The model that declares ``path`` for itself.

        :raises NotFound: it did once, and does no more.
        """
        model = self.declared_paths.get(path)
        if model is None:
            raise NotFound(f"model at {path}")
        return model
