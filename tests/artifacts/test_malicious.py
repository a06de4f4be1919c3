"""Pickles that run something are told and not run: the canary file is never made, here or in a host."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import pickletools
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest

from flask_carafe.artifacts import from_options
from flask_carafe.artifacts.inspection import Inspection, look, refuse, survey
from flask_carafe.errors import ArtifactRefused, LoadFailed


class Reduces:
    """Pickles as a call of ``function(*args)``."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def system(canary: Path) -> Reduces:
    return Reduces(os.system, f"touch {canary}")


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def call(module: str, name: str, argument: str) -> bytes:
    """Opcodes of ``module.name(argument)`` in protocol 4."""
    return text(module) + text(name) + b"\x93" + text(argument) + b"\x85R"


def by_computed_name(canary: Path) -> bytes:
    """The module's name comes out of a call, so no GLOBAL in the file names it."""
    return b"\x80\x04" + call("builtins", "str", "os") + text("system") + b"\x93" + text(f"touch {canary}") + b"\x85R."


def by_memo(canary: Path) -> bytes:
    """The name is put into the memo first and got out of it in the other order."""
    return b"\x80\x04" + text("system") + b"\x940" + text("posix") + b"\x940h\x01h\x00\x93" + text(f"touch {canary}") + b"\x85R."


def by_getattr(canary: Path) -> bytes:
    """``getattr(os, "system")`` by way of an attribute of a harmless module's name."""
    owner = text("numpy.lib.format") + text("os") + b"\x93"
    return b"\x80\x04" + text("builtins") + text("getattr") + b"\x93" + owner + text("system") + b"\x86R" + text(f"touch {canary}") + b"\x85R."


def by_dotted_name(canary: Path) -> bytes:
    return b"\x80\x04" + call("numpy.lib.format", "os.system", f"touch {canary}") + b"."


def by_inst(canary: Path) -> bytes:
    return b"(S'touch " + str(canary).encode() + b"'\nios\nsystem\n."


def by_obj(canary: Path) -> bytes:
    return b"\x80\x02(cos\nsystem\nX" + struct.pack("<I", len(f"touch {canary}")) + f"touch {canary}".encode() + b"o."


def by_python2_name(canary: Path) -> bytes:
    return b"c__builtin__\neval\n(S'open(\"" + str(canary).encode() + b'","w")\'\ntR.'


def by_build(canary: Path) -> bytes:
    """BUILD on a class: a method is replaced, and runs when the next object is made."""
    return b"\x80\x04" + text("sklearn.base") + text("BaseEstimator") + b"\x93}" + text("__setstate__") + text("posix") + text("system") + b"\x93sb."


def by_registry(_: Path) -> bytes:
    return b"\x80\x02\x82\x01."


def by_ufunc(canary: Path) -> bytes:
    call_it = text("numpy.core") + text("_ufunc_reconstruct") + b"\x93" + text("os") + text("system") + b"\x86R"
    return b"\x80\x04" + call_it + text(f"touch {canary}") + b"\x85R."


def by_nested_object_array(canary: Path) -> bytes:
    stream = io.BytesIO()
    joblib.dump(np.array([system(canary), 1], dtype=object), stream)
    return stream.getvalue()


def plain(canary: Path) -> bytes:
    return pickle.dumps({"model": system(canary)})


def in_a_model(canary: Path) -> bytes:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    model.extra_ = system(canary)
    stream = io.BytesIO()
    joblib.dump(model, stream)
    return stream.getvalue()


def joblib_packed(canary: Path) -> bytes:
    stream = io.BytesIO()
    joblib.dump([np.arange(10), system(canary)], stream, compress=3)
    return stream.getvalue()


def broken_tail(canary: Path) -> bytes:
    """It runs before the reader comes to the bad bytes."""
    return pickle.dumps([system(canary)])[:-1] + b"\xff\xfe"


