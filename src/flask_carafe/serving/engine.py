"""The engine of a web worker: lanes, their connections and the clock that runs them, all on one event loop.

Under ``carafe serve`` that loop is the server's own. Under a foreign server it runs in a background thread, made at the
first need and never before a fork; request threads hand their rows over with :meth:`Engine.predict_blocking`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

import msgspec

from ..errors import CarafeError, NotReady
from ..signature import Rows
from ..signature.layout import columns as frame_columns
from .admission import Places
from .connection import Connection
from .lane import Lane
from .link import Link
from .request import Answer, Request, Watch
from .streams import Streams
from .table import HostAddress, Media, Model, RoutingTable, TableData
from .threads import Crew, Seats

log = logging.getLogger(__name__)
TICK_S = 0.025
SHORT_S = 0.2  # a deadline nearer than this gets a timer of its own
REPLACED_S = 2.0  # a crashed host is back within this time, unless it crashes again and again
LEAVE_S = 2.0  # a version that has gone from the table takes requests for so long, whose bodies were being read; it answers all it took
AGAIN_S = 1.0  # after a connection was lost to a host that the table still names
NOT_SERVED = ("loading", "refused")


class Limits(msgspec.Struct, frozen=True):
    """What the engine needs to know of the settings."""

    max_rows: int = 10_000
    queue_rows: int = 4096
    queue_bytes: int = 64 << 20
    queue_requests: int = 8192
    threads: int = 16
    default_model: str = ""


class Engine:
    """Takes checked rows to the host of their model and back.

    :param link: the line to the steward; None where tables are set by hand.
    """

    def __init__(self, limits: Limits, link: Link | None = None) -> None:
        self.limits = limits
        self.table = RoutingTable(TableData(), limits.max_rows)
        self.places = Places(limits.queue_requests)
        self.lanes: dict[str, Lane] = {}
        self.leaving: dict[Lane, float] = {}  # lanes of versions that have gone, and until when they take requests
        self.connections: dict[tuple[Lane, str], Connection] = {}
        self.wanted: dict[tuple[Lane, str], HostAddress] = {}  # by lane and host id, as the connections
        self.local: dict[str, Model] = {}
        self.on_table: list[Callable[[RoutingTable], None]] = []
        self.on_tick: list[Callable[[float], None]] = []
        self.on_lane: Callable[[Lane, Model], None] | None = None
        self.on_call: Callable[[Model, str, Rows, Answer, float], None] | None = None  # a function answered: id, rows, when it was called
        self.link = link
        self.loop: asyncio.AbstractEventLoop | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.inbox: deque[tuple[Model, Rows, float, Callable[[Any], None], str]] = deque()
        self.is_woken = False
        self.share = max(1, limits.threads // 2)  # threads that one model may hold
        self.crews: dict[str, Crew] = {}
        self.seats: dict[str, Seats] = {}
        self.streams = Streams(self)

    # ---- life: called on the loop

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin on ``loop`` (the running one): the clock, and the link to the steward."""
        self.loop = loop
        self.spawn(self._clock())
        if self.link:
            self.spawn(self.link.run())

    async def stop(self) -> None:
        """End every wait with 503 and leave."""
        for task in list(self.tasks):
            task.cancel()
        self.wanted = {}
        for lane in [*self.lanes.values(), *self.leaving]:
            lane.shut("the server is stopping")
        self.streams.stop()
        for connection in list(self.connections.values()):
            connection.close()
        for crew in self.crews.values():
            crew.pool.shutdown(wait=False, cancel_futures=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine beside the requests; it is kept until it ends."""
        assert self.loop is not None
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _clock(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = monotonic()
            for tick in self.on_tick:
                tick(now)
            for lane in [*self.lanes.values(), *self.leaving]:
                for channel in lane.tick(now):
                    self._hung(lane, channel.host_id)
            self._see_off(now)

    def _hung(self, lane: Lane, host_id: str) -> None:
        log.error("Model %s did not answer within %g s; its host %s is replaced.", lane.name, lane.hang_limit_s, host_id)
        connection = self.connections.get((lane, host_id))
        if connection:
            connection.hung()

    def _see_off(self, now: float) -> None:
        """Let versions that have gone take nothing more after a while, and leave their hosts when all has been answered.

        The deadlines of what waits bound that; without a host, which nobody starts again, there is nothing to wait for.
        """
        for lane, until in list(self.leaving.items()):
            if now < until:
                continue
            lane.take_no_more("this version has gone")
            if not lane.channels:
                lane.close("this version has gone")
            if not lane.waiting:
                self._connect({key: host for key, host in self.wanted.items() if key[0] is not lane})
                if not lane.channels:
                    del self.leaving[lane]

    # ---- tables

    def apply(self, table: RoutingTable) -> None:
        """Switch to ``table``: requests that come from now on go by it; those under way end as they began."""
        self.table = table
        wanted: dict[tuple[Lane, str], HostAddress] = {}
        kept: dict[str, Lane] = {}
        for model in table.models.values():
            if model.signature is not None and model.call is None:
                model.lane = kept[model.key] = self.lanes.get(model.key) or self._lane(model)
                wanted.update({(model.lane, host.id): host for host in model.hosts})
        for key, lane in self.lanes.items():
            if key.startswith("media "):
                kept[key] = lane
                wanted.update({(lane, host.id): host for host in (table.media or Media()).hosts})
            elif key not in kept:
                self.leaving[lane] = monotonic() + LEAVE_S * bool(lane.channels)
        wanted.update({key: host for key, host in self.wanted.items() if key[0] in self.leaving})
        self.lanes = kept
        self._connect(wanted)
        for told in self.on_table:
            told(table)

    def _lane(self, model: Model) -> Lane:
        entry = model.entry
        assert entry.signature is not None
        lane = Lane(
            entry.name, model.version_text, frame_columns(entry.signature), entry.signature.outputs, entry.max_batch_rows, entry.timeout_ms / 1000,
            self.limits.queue_rows, self.limits.queue_bytes,
        )  # fmt: skip
        lane.places = self.places
        if self.on_lane:
            self.on_lane(lane, model)
        return lane

    def media_lane(self, key: str, lane: Callable[[], Lane]) -> Lane:
        """The lane that carries one kind of conversion to the media host."""
        found = self.lanes.get(f"media {key}")
        if found is None:
            found = self.lanes[f"media {key}"] = lane()
            found.places = self.places
            self._connect(self.wanted | {(found, host.id): host for host in (self.table.media or Media()).hosts})
        return found

    def _connect(self, wanted: dict[tuple[Lane, str], HostAddress]) -> None:
        self.wanted = wanted
        for key, connection in list(self.connections.items()):
            if key not in wanted:
                connection.leave()
        for key in wanted:
            self._reach(key)

    def _reach(self, key: tuple[Lane, str]) -> None:
        """Connect to a host that is wanted and not connected; one that is just leaving is reached again when it has left."""
        host = self.wanted.get(key)
        if host is not None and key not in self.connections:
            connection = self.connections[key] = Connection(key[0], host.id, host.token, self._ended)
            self.spawn(self.connect_to(connection, host))

    def _ended(self, connection: Connection, hung: bool) -> None:
        key = (connection.lane, connection.host_id)
        self.connections.pop(key, None)
        if hung and self.link:
            self.link.tell({"op": "hung", "host": connection.host_id})
        elif key in self.wanted and self.loop is not None:
            self.loop.call_later(AGAIN_S, self._reach, key)  # it may live and have spoken nonsense, or drop out of the table before that

    async def connect_to(self, connection: Connection, host: HostAddress) -> None:
        """Give ``connection`` its wire, or tell it that there is none."""
        kind, _, where = host.address.partition(":")
        loop = asyncio.get_running_loop()
        try:
            if kind == "unix":
                await loop.create_unix_connection(lambda: connection, where)
            else:
                name, _, port = where.rpartition(":")
                await loop.create_connection(lambda: connection, name, int(port))
        except OSError as exc:
            log.warning("Host %s cannot be reached: %s", host.id, exc.strerror)
            connection.never_made()

    # ---- rows

    def lane_of(self, model: Model) -> Lane:
        """Where the rows of ``model`` wait. While its host is being replaced they do, for a moment.

        :raises NotReady: it is loading, was refused, or has been without a host for longer than a replacement takes.
        """
        lane = model.lane
        if lane is None or (not lane.channels and not self._comes_back(model, lane)):
            raise model.unready("its host is being started")
        return lane

    def _comes_back(self, model: Model, lane: Lane) -> bool:
        return model.entry.state not in NOT_SERVED and monotonic() - lane.alone_since < REPLACED_S

    def crew_of(self, model: Model) -> Crew:
        """The threads of a function of the app; on the loop."""
        name = model.entry.name
        return self.crews.get(name) or self.crews.setdefault(name, Crew(name, self.share, self.places))

    def seats_of(self, model: Model) -> Seats:
        """Places for the threads that wait for ``model``; from any thread."""
        name = model.entry.name
        return self.seats.get(name) or self.seats.setdefault(name, Seats(name, self.share))

    def hand_over(self, model: Model, rows: Rows, deadline: float, done: Callable[[Any], None], id: str = "") -> None:
        """:meth:`submit` from another thread; refusals reach ``done`` as well. The loop is woken once for all that came."""
        if self.loop is None:
            raise NotReady(model.entry.name, "the server is stopping")
        self.inbox.append((model, rows, deadline, done, id))
        if not self.is_woken:
            self.is_woken = True
            self.loop.call_soon_threadsafe(self._take_over)

    def _take_over(self) -> None:
        self.is_woken = False
        while self.inbox:
            model, rows, deadline, done, id = self.inbox.popleft()
            try:
                self.submit(self.lane_of(model), rows, deadline, done, id)
            except CarafeError as error:
                done(error)

    def submit(self, lane: Lane, rows: Rows, deadline: float, done: Callable[[Any], None], id: str = "") -> Request:
        """Let ``rows`` wait for a frame; on the loop. ``done`` gets an Answer or an exception, once; ``id`` is the prediction's.

        :raises Overloaded: the queue is full, or the answer would come too late; nothing was run.
        """
        now = monotonic()
        request = lane.arrive(rows, deadline, now, done, id)
        for channel in lane.channels:
            if channel.is_idle:
                channel.wake()
                break
        if deadline - now < SHORT_S:
            asyncio.get_running_loop().call_at(deadline, request.expire)
        return request

    def answer(self, lane: Lane, rows: Rows, deadline: float, watch: Watch | None = None, id: str = "") -> asyncio.Future[Answer]:
        """:meth:`submit`, and a future of what becomes of it; on the loop. No coroutine, to save one for each prediction.

        :param watch: see :class:`Request`; who cancels the future leaves the row to be computed.
        :raises CarafeError: as :meth:`submit`; the future has the other errors.
        """
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        request = self.submit(lane, rows, deadline, future.set_result, id)
        request.fail, request.watch = future.set_exception, watch
        return future
