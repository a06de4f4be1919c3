"""YAML as ``carafe.yaml`` is read: safe, by the 1.2 core rules, no key twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError
from .values import show_size

MOST_CONFIG_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):
    """Safe YAML by the 1.2 core rules: ``no`` is a text, a date is a text, and a key may stand only once."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True) if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver("tag:yaml.org,2002:" + _tag, re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first])


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    :raises ConfigError: cannot be read, is no mapping, a key stands twice; with line and column.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_CONFIG_BYTES + 1)
        if len(data) > MOST_CONFIG_BYTES:
            raise ConfigError(f"{path.name} is larger than {show_size(MOST_CONFIG_BYTES)}.")
        content = yaml.load(data.decode("utf-8-sig"), _Loader)
    except OSError as exc:
        raise ConfigError(f"{path.name} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path.name} is not UTF-8.") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{path.name} is not YAML that can be used: {_yaml_reason(exc)}.") from exc
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise ConfigError(f"{path.name} must be a mapping of settings, as `port: 5000`.")
    return content


def _yaml_reason(exc: Exception) -> str:
    mark = getattr(exc, "problem_mark", None)
    reason = getattr(exc, "problem", None) or str(exc).splitlines()[0]
    return f"{reason} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(reason)
