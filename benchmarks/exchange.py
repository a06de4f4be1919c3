"""The bare frame exchange: the shortest way to a host of ours.   python exchange.py HOME MODEL BODIES SECONDS

One frame of all rows of a request, packed beforehand, is sent to the host that serves the model in HOME; its answer is read, and the next one sent.
No HTTP, no JSON, no checks. Writes exchanges per second to stdout.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from flask_carafe.hosting.frames import DTYPES, HEADER, pack_control, pack_predict, read_header
from flask_carafe.hosting.handle import PROTOCOL
from flask_carafe.hosting.rundir import run_dir
from flask_carafe.signature import Rows, Signature
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.layout import columns


def frames(signature: Signature, bodies: list[str]) -> list[bytes]:
    """A frame for each body."""
    decoder = Decoder(signature)
    shape = columns(signature)
    packed = []
    for number, body in enumerate(bodies, 1):
        rows = decoder.json(body.encode())
        assert isinstance(rows, Rows)
        packed.append(pack_predict(number, [rows], [DTYPES[dtype] for dtype, _ in shape], [width for _, width in shape]))
    return packed


def read(stream: Any) -> int:
    """One frame; how many rows it has."""
    header = read_header(stream.read(HEADER.size))
    stream.read(header.size)
    return header.rows


def main(home: str, model: str, bodies: str, seconds: str) -> None:
    table = json.loads((run_dir(home) / "table.json").read_bytes())
    entry = next(entry for entry in table["models"] if entry["name"] == model)
    packed = frames(msgspec.convert(entry["signature"], Signature), Path(bodies).read_text().splitlines())
    host = entry["hosts"][0]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(host["address"].removeprefix("unix:"))
        stream = connection.makefile("rb", 1 << 20)
        connection.sendall(pack_control({"op": "hello", "role": "channel", "token": host["token"], "protocol": PROTOCOL}))
        read(stream)
        began, count = time.perf_counter(), 0
        for frame in itertools.cycle(packed):
            connection.sendall(frame)
            assert read(stream) > 0
            count += 1
            if time.perf_counter() - began > float(seconds):
                break
        print(count / (time.perf_counter() - began))


if __name__ == "__main__":
    main(*sys.argv[1:5])
