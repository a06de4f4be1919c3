"""Which libraries the media host needs for the kinds of a signature, and whether they are here."""

from __future__ import annotations

import importlib.util

from ..errors import TrialFailed
from ..signature import Signature

NEEDS = {"image": ("a picture", ("PIL",)), "document": ("a document", ("pypdf", "docx2txt"))}
NAMES = {"PIL": "Pillow"}
EXTRA_HINTS = {"image": "pip install 'Flask-Carafe[images]'", "document": "pip install 'Flask-Carafe[documents]'"}


def check_media(signature: Signature) -> None:
    """See that the files which ``signature`` takes can be read: the media host runs in this environment. Nothing is imported.

    :raises TrialFailed: a library is not installed; the hint names the extra.
    """
    for field in signature.fields:
        what, modules = NEEDS.get(field.kind, ("", ()))
        for module in modules:
            if importlib.util.find_spec(module) is None:
                text = f"Its field {field.name} takes {what}, and {NAMES.get(module, module)} is not installed here."
                raise TrialFailed(text, EXTRA_HINTS[field.kind])
