"""Predictions by a server somewhere, over HTTP with the standard library."""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from ..errors import CarafeError, ConfigError, Detail, HostFault
from .predictors import FRAME_ROWS, PATIENCE_S, Fields, Refused, in_words, without_place
from .tables import Form, Outcome

TYPES: dict[Form, str] = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}


class HttpPredictor:
    """A model of a server somewhere, over HTTP. Asked again later where the server says so; a prediction may be repeated safely."""

    keys: Sequence[str] | None = None
    most_rows = FRAME_ROWS
    unverified = ""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url if "://" in url else "http://" + url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"--url must be as http://127.0.0.1:5000, got {url!r}.")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=PATIENCE_S)
        self._base, self._name = parts.path.rstrip("/"), name
        self.fields: Fields | None = self._find_fields()

    def ask(self, form: Form, body: bytes, n: int) -> list[Outcome]:
        path = f"{self._base}/models/{quote(self._name, safe='')}/predict"
        headers = {"Content-Type": TYPES[form], "Accept": TYPES["ndjson"], "X-Request-Timeout-Ms": str(int(PATIENCE_S * 1000))}
        status, answer = self._exchange("POST", path, body, headers)
        if status == 200:
            return self._records(answer, n)
        error = self._error(status, answer)
        if status in (400, 413, 422) or error["code"] in ("model_error", "model_output_invalid"):
            details = msgspec.convert(error.get("details") or [], list[Detail], strict=False)
            if any("a column" in (detail.expected, detail.got) for detail in details):
                raise Told(error)  # the header is wrong, and with it every row
            raise Refused(without_place(error["error"]), in_words(details))
        raise Told(error)

    def _records(self, answer: bytes, n: int) -> list[Outcome]:
        try:
            records: list[Outcome] = [msgspec.json.decode(line, type=dict[str, Any]) for line in answer.splitlines()]
        except msgspec.DecodeError as exc:
            raise HostFault("The server's answer cannot be read; is it a Carafe?") from exc
        if len(records) != n:
            raise HostFault(f"The server answered {len(records)} rows in place of {n}.")
        return records

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        end, pause_s = time.monotonic() + PATIENCE_S, 0.1
        while True:
            try:
                self._connection.request(method, path, body, headers)
                response = self._connection.getresponse()
                status, wait, answer = response.status, response.headers.get("Retry-After", ""), response.read()
            except (OSError, http.client.HTTPException) as exc:
                self._connection.close()
                if time.monotonic() + pause_s > end or isinstance(exc, ConnectionRefusedError):
                    raise HostFault(f"No server answers at {self._connection.host}:{self._connection.port}: {exc}") from exc
            else:
                if status not in (429, 503) or time.monotonic() + pause_s > end:
                    return status, answer
                pause_s = max(pause_s, min(float(wait), 10.0)) if wait.isdigit() else pause_s
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 5.0)

    def _error(self, status: int, answer: bytes) -> dict[str, Any]:
        with contextlib.suppress(msgspec.DecodeError):
            error = msgspec.json.decode(answer)
            if isinstance(error, dict) and isinstance(error.get("error"), str):
                return {"code": "", **error}
        return {"error": f"The server answered {status} and not as a Carafe does.", "code": ""}

    def _find_fields(self) -> Fields | None:
        """From the server's OpenAPI document: the first form of a request is one row by name."""
        status, answer = self._exchange("GET", f"{self._base}/openapi.json", None, {"Accept": "application/json"})
        try:
            schema = msgspec.json.decode(answer)["components"]["schemas"][f"{self._name}.Request"] if status == 200 else None
            row = schema["anyOf"][0] if schema and "anyOf" in schema else schema
            return Fields(tuple(row["properties"]), tuple(row["required"]), bool(row.get("additionalProperties"))) if row else None
        except (msgspec.DecodeError, KeyError, TypeError, IndexError):
            return None

    def close(self) -> None:
        self._connection.close()


class Told(CarafeError):
    """What a server said, in its own words: ``Told(body of the error)``."""

    def __str__(self) -> str:
        return str(self.args[0]["error"])

    @property
    def hint(self) -> str:  # type: ignore[override]
        return str(self.args[0].get("hint", ""))
