"""Stand-ins for what a pickle would make: they hold names, arguments and a little state, and can do nothing."""

from __future__ import annotations

from typing import Any

import msgspec

MOST_ITEMS = 200
WANTED = frozenset(
    ("_sklearn_version", "shape", "dtype", "order", "subclass", "numpy_array_alignment_bytes", "filename", "handle", "idf_", "_idf_diag")
)
MADE_OF_FIRST = frozenset({"copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__", "copy_reg.__newobj__"})
MOST_DEPTH = 16


class OpaqueType:
    """A value that nobody needs to know."""

    __slots__ = ()


Opaque = OpaqueType()


class Global:
    """A name that the pickle looks up."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Pairs:
    """A dict's first items and the wanted ones; keys are never hashed."""

    __slots__ = ("pairs", "size")

    def __init__(self) -> None:
        self.pairs: list[tuple[Any, Any]] = []
        self.size = 0

    def add(self, key: Any, value: Any) -> None:
        self.size += 1
        if len(self.pairs) < MOST_ITEMS or (key.__class__ is str and key in WANTED):
            self.pairs.append((key, value))


class Made:
    """What a call would return: ``callee(*args)``, then given ``states``."""

    __slots__ = ("args", "callee", "states")

    def __init__(self, callee: Any, args: Any) -> None:
        self.callee, self.args = callee, args
        self.states: tuple[Any, ...] = ()

    def build(self, state: Any) -> None:
        self.states = (*self.states[-7:], state)


class Estimator(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted part with the version that it was saved by, the names of its attributes and its plain values."""

    module: str
    name: str
    version: str = ""
    keys: frozenset[str] = frozenset()
    values: dict[str, Any] = {}
    sizes: dict[str, int] = {}  # length of each array among the attributes

    @classmethod
    def of(cls, name: Global, state: dict[str, Any], version: str) -> Estimator:
        plain = {key: value for key, value in state.items() if isinstance(value, (str, int, float, bool, type(None)))}
        sizes = {key: shape[0] for key, value in state.items() if (shape := array_shape(value))}
        return cls(module=name.module, name=name.name, version=version, keys=frozenset(state), values=plain, sizes=sizes)


def array_shape(value: Any) -> tuple[int, ...]:
    """The shape of a pickled NumPy array; empty where it is none or cannot be told."""
    if not isinstance(value, Made):
        return ()
    cls, args, state = class_of(value), value.args, value.states[-1] if value.states else None
    if not isinstance(cls, Global):
        return ()
    if cls.name == "_reconstruct" and isinstance(state, tuple) and len(state) > 1:
        shape = state[1]
    elif cls.name == "_frombuffer" and isinstance(args, tuple) and len(args) > 2:
        shape = args[2]
    else:
        shape = args[0] if cls.name == "ndarray" and isinstance(args, tuple) and args else ()
    return shape if isinstance(shape, tuple) and all(isinstance(extent, int) for extent in shape) else ()


def class_of(value: Any) -> Any:
    """The name of the class that ``value`` would be of, as :class:`Global`; None where it cannot be told."""
    for _ in range(MOST_DEPTH):
        if not isinstance(value, Made):
            return None
        callee = value.callee
        if isinstance(callee, Global) and str(callee) in MADE_OF_FIRST and isinstance(value.args, tuple) and value.args:
            callee = value.args[0]
        if isinstance(callee, Global):
            return callee
        value = callee
    return None


def attributes(made: Made) -> dict[str, Any]:
    """The attributes that BUILD would set, later states over earlier ones."""
    found: dict[str, Any] = {}
    for state in made.states:
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, Pairs):
                found |= {key: value for key, value in part.pairs if key.__class__ is str}
    return found


def describe(value: Any) -> str:
    """What the file holds, in a few words."""
    if isinstance(value, Made):
        cls = class_of(value)
        if isinstance(cls, Global):
            return f"{cls.name}({_steps(value)})" if _steps(value) else cls.name
        return "an object of its own class"
    if isinstance(value, Global):
        return f"the name {value}"
    if isinstance(value, Pairs):
        keys = [repr(key) for key, _ in value.pairs[:5] if isinstance(key, (str, int))]
        return f"a dict with {', '.join(keys)}{', …' if value.size > 5 else ''}" if keys else "a dict"
    if isinstance(value, (list, tuple)):
        return _describe_sequence(value, "list" if isinstance(value, list) else "tuple")
    return f"a value ({type(value).__name__})" if not isinstance(value, OpaqueType) else "a text or bytes"


def _describe_sequence(values: list[Any] | tuple[Any, ...], kind: str) -> str:
    inside = [describe(item) for item in values[:4] if not isinstance(item, (list, tuple))]
    return f"a {kind} of {', '.join(inside)}" if inside else f"a {kind}"


def _steps(made: Made) -> str:
    """The steps of a pipeline by class: ``TfidfVectorizer, LogisticRegression``."""
    state = attributes(made)
    steps = state.get("steps") or state.get("transformer_list") or state.get("transformers")
    if not isinstance(steps, list):
        return ""
    parts = [step[1] for step in steps[:8] if isinstance(step, tuple) and len(step) > 1]
    return ", ".join(cls.name for cls in map(class_of, parts) if isinstance(cls, Global))
