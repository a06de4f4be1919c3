"""Read a pickle without running it: its names, classes, recorded versions, and whether it is whole.

What is found may refuse a file; it never approves one.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgspec

from .formats import Sniffed
from .intake import opened
from .names import Name, kind_of
from .objects import Estimator, Global, class_of, describe
from .opcodes import READER
from .reader import Broken, Found
from .stream import Stream
from .unpack import TooMuch, Truncated, most_unpacked, unpacked


class PickleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a pickle says of itself; ``broken`` is the reason why the reading ended early, empty when it did not."""

    protocol: int = 0
    names: tuple[Name, ...] = ()
    root: str = ""
    root_class: str = ""
    estimators: tuple[Estimator, ...] = ()
    versions: dict[str, tuple[str, ...]] = {}
    is_joblib: bool = False
    is_python2: bool = False
    side_files: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()  # what no honest pickler writes
    opcodes: int = 0
    arrays: int = 0
    trailing_bytes: int = 0
    broken: str = ""
    too_much: bool = False


def read_pickle(path: str | Path, sniffed: Sniffed) -> PickleFacts:
    """The facts of the pickle at ``path``; a damaged one gives what could be read, and ``broken``.

    :raises ArtifactRefused: the file cannot be opened.
    """
    with opened(path) as file, unpacked(file, sniffed.compression) as source:
        return follow(Stream(source, most_unpacked(file)), Found())[1]


def follow(stream: Stream, found: Found) -> tuple[Any, PickleFacts]:
    """The stand-in for what one pickle holds, None where it is broken, and all facts in ``found`` up to there."""
    root, broken, too_much, trailing = None, "", False, 0
    try:
        root = READER(stream, found).run()
        trailing = _trailing(stream)
    except (Truncated, Broken, IndexError, KeyError, ValueError, struct.error, AttributeError, TypeError) as exc:
        broken = _reason(exc)
    except (TooMuch, RecursionError, MemoryError) as exc:
        broken, too_much = str(exc) or "it is nested too deeply", True
    return root, _facts(found, root, broken, too_much, trailing)


def _reason(exc: Exception) -> str:
    return str(exc) if isinstance(exc, (Truncated, Broken)) else "its opcodes make no sense"


def _trailing(stream: Stream) -> int:
    """Bytes after the end; more than a little is counted only so far."""
    start = stream.at
    while not stream.is_at_end() and stream.at - start < 1 << 20:
        stream.index = len(stream.buffer)
    return stream.at - start


def _facts(found: Found, root: Any, broken: str, too_much: bool, trailing: int) -> PickleFacts:
    names = [Name(module=m, name=n, kind=kind_of(m, n, called=c), called=c) for (m, n), c in found.names.items()]
    cls = class_of(root)
    versions = {"scikit-learn": tuple(dict.fromkeys(e.version for e in found.estimators if e.version)), "xgboost": tuple(sorted(found.xgboost))}
    return PickleFacts(
        protocol=found.protocol,
        names=tuple(names),
        root="" if broken else describe(root),
        root_class=str(cls) if isinstance(cls, Global) else "",
        estimators=tuple(found.estimators),
        versions={library: seen for library, seen in versions.items() if seen},
        is_joblib=found.is_joblib,
        is_python2=found.is_python2,
        side_files=tuple(found.side_files),
        oddities=tuple(found.oddities),
        opcodes=found.opcodes,
        arrays=found.arrays,
        trailing_bytes=trailing,
        broken=broken,
        too_much=too_much,
    )
