"""A plain, blocking client of the child script, for tests that want real processes and real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

import flask_carafe.hosting
from flask_carafe.hosting import frames
from flask_carafe.signature import Chunk, Output, Rows

SCRIPT = Path(flask_carafe.hosting.__file__).parent / "host" / "__main__.py"
PYENV = Path.home() / ".pyenv" / "versions"
TOKEN = "0123456789abcdef"


class Closed(Exception):
    """The other side closed the stream."""


class Stream:
    """Frames over one socket, one after the other."""

    def __init__(self, sock: socket.socket, timeout_s: float = 60.0) -> None:
        self.sock, self.frame_id = sock, 0
        sock.settimeout(timeout_s)

    def request(self, message: Any) -> dict[str, Any]:
        """Send a control frame; the decoded reply."""
        self.frame_id += 1
        self.sock.sendall(frames.pack_control(message, self.frame_id))
        header, body = self.receive()
        assert header.kind == frames.REPLY and header.frame_id == self.frame_id
        answer: dict[str, Any] = msgspec.json.decode(body)
        return answer

    def receive(self) -> tuple[frames.Header, bytes]:
        header = frames.read_header(self._exactly(24))
        return header, self._exactly(header.size)

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = self.sock.recv(min(size, 1 << 20))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self.sock.close()


class Peer(Stream):
    """One connection to a host that has said hello; ``configure`` teaches it the columns."""

    def __init__(self, path: str, role: str = "control", token: str = TOKEN, protocol: int = 1) -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        super().__init__(sock)
        self.role = role
        try:
            self.hello = self.request({"op": "hello", "role": role, "token": token, "protocol": protocol})
        except BaseException:
            sock.close()
            raise
        self.signature: dict[str, Any] = {}
        self.outputs: list[Output] = []
        self.load_description: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ask the host to stop, if this is a control connection and it is still there."""
        try:
            if self.hello.get("ok") and self.role == "control":
                self.request({"op": "stop"})
        except (Closed, OSError):
            pass
        finally:
            self.close()

    def load(self, *files: Any, **more: Any) -> dict[str, Any]:
        """Load paths, ``(path, format)`` pairs or whole file words; the reply."""
        words = []
        for file in files:
            if isinstance(file, (str, Path)):
                file = (file, "pickle" if str(file).endswith(".pkl") else str(file).rsplit(".", 1)[-1])
            words.append(file if isinstance(file, dict) else {"path": str(file[0]), "format": file[1], "name": os.path.basename(str(file[0]))})
        message = {"op": "load", "files": words, "code": None, "columns": None, "options": {}}
        message.update(more)
        return self.request(message)

    def ready(self, *files: Any, **more: Any) -> dict[str, Any]:
        """Load, configure with what the description says, and give the description."""
        reply = self.load(*files, **more)
        assert reply["ok"], reply
        self.configure(signature_of(reply["description"]), reply["description"]["outputs"])
        description: dict[str, Any] = reply["description"]
        return description

    def configure(self, signature: dict[str, Any], outputs: Sequence[dict[str, Any]], max_batch_rows: int = 256) -> None:
        reply = self.request({"op": "configure", "signature": signature, "max_batch_rows": max_batch_rows})
        assert reply["ok"], reply
        self.learn(signature, outputs)

    def learn(self, signature: dict[str, Any], outputs: Sequence[dict[str, Any]]) -> None:
        """As a channel: know the columns that a control connection has configured."""
        self.signature, self.outputs = signature, [msgspec.convert(output, Output) for output in outputs]

    def send(self, rows: Rows) -> int:
        self.frame_id += 1
        columns = columns_of(self.signature)
        self.sock.sendall(frames.pack_predict(self.frame_id, [rows], [dtype for dtype, _ in columns], [width for _, width in columns]))
        return self.frame_id

    def answer(self, frame_id: int) -> tuple[list[frames.Column], list[frames.RowError]]:
        header, body = self.receive()
        assert header.kind == frames.ANSWER and header.frame_id == frame_id
        return frames.read_answer(header, body, self.outputs)

    def predict(self, rows: Rows) -> tuple[list[frames.Column], list[frames.RowError]]:
        return self.answer(self.send(rows))


