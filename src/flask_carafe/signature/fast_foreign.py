"""The happy path of bodies in another server's shape: the same rows under the names of our own, for the fast reader.

Nothing is decoded here. A body that is not surely the same request stays with the complete reader of its protocol.
"""

from __future__ import annotations

from collections.abc import Container

SPLIT = b"dataframe_split"
OURS = {"features", "rows", "columns", "data", "index"}  # a model with such a field reads them as its own
MOST_SPACES = 20


def as_native(body: bytes, keys: Container[bytes]) -> bytes | None:
    """The native body that holds the same rows; None where there is none, or it is not sure.

    :param keys: those under which this server has its rows; all but ``dataframe_split`` hold a list.

    >>> as_native(b'{"instances": [[1, 2]]}', {b"instances"}), as_native(b'{"inputs": [{"a": 1}]}', {b"inputs"})
    (b'{"features": [[1, 2]]}', b'{"rows": [{"a": 1}]}')
    >>> as_native(b'{"dataframe_split": {"columns": ["a"], "data": [[1]]}}', {b"dataframe_split"})
    b'{"columns": ["a"], "data": [[1]]}'
    >>> as_native(b'{"instances": [1, 2]}', {b"instances"})
    """
    end = body.find(b'"', 2)
    if body[:2] != b'{"':
        return None
    key = body[2:end]
    if key not in keys:
        return None
    return _split(body, end + 1) if key == SPLIT else _rows(body[end + 1 :])


def _rows(rest: bytes) -> bytes | None:
    """What follows the key: a colon and a list of lists or of objects."""
    at = rest.find(b"[", 0, MOST_SPACES)
    if at < 0 or rest[:at].strip() != b":":
        return None
    first = rest[at + 1 : at + MOST_SPACES].lstrip()[:1]
    return b'{"features"' + rest if first == b"[" else b'{"rows"' + rest if first == b"{" else None


def _split(body: bytes, start: int) -> bytes | None:
    """The object within; the reader that gets it takes nothing but one whole object."""
    at, last = body.find(b"{", start, start + MOST_SPACES), body.rfind(b"}")
    if at < 0 or body[start:at].strip() != b":" or body[last + 1 :].strip():
        return None
    return body[at:last]
