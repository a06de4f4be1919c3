"""What a file is, by its bytes and never by its name; with a way out where it is nothing that a host loads."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from ..errors import LoadFailed, UnknownFormat
from .intake import opened
from .protobuf import looks_like_onnx
from .unpack import HEAD_BYTES, Truncated, compression_of, unpacked

Kind = Literal[
    "pickle", "joblib", "skops", "onnx", "lightgbm", "xgboost", "catboost", "torchscript", "torchexport", "torch", "keras", "hdf5", "python"
]
RETRAIN = "Load it where it was made and save the model with joblib.dump(model, 'model.joblib'), or as ONNX."
EXPORT = "Export the model to ONNX where it was made, or serve a Python class that loads it: carafe serve mycode.py:MyModel"
OLD_XGBOOST = "Load it with an XGBoost before 3.1 and save it again: booster.save_model('model.json')"
FIRST_OPCODES = frozenset(b"c(]}lItdSVUXKMJGNIFLiP\x80\x8c")  # what a pickle of protocol 0 to 5 can begin with


class Sniffed(msgspec.Struct, frozen=True, kw_only=True):
    """``kind`` is ``pickle`` for joblib's files too until their names are read; ``compression`` as joblib calls it."""

    kind: Kind
    compression: str = ""


# what the native files of libraries begin with; they are looked for after MAGIC, and are served as they are
CALLED = {"lightgbm": "LightGBM", "xgboost": "XGBoost", "catboost": "CatBoost"}
NATIVE: tuple[tuple[re.Pattern[bytes], Kind], ...] = (
    (re.compile(rb"tree\r?\nversion="), "lightgbm"),
    (re.compile(rb'\s*\{\s*"learner"\s*:|\{L\0{7}\x07learner'), "xgboost"),
    (re.compile(rb"CBM1"), "catboost"),
)

# magic bytes at the start -> what it is, what to do
MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com", "a Git LFS pointer: the model itself has not been fetched", "Fetch it with: git lfs pull"),
    (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file of before 1.6",
        "Load it with torch.load and save it again, with torch.export.save or torch.save.",
    ),
    (b"\x93NUMPY", "a NumPy array (.npy), not a model", "Name the file that holds the fitted model."),
    (b"PAR1", "a Parquet table, not a model", "Name the file that holds the fitted model."),
    (b"ARROW1", "an Arrow table, not a model", "Name the file that holds the fitted model."),
    (b"GGUF", "a GGUF language model", "Serve a Python class that calls it: carafe serve mycode.py:MyModel"),
    (b"binf", "an XGBoost model in its old binary format", OLD_XGBOOST),
    (b"booster[0]", "a listing of an XGBoost model's trees, which nothing loads", OLD_XGBOOST),
    (b"\xac\xed\x00\x05", "a serialised Java object", EXPORT),
    (b"RDX3\n", "an R workspace", "Export the model to ONNX, or train it in Python."),
    (b"RDX2\n", "an R workspace", "Export the model to ONNX, or train it in Python."),
    (b"X\n\x00\x00\x00", "an R object (.rds)", "Export the model to ONNX, or train it in Python."),
    (b"%PDF", "a PDF document", "Name the file that holds the fitted model."),
    (b"\x89PNG", "a PNG picture", "Name the file that holds the fitted model."),
    (b"\xff\xd8\xff", "a JPEG picture", "Name the file that holds the fitted model."),
    (b"SQLite format 3\x00", "an SQLite database", "Name the file that holds the fitted model."),
    (b"\x7fELF", "a program", "Name the file that holds the fitted model."),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", "Save it again with joblib.dump(model, path, compress=3)."),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Unpack it, or save it again with joblib.dump(model, path, compress=3)."),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it and name the model file inside."),
    (b"Rar!", "a RAR archive", "Unpack it and name the model file inside."),
)

# names inside a zip -> what it is, what to do
ARCHIVES: tuple[tuple[Callable[[str], bool], str, str], ...] = (
    (lambda name: name == "[Content_Types].xml", "an Office document", "Name the file that holds the fitted model."),
    (lambda name: name.endswith("META-INF/MANIFEST.MF"), "a Java archive", EXPORT),
    (lambda name: name == "model.ini", "an H2O model (MOJO)", EXPORT),
    (lambda name: name.endswith(".npy"), "NumPy arrays (.npz), not a model", "Name the file that holds the fitted model."),
    (lambda name: name.endswith("MLmodel"), "a zipped MLflow model", "Unpack it and name the folder."),
)


def sniff(path: str | Path) -> Sniffed:
    """What lies at ``path``.

    :raises UnknownFormat: nothing that can be served; the reason says what it is and the hint what to do.
    :raises LoadFailed: its compressed data is damaged from the start.
    :raises ArtifactRefused: it cannot be read, or is no regular file.
    """
    folder = _folder(Path(path))
    if folder:
        raise UnknownFormat(f"{path} is {folder[0]}.", folder[1])
    with opened(path) as file:
        return _sniff(file, str(path))


