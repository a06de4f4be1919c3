"""``text``: any Unicode text that UTF-8 can hold; an empty one is a text, not a missing value, where JSON sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..model import Field
from .base import Control, Kind, Upload, Wrong, shown

ANY_TEXT = "text"  # the example of a Python function: a model of texts was fitted on sentences, a function takes a name or a code


def encodable(text: str) -> str:
    """``text`` itself. :raises Wrong: it holds half of a surrogate pair, which no encoding has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Wrong("text", "a lone surrogate", "text without lone surrogates") from None
    return text


class Text(Kind):
    name, expected = "text", "text"

    def schema(self, field: Field) -> dict[str, Any]:
        return {"type": "string"}

    def from_json(self, raw: Any, field: Field) -> str:
        if not isinstance(raw, str):
            raise Wrong(self.expected, shown(raw), "text")
        return encodable(raw)

    def is_blank(self, text: str, field: Field) -> bool:
        return not text  # spaces are a text

    def from_text(self, text: str, field: Field) -> str:
        return encodable(text)

    def from_upload(self, upload: Upload, field: Field) -> str:
        try:
            return upload.data.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise Wrong("text in UTF-8", f"a file that is not, at byte {exc.start}", "text in UTF-8") from exc

    def fast(self, field: Field) -> tuple[Any, Callable[[Any], Any] | None]:
        return str, None

    def control(self, field: Field) -> Control:
        return Control(control="textarea", attributes={"rows": 4}, value=str(self.example(field)))

    def example(self, field: Field) -> str:
        return str(field.example) if field.example is not None else "Arrived early, works as described."
