"""A stack machine over pickle opcodes in which nothing is ever imported, called or hashed.

It follows the opcodes as an unpickler would, with inert stand-ins for objects, and joblib's arrays between them, so it
sees the names behind memos and computed globals. What each opcode does is in :mod:`.opcodes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .joblibs import is_array_wrapper, read_joblib_array, side_file
from .names import in_python3, kind_of
from .objects import Estimator, Global, Made, Opaque, attributes, class_of
from .stream import Blob, Stream
from .unpack import TooMuch, Truncated

MOST_OPCODES = 40_000_000
MOST_KEPT = 10_000_000
MOST_TEXT = 300
MOST_NESTED = 8
VERSION_OF_XGBOOST = re.compile(rb"version\[#L.{8}((?:[iU].){3})", re.DOTALL)
COMPUTED = Global("(computed)", "(computed)")
STORAGE = Global("(storage)", "(storage)")  # of a tensor's numbers, which lie beside the pickle in a PyTorch file


class Broken(Exception):
    """No unpickler could go on here."""


class Found:
    """What one file's readers have come across; shared with the readers of pickles nested in it."""

    def __init__(self, *, has_storages: bool = False) -> None:
        self.has_storages = has_storages
        self.names: dict[tuple[str, str], bool] = {}  # -> called
        self.estimators: list[Estimator] = []
        self.oddities: dict[str, None] = {}
        self.side_files: dict[str, None] = {}
        self.opcodes = self.arrays = self.kept = self.protocol = 0
        self.is_joblib = self.is_python2 = False
        self.xgboost: set[str] = set()


