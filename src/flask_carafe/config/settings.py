"""Settings: one typed table; later layers win. Nothing here knows Flask; a caller hands ``app.config`` in.

``default < carafe.yaml < app.config["CARAFE_*"] < environment CARAFE_* < command line``

A key that is unknown or of the wrong type stops the start, with every problem listed and the nearest key named.
Below the faces nobody reads ``os.environ`` or ``app.config`` again: they get a frozen :class:`Settings`.
"""

# ruff: noqa: RUF009 - _setting() makes dataclasses.field, so the table is the class
from __future__ import annotations

import dataclasses
import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_type_hints

from ..errors import ConfigError
from .values import MIB, PREFIX, Problem, Setting, convert, nearest
from .yamlfile import read_yaml

CONFIG_FILE = "carafe.yaml"
COMMAND_LINE, ENVIRONMENT, APP, FILE = "command line", "environment", "app.config", "carafe.yaml"
OUTER, PROCESS = (COMMAND_LINE, ENVIRONMENT, APP), (ENVIRONMENT,)
# Kubernetes puts these beside every pod when a Service is called "carafe"; they are not ours.
SERVICE_LINKS = re.compile(r"CARAFE_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")


def _setting(default: Any, help: str, group: str, **more: Any) -> Any:
    """One row; ``more`` as in :class:`Setting`: ``least``, ``most``, ``secret``, ``layers``."""
    metadata = {"help": help, "group": group, **more}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not more.get("secret"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one application, frozen. Build with :meth:`load`; ``Settings(home=...)`` will do in a test."""

    home: Path = _setting(Path(".carafe"), "Folder of all state. Inside an app: `carafe` in its instance folder.", "Places")
    config: Path | None = _setting(
        None, "The configuration file; without it `carafe.yaml` in the working folder, if there is one.", "Places", layers=OUTER
    )
    run_dir: Path | None = _setting(None, "Machine-local folder for sockets and counters, if the usual one will not do.", "Places", layers=PROCESS)
    python: Path | None = _setting(None, "The interpreter that hosts run in, if it cannot be found by `sys.prefix`.", "Places", layers=PROCESS)

    models: dict[str, Any] = _setting({}, "Models to serve: a name and what describes it.", "Models", layers=(FILE, APP))
    default_model: str = _setting("", "The model that `POST /predict` asks; without it the only one, if there is one.", "Models")

    host: str = _setting("127.0.0.1", "Address that `carafe serve` listens at.", "Server")
    port: int = _setting(5000, "Port that `carafe serve` listens at; 0 takes a free one.", "Server", least=0, most=65535)
    workers: int = _setting(2, "Processes that answer HTTP.", "Server", least=1, most=256)
    threads: int = _setting(
        16, "Threads per worker for pages and other Flask views (under another server: as many as it has); no model may hold more than half.",
        "Server", least=1, most=512,
    )  # fmt: skip
    dev: bool = _setting(False, "Reload models and code when their files change.", "Server")
    url_prefix: str = _setting("", "Where Carafe's routes hang. Inside an app: `/carafe`.", "Server")
    door: Literal["flask", "wsgi"] = _setting("flask", "How predictions come in inside an app: by Flask views, or before Flask.", "Server")
    trusted_hosts: tuple[str, ...] = _setting((), "Host names that requests may name; none given: all.", "Server")
    drain_s: float = _setting(30.0, "How long a stop waits for requests that were accepted.", "Server", least=0)
    notice_s: float | None = _setting(
        None, "How long `/readyz` says 503 before a stop begins, for balancers to see; without it 0 on a terminal, 5 elsewhere.", "Server", least=0
    )

    public: bool = _setting(False, "Predictions are open to everybody who reaches this server.", "Access")
    cors_origins: tuple[str, ...] = _setting((), "Origins whose pages may call Carafe's routes, as `https://app.example.org`.", "Access")
    secret_key: str = _setting(
        "", "Secret for signing; without it one is made and kept in the home.", "Access", secret=True, layers=(ENVIRONMENT, APP, FILE)
    )

    predict_timeout_s: float = _setting(2.0, "A request's own deadline; after it 504.", "Limits", least=0.001)
    hang_limit_s: float = _setting(10.0, "A host that works on one frame for longer is replaced; a model's `timeout_ms` wins.", "Limits", least=0.01)
    max_body_bytes: int = _setting(16 * MIB, "Largest request body; beyond it 413.", "Limits", least=1)
    max_rows: int = _setting(10_000, "Most rows in one request; beyond it 413.", "Limits", least=1)
    max_batch_rows: int = _setting(256, "Most rows in one frame to a host.", "Limits", least=1, most=65536)
    queue_rows: int = _setting(4096, "Most rows waiting per model; what finds so many before it gets 429.", "Limits", least=1)
    queue_bytes: int = _setting(64 * MIB, "Most bytes waiting per model; beyond it 429.", "Limits", least=1)
    queue_requests: int = _setting(
        8192, "Most requests waiting per worker, over all models; no model may hold more than half of them. Beyond it 429.", "Limits", least=2
    )
    reading_bytes: int = _setting(128 * MIB, "Most bytes of bodies being read per worker; beyond it 429.", "Limits", least=1)
    header_timeout_s: float = _setting(10.0, "How long a client may take to send its headers.", "Limits", least=0.1)
    body_timeout_s: float = _setting(30.0, "How long a client may take to send its body.", "Limits", least=0.1)

    journal: bool = _setting(True, "Keep a record of predictions on disk, in `journal` in the home.", "Journal")
    journal_sample: float = _setting(1.0, "Share of predictions that the journal keeps; a model's own `sample` wins.", "Journal", least=0, most=1)
    journal_segment_bytes: int = _setting(16 * MIB, "A file of the journal is closed at this size.", "Journal", least=4096)
    journal_segment_s: float = _setting(60.0, "A file of the journal is closed at this age.", "Journal", least=1)
    journal_keep_bytes: int = _setting(1024 * MIB, "Most of the journal that is kept; the oldest goes first.", "Journal", least=0)

    log_format: Literal["auto", "json", "text"] = _setting("auto", "`auto` is `text` on a terminal and `json` elsewhere.", "Log")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "The least important lines that are written.", "Log")

    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        *,
        command_line: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        app_config: Mapping[str, Any] | None = None,
        directory: Path | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Read all layers.

        :param command_line: option -> value by setting's name; ``None`` and ``()`` mean "not given".
        :param environ: read in place of ``os.environ``.
        :param app_config: a Flask app's configuration; only its ``CARAFE_*`` keys are looked at.
        :param directory: where ``carafe.yaml`` is looked for and relative paths begin, the working folder if not given.
        :param defaults: other defaults than the table's, as an app has for ``home`` and ``url_prefix``.
        :raises ConfigError: unknown keys or ill-typed values, all of them listed.
        """
        here = (directory or Path.cwd()).resolve()
        outer = [
            _Layer(COMMAND_LINE, here, {name: value for name, value in (command_line or {}).items() if value is not None and value != ()}),
            _Layer(ENVIRONMENT, here, _prefixed(_without_links(os.environ if environ is None else environ))),
            _Layer(APP, here, _prefixed(app_config or {})),
        ]
        problems: list[str] = []
        path = _find_config(outer, here, problems)
        file = [_Layer(path.name, path.parent, read_yaml(path), FILE)] if path else []
        base = _Layer("default", here, dict(defaults or {}))
        values, sources = _merge([*outer, *file, base], problems)
        _check(values, problems)
        if problems:
            raise ConfigError(_listed(problems), "All settings: carafe doctor, or the page Configuration in the docs.")
        values.setdefault("home", here / ".carafe")
        return cls(**(values | {"config": path}), sources=types.MappingProxyType(sources))

    def overridden(self, command_line: Mapping[str, Any]) -> Settings:
        """These settings with a command line on top, as under ``flask carafe …``, where the app has read the rest.

        :raises ConfigError: ill-typed values, all of them listed.
        """
        given = {name: value for name, value in command_line.items() if value is not None and value != ()}
        problems: list[str] = []
        values, sources = _merge([_Layer(COMMAND_LINE, Path.cwd(), given)], problems)
        _check(values, problems)
        if problems:
            raise ConfigError(_listed(problems))
        return dataclasses.replace(self, **values, sources=types.MappingProxyType({**self.sources, **sources}))

    def provenance(self, name: str) -> str:
        """Where a setting comes from: ``command line``, ``environment``, ``app.config``, the file's name, ``default``."""
        return self.sources.get(_by_name(name).name, "default")

    @property
    def models_base(self) -> Path:
        """Where relative paths inside :attr:`models` begin: the configuration file's folder."""
        return self.config.parent if self.config and self.provenance("models") == self.config.name else Path.cwd()

    def environment(self) -> dict[str, str]:
        """What a child process needs to come to the same settings. Holds the secret: for our own processes, never for hosts."""
        told = (s for s in SETTINGS if s.name != "models" and (s.name in self.sources or getattr(self, s.name) != s.default))
        texts = {s.key: _as_text(getattr(self, s.name)) for s in told}
        return {key: text for key, text in texts.items() if text} | {"CARAFE_URL_PREFIX": self.url_prefix or "/"}


def _rows() -> Iterator[Setting]:
    hints = get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        if field.metadata:
            default = {} if field.default is dataclasses.MISSING else field.default
            yield Setting(field.name, default, hints[field.name], **field.metadata)


SETTINGS: tuple[Setting, ...] = tuple(_rows())
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclasses.dataclass(frozen=True)
class _Layer:
    """One place that settings come from; relative paths in it begin at ``base``."""

    source: str
    base: Path
    values: dict[str, Any]
    kind: str = ""  # as `source`, but FILE whatever the file's name

    def spelled(self, name: str) -> str:
        """The key as its author wrote it."""
        if self.source in (ENVIRONMENT, APP):
            return PREFIX + name.upper()
        return "--" + name.replace("_", "-") if self.source == COMMAND_LINE else name


def _prefixed(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(PREFIX).lower(): value for key, value in mapping.items() if key.startswith(PREFIX)}


def _without_links(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what is not ours; an empty variable means "not given", as compose files have them."""

    def is_link(key: str) -> bool:
        return SERVICE_LINKS.fullmatch(key) is not None or (key == "CARAFE_PORT" and "://" in environ[key])

    return {key: value for key, value in environ.items() if value and not is_link(key)}


def _by_name(name: str) -> Setting:
    return BY_NAME[name.removeprefix(PREFIX).lower()]


def _find_config(layers: Sequence[_Layer], here: Path, problems: list[str]) -> Path | None:
    for layer in layers:
        if layer.values.get("config"):
            path = Path(os.path.abspath(layer.base / str(layer.values["config"])))
            if path.is_file():
                return path
            problems.append(f"{layer.spelled('config')} names {path.name!r}, and there is no such file in {path.parent}")
            return None
    usual = here / CONFIG_FILE
    return usual if usual.is_file() else None


def _merge(layers: Sequence[_Layer], problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """First layer that has a key wins; the others are checked all the same, or a mistake hides until the day it counts."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        for name, raw in layer.values.items():
            setting = BY_NAME.get(name)
            if setting is None:
                problems.append(f"{layer.spelled(name)} ({layer.source}) is not a setting{nearest(name, BY_NAME, layer.spelled)}")
                continue
            if setting.layers and (layer.kind or layer.source) not in (*setting.layers, "default"):
                problems.append(f"{layer.spelled(name)} ({layer.source}) may stand only here: {', '.join(setting.layers)}")
                continue
            try:
                value = convert(setting, raw, layer.base)
            except Problem as exc:
                got = "a secret" if setting.secret else _shortened(raw)
                problems.append(f"{layer.spelled(name)} ({layer.source}) must be {exc}, got {got}")
                continue
            if name not in values:
                values[name], sources[name] = value, layer.source
    return values, sources


def _check(values: dict[str, Any], problems: list[str]) -> None:
    """What one type cannot say."""
    prefix = values.get("url_prefix", "")
    values.update({"url_prefix": prefix.rstrip("/")} if "url_prefix" in values else {})
    if prefix and (not prefix.startswith("/") or prefix.startswith("//") or re.search(r"[\s<>?#%]", prefix)):
        problems.append(f"url_prefix must begin with one / and hold no special characters, got {prefix!r}")
    for origin in values.get("cors_origins", ()):
        if origin != "*" and not re.fullmatch(r"https?://[^/\s*]+", origin):
            problems.append(f"cors_origins must be origins as https://app.example.org (scheme, host, port; no path), got {origin!r}")
    if 0 < len(values.get("secret_key", "")) < 16:
        problems.append("secret_key must have at least 16 characters")


def _listed(problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return problems[0] + "."
    return f"{len(problems)} settings are wrong:" + "".join(f"\n  - {problem}." for problem in problems)


def _shortened(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def _as_text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
