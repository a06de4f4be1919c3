"""The bytes of a pickle, read once from front to back within limits; long values are skipped, not held."""

from __future__ import annotations

from .unpack import PIECE_BYTES, Readable, TooMuch, Truncated

KEPT_BYTES = 4096  # of a longer value only both ends are kept
MOST_LINE = 64 << 20


class Blob:
    """A long value of which only the two ends were kept."""

    __slots__ = ("head", "size", "tail")

    def __init__(self, head: bytes, tail: bytes, size: int) -> None:
        self.head, self.tail, self.size = head, tail, size


class Stream:
    """``at`` is the position in the unpacked bytes."""

    def __init__(self, source: Readable, most: int) -> None:
        self.source, self.most = source, most
        self.buffer, self.index, self.before = b"", 0, 0

    @property
    def at(self) -> int:
        return self.before + self.index

    def _fill(self) -> bool:
        """Bring at least one byte more; what was used is let go."""
        piece = self.source.read(PIECE_BYTES)
        self.before += self.index
        self.buffer, self.index = self.buffer[self.index :] + piece, 0
        if self.before + len(self.buffer) > self.most:
            raise TooMuch(f"it unpacks to more than {self.most >> 20:,} MiB")
        return bool(piece)

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, few.

        :raises Truncated: the end comes first.
        """
        while len(self.buffer) - self.index < size:
            if not self._fill():
                raise Truncated(f"it ends at byte {self.before + len(self.buffer):,}, in the middle of a value")
        start = self.index
        self.index = start + size
        return self.buffer[start : self.index]

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes.

        :raises Truncated: the end comes first.
        """
        left = size
        while left > len(self.buffer) - self.index:
            left -= len(self.buffer) - self.index
            self.index = len(self.buffer)
            if not self._fill():
                raise Truncated(f"it ends {left:,} bytes early, in the middle of an array or a long value")
        self.index += left

    def value(self, size: int) -> bytes | Blob:
        """The next ``size`` bytes, or both their ends where they are many."""
        if size <= 2 * KEPT_BYTES:
            return self.take(size)
        head = self.take(KEPT_BYTES)
        self.skip(size - 2 * KEPT_BYTES)
        return Blob(head, self.take(KEPT_BYTES), size)

    def line(self) -> bytes:
        """Up to the next newline, which is not part of it.

        :raises Truncated: there is none.
        """
        searched = self.index
        while (end := self.buffer.find(b"\n", searched)) < 0:
            searched = len(self.buffer) - self.index
            if searched > MOST_LINE:
                raise TooMuch("a line in it is longer than 64 MiB")
            if not self._fill():
                raise Truncated(f"it ends at byte {self.before + len(self.buffer):,}, in the middle of a line")
        start, self.index = self.index, end + 1
        return self.buffer[start:end]

    def is_at_end(self) -> bool:
        return self.index >= len(self.buffer) and not self._fill()
