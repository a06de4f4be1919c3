"""The model process of the prototype: reads frames, answers class probabilities.   python host.py MODEL.joblib SOCKET numbers|text|named"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

import joblib
import numpy as np
import sklearn

HEAD = struct.Struct("<II")


def texts_at(body: bytes, at: int, rows: int) -> tuple[list[str], int]:
    """Texts behind their lengths, and where they end."""
    texts, lengths = [], struct.unpack_from(f"<{rows}I", body, at)
    at += 4 * rows
    for length in lengths:
        texts.append(body[at : at + length].decode())
        at += length
    return texts, at


def rows_of(body: bytes, rows: int, kind: str) -> Any:
    if kind == "text":
        return texts_at(body, 0, rows)[0]
    if kind == "numbers":
        return np.frombuffer(body, "<f8").reshape(rows, -1)
    import pandas

    pclass, age, fare = np.frombuffer(body, "<f8", 3 * rows).reshape(3, rows)
    sex, at = texts_at(body, 24 * rows, rows)
    embarked, _ = texts_at(body, at, rows)
    words = {"sex": np.array(sex, dtype=object), "embarked": np.array(embarked, dtype=object)}
    return pandas.DataFrame({"pclass": pclass.astype("int64"), "age": age, "fare": fare, **words})


def main(path: str, address: str, kind: str) -> None:
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
                answer = np.ascontiguousarray(model.predict_proba(rows_of(stream.read(size), rows, kind)), "<f8").tobytes()
                connection.sendall(HEAD.pack(rows, len(answer)) + answer)


if __name__ == "__main__":
    main(*sys.argv[1:4])
