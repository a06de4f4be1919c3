"""What the journal keeps of a model, as people say it: ``off``, ``email=hashed,name=dropped``, or a mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import msgspec

from ..errors import ConfigError
from ..signature import Signature
from .hints import nearest, split

Treatment = Literal["full", "hashed", "dropped"]
TREATMENTS = get_args(Treatment)
KEYS = ("fields", "answer", "sample")
EXPECTED = "expected off, name=hashed,… or a mapping with fields, answer and sample"


class JournalRules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a model's predictions is kept.

    ``fields``: by name, where it is not the usual. ``sample``: the share of predictions that is kept, of 1; None is the setting's.
    """

    on: bool = True
    fields: dict[str, Treatment] = {}
    answer: Literal["full", "dropped"] = "full"
    sample: float | None = None

    def fits(self, signature: Signature) -> None:
        """:raises ConfigError: a field is named that the model does not have: it must not be kept by mistake."""
        names = [field.name for field in signature.fields]
        for name in self.fields:
            if name not in names:
                raise ConfigError(f"journal: the model has no field {name!r}.", nearest(name, names))


USUAL, OFF = JournalRules(), JournalRules(on=False)


def read_journal(value: Any) -> JournalRules:
    """The rules in ``value``.

    :raises ConfigError: what it got and what it wants.
    """
    if isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in ("on", "off", "true", "false")):
        return USUAL if str(value).strip().lower() in ("on", "true") else OFF
    if isinstance(value, str):
        pairs = [part.partition("=") for part in split(value)]
        if not all(name and sign for name, sign, _ in pairs):
            raise ConfigError(f"journal: got {value!r}, {EXPECTED}.")
        value = {"fields": {name.strip(): treatment.strip() for name, _, treatment in pairs}}
    if not isinstance(value, Mapping):
        raise ConfigError(f"journal: got {value!r}, {EXPECTED}.")
    for key in value:
        if key not in KEYS:
            raise ConfigError(f"journal: {key!r} is not known.", nearest(str(key), KEYS))
    return JournalRules(fields=_fields(value.get("fields") or {}), answer=_answer(value.get("answer", "full")), sample=_share(value.get("sample")))


def _fields(value: Any) -> dict[str, Treatment]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"journal.fields: got {value!r}, expected a mapping of names to full, hashed or dropped.")
    for name, treatment in value.items():
        if treatment not in TREATMENTS:
            raise ConfigError(f"journal.fields.{name}: got {treatment!r}, expected full, hashed or dropped.", nearest(str(treatment), TREATMENTS))
    return {str(name): treatment for name, treatment in value.items()}


def _answer(value: Any) -> Literal["full", "dropped"]:
    if value not in ("full", "dropped"):
        raise ConfigError(f"journal.answer: got {value!r}, expected full or dropped.")
    return value  # type: ignore[no-any-return]


def _share(value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1):
        raise ConfigError(f"journal.sample: got {value!r}, expected a number from 0 to 1.")
    return None if value is None else float(value)
