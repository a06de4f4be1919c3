"""``document``: a PDF, DOCX or text file, which the media host turns into text; a JSON text is taken as it is."""

from __future__ import annotations

from typing import Any

from ..model import Field
from .base import Blob, Control, Upload, Wrong, shown
from .image import read_base64
from .text import Text

ACCEPT = ".pdf,.docx,.txt,application/pdf,text/plain,application/vnd.openxmlformats-officedocument.wordprocessingml.document"
MUST = "a PDF, DOCX or text file"


def is_document(data: bytes) -> bool:
    """PDF and DOCX by their first bytes; anything else must look like text."""
    if data[:1024].lstrip().startswith(b"%PDF-") or data.startswith(b"PK\x03\x04"):
        return True
    return data.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(data) > 0 and b"\0" not in data)


class Document(Text):
    name, expected = "document", "document"
    takes_files = True

    def schema(self, field: Field) -> dict[str, Any]:
        return {"type": "string", "description": "The text itself, or a data: URL of a PDF, DOCX or text file."}

    def from_json(self, raw: Any, field: Field) -> Any:
        if isinstance(raw, Blob):
            return self._checked(raw.data)
        if isinstance(raw, str) and raw.startswith("data:") and ";base64," in raw[:200]:
            data = read_base64(raw)
            if data is None:
                raise Wrong("document in base64", shown(raw), "a data: URL in base64")
            return self._checked(data)
        return super().from_json(raw, field)

    def _checked(self, data: bytes) -> Blob:
        if not is_document(data):
            raise Wrong(MUST[2:], f"{len(data):,} bytes that are none", MUST)
        return Blob(data)

    def from_text(self, text: str, field: Field) -> Any:
        return self.from_json(text, field)

    def from_upload(self, upload: Upload, field: Field) -> Any:
        return self._checked(upload.data)

    def fast(self, field: Field) -> tuple[Any, Any]:
        return str, lambda raw: self.from_json(raw, field)

    def control(self, field: Field) -> Control:
        return Control(control="file", attributes={"type": "file", "accept": ACCEPT, "data-text": "true"}, help="PDF, DOCX or plain text")

    def example(self, field: Field) -> str:
        return str(field.example) if field.example is not None else "Ten years of experience in building bridges."
