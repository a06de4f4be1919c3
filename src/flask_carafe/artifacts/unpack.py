"""Compressed files as bounded streams: what joblib writes (zlib, gzip, bz2, lzma, xz, its old Z-files), unpacked in pieces."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

HEAD_BYTES = 4096
PIECE_BYTES = 1 << 18
MOST_UNPACKED = 16 << 30
LEAST_UNPACKED = 256 << 20
MOST_RATIO = 1100  # zlib's own best is 1,032

PREFIXES = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x5d\x00\x00", "lzma"),
    (b"ZF0x", "zfile"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x5e", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
)


class Truncated(Exception):
    """The bytes end too early, or are damaged; the argument says where and how."""


class TooMuch(Exception):
    """More than is read without running: a bomb, or a model too large for a static look."""


class Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def compression_of(head: bytes) -> str:
    """The compression that ``head`` begins with; empty for none."""
    return next((name for prefix, name in PREFIXES if head.startswith(prefix)), "")


@contextmanager
def unpacked(file: BinaryIO, compression: str) -> Iterator[Readable]:
    """The content of ``file`` (at its start) as a stream; nothing is read ahead of need."""
    if not compression:
        yield file
    elif compression in ("zlib", "zfile"):
        if compression == "zfile":
            _skip_zfile_header(file)
        yield _Inflated(file)
    elif compression == "gzip":
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            yield _Guarded(stream)
    elif compression == "bz2":
        with bz2.BZ2File(file) as stream:
            yield _Guarded(stream)
    else:
        with lzma.LZMAFile(file) as stream:
            yield _Guarded(stream)


def most_unpacked(file: BinaryIO) -> int:
    """Bytes that are unpacked from ``file`` at most; ordinary models stay far below."""
    return min(MOST_UNPACKED, max(LEAST_UNPACKED, MOST_RATIO * os.fstat(file.fileno()).st_size))


def _skip_zfile_header(file: BinaryIO) -> None:
    """joblib before 0.10: ``ZF``, the length in hex padded to 19 characters, at times one more space."""
    file.read(21)
    if file.read(1) != b" ":
        file.seek(21)


class _Inflated:
    """A zlib stream, inflated piece by piece."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.inflater, self.spare = file, zlib.decompressobj(), b""

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes (or a piece); empty at the end.

        :raises Truncated: damaged, or the end is missing.
        """
        wanted = size if 0 <= size < PIECE_BYTES else PIECE_BYTES
        while not self.inflater.eof:
            packed = self.spare or self.file.read(io.DEFAULT_BUFFER_SIZE)
            if not packed:
                raise Truncated("its compressed data is cut short")
            try:
                piece = self.inflater.decompress(packed, wanted)
            except zlib.error as exc:
                raise Truncated("its compressed data is damaged") from exc
            self.spare = self.inflater.unconsumed_tail
            if piece:
                return piece
        return b""


class _Guarded:
    """A decompressor of the standard library whose complaints are ours."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile) -> None:
        self.stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """As a file's; at most a piece.

        :raises Truncated: damaged, or the end is missing.
        """
        try:
            return self.stream.read(size if 0 <= size < PIECE_BYTES else PIECE_BYTES)
        except EOFError as exc:
            raise Truncated("its compressed data is cut short") from exc
        except (OSError, zlib.error, lzma.LZMAError) as exc:
            raise Truncated("its compressed data is damaged") from exc
