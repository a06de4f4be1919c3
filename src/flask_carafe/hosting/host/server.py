"""One thread, one loop: connections are accepted, control requests answered, predict frames merged and computed.

A connection says hello first, with the token; until then it may send little and stays for five seconds at most. Frames
on one connection are answered in order. Predict frames that are waiting when the loop turns, on whatever connections,
travel through the model together as long as they fit in ``max_batch_rows``. Then one stream takes a step: see :mod:`.streams`.
"""

import hmac
import os
import selectors
import signal
import socket
import struct
import sys
import time

from . import birth, calls, measure, memory, streams, wire
from .loading import explain, load
from .refusal import LoadError

PROTOCOL = 1
HELLO_S = 5.0
ORPHAN_S = 900.0  # far above any hang limit: a steward that is there kills long before
READ_BYTES = 1 << 16
MOST_UNSENT = 1 << 26  # bytes that a peer may leave unread before we stop reading from it
HELLO_BYTES = 1 << 16


class Connection(object):
    """One peer: what it has sent in part, what it has not read yet, and who it said it is."""

    __slots__ = ("opened", "reader", "role", "sock", "unsent", "unsent_bytes")

    def __init__(self, sock):
        self.sock, self.reader, self.role = sock, wire.Reader(HELLO_BYTES), ""
        self.unsent, self.unsent_bytes, self.opened = [], 0, time.monotonic()


