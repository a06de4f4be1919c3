"""Pictures and documents in the media host: conversions that are right to the last number, and files that are refused."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flask_carafe.hosting.frames import RowError
from flask_carafe.hosting.host import runtime_media
from flask_carafe.signature import Output, Rows
from hosting.host_client import Peer, Zygote, blobs, jsons

GREY = {"kind": "image", "width": 8, "height": 8, "mode": "L"}


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("z"), modules=["PIL.Image", "pypdf", "docx2txt"])
    yield made
    made.end()


@pytest.fixture
def media(host: Peer) -> Peer:
    reply = host.load(options={"runtime": "media"})
    assert reply["ok"] and reply["description"]["input"]["build"] == "bytes"
    return host


def convert(media: Peer, wanted: dict[str, Any], *files: bytes) -> tuple[list[Any], list[RowError]]:
    media.signature = {"fields": [{"dtype": "bytes"}, {"dtype": "json"}], "layout": "columns"}
    width = wanted.get("width", 1) * wanted.get("height", 1) * (3 if wanted.get("mode") == "RGB" else 1)
    is_image = wanted["kind"] == "image"
    media.outputs = [Output(name="prediction", dtype="float32" if is_image else "text", width=width)]
    answer, errors = media.predict(Rows(n=len(files), chunks=(blobs(files), jsons([wanted] * len(files)))))
    values = answer[0].values
    return [values[at : at + width] for at in range(0, len(values), width)] if is_image else values, errors


def saved(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **more)
    return stream.getvalue()


def ramp(mode: str = "L", size: int = 8) -> Image.Image:
    return Image.fromarray(np.arange(size * size, dtype=np.uint8).reshape(size, size)).convert(mode)


def test_a_grey_picture_is_its_shades_row_by_row(media: Peer) -> None:
    values, errors = convert(media, GREY, saved(ramp()), saved(ramp(), "BMP"), saved(ramp(), "GIF"))
    assert not errors and values == [list(range(64))] * 3


def test_shades_are_inverted_and_scaled(media: Peer) -> None:
    values, _ = convert(media, {**GREY, "invert": True, "scale": [0, 1]}, saved(ramp()))
    np.testing.assert_array_equal(np.float32(values[0]), ((255 - np.arange(64)) / 255).astype(np.float32))


@pytest.mark.parametrize("layout", ["hwc", "chw"])
def test_colours_come_in_the_layout_that_is_wanted(media: Peer, layout: str) -> None:
    pixels = np.random.RandomState(0).randint(0, 255, size=(8, 8, 3), dtype=np.uint8)
    values, _ = convert(media, {**GREY, "mode": "RGB", "layout": layout}, saved(Image.fromarray(pixels)))
    assert values[0] == (pixels if layout == "hwc" else pixels.transpose(2, 0, 1)).ravel().tolist()


def test_a_large_picture_is_resized(media: Peer) -> None:
    wide, high = saved(Image.new("RGB", (640, 480), (200, 200, 200)), "JPEG"), saved(Image.new("L", (3, 900), 7), "WEBP", lossless=True)
    values, _ = convert(media, GREY, wide, high)
    assert values == [[200] * 64, [7] * 64]


def test_a_picture_is_turned_as_its_camera_says(media: Peer) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    values, _ = convert(media, GREY, saved(ramp(), "PNG", exif=exif))
    assert values == [list(range(63, -1, -1))]


def test_what_is_transparent_is_white(media: Peer) -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    values, _ = convert(media, GREY, saved(clear), saved(Image.new("LA", (8, 8), (0, 255))))
    assert values == [[255] * 64, [0] * 64]


def bomb() -> bytes:
    """A PNG whose header announces 50,000 x 50,000 pixels."""
    data = saved(Image.new("L", (1, 1)))
    head = data[:16] + struct.pack(">2I", 50_000, 50_000) + data[24:29]
    import zlib

    return head + struct.pack(">I", zlib.crc32(head[12:])) + data[33:]


def test_files_that_are_no_whole_picture_are_errors_of_their_rows(media: Peer) -> None:
    whole = saved(Image.effect_noise((64, 64), 50))
    jpeg = saved(Image.effect_noise((64, 64), 50), "JPEG")
    files = [whole, b"", b"GIF89a", b"<svg onload=x>", whole[: len(whole) // 2], jpeg[: len(jpeg) // 2], bomb(), saved(ramp(), "TIFF"), whole]
    values, errors = convert(media, GREY, *files)
    assert [error.row for error in errors] == [1, 2, 3, 4, 5, 6, 7] and {error.code for error in errors} == {"invalid_value"}
    assert "50000 x 50000 pixels" in errors[5].message and "cut short" in errors[3].message
    assert values[0] == values[8]


def test_frames_that_want_different_things_are_not_mixed(media: Peer) -> None:
    assert convert(media, GREY, saved(ramp()))[0] == [list(range(64))]
    assert convert(media, {"kind": "document"}, b"plain words") == (["plain words"], [])
    assert len(convert(media, {**GREY, "width": 4}, saved(ramp()))[0][0]) == 32


def docx(*paragraphs: str) -> bytes:
    import docx as writer

    document = writer.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def pdf(*pages: str) -> bytes:
    from reportlab.pdfgen import canvas

    stream = io.BytesIO()
    drawn = canvas.Canvas(stream)
    for page in pages:
        drawn.drawString(50, 700, page)
        drawn.showPage()
    drawn.save()
    return stream.getvalue()


def test_documents_become_text(media: Peer) -> None:
    files = [pdf("first page", "second page"), docx("Dear Ada,", "naïve text"), "caf\xe9".encode("latin-1"), "ünï".encode(), "wide".encode("utf-16")]
    values, errors = convert(media, {"kind": "document"}, *files)
    assert not errors
    assert "first page" in values[0] and "second page" in values[0] and "naïve text" in values[1] and values[2:] == ["café", "ünï", "wide"]


def zipped(**parts: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name.replace("__", "/") + ".xml", data)
    return stream.getvalue()


def test_documents_that_cannot_be_read_are_errors_of_their_rows(media: Peer) -> None:
    huge = zipped(word__document=bytes(70 << 20))
    entity = zipped(word__document=b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>')
    whole = pdf("words")
    header = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode("utf-16")
    entity_in_header = zipped(word__document=b"<x>words</x>", word__header1=header)
    files = [huge, entity, entity_in_header, zipped(a=b"1"), docx("x")[:300], whole[:200], b"%PDF-1.7 nonsense", b"\x00\x01\x02", b"   ", pdf("")]
    files += [b"x" * 2_000_001, b"fine"]
    values, errors = convert(media, {"kind": "document"}, *files)
    assert [error.row for error in errors] == list(range(11)) and values[11] == "fine"
    assert "64 MiB" in errors[0].message and "2 million" in errors[10].message
    assert "entities" in errors[1].message and "entities" in errors[2].message


def test_the_media_host_needs_no_signature_and_is_ready_at_once(media: Peer) -> None:
    assert media.request({"op": "status"})["state"] == "ready"


def test_a_frame_whose_rows_want_different_things_is_an_error(media: Peer, tmp_path: Path) -> None:
    media.signature, media.outputs = {"fields": [{"dtype": "bytes"}, {"dtype": "json"}]}, [Output(name="prediction", dtype="text")]
    _, errors = media.predict(Rows(n=2, chunks=(blobs([b"a", b"b"]), jsons([{"kind": "document"}, GREY]))))
    assert {error.code for error in errors} == {"model_output_invalid"}


@pytest.mark.parametrize(("kind", "module", "blob", "name"), [
    ("image", "PIL", b"", "Pillow"), ("document", "pypdf", b"%PDF-1.7", "pypdf"), ("document", "docx2txt", b"PK\x03\x04", "docx2txt"),
])  # fmt: skip
def test_an_absent_library_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch, kind: str, module: str, blob: bytes, name: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    _, errors = runtime_media.MediaRuntime.call(SimpleNamespace(_answer=("text", 1)), (GREY | {"kind": kind}, [blob]), 1)  # type: ignore[arg-type]
    assert errors == {0: ("unavailable", f"{name} is not installed on this server")}