KINDS: dict[str, Callable[[Path], bytes]] = {
    "os.system": plain,
    "protocol 0": lambda canary: pickle.dumps(system(canary), protocol=0),
    "protocol 2": lambda canary: pickle.dumps(system(canary), protocol=2),
    "eval": lambda canary: pickle.dumps(Reduces(eval, f"open({str(canary)!r}, 'w')")),
    "exec": lambda canary: pickle.dumps(Reduces(exec, f"open({str(canary)!r}, 'w')")),
    "open": lambda canary: pickle.dumps(Reduces(open, str(canary), "w")),
    "subprocess": lambda canary: b"\x80\x04" + call("subprocess", "check_output", f"touch {canary}") + b".",
    "importlib": lambda _: b"\x80\x04" + call("importlib", "import_module", "antigravity") + b".",
    "runpy": lambda _: b"\x80\x04" + call("runpy", "run_path", "evil.py") + b".",
    "pickle in a pickle": lambda canary: pickle.dumps(Reduces(pickle.loads, plain(canary))),
    "a library's own loader": lambda _: b"\x80\x04" + call("joblib", "load", "evil.joblib") + b".",
    "a library's own runner": lambda _: b"\x80\x04" + call("numpy.testing._private.utils", "runstring", "print(1)") + b".",
    "pandas reads": lambda _: b"\x80\x04" + call("pandas", "read_pickle", "http://evil.example/x") + b".",
    "PyTorch writes": lambda canary: b"\x80\x04" + call("torch", "PyTorchFileWriter", str(canary)) + b".",
    "PyTorch maps": lambda canary: b"\x80\x04" + call("torch", "from_file", str(canary)) + b".",
    "PyTorch imports": lambda canary: b"\x80\x04" + call("torch.package.package_importer", "PackageImporter", str(canary)) + b".",
    "pip": lambda _: b"\x80\x04" + call("pip", "main", "install") + b".",
    "gzip": lambda canary: gzip.compress(plain(canary)),
    "bz2": lambda canary: bz2.compress(plain(canary)),
    "xz": lambda canary: lzma.compress(plain(canary)),
    "zlib": lambda canary: zlib.compress(plain(canary)),
    "joblib, compress=3": joblib_packed,
    "in an object array of joblib": by_nested_object_array,
    "in an attribute of a real model": in_a_model,
    "broken tail": broken_tail,
    "computed name": by_computed_name,
    "names from the memo": by_memo,
    "getattr": by_getattr,
    "dotted name": by_dotted_name,
    "INST": by_inst,
    "OBJ": by_obj,
    "Python 2 name": by_python2_name,
    "BUILD of a class": by_build,
    "extension registry": by_registry,
    "numpy's ufunc loader": by_ufunc,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_that_runs_something_is_refused_before_it_is_loaded(kind: str, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(KINDS[kind](canary))
    with pytest.raises(ArtifactRefused) as refusal:
        survey(from_options("model", files=[path]), tmp_path)
    assert not isinstance(refusal.value, LoadFailed), "refused for what it runs, not for how it is built"
    assert "safe" not in str(refusal.value) + refusal.value.hint
    assert not canary.exists()


def test_such_pickles_do_run_where_nobody_looks(canary: Path) -> None:
    """The control: the examples above are no straw men."""
    pickle.loads(by_memo(canary))
    assert canary.exists()


def test_every_example_is_told_by_its_name(canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(plain(canary))
    with pytest.raises(ArtifactRefused, match=r"asks for posix\.system"):
        refuse(look(str(path)))


def inspected(data: bytes, folder: Path) -> Inspection:
    path = folder / "model.pkl"
    path.write_bytes(data)
    return look(str(path))


def test_code_of_its_own_is_loaded_with_a_note(tmp_path: Path) -> None:
    """What cloudpickle writes is code; a host may run it, people are told."""

    def shout(text: str) -> str:
        return text.upper()

    file = inspected(cloudpickle.dumps(shout), tmp_path)
    refuse(file)
    assert file.named("code")
    assert not file.named("dangerous")


def test_a_library_that_is_not_known_is_a_note_and_no_refusal(tmp_path: Path) -> None:
    file = inspected(b"\x80\x04" + call("shop.pricing", "Model", "x") + b".", tmp_path)
    refuse(file)
    assert [str(name) for name in file.named("unknown")] == ["shop.pricing.Model"]


class Holder:
    def predict(self, rows: Any) -> Any:
        return rows


def test_bound_methods_and_functions_of_numpy_are_no_offence(tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    for model in (FunctionTransformer(np.log1p), FunctionTransformer(str.lower), FunctionTransformer(len)):
        for protocol in (2, 4, 5):
            refuse(inspected(pickle.dumps(model, protocol), tmp_path))


@pytest.mark.parametrize("length", [1, 2, 5, 17, 40, 90, 200])
def test_a_truncated_file_is_not_whole_and_nothing_else(length: int, tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    whole = pickle.dumps(LogisticRegression().fit(np.eye(3), [0, 1, 1]))
    with pytest.raises(ArtifactRefused) as refusal:
        refuse(inspected(whole[:length], tmp_path))
    assert "not whole" in str(refusal.value) or "not known" in str(refusal.value) or "text" in str(refusal.value)


def test_bombs_are_given_up_on_in_bounded_memory(tmp_path: Path) -> None:
    nested = b"\x80\x04" + b")" + b"\x85" * 100_000 + b"."
    doubled = b"\x80\x04)" + b"2\x86" * 5_000 + b"."  # a tuple of 2**5000 leaves, if anybody walked it
    hashed = b"\x80\x04})" + b"2\x86" * 60 + b"Ns."  # as a key: hashing it takes for ever
    huge = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x"
    for data in (nested, doubled, hashed, huge):
        file = inspected(data, tmp_path)
        assert file.pickle is not None
    with pytest.raises(LoadFailed, match="not whole"):
        refuse(inspected(huge, tmp_path))


def test_bytes_that_are_no_opcodes_break_the_reading_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.RandomState(0)
    good = pickle.dumps({"a": [1, 2, ("x", 3.5)], "b": np.arange(4)})
    for _ in range(300):
        data = bytearray(good)
        for place in rng.randint(2, len(data), size=3):
            data[place] = rng.randint(0, 256)
        try:
            file = inspected(bytes(data), tmp_path)
            assert file.pickle is not None
            refuse(file)
        except ArtifactRefused:
            pass


def test_every_opcode_of_python_is_known() -> None:
    from flask_carafe.artifacts.opcodes import HANDLERS

    known = {chr(code) for code, handler in enumerate(HANDLERS) if handler is not None} | {"."}
    assert {opcode.code for opcode in pickletools.opcodes} == known
