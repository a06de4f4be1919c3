"""What each pickle opcode does to the stand-ins; filled into the reader's table when this is imported."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any

from .objects import MOST_ITEMS, Made, Opaque, Pairs
from .reader import HANDLERS, Broken, Handler, PickleReader
from .stream import Blob

INT32, UINT16, UINT32, UINT64, DOUBLE = (struct.Struct(form) for form in ("<i", "<H", "<I", "<Q", ">d"))


def on(code: bytes) -> Callable[[Handler], Handler]:
    """Put a function into the table under an opcode."""

    def keep(handler: Handler) -> Handler:
        HANDLERS[code[0]] = handler
        return handler

    return keep


def _constant(code: bytes, value: Any) -> None:
    HANDLERS[code[0]] = lambda reader: reader.stack.append(value)


for _code, _value in ((b"N", None), (b"\x88", True), (b"\x89", False), (b")", ())):
    _constant(_code, _value)


@on(b"\x80")
def proto(reader: PickleReader) -> None:
    version = reader.stream.take(1)[0]
    if version > 5:
        raise Broken(f"it is of pickle protocol {version}, which does not exist")
    reader.found.protocol = max(reader.found.protocol, version)


@on(b"\x95")
def frame(reader: PickleReader) -> None:
    size = UINT64.unpack(reader.stream.take(8))[0]
    reader.frame_end = reader.stream.at + size


# -- numbers


@on(b"K")
def binint1(reader: PickleReader) -> None:
    reader.stack.append(reader.stream.take(1)[0])


@on(b"M")
def binint2(reader: PickleReader) -> None:
    reader.stack.append(UINT16.unpack(reader.stream.take(2))[0])


@on(b"J")
def binint(reader: PickleReader) -> None:
    reader.stack.append(INT32.unpack(reader.stream.take(4))[0])


@on(b"G")
def binfloat(reader: PickleReader) -> None:
    reader.stack.append(DOUBLE.unpack(reader.stream.take(8))[0])


@on(b"\x8a")
def long1(reader: PickleReader) -> None:
    reader.stack.append(int.from_bytes(reader.stream.take(reader.stream.take(1)[0]), "little", signed=True))


@on(b"\x8b")
def long4(reader: PickleReader) -> None:
    data = reader.stream.value(UINT32.unpack(reader.stream.take(4))[0])
    reader.stack.append(int.from_bytes(data, "little", signed=True) if isinstance(data, bytes) and len(data) <= 64 else Opaque)


@on(b"F")
def float_line(reader: PickleReader) -> None:
    reader.stack.append(float(reader.stream.line()))


@on(b"I")
def int_line(reader: PickleReader) -> None:
    line = reader.stream.line()
    reader.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _number(line))


@on(b"L")
def long_line(reader: PickleReader) -> None:
    reader.stack.append(_number(reader.stream.line().rstrip(b"L")))


def _number(line: bytes) -> Any:
    return int(line, 0) if len(line) < 64 else Opaque


# -- texts and bytes


@on(b"\x8c")
def short_binunicode(reader: PickleReader) -> None:
    reader.text(reader.stream.take(1)[0])


@on(b"X")
def binunicode(reader: PickleReader) -> None:
    reader.text(UINT32.unpack(reader.stream.take(4))[0])


@on(b"\x8d")
def binunicode8(reader: PickleReader) -> None:
    reader.text(UINT64.unpack(reader.stream.take(8))[0])


@on(b"V")
def unicode_line(reader: PickleReader) -> None:
    line = reader.stream.line()
    reader.stack.append(line.decode("raw-unicode-escape") if len(line) <= 1200 else Opaque)


@on(b"S")
def string_line(reader: PickleReader) -> None:
    reader.found.is_python2 = True
    line = reader.stream.line().rstrip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Broken("a text in it has no end")
    data = codecs.escape_decode(line[1:-1])[0] if len(line) <= 8192 else Opaque
    reader.stack.append(data.decode("latin-1") if isinstance(data, bytes) and len(data) <= 300 else data)


@on(b"U")
def short_binstring(reader: PickleReader) -> None:
    reader.found.is_python2 = True
    reader.stack.append(reader.stream.take(reader.stream.take(1)[0]).decode("latin-1"))


@on(b"T")
def binstring(reader: PickleReader) -> None:
    reader.found.is_python2 = True
    data = reader.stream.value(_positive(reader))
    reader.stack.append(data.decode("latin-1") if isinstance(data, bytes) and len(data) <= 300 else data)


def _positive(reader: PickleReader) -> int:
    size: int = INT32.unpack(reader.stream.take(4))[0]
    if size < 0:
        raise Broken("a length in it is negative")
    return size


@on(b"C")
def short_binbytes(reader: PickleReader) -> None:
    reader.stack.append(reader.stream.take(reader.stream.take(1)[0]))


def _long_bytes(reader: PickleReader, size: int) -> None:
    data = reader.stream.value(size)
    reader.stack.append(data if isinstance(data, Blob) or len(data) <= 8192 else Opaque)
    reader.found.kept += 1


@on(b"B")
def binbytes(reader: PickleReader) -> None:
    _long_bytes(reader, UINT32.unpack(reader.stream.take(4))[0])


@on(b"\x8e")
def binbytes8(reader: PickleReader) -> None:
    _long_bytes(reader, UINT64.unpack(reader.stream.take(8))[0])


HANDLERS[0x96] = binbytes8  # BYTEARRAY8


@on(b"\x97")
def next_buffer(reader: PickleReader) -> None:
    raise Broken("parts of it were kept outside the file (out-of-band buffers)")


@on(b"\x98")
def readonly_buffer(reader: PickleReader) -> None:
    """The buffer on top stays."""


# -- containers


@on(b"(")
def mark(reader: PickleReader) -> None:
    reader.marks.append(reader.stack)
    reader.stack = []


@on(b"0")
def pop(reader: PickleReader) -> None:
    if reader.stack:
        reader.stack.pop()
    else:
        reader.pop_mark()


@on(b"1")
def pop_mark(reader: PickleReader) -> None:
    reader.pop_mark()


@on(b"2")
def dup(reader: PickleReader) -> None:
    reader.stack.append(reader.stack[-1])


@on(b"]")
def empty_list(reader: PickleReader) -> None:
    reader.stack.append([])


@on(b"}")
def empty_dict(reader: PickleReader) -> None:
    reader.stack.append(Pairs())


@on(b"\x8f")
def empty_set(reader: PickleReader) -> None:
    reader.stack.append([])


@on(b"l")
def list_of_mark(reader: PickleReader) -> None:
    items = reader.pop_mark()
    reader.stack.append(items[:MOST_ITEMS])


HANDLERS[0x91] = list_of_mark  # FROZENSET


@on(b"d")
def dict_of_mark(reader: PickleReader) -> None:
    items = reader.pop_mark()
    reader.stack.append(Pairs())
    _set_items(reader, items)


@on(b"t")
def tuple_of_mark(reader: PickleReader) -> None:
    items = reader.pop_mark()
    reader.stack.append(tuple(items))


@on(b"\x85")
def tuple1(reader: PickleReader) -> None:
    reader.stack[-1] = (reader.stack[-1],)


@on(b"\x86")
def tuple2(reader: PickleReader) -> None:
    reader.stack[-2:] = [(reader.stack[-2], reader.stack[-1])]


@on(b"\x87")
def tuple3(reader: PickleReader) -> None:
    reader.stack[-3:] = [(reader.stack[-3], reader.stack[-2], reader.stack[-1])]


@on(b"a")
def append(reader: PickleReader) -> None:
    value = reader.stack.pop()
    _extend(reader, [value])


@on(b"e")
def appends(reader: PickleReader) -> None:
    _extend(reader, reader.pop_mark())


HANDLERS[0x90] = appends  # ADDITEMS


def _extend(reader: PickleReader, values: list[Any]) -> None:
    target = reader.stack[-1]
    if isinstance(target, list):
        target.extend(values[: max(0, MOST_ITEMS - len(target))])
    elif not isinstance(target, Made):
        reader.odd("adds items to something that is no list")


@on(b"s")
def setitem(reader: PickleReader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    _set_items(reader, [key, value])


@on(b"u")
def setitems(reader: PickleReader) -> None:
    _set_items(reader, reader.pop_mark())


def _set_items(reader: PickleReader, items: list[Any]) -> None:
    target = reader.stack[-1]
    if isinstance(target, Pairs):
        for i in range(0, len(items) - 1, 2):
            target.add(items[i], items[i + 1])
    elif not isinstance(target, Made):
        reader.odd("sets items of something that is no dict")


# -- memo


@on(b"\x94")
def memoize(reader: PickleReader) -> None:
    reader.remember(len(reader.memo))


@on(b"q")
def binput(reader: PickleReader) -> None:
    reader.remember(reader.stream.take(1)[0])


@on(b"r")
def long_binput(reader: PickleReader) -> None:
    reader.remember(UINT32.unpack(reader.stream.take(4))[0])


@on(b"p")
def put_line(reader: PickleReader) -> None:
    reader.remember(int(reader.stream.line()))


@on(b"h")
def binget(reader: PickleReader) -> None:
    reader.recall(reader.stream.take(1)[0])


@on(b"j")
def long_binget(reader: PickleReader) -> None:
    reader.recall(UINT32.unpack(reader.stream.take(4))[0])


@on(b"g")
def get_line(reader: PickleReader) -> None:
    reader.recall(int(reader.stream.line()))


# -- names, calls, state


@on(b"c")
def global_lines(reader: PickleReader) -> None:
    module, name = reader.stream.line().decode(), reader.stream.line().decode()
    reader.push_global(module, name)


@on(b"\x93")
def stack_global(reader: PickleReader) -> None:
    name, module = reader.stack.pop(), reader.stack.pop()
    reader.push_global(module, name)


def _extension(reader: PickleReader, size: int) -> None:
    reader.stream.take(size)
    reader.odd("asks for a name by a registry number")
    reader.push_global(None, None)


HANDLERS[0x82] = lambda reader: _extension(reader, 1)
HANDLERS[0x83] = lambda reader: _extension(reader, 2)
HANDLERS[0x84] = lambda reader: _extension(reader, 4)


@on(b"R")
def reduce(reader: PickleReader) -> None:
    args, callee = reader.stack.pop(), reader.stack.pop()
    reader.push(reader.call(callee, args))


HANDLERS[0x81] = reduce  # NEWOBJ: cls.__new__(cls, *args)


@on(b"\x92")
def newobj_ex(reader: PickleReader) -> None:
    reader.stack.pop()
    reduce(reader)


@on(b"i")
def inst(reader: PickleReader) -> None:
    module, name = reader.stream.line().decode(), reader.stream.line().decode()
    args = tuple(reader.pop_mark())
    reader.push_global(module, name)
    callee = reader.stack.pop()
    reader.push(reader.call(callee, args))


@on(b"o")
def obj(reader: PickleReader) -> None:
    items = reader.pop_mark()
    reader.push(reader.call(items[0], tuple(items[1:])))


@on(b"b")
def build(reader: PickleReader) -> None:
    reader.build()


@on(b"P")
def persid_line(reader: PickleReader) -> None:
    reader.push(reader.outside(reader.stream.line().decode()))


@on(b"Q")
def binpersid(reader: PickleReader) -> None:
    reader.push(reader.outside(reader.stack.pop()))


READER = PickleReader  # whoever takes it from here has the table filled
