"""Measure a served model: closed loops over kept-alive connections, and what each process has to do meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec
import psutil

from ..errors import BadRequest, ConfigError, HostFault
from ..hosting.process import interpreter
from . import load

ANSWER_S = 60.0  # for one row asked alone
ALONE_S = 10.0  # for all of them
MOST_ROWS = 1000  # asked in turn
FRAME_LINE = re.compile(r'^carafe_frame(s|_rows)_total\{model="([^"]*)"\} (\S+)$', re.MULTILINE)


class Pids(NamedTuple):
    """The processes of a server on this machine; none of one that is elsewhere, or not known."""

    web: tuple[int, ...] = ()
    hosts: tuple[int, ...] = ()


class Busy(msgspec.Struct, kw_only=True):
    """Shares of one CPU, 1.0 being all of it; ``machine`` of all ``cpus`` together, ``server_cpus`` those that the server may use."""

    web: list[float]
    hosts: list[float]
    load: float
    machine: float
    cpus: int
    server_cpus: int


class Level(msgspec.Struct, kw_only=True):
    """What was seen with so many connections; ``busy`` and ``rows_a_frame`` are None where they cannot be known."""

    connections: int
    per_s: float
    counts: load.Counts
    rows_a_frame: float | None
    busy: Busy | None


class Server:
    """A server that has the model, at an address: ``http://127.0.0.1:5000``, with a prefix if it has one."""

    def __init__(self, url: str, model: str) -> None:
        """:raises ConfigError: this is no address."""
        parts = urlsplit(url if "://" in url else "http://" + url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise ConfigError(f"--url must be as http://127.0.0.1:5000, got {url!r}.")
        self.host, self.tls, self.model = parts.hostname, parts.scheme == "https", model
        self.port = port or (443 if self.tls else 80)
        self._base = parts.path.rstrip("/")
        self.path = f"{self._base}/models/{quote(model, safe='')}/predict"

    def exchange(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request on a connection of its own.

        :raises HostFault: nobody answers.
        """
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=ANSWER_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, ValueError, http.client.HTTPException) as exc:  # a name that cannot be one is a ValueError
            raise HostFault(f"No server answers at {self.host}:{self.port}: {exc}.") from exc
        finally:
            connection.close()

    def schema(self) -> dict[str, Any]:
        """What the server's OpenAPI document says of the model: ``request``, its schema, and ``row``, an example.

        :raises HostFault: it has no such document, or no such model.
        :raises ConfigError: the model answers value by value.
        """
        status, body = self.exchange("GET", f"{self._base}/openapi.json")
        try:
            document = msgspec.json.decode(body) if status == 200 else {}
            operation = document["paths"][f"/models/{self.model}/predict"]["post"]
            example = operation["requestBody"]["content"]["application/json"]["examples"]["row"]
            request = document["components"]["schemas"][f"{self.model}.Request"]
            found = {"request": request, "row": example["value"] if "value" in example else made_up(request)}
            is_stream = "text/event-stream" in operation.get("responses", {}).get("200", {}).get("content", {})
        except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as exc:
            raise HostFault(f"The server at {self.host}:{self.port} has no model {self.model!r} that can be asked.") from exc
        if is_stream:
            raise ConfigError(f"Model {self.model!r} answers value by value: its time is that of its steps.", "Measure a model that answers at once.")
        return found

    def frames(self) -> tuple[float, float] | None:
        """Frames that came back for the model so far, and rows in them; None where the server does not tell."""
        with contextlib.suppress(HostFault):
            status, body = self.exchange("GET", f"{self._base}/metrics")
            found = {what: float(number) for what, model, number in FRAME_LINE.findall(body.decode(errors="replace")) if model == self.model}
            if status == 200 and len(found) == 2:
                return found["s"], found["_rows"]
        return None


def made_up(schema: dict[str, Any]) -> Any:
    """A value of ``schema``, for an example that is too long to be in the document: zeros in the first form that it allows.

    >>> made_up({"type": "object", "properties": {"x": {"type": "array", "items": {"type": "number"}, "minItems": 2}}})
    {'x': [0.0, 0.0]}
    """
    if schema.get("examples") or schema.get("enum"):
        return (schema.get("examples") or schema["enum"])[0]
    if "anyOf" in schema:
        return made_up(schema["anyOf"][0])
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        return {name: made_up(each) for name, each in schema["properties"].items()}
    if kind == "array":
        return [made_up(schema["items"])] * schema["minItems"]
    return {"number": 0.0, "integer": 0, "boolean": False}.get(kind, "")


class Bench:
    """One model under load, level by level."""

    def __init__(self, server: Server, rows: Sequence[Any], pids: Callable[[], Awaitable[Pids]]) -> None:
        """
        :param rows: JSON values, each asked alone first.
        :param pids: asked before each level: a process may have been replaced.
        """
        self.server, self.pids = server, pids
        self.bodies = [msgspec.json.encode(row) for row in rows]
        self.answers: list[Any] = []

    async def ask_alone(self) -> None:
        """Every row once: what the answers under load are compared with. Rows that a slow model has no time for are left out.

        :raises BadRequest: the server refused a row.
        """
        end = time.monotonic() + ALONE_S
        while len(self.answers) < len(self.bodies) and (not self.answers or time.monotonic() < end):
            number = len(self.answers)
            self.answers.append(await asyncio.to_thread(self._alone, number + 1, self.bodies[number]))
        del self.bodies[len(self.answers) :]

    def _alone(self, number: int, body: bytes) -> Any:
        status, answer = self.server.exchange("POST", self.server.path, body)
        if status == 200:
            return load.said(answer)
        told: Any = {}
        with contextlib.suppress(msgspec.DecodeError):
            told = msgspec.json.decode(answer)
        words = told.get("error") if isinstance(told, dict) else None
        raise BadRequest(f"Row {number} gets no prediction ({status}): {words or 'the answer is not that of a Carafe.'}")

    async def level(self, connections: int, seconds: float, advance: Callable[[float], None]) -> Level:
        """Ask over ``connections`` for ``seconds``; ``advance`` is told of each second's part that is over.

        :raises HostFault: the process that loads ended.
        """
        frames = await asyncio.to_thread(self.server.frames)
        counts, busy = await self._loaded(self._plan(connections, seconds), advance)
        rows_a_frame = _ratio(frames, await asyncio.to_thread(self.server.frames))
        return Level(connections=connections, per_s=counts.answered / counts.seconds, counts=counts, rows_a_frame=rows_a_frame, busy=busy)

    def _plan(self, connections: int, seconds: float) -> load.Plan:
        server, bodies = self.server, [body.decode() for body in self.bodies]
        return load.Plan(
            host=server.host, port=server.port, tls=server.tls, path=server.path, bodies=bodies, answers=self.answers,
            connections=connections, seconds=seconds,
        )  # fmt: skip

    async def _loaded(self, plan: load.Plan, advance: Callable[[float], None]) -> tuple[load.Counts, Busy | None]:
        watch, counts = Watch(await self.pids()), None
        async with _loading(plan) as lines:
            async for line in lines:
                if line == b"begin\n":
                    watch.begin()
                elif line == b"tick\n":
                    advance(load.TICK_S)
                elif line == b"end\n":
                    watch.end()
                else:
                    counts = msgspec.json.decode(line, type=load.Counts)
        if counts is None:
            raise HostFault("The process that makes the load ended before it was done.")
        return counts, watch.busy(counts)


@contextlib.asynccontextmanager
async def _loading(plan: load.Plan) -> AsyncIterator[asyncio.StreamReader]:
    """What the process of :mod:`.load` says, line by line. It is not of the terminal's group: a Ctrl-C is ours to tell it."""
    process = await asyncio.create_subprocess_exec(interpreter(), "-m", load.__name__, stdin=PIPE, stdout=PIPE, start_new_session=True)
    assert process.stdin and process.stdout
    try:
        process.stdin.write(msgspec.json.encode(plan))
        process.stdin.close()
        yield process.stdout
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    finally:
        await process.stdout.read()  # to its end, so that nothing of the pipe is left when the loop closes
        await process.wait()


def _ratio(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    if after is None:
        return None
    frames, rows = after[0] - (before or (0, 0))[0], after[1] - (before or (0, 0))[1]
    return rows / frames if frames > 0 else None


class Watch:
    """CPU time of processes between :meth:`begin` and :meth:`end`."""

    def __init__(self, pids: Pids) -> None:
        self._pids = pids
        self._before: Mapping[int, float] = {}
        self._after: Mapping[int, float] = {}
        self._machine = 0.0

    def begin(self) -> None:
        psutil.cpu_percent()
        self._before = self._seconds()

    def end(self) -> None:
        self._machine = psutil.cpu_percent() / 100
        self._after = self._seconds()

    def _seconds(self) -> dict[int, float]:
        found = {}
        for pid in self._pids.web + self._pids.hosts:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                found[pid] = times.user + times.system
        return found

    def busy(self, counts: load.Counts) -> Busy | None:
        """None unless processes of both kinds were seen from begin to end."""
        web, hosts = ([self._share(pid, counts.seconds) for pid in pids if pid in self._after and pid in self._before] for pids in self._pids)
        if not web:
            return None
        cpus = psutil.cpu_count() or 1
        return Busy(
            web=web, hosts=hosts, load=counts.cpu_s / counts.seconds, machine=self._machine, cpus=cpus,
            server_cpus=min(cpus, _allowed(self._pids.web[0]) or cpus),
        )  # fmt: skip

    def _share(self, pid: int, seconds: float) -> float:
        return (self._after[pid] - self._before[pid]) / seconds


def _allowed(pid: int) -> int:
    """How many CPUs a process may use; 0 where the system does not say."""
    with contextlib.suppress(psutil.Error, AttributeError):
        return len(psutil.Process(pid).cpu_affinity() or ())
    return 0
