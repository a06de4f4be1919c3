"""Files come in once: copied under the SHA-256 of their bytes, immutable from then on.

The bytes are hashed while they are copied from one open descriptor, so the bytes that a host loads are the bytes
that were hashed; a file that changes meanwhile is another artifact, or is refused.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import msgspec

from ..errors import ArtifactRefused, HostFault

CHUNK_BYTES = 1 << 20
MOST_FILES = 20_000
BYTE_CODE = "__pycache__"  # comes and goes as modules are imported, so it is no part of what a folder holds


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the home's ``artifacts/``: where it lies, what it is called outside, and what it holds."""

    path: str
    name: str
    sha256: str
    size_bytes: int


@contextmanager
def opened(path: str | Path) -> Iterator[BufferedReader]:
    """``path`` open for reading if it is a regular file; a link to one is followed once, by the open itself.

    :raises ArtifactRefused: absent, unreadable, or a folder, pipe, socket or device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as exc:
        raise ArtifactRefused(f"{path!r} is no path: {exc}.", "Name the model file itself.") from exc
    except OSError as exc:
        raise ArtifactRefused(f"{path}: {(exc.strerror or str(exc)).lower()}.", _way_out(exc)) from exc
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ArtifactRefused(f"{path} is {_kind(mode)}, not a file.", "Name the model file itself.")
    with open(descriptor, "rb") as file:
        yield file


def _way_out(exc: OSError) -> str:
    return "Check the path and the current directory." if isinstance(exc, FileNotFoundError) else "The file must be readable by this user."


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))
    return next((word for test, word in kinds if test(mode)), "a device")


def hash_file(path: str | Path) -> str:
    """SHA-256 of a regular file, in hex.

    :raises ArtifactRefused: as :func:`opened`.
    """
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_in(folder: str | Path) -> Iterator[Path]:
    """Every file under ``folder``, in a fixed order, but those that Python makes of modules; links to folders are not followed.

    :raises ArtifactRefused: a link that leads out of it, or more files than a model has.
    """
    root, count = Path(os.path.realpath(folder)), 0
    for path in sorted(Path(folder).rglob("*")):
        if BYTE_CODE in path.relative_to(folder).parts:
            continue
        if not Path(os.path.realpath(path)).is_relative_to(root):
            raise ArtifactRefused(f"{path} is a link that leads out of its folder.", "Copy what it leads to into the folder.")
        if path.is_dir():
            continue
        count += 1
        if count > MOST_FILES:
            raise ArtifactRefused(f"{folder} holds more than {MOST_FILES:,} files.", "Name the folder of one model.")
        yield path


def hash_folder(folder: str | Path) -> str:
    """SHA-256 over the names and bytes of all files under ``folder``, in hex.

    :raises ArtifactRefused: as :func:`files_in` and :func:`opened`.
    """
    digest = hashlib.sha256()
    for path in files_in(folder):
        digest.update(os.fsencode(path.relative_to(folder)) + f"\0{hash_file(path)}\n".encode())
    return digest.hexdigest()


def take_in_folder(folder: str | Path, home: str | Path) -> str:
    """Copy the files under ``folder`` to ``<home>/artifacts/folder-<sha256>``, once; where the copy is.

    :raises ArtifactRefused: as :func:`hash_folder`, or it changed while it was read.
    :raises HostFault: the home cannot take it.
    """
    digest, root = hash_folder(folder), Path(home) / "artifacts"
    target = root / f"folder-{digest}"
    try:
        if target.is_dir() and hash_folder(target) == digest:
            return str(target)
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".incoming-") as place:
            copy = Path(place) / "folder"
            for path in files_in(folder):
                (copy / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy / path.relative_to(folder))
            if hash_folder(copy) != digest:
                raise ArtifactRefused(f"{folder} changed while it was read.", "Write the folder whole, then rename it into place.")
            shutil.rmtree(target, ignore_errors=True)
            copy.rename(target)
    except OSError as exc:
        raise HostFault(f"{Path(folder).name} cannot be copied into {home}: {(exc.strerror or str(exc)).lower()}.") from exc
    return str(target)


def take_in(path: str | Path, home: str | Path) -> Stored:
    """Copy ``path`` to ``<home>/artifacts/<first two>/<sha256>``; the same bytes are kept once.

    The copy is written under a temporary name, flushed to the disk and renamed, so a reader sees all of it or nothing.

    :raises ArtifactRefused: not a regular file, or it changed while it was read.
    :raises HostFault: the home cannot take it: a full disk, a folder that may not be written to.
    """
    try:
        return _take_in(path, home)
    except OSError as exc:
        raise HostFault(f"{Path(path).name} cannot be copied into {home}: {(exc.strerror or str(exc)).lower()}.") from exc


def _take_in(path: str | Path, home: str | Path) -> Stored:
    root = Path(home) / "artifacts"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with opened(path) as source, tempfile.NamedTemporaryFile(dir=root, prefix=".incoming-", delete=False) as copy:
        try:
            before = os.fstat(source.fileno())
            sha256, size = _copy(source, copy)
            after = os.fstat(source.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
                raise ArtifactRefused(f"{path} changed while it was read.", "Write the file whole, then rename it into place.")
            target = _settle(Path(copy.name), root / sha256[:2] / sha256, size)
        finally:
            Path(copy.name).unlink(missing_ok=True)
    return Stored(path=str(target), name=Path(path).name, sha256=sha256, size_bytes=size)


def _copy(source: BufferedReader, copy: tempfile._TemporaryFileWrapper[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        copy.write(chunk)
        size += len(chunk)
    copy.flush()
    os.fchmod(copy.fileno(), 0o400)
    os.fsync(copy.fileno())
    return digest.hexdigest(), size


def _settle(copy: Path, target: Path, size: int) -> Path:
    """Rename the finished copy into place, unless the same bytes already lie there whole."""
    target.parent.mkdir(mode=0o700, exist_ok=True)
    if target.is_symlink() or not target.is_file() or target.stat().st_size != size or hash_file(target) != target.name:
        os.replace(copy, target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return target


def verify(stored: Stored) -> None:
    """Read the kept bytes once more.

    :raises HostFault: they are not what was taken in.
    """
    if hash_file(stored.path) != stored.sha256:
        raise HostFault(f"The kept copy of {stored.name} has changed on the disk since it was taken in.")
