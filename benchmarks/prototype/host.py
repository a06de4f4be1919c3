"""The model process of the prototype: reads frames, answers class probabilities.   python host.py MODEL.joblib SOCKET [text]"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

import joblib
import numpy as np
import sklearn

HEAD = struct.Struct("<II")


def rows_of(body: bytes, rows: int, is_text: bool) -> Any:
    if not is_text:
        return np.frombuffer(body, "<f8").reshape(rows, -1)
    texts, at = [], 4 * rows
    for length in struct.unpack_from(f"<{rows}I", body):
        texts.append(body[at : at + length].decode())
        at += length
    return texts


def main(path: str, address: str, is_text: bool) -> None:
    sklearn.set_config(skip_parameter_validation=True)
    model = joblib.load(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(1)
    while True:
        connection = listener.accept()[0]
        with connection, connection.makefile("rb", 1 << 20) as stream:
            while len(head := stream.read(HEAD.size)) == HEAD.size:
                rows, size = HEAD.unpack(head)
                answer = np.ascontiguousarray(model.predict_proba(rows_of(stream.read(size), rows, is_text)), "<f8").tobytes()
                connection.sendall(HEAD.pack(rows, len(answer)) + answer)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:] == ["text"])