class Server(object):
    """Serves one listening socket for as long as anybody is there."""

    def __init__(self, listener, spec):
        limits = spec.get("limits") or {}
        self.id, self.token = str(spec.get("id", "")), str(spec.get("token", ""))
        self.uid = spec.get("uid")
        self.idle_s = float(limits.get("idle_s", 15.0))
        self.orphan_s, self.armed_at = float(limits.get("orphan_s", ORPHAN_S)), -1e9
        self.listener, self.selector = listener, selectors.DefaultSelector()
        self.buffer = bytearray(READ_BYTES)
        self.view = memoryview(self.buffer)
        self.connections, self.waiting = set(), []
        self.streams = streams.Streams(self._send)
        self.model = None  # a loaded runtime
        self.layout, self.max_batch_rows = None, 256
        self.stopping = False
        self.began_at = self.last_peer_at = time.monotonic()
        self.frames = self.rows = self.calls = 0
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, None)

    def run(self):
        """Turn until told to stop, or until nobody has been connected for ``idle_s`` seconds."""
        while not self.stopping:
            self._arm()
            events = self.selector.select(0.0 if self.streams.ready() else 1.0)
            for key, mask in events:
                self._serve(key.data, mask)
            if self.waiting:
                self.flush()
            stream = self.streams.ready()
            if stream:
                self.streams.step(stream)
            if not events or not self.connections:
                self._look_round()
        self._leave()

    def _arm(self):
        """Put off the alarm that ends a host whose model hangs when nobody is left to kill it, even inside a C loop."""
        now = time.monotonic()
        if now - self.armed_at > self.orphan_s / 4:
            self.armed_at = now
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, self.orphan_s)

    def _serve(self, connection, mask):
        if connection is None:
            self._accept()
            return
        if mask & selectors.EVENT_WRITE:
            self._send(connection, b"")
        if mask & selectors.EVENT_READ and connection in self.connections:
            self._read(connection)

    def _look_round(self):
        """Drop peers that never said hello; leave when nobody is here."""
        now = time.monotonic()
        for connection in [c for c in self.connections if not c.role and now - c.opened > HELLO_S]:
            self.close(connection, "no hello")
        if any(connection.role for connection in self.connections):
            self.last_peer_at = now
        elif now - self.last_peer_at > self.idle_s:
            self.stopping = True

    def _accept(self):
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        if not self._is_ours(sock):
            sock.close()
            return
        sock.setblocking(False)
        connection = Connection(sock)
        self.connections.add(connection)
        self.selector.register(sock, selectors.EVENT_READ, connection)
        self._read(connection)  # what it has said already need not wait for another turn

    def _is_ours(self, sock):
        """Whether the peer runs as the user that the host was told; where the system cannot tell, the token decides."""
        if self.uid is None or not hasattr(socket, "SO_PEERCRED"):
            return True
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return uid == int(self.uid)

    def _read(self, connection):
        try:
            size = connection.sock.recv_into(self.buffer)
            data = bytes(self.view[:size])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close(connection)
            return
        try:
            for frame in connection.reader.feed(data):
                if connection not in self.connections:
                    return  # it went while the frame before was answered
                self._handle(connection, frame)
        except wire.WireError as exc:
            self.close(connection, str(exc))

    def _handle(self, connection, frame):
        if frame.kind == wire.PREDICT:
            self._check(connection, frame)
            self.waiting.append((connection, frame))
            return
        if frame.kind in (wire.STREAM, wire.CREDIT, wire.CANCEL):
            if frame.kind == wire.STREAM:
                self._check(connection, frame)
                if not self.model.streams:
                    raise wire.WireError("a stream of a model that does not yield")
            self.streams.take(connection, frame, self.model)
            return
        if self.waiting:
            self.flush()
        if not connection.role:
            answer = self._hello(connection, frame.message)
        elif connection.role != "control":
            raise wire.WireError("a control frame on a channel")
        else:
            answer = self._control(frame.message)
        self._send(connection, wire.reply(frame.frame_id, answer))

    def _check(self, connection, frame):
        if not connection.role:
            raise wire.WireError("a prediction before hello")
        if self.layout is None:
            raise wire.WireError("a prediction before the model was configured")
        if [(column.dtype, column.width) for column in frame.columns] != self.layout:
            raise wire.WireError("columns that are not those of the signature")

    def _hello(self, connection, message):
        given = str(message.get("token", "")).encode("utf-8", "replace")
        if message.get("op") != "hello" or not hmac.compare_digest(given, self.token.encode("utf-8", "replace")):
            raise wire.WireError("a hello without the right token")
        if message.get("protocol") != PROTOCOL or message.get("role") not in ("channel", "control"):
            raise wire.WireError("a hello of another protocol")
        connection.role, connection.reader.limit = message["role"], wire.MOST_BYTES
        self.last_peer_at = time.monotonic()
        return {"ok": True, "protocol": PROTOCOL, "id": self.id, "pid": os.getpid(), "started": birth.started(os.getpid()), "state": self.state}

    @property
    def state(self):
        """``empty``, ``loaded`` or ``ready``."""
        if self.model is None:
            return "empty"
        return "loaded" if self.layout is None else "ready"

    def _control(self, message):
        op = message.get("op")
        try:
            if op == "load":
                return self._load(message)
            if op == "configure":
                return self._configure(message)
            if op in ("convert", "measure"):
                return self._examined(op, message)
            if op == "status":
                return self._status()
            if op == "stop":
                self.stopping = True
                return {"ok": True}
            if op == "hello":
                return {"ok": True, "protocol": PROTOCOL, "id": self.id, "pid": os.getpid(), "state": self.state}
        except LoadError as exc:
            return {"ok": False, "error": {"code": exc.code, "message": str(exc), "traceback": exc.traceback}}
        return {"ok": False, "error": {"code": "unknown_op", "message": "the host knows no %r" % (op,)}}

    def _load(self, message):
        if self.model is not None:
            raise LoadError("already_loaded", "this host holds a model already")
        at = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, 0)  # loading has a clock of its own, the steward's
        try:
            model = load(message)
        finally:
            birth.quiet_signals()
            self.armed_at = -1e9
        self.model = model
        self.layout = model.layout  # None, but for runtimes that need no signature
        memory.settle()
        took_ms = round(1000 * (time.perf_counter() - at), 1)
        return {"ok": True, "description": model.describe(), "load_ms": took_ms, "memory_bytes": memory.private_bytes()}

    def _configure(self, message):
        if self.model is None:
            raise LoadError("not_loaded", "nothing is loaded yet")
        try:
            self.layout = self.model.configure(message.get("signature") or {})
        except LoadError:
            raise
        except Exception as exc:  # the edge round a user's model, which is looked at once more
            raise explain(exc)
        self.max_batch_rows = max(1, int(message.get("max_batch_rows") or 256))
        self.orphan_s, self.armed_at = max(self.orphan_s, 0.003 * float(message.get("timeout_ms") or 0)), -1e9
        return {"ok": True}

    def _examined(self, op, message):
        """What is done with a configured model before it serves: converted, or timed."""
        if self.layout is None:
            raise LoadError("not_configured", "no model is configured yet")
        signal.setitimer(signal.ITIMER_REAL, 0)  # as in loading
        try:
            if op == "measure":
                return {"ok": True, "us": measure.measure(self.model, self.layout, message.get("rows") or (1,))}
            from .convert import convert

            return dict(convert(self.model, message.get("width", "float64")), ok=True)
        except ImportError as exc:
            raise explain(exc)
        finally:
            birth.quiet_signals()
            self.armed_at = -1e9

    def _status(self):
        return {
            "ok": True, "id": self.id, "pid": os.getpid(), "state": self.state, "memory_bytes": memory.private_bytes(), "frames": self.frames,
            "rows": self.rows, "calls": self.calls, "connections": len(self.connections), "streams": len(self.streams.open),
            "uptime_s": round(time.monotonic() - self.began_at, 3),
        }

    def flush(self):
        """Compute all frames that wait, several in one call while they fit, and answer each on its connection."""
        waiting, self.waiting = self.waiting, []
        at = 0
        while at < len(waiting):
            rows, end = waiting[at][1].rows, at + 1
            while end < len(waiting) and self.model.merges and rows + waiting[end][1].rows <= self.max_batch_rows:
                rows += waiting[end][1].rows
                end += 1
            self._compute(waiting[at:end], rows)
            at = end

    def _compute(self, group, rows):
        if len(group) == 1:
            columns = group[0][1].columns
        else:
            columns = [wire.join(column) for column in zip(*[frame.columns for _, frame in group])]
        answers, errors = calls.predict(self.model, columns, rows)
        self.frames, self.rows, self.calls = self.frames + len(group), self.rows + rows, self.calls + 1
        start = 0
        for connection, frame in group:
            stop = start + frame.rows
            own = answers if len(group) == 1 else [column.part(start, stop) for column in answers]
            told = [[row - start, code, text] for row, (code, text) in sorted(errors.items()) if start <= row < stop] if errors else ()
            if connection in self.connections:
                self._send(connection, wire.answer(frame.frame_id, frame.rows, own, told))
            start = stop

    def _send(self, connection, data):
        """Send what the peer takes now; keep the rest, and stop reading from a peer that does not read."""
        if data:
            connection.unsent.append(data)
            connection.unsent_bytes += len(data)
        try:
            while connection.unsent:
                sent = connection.sock.send(connection.unsent[0])
                connection.unsent_bytes -= sent
                if sent == len(connection.unsent[0]):
                    del connection.unsent[0]
                else:
                    connection.unsent[0] = memoryview(connection.unsent[0])[sent:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close(connection)
            return
        if connection.unsent or not data:
            events = selectors.EVENT_WRITE if connection.unsent else 0
            if connection.unsent_bytes < MOST_UNSENT:
                events |= selectors.EVENT_READ
            self.selector.modify(connection.sock, events, connection)

    def close(self, connection, reason=""):
        """Forget a peer; the others do not notice."""
        if connection not in self.connections:
            return
        if reason:
            sys.stderr.write("host: closed a connection: %s\n" % reason)
        if connection.role:
            self.last_peer_at = time.monotonic()
        self.connections.discard(connection)
        self.streams.drop(connection)
        self.selector.unregister(connection.sock)
        connection.sock.close()

    def _leave(self):
        for connection in list(self.connections):
            connection.sock.setblocking(True)
            connection.sock.settimeout(2.0)
            try:
                for data in connection.unsent:
                    connection.sock.sendall(data)
            except OSError:
                pass
            self.close(connection)
        name = self.listener.getsockname()
        self.listener.close()
        try:
            os.unlink(name)
        except (OSError, TypeError):
            pass