def _sniff(file: BinaryIO, path: str) -> Sniffed:
    head = file.read(HEAD_BYTES)
    if not head:
        raise UnknownFormat(f"{path} is empty.", "Save the model again; the earlier save may have been cut short.")
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(file, path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return Sniffed(kind="hdf5")
    compression = compression_of(head)
    if compression:
        head = _head_inside(file, compression, path)
    for magic, what, way_out in MAGIC:
        if head.startswith(magic):
            raise UnknownFormat(f"{path} is {what}.", way_out)
    for pattern, kind in NATIVE:
        if pattern.match(head):
            if compression:
                raise UnknownFormat(f"{path} is a {CALLED[kind]} model under {compression} compression.", "Unpack it and name the model file itself.")
            return Sniffed(kind=kind)
    if looks_like_pickle(head):
        return Sniffed(kind="pickle", compression=compression)
    file.seek(0)
    if not compression and looks_like_onnx(file):
        return Sniffed(kind="onnx")
    what, way_out = _other(head)
    raise UnknownFormat(f"{path} is {what}{f' under {compression} compression' if compression else ''}.", way_out)


def _head_inside(file: BinaryIO, compression: str, path: str) -> bytes:
    file.seek(0)
    try:
        with unpacked(file, compression) as stream:
            head = stream.read(HEAD_BYTES)
    except Truncated as exc:
        raise LoadFailed(f"{path} is not whole: {exc}.", "Copy or save the file again.") from exc
    if not head:
        raise UnknownFormat(f"{path} is empty under its {compression} compression.", "Save the model again.")
    return head


def _sniff_zip(file: BinaryIO, path: str) -> Sniffed:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as exc:
        raise UnknownFormat(f"{path} begins like a zip archive but is damaged or cut short.", "Copy or save the file again.") from exc
    if "schema.json" in names:
        return Sniffed(kind="skops")
    torch = torch_kind(names)
    if torch:
        return Sniffed(kind=torch)
    if {"config.json", "metadata.json"} <= set(names):
        return Sniffed(kind="keras")
    for test, what, way_out in ARCHIVES:
        if any(test(name) for name in names):
            raise UnknownFormat(f"{path} is {what}.", way_out)
    inside = ", ".join(names[:3]) or "nothing"
    raise UnknownFormat(f"{path} is a zip archive with {inside} inside, not a model.", "Unpack it and name the model file inside.")


def torch_kind(names: Sequence[str]) -> Kind | None:
    """Which of PyTorch's three formats a zip of these names is; None for another archive."""
    if "serialized_exported_program.json" in names:
        return "torchexport"
    inside = {name.partition("/")[2] for name in names}
    if "archive_format" in inside and any(name.startswith("models/") for name in inside):
        return "torchexport"
    if "data.pkl" in inside:
        return "torchscript" if "constants.pkl" in inside else "torch"
    return None


def _folder(path: Path) -> tuple[str, str] | None:
    """What a folder holds, and what to do; None where ``path`` is no folder."""
    if not path.is_dir():
        return None
    if (path / "saved_model.pb").is_file():
        return "a TensorFlow SavedModel", EXPORT
    if (path / "config.json").is_file():
        return "the folder of a Hugging Face or Keras model", EXPORT
    return "a folder", "Name the model file in it."


def looks_like_pickle(head: bytes) -> bool:
    """Whether the first opcodes can be those of a pickle; the rest is read by :mod:`.pickles`."""
    if head[0] == 0x80:
        return len(head) < 2 or head[1] <= 5
    if head[0] not in FIRST_OPCODES:
        return False
    count = 0
    try:
        for opcode, _, _ in pickletools.genops(head):
            count += 1
            if opcode.name == "STOP" or count > 40:
                return count > 1
    except (ValueError, UnicodeDecodeError, IndexError, OverflowError) as exc:
        cut = "exhausted" in str(exc) or "not enough data" in str(exc) or "no newline" in str(exc) or "expected" in str(exc)
        return count > 3 and cut and len(head) >= 16
    return False


def _other(head: bytes) -> tuple[str, str]:
    """What else it may be: texts of several kinds, or bytes that nobody knows."""
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model", EXPORT
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 27:
        return "a safetensors file: weights without the model", EXPORT
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, perhaps what a download link answered in place of the model", "Download the file itself."
    if start.startswith((b"<?xml", b"<pmml")):
        return ("a PMML model" if b"pmml" in start else "an XML document"), RETRAIN
    if re.search(rb"\x06\0{7}gbtree|\x08\0{7}gblinear|\x04\0{7}dart", head):
        return "an XGBoost model in its old binary format", OLD_XGBOOST
    if b"\0" in head or not _is_text(head):
        return "in a format that is not known here", RETRAIN
    if start.startswith((b"{", b"[")):
        return "a JSON text, not a model", "Name the file that holds the fitted model; a list of columns goes to --columns."
    if start.startswith((b"import ", b"from ", b"def ", b"class ", b"#!", b'"""')):
        return "Python code, not a model file", "To serve a function or class of it: carafe serve file.py:name. Helpers go to --code."
    return "a text file, not a model", "Name the file that holds the fitted model; example rows go to --sample or --examples."


def _is_text(head: bytes) -> bool:
    try:
        head[: head.rfind(b"\n") + 1 or len(head) - 4].decode()
    except UnicodeDecodeError:
        return False
    return True