class PickleReader:
    """One run from PROTO to STOP."""

    def __init__(self, stream: Stream, found: Found | None = None, depth: int = 0) -> None:
        self.stream, self.found, self.depth = stream, found or Found(), depth
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.frame_end = 0
        self.getattrs = [0, 0]  # pushed, and called with arguments that could be followed
        if depth > MOST_NESTED:
            raise TooMuch("pickles lie in pickles too deeply")

    def run(self) -> Any:
        """The stand-in for the object that the pickle holds.

        :raises Truncated: it ends early. :raises Broken: it cannot be followed. :raises TooMuch: a limit.
        """
        stream, found, handlers, stop = self.stream, self.found, HANDLERS, ord(".")
        while True:
            if stream.index >= len(stream.buffer) and not stream._fill():
                raise Truncated(f"it ends at byte {stream.at:,} without a STOP")
            code = stream.buffer[stream.index]
            stream.index += 1
            found.opcodes += 1
            if code == stop:
                return self._stop()
            handler = handlers[code]
            if handler is None:
                raise Broken(f"byte {stream.at - 1:,} is no pickle opcode")
            handler(self)
            if found.opcodes > MOST_OPCODES or found.kept > MOST_KEPT:
                raise TooMuch("it holds more objects than are read without running")

    def _stop(self) -> Any:
        if self.getattrs[0] > self.getattrs[1]:
            self.name("builtins", "getattr", called=True)
        return self.stack.pop()

    # -- names and calls

    def name(self, module: str, name: str, *, called: bool = False) -> None:
        key = (module, name)
        self.found.names[key] = called or self.found.names.get(key, False)

    def push_global(self, module: Any, name: Any) -> None:
        """A name is looked up; one that is put together at run time is an oddity."""
        if not (isinstance(module, str) and isinstance(name, str)):
            self.odd("looks up a name that is put together while loading")
            self.push(COMPUTED)
            return
        if in_python3(module, name) == ("builtins", "getattr"):
            self.getattrs[0] += 1
        else:
            self.name(module, name)
        self.push(Global(module, name))

    def odd(self, what: str) -> None:
        self.found.oddities[what] = None

    def call(self, callee: Any, args: Any) -> Any:
        """What a call would make; nothing is called."""
        if isinstance(callee, Global):
            return self._call_global(callee, args)
        made_by = class_of(callee)
        if not (isinstance(made_by, Global) and kind_of(made_by.module, made_by.name) in ("code", "main", "unknown")):
            self.odd("calls something that is put together while loading")
        return Made(callee, args)

    def _call_global(self, callee: Global, args: Any) -> Any:
        name = in_python3(callee.module, callee.name)
        if name == ("builtins", "getattr") or name[1] == "_ufunc_reconstruct":
            followed = self._follow(name[1], args)
            if followed is not None:
                return followed
        elif name == ("builtins", "type") and not (isinstance(args, tuple) and len(args) == 1):
            self.odd("makes a class while loading")
        if name != ("builtins", "getattr"):
            self.name(callee.module, callee.name, called=True)
        return Made(callee, args)

    def _follow(self, how: str, args: Any) -> Any:
        """``getattr(x, "name")`` and numpy's ``_ufunc_reconstruct("module", "name")`` as the name that they reach."""
        if not (isinstance(args, tuple) and len(args) == 2 and isinstance(args[1], str)):
            return None
        owner, attribute = args
        if how == "_ufunc_reconstruct":
            if not isinstance(owner, str):
                return None
            self.name(owner, attribute)
            return Global(owner, attribute)
        cls = owner if isinstance(owner, Global) else class_of(owner)
        if not isinstance(cls, Global):
            return None
        self.getattrs[1] += 1
        self.name(cls.module, f"{cls.name}.{attribute}")
        return Global(cls.module, f"{cls.name}.{attribute}")

    def outside(self, key: Any) -> Made:
        """What a persistent id stands for: the numbers of a tensor, where the file around this pickle holds some.

        :raises Broken: nothing lies outside this file.
        """
        if not self.found.has_storages:
            raise Broken("it refers to objects outside the file (persistent ids, as PyTorch writes)")
        return Made(STORAGE, key)

    # -- stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]
        self.found.kept += 1

    def recall(self, index: int) -> None:
        value = self.memo[index]
        if value.__class__ is Global and in_python3(value.module, value.name) == ("builtins", "getattr"):
            self.getattrs[0] += 1
        self.stack.append(value)

    def pop_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def text(self, size: int) -> None:
        """Short text as it is, long text as its length only."""
        data = self.stream.value(size)
        if isinstance(data, Blob) or size > 4 * MOST_TEXT:
            self.push(Opaque)
            return
        text = data.decode("utf-8", "surrogatepass")
        self.push(text if len(text) <= MOST_TEXT else Opaque)

    def build(self) -> None:
        """BUILD: state goes into the object on top; joblib's wrappers are followed by their array."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Global):
            self.odd(f"changes {target} itself while loading")
            return
        if not isinstance(target, Made):
            return
        target.build(state)
        self._note(target)
        cls = class_of(target)
        if is_array_wrapper(cls):
            self._array(target)
        elif name := side_file(cls, target):
            self.found.side_files[name] = None

    def _note(self, made: Made) -> None:
        """Versions that the state records."""
        cls = class_of(made)
        if not isinstance(cls, Global):
            return
        state = attributes(made)
        version = state.get("_sklearn_version")
        if isinstance(version, str) or cls.module.split(".")[0] in ("xgboost", "lightgbm", "catboost", "sklearn"):
            self.found.estimators.append(Estimator.of(cls, state, version if isinstance(version, str) else ""))
        if cls.module.startswith("xgboost"):
            self.found.xgboost |= xgboost_versions(state.get("handle"))

    def _array(self, wrapper: Made) -> None:
        if self.stream.at < self.frame_end:
            raise Broken("an array begins inside a frame")
        self.found.is_joblib = True
        self.found.arrays += 1
        state = attributes(wrapper)
        if read_joblib_array(self.stream, state):
            nested = PickleReader(self.stream, self.found, self.depth + 1)
            nested.run()
        self.stack[-1] = Made(Global("numpy", "ndarray"), (state.get("shape"),))


def xgboost_versions(handle: Any) -> set[str]:
    """The version that an XGBoost booster writes at the end of its UBJSON: ``version`` and an array of three integers."""
    if isinstance(handle, Made) and isinstance(handle.args, tuple) and handle.args:
        handle = handle.args[0]  # bytearray(b"…")
    tail = handle.tail if isinstance(handle, Blob) else handle if isinstance(handle, bytes) else b""
    found = VERSION_OF_XGBOOST.findall(tail)
    return {".".join(str(number) for number in found[-1][1::2])} if found else set()


Handler = Callable[[PickleReader], None]
HANDLERS: list[Handler | None] = [None] * 256
