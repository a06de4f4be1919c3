"""Form bodies: fields as text, files as bytes. Werkzeug does the reading, under limits of our own."""

from __future__ import annotations

import io
from collections.abc import Mapping

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from ..errors import BadRequest, InvalidInput, TooLarge, WrongMediaType
from ..signature.kinds import Upload

MOST_PARTS = 1000
MOST_TEXT_BYTES = 1 << 20


def read_form(body: bytes, content_type: str) -> tuple[Mapping[str, list[str]], Mapping[str, Upload]]:
    """Values and files by field name.

    :raises BadRequest: no boundary, or a body that is not what its header says.
    :raises TooLarge: more than 1,000 parts, or 1 MiB of text fields.
    """
    kind, options = parse_options_header(content_type)
    if kind == "application/x-www-form-urlencoded" and body[:1] in b"{[" and body:
        raise _looks_like_json(kind)
    parser = FormDataParser(_in_memory, max_form_memory_size=MOST_TEXT_BYTES, max_form_parts=MOST_PARTS, silent=False)
    try:
        _, values, files = parser.parse(io.BytesIO(body), kind, len(body), options)
    except RequestEntityTooLarge as exc:
        raise TooLarge("A form", f"{MOST_PARTS:,} parts or 1 MiB of text") from exc
    except ValueError as exc:
        raise BadRequest("The form cannot be read: it is not what its Content-Type says.") from exc
    if None in values or None in files:
        raise BadRequest("A part of the form has no name.")
    for name in files:
        if len(files.getlist(name)) > 1:
            raise InvalidInput(f"{name[:60]} has {len(files.getlist(name))} files; a form is one row and takes one.", ())
    uploads = {name: Upload(filename=file.filename or "", content_type=file.mimetype, data=file.read()) for name, file in files.items()}
    return {name: values.getlist(name) for name in values}, uploads


def _in_memory(*about: object, **more: object) -> io.BytesIO:
    """Where a part is kept: the body is in memory already, and a spooled file would have to be closed."""
    return io.BytesIO()


def _looks_like_json(kind: str) -> WrongMediaType:
    error = WrongMediaType(kind)
    error.hint = "This looks like JSON: say so with -H 'Content-Type: application/json', or curl --json."
    return error
