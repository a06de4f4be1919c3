"""Whatever bytes come, the readers answer or refuse; nothing else comes out of them."""

from __future__ import annotations

import pickle
import pickletools
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from flask_carafe.artifacts.inspection import look, refuse
from flask_carafe.errors import ArtifactRefused

OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
STARTS = (
    b"\x80\x04",
    b"\x80\x02",
    b"(",
    b"]",
    b"c__main__\nA\n",
    b"\x08\x07\x3a",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\x00",
    b"x\x9c",
    b"BZh9",
    b"\xfd7zXZ\x00",
    b"ZF0x",
)
ARGUMENTS = st.sampled_from(
    [b"", b"\x00", b"\x01", b"\n", b"os\nsystem\n", b"\x02\x00\x00\x00ab", b"\xff" * 8, b"12\n", b"'a'\n", b"\x05shape", b"\x08"]
)
JUNK = st.lists(st.tuples(st.sampled_from(OPCODES), ARGUMENTS), max_size=40).map(lambda parts: b"".join(code + argument for code, argument in parts))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def read(data: bytes, folder: Path) -> None:
    path = folder / "model"
    path.write_bytes(data)
    try:
        refuse(look(str(path)))
    except ArtifactRefused as refusal:
        assert str(refusal) and refusal.hint


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(STARTS), st.one_of(st.binary(max_size=200), JUNK))
def test_any_bytes_are_read_or_refused(folder: Path, start: bytes, rest: bytes) -> None:
    read(start + rest, folder)


def test_a_skops_file_with_any_wrong_byte_is_read_or_refused(folder: Path) -> None:
    path = folder / "model.skops"
    skops.io.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), path, compression=zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    for place in range(0, len(data), 17):
        read(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :], folder)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4), st.tuples(inner, inner)),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.integers(2, pickle.HIGHEST_PROTOCOL))
def test_whatever_python_pickles_is_read_to_its_end(folder: Path, value: object, protocol: int) -> None:
    path = folder / "whole"
    path.write_bytes(pickle.dumps(value, protocol))
    file = look(str(path))
    assert file.pickle is not None
    assert (file.pickle.broken, file.pickle.oddities, file.pickle.trailing_bytes) == ("", (), 0)
    assert not file.named("dangerous", "unknown", "main")


@pytest.mark.parametrize(
    "data",
    [
        b"tree\nversion=v4\ntree_sizes=" + b"9" * 5000 + b"\n\nTree=0\n",
        b"tree\nversion=v4\ntree_sizes=" + b"9" * 30 + b"\n\nTree=0\n",
        b'{"learner": {"num_feature": "' + b"9" * 5000 + b'"}, "version": [1]}',
        b'{"learner": {}, "version": [1,,2]}',
        b"CBM1" + b"\xff" * 4,
    ],
)
def test_numbers_that_no_library_writes_are_refused(folder: Path, data: bytes) -> None:
    (folder / "model").write_bytes(data)
    with pytest.raises(ArtifactRefused, match=r"damaged|not whole"):
        look(str(folder / "model"))


@pytest.mark.parametrize("members", [("config.json", "metadata.json"), ("m/data.pkl", "m/version"), ("schema.json",)])
def test_a_zip_whose_packing_is_damaged_is_refused(folder: Path, members: tuple[str, ...]) -> None:
    with zipfile.ZipFile(folder / "model", "w", zipfile.ZIP_LZMA) as archive:
        for member in members:
            archive.writestr(member, b"{}")
    data = (folder / "model").read_bytes()
    at = data.index(members[0].encode()) + len(members[0]) + 4  # behind the head of the packed bytes: LZMA's own settings
    (folder / "model").write_bytes(data[:at] + b"\xff" * 5 + data[at + 5 :])
    with pytest.raises(ArtifactRefused, match="damaged"):
        look(str(folder / "model"))
