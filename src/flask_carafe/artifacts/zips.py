"""What the readers of zipped model files share: what a damaged zip raises, and the objects of the JSON inside."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


def objects_in(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON tree, without recursion.

    >>> list(objects_in([{"a": [1, {"b": 2}]}]))
    [{'a': [1, {'b': 2}]}, {'b': 2}]
    """
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(value for value in node.values() if isinstance(value, (dict, list)))
        elif isinstance(node, list):
            stack.extend(value for value in node if isinstance(value, (dict, list)))