def columns_of(signature: dict[str, Any]) -> list[tuple[int, int]]:
    fields = signature["fields"]
    if signature.get("layout") == "matrix":
        return [(frames.DTYPES[fields[0].get("dtype", "float64")], len(fields))]
    return [(frames.DTYPES[field.get("dtype", "float64")], width_of(field)) for field in fields]


def width_of(field: dict[str, Any]) -> int:
    width = 1
    for extent in field.get("shape", ()):
        width *= extent
    return width


def signature_of(description: dict[str, Any]) -> dict[str, Any]:
    """The plainest signature of a description: its columns as they are."""
    columns = description["input"]["columns"]
    fields = [
        {"name": column["name"] or f"feature_{i + 1}", "kind": column["kind"], "dtype": column["dtype"], "shape": column["shape"]}
        for i, column in enumerate(columns)
    ]
    plain = description["input"]["build"] == "array" and all(f["dtype"] in ("float64", "float32") and not f["shape"] for f in fields)
    return {"fields": fields, "layout": "matrix" if plain else "columns", "named": description["input"]["named"]}


def texts(values: Sequence[str | None]) -> Chunk:
    """A text column; None is missing."""
    pieces = [(value or "").encode() for value in values]
    mask = bytes([value is None for value in values]) if None in values else None
    return Chunk(data=b"".join(pieces), lengths=b"".join([len(piece).to_bytes(4, "little") for piece in pieces]), mask=mask)


def jsons(values: Sequence[Any]) -> Chunk:
    pieces = [msgspec.json.encode(value) for value in values]
    return Chunk(data=b"".join(pieces), lengths=b"".join([len(piece).to_bytes(4, "little") for piece in pieces]))


def blobs(values: Sequence[bytes]) -> Chunk:
    return Chunk(data=b"".join(values), lengths=b"".join([len(value).to_bytes(4, "little") for value in values]))


class Zygote(Stream):
    """A zygote of its own; the hosts that it forked are ended with it."""

    def __init__(self, folder: Path, python: str | Path = sys.executable, modules: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        self.folder, self.count, self.pids = folder, 0, []
        with theirs:
            command = [str(python), str(SCRIPT), "--zygote", "--fd", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=clean_environment(), start_new_session=True)
        super().__init__(ours, 120.0)
        self.imported = self.request({"op": "import", "modules": list(modules)})

    def fork(self, **more: Any) -> dict[str, Any]:
        self.count += 1
        path = str(self.folder / f"{self.count}.sock")
        limits = {"idle_s": 5.0, **more.pop("limits", {})}
        message = {"op": "fork", "id": f"h{self.count}", "socket": path, "token": TOKEN, "uid": os.getuid(), "limits": limits, **more}
        reply = self.request(message)
        if reply["ok"]:
            self.pids.append(reply["pid"])
        return {**reply, "socket": path}

    def host(self, **more: Any) -> Peer:
        """A new host, with a control connection to it."""
        reply = self.fork(**more)
        assert reply["ok"], reply
        return Peer(reply["socket"])

    def end(self) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.close()
        assert self.process.wait(30) == 0


def clean_environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}


@contextlib.contextmanager
def fresh_host(folder: Path, python: str | Path = sys.executable, idle_s: float = 5.0) -> Iterator[Peer]:
    """A host started without a zygote, on any interpreter."""
    path, (reading, writing) = folder / "fresh.sock", os.pipe()
    os.write(writing, TOKEN.encode())
    os.close(writing)
    command = [str(python), str(SCRIPT), "--host", "--socket", str(path), "--id", "fresh", "--token-fd", str(reading), "--idle-s", str(idle_s)]
    process = subprocess.Popen(command, pass_fds=[reading], env=clean_environment())
    os.close(reading)
    try:
        wait_for(path.exists)
        time.sleep(0.05)
        with Peer(str(path)) as peer:
            yield peer
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Any, timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
