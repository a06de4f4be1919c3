"""What ``carafe serve`` tells people: how each model came up, and a call that works."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from ..config import show_size

LONGEST_BODY = 2000  # characters of an example that a terminal is asked to show


def base_url(host: str, port: int) -> str:
    """Where a browser on this machine finds a server that listens at ``host``.

    >>> base_url("127.0.0.1", 5000), base_url("::", 80), base_url("fd00::7", 5000)
    ('http://127.0.0.1:5000', 'http://localhost:80', 'http://[fd00::7]:5000')
    """
    shown = "localhost" if host in {"0.0.0.0", "::"} else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def describe(entry: dict[str, Any], seconds: float) -> str:
    """One line on how a model came up: ``sentiment: ready in 1.2 s (scikit-learn 1.9.1, 1.6 MiB)``."""
    name = click.style(entry["name"], bold=True)
    if entry["state"] == "ready":
        facts = [entry.get("runtime", ""), show_size(entry["memory_bytes"]) if entry.get("memory_bytes") else ""]
        line = f"{name}: {click.style('ready', fg='green')} in {seconds:.1f} s ({', '.join(filter(None, facts))})"
        if entry.get("compiled"):
            line += f"\n  compiled: {entry['compiled']}"
        if entry.get("unverified"):
            line += f"\n  {click.style('unverified', fg='yellow')}: {entry['unverified']}"
        return line
    hint = f"\n  {entry['hint']}" if entry.get("hint") else ""
    return f"{name}: {click.style(entry['state'], fg='red')}: {entry['reason']}{hint}"


def curl_line(base: str, table: dict[str, Any], entries: Sequence[dict[str, Any]]) -> str:
    """A call that works as it stands, for the default model or the first that can be asked by JSON; one that posts a file where a row is long."""
    asked = [entry for entry in entries if entry["state"] == "ready" and entry.get("example") is not None]
    asked.sort(key=lambda entry: entry["name"] != table.get("default_model"))
    if not asked:
        return ""
    entry = asked[0]
    path = "/predict" if entry["name"] == table.get("default_model") else f"/models/{entry['name']}/predict"
    body = msgspec.json.encode(entry["example"]).decode()
    is_long = len(body) > LONGEST_BODY
    streams = (entry.get("signature") or {}).get("streams")
    line = f"curl -s{'N' * bool(streams)} {base}{path} -H 'Content-Type: application/json' -d {'@row.json' if is_long else shlex.quote(body)}"
    return line + (f"\n  where row.json is a row as {base}/models/{entry['name']}/docs describes it" if is_long else "")
