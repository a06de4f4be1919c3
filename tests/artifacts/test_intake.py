"""Files come in once, whole, under the hash of their bytes; what is no plain file stays outside."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from flask_carafe.artifacts.intake import take_in, verify
from flask_carafe.errors import ArtifactRefused, HostFault


def test_a_file_is_kept_under_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"bytes of a model" * 100_000)
    stored = take_in(path, tmp_path / "home")
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert stored.path == str(tmp_path / "home" / "artifacts" / stored.sha256[:2] / stored.sha256)
    assert (Path(stored.path).read_bytes(), stored.size_bytes, stored.name) == (path.read_bytes(), path.stat().st_size, "model.pkl")
    assert stat.S_IMODE(Path(stored.path).stat().st_mode) == 0o400
    assert take_in(path, tmp_path / "home") == stored
    assert [entry.name for entry in (tmp_path / "home" / "artifacts").iterdir()] == [stored.sha256[:2]], "no temporary file is left"


def test_a_kept_file_that_was_changed_is_noticed_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"right")
    stored = take_in(path, tmp_path)
    os.chmod(stored.path, 0o600)
    Path(stored.path).write_bytes(b"wrong")
    with pytest.raises(HostFault, match="has changed on the disk"):
        verify(stored)
    verify(take_in(path, tmp_path))


def test_a_home_that_takes_nothing_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"model")
    with pytest.raises(HostFault, match=r"model\.pkl cannot be copied into .*: not a directory"):
        take_in(path, path / "home")


def test_text_that_is_no_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match="is no path"):
        take_in("model\0.pkl", tmp_path)


def test_a_link_to_a_file_is_read_once_through_one_descriptor(tmp_path: Path) -> None:
    (tmp_path / "v1.pkl").write_bytes(b"one")
    link = tmp_path / "current.pkl"
    link.symlink_to("v1.pkl")
    stored = take_in(link, tmp_path / "home")
    assert Path(stored.path).read_bytes() == b"one"
    assert not Path(stored.path).is_symlink()


def test_a_link_planted_in_the_store_is_replaced_and_not_followed(tmp_path: Path) -> None:
    path, victim = tmp_path / "model.pkl", tmp_path / "victim"
    path.write_bytes(b"model")
    victim.write_bytes(b"precious")
    digest = hashlib.sha256(b"model").hexdigest()
    place = tmp_path / "home" / "artifacts" / digest[:2]
    place.mkdir(parents=True)
    (place / digest).symlink_to(victim)
    stored = take_in(path, tmp_path / "home")
    assert victim.read_bytes() == b"precious"
    assert not Path(stored.path).is_symlink()


def test_folders_pipes_sockets_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with tempfile.TemporaryDirectory(prefix="c") as short, socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{short}/socket")
        for path in (tmp_path, tmp_path / "pipe", Path(short) / "socket", Path("/dev/zero"), tmp_path / "absent", tmp_path / "pipe" / "x"):
            with pytest.raises(ArtifactRefused) as refusal:
                take_in(path, tmp_path / "home")
            assert refusal.value.hint


def test_a_file_that_grows_while_it_is_read_is_refused_or_taken_whole(tmp_path: Path) -> None:
    """A writer appends all the while: what is kept is always what was hashed."""
    path, stop = tmp_path / "model.pkl", threading.Event()
    path.write_bytes(b"x" * 3_000_000)

    def write() -> None:
        while not stop.is_set():
            with open(path, "ab") as file:
                file.write(b"y" * 100)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            try:
                verify(take_in(path, tmp_path / "home"))
            except ArtifactRefused as refusal:
                assert "changed while it was read" in str(refusal)
    finally:
        stop.set()
        writer.join()
