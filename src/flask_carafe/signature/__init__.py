"""One signature, many faces: validation, OpenAPI, forms, CSV and frames all read the same Fields.

Nothing here knows Flask, hosts or files; a new kind of field is one new file in ``kinds/``.
"""

from .layout import columns
from .model import Chunk, Field, Output, Rows, Scalar, Signature

__all__ = ["Chunk", "Field", "Output", "Rows", "Scalar", "Signature", "columns"]
