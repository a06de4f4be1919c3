"""A file as Python objects. The bytes that are loaded are the bytes that were hashed: one descriptor, never opened twice."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import pickle
import stat
import zlib

from .refusal import LoadError

TRUSTED = frozenset(("sklearn", "numpy", "scipy", "builtins", "collections", "functools", "operator"))  # packages whose skops types are loaded
TRUSTED_TYPES = frozenset("lightgbm.sklearn.LGBM" + kind for kind in ("Classifier", "Regressor", "Ranker")) | {"lightgbm.basic.Booster"}


def open_checked(file):
    """A readable stream of ``{"path", "sha256"?}`` at its start.

    :raises LoadError: not a plain file, or other bytes than those that were inspected.
    """
    path, name = file["path"], file.get("name") or os.path.basename(file["path"])
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as exc:
        raise LoadError("unreadable", "%s cannot be read: %s" % (name, exc.strerror))
    stream = os.fdopen(fd, "rb")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        stream.close()
        raise LoadError("unreadable", "%s is not a plain file" % name)
    if file.get("sha256") and _sha256(stream) != file["sha256"]:
        stream.close()
        raise LoadError("hash_mismatch", "%s has changed since it was inspected" % name)
    stream.seek(0)
    return stream


def _sha256(stream):
    digest = hashlib.sha256()
    for block in iter(lambda: stream.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


def read_object(file):
    """The object in ``file``, by its declared format.

    :raises LoadError: a format that is unknown here; anything that the library or the file's own code raises passes.
    """
    with open_checked(file) as stream:
        form = file.get("format")
        if form == "joblib":
            return _joblib().load(stream)
        if form == "pickle":
            return pickle.load(_inflated(stream))
        if form == "skops":
            return _read_skops(stream)
    raise LoadError("wrong_format", "no runtime here loads %r" % (form,))


def _joblib():
    """The joblib that is installed, or the one inside scikit-learn before 0.21."""
    try:
        import joblib
    except ImportError:
        from sklearn.externals import joblib
    return joblib


def _inflated(stream):
    """The stream behind gzip, bzip2, xz or zlib, as told by its first bytes."""
    head = stream.read(6)
    stream.seek(0)
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=stream)
    if head[:3] == b"BZh":
        return bz2.BZ2File(stream)
    if head[:6] == b"\xfd7zXZ\x00":
        return lzma.LZMAFile(stream)
    if head[:1] == b"x" and head[1:2] in (b"\x01", b"\x5e", b"\x9c", b"\xda"):
        return io.BytesIO(zlib.decompress(stream.read()))
    return stream


def _read_skops(stream):
    import skops.io

    data = stream.read()
    unknown = skops.io.get_untrusted_types(data=data)
    foreign = sorted(name for name in unknown if name.split(".")[0] not in TRUSTED and name not in TRUSTED_TYPES)
    if foreign:
        raise LoadError("untrusted_types", "the skops file holds types that are not trusted here: %s" % ", ".join(foreign[:10]))
    return skops.io.loads(data, trusted=unknown)
