"""A document as text: PDF by pypdf, DOCX by docx2txt, plain text by its bytes. What is inside is counted before it is unpacked."""

import io
import zipfile

from .pictures import Refused, Unavailable

MOST_TEXT = 2000000  # characters
MOST_PAGES = 500
MOST_UNPACKED = 64 << 20
MOST_PARTS = 2000
TEXT_PARTS = ("word/document", "word/header", "word/footer")  # what docx2txt reads


def convert(blob, want):
    """UTF-8 text of the document in ``blob``.

    :raises Refused: not a document that is served, too long, or without text.
    :raises Unavailable: what reads such documents is not there.
    """
    if b"%PDF-" in blob[:1024]:
        text = pdf(blob)
    elif blob[:4] == b"PK\x03\x04":
        text = docx(blob)
    else:
        text = plain(blob)
    if len(text) > MOST_TEXT:
        raise Refused("the document holds more than 2 million characters")
    text = text.replace("\x00", "").strip()
    if not text:
        raise Refused("the document holds no text (a scan has none)")
    return text.encode("utf-8", "replace")


def pdf(blob):
    """Text of all pages of a PDF."""
    import logging

    try:
        from pypdf import PdfReader
    except ImportError:
        raise Unavailable("pypdf is not installed on this server")

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(blob))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Refused("the PDF is locked with a password")
        pages = len(reader.pages)
    except Refused:
        raise
    except Exception:  # pypdf raises many kinds on a damaged file
        raise Refused("the PDF is damaged or cut short")
    if pages > MOST_PAGES:
        raise Refused("the PDF has %d pages; at most %d are read" % (pages, MOST_PAGES))
    texts, size = [], 0
    for page in reader.pages:
        texts.append(page.extract_text() or "")
        size += len(texts[-1])
        if size > MOST_TEXT:
            raise Refused("the document holds more than 2 million characters")
    return "\n".join(texts)


def docx(blob):
    """Text of a Word document."""
    try:
        import docx2txt
    except ImportError:
        raise Unavailable("docx2txt is not installed on this server")

    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED:
                raise Refused("the document unpacks to more than 64 MiB")
            if "word/document.xml" not in names:
                raise Refused("the file is a zip archive, but not a Word document")
            for name in names:
                if name.startswith(TEXT_PARTS) and b"<!DOCTYPE" in archive.read(name).replace(b"\x00", b""):  # in UTF-16 as well
                    raise Refused("the document declares entities")
    except (zipfile.BadZipFile, OSError, ValueError) as exc:
        if isinstance(exc, Refused):
            raise
        raise Refused("the Word document is damaged or cut short")
    return docx2txt.process(io.BytesIO(blob)) or ""


def plain(blob):
    """Plain text: UTF-8, UTF-16 with its mark, else Latin-1."""
    if blob[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return blob.decode("utf-16")
        except UnicodeDecodeError:
            raise Refused("the text is not whole UTF-16")
    if b"\x00" in blob:
        raise Refused("the file is not a PDF, a Word document or plain text")
    try:
        return blob.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if sum(byte < 32 and byte not in (9, 10, 12, 13, 27) for byte in blob[:4096]) > 0:
        raise Refused("the file is not a PDF, a Word document or plain text")
    return blob.decode("latin-1")
