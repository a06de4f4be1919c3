"""What is in a model file: formats by their bytes, pickles read without running them, versions, the files kept.

Nothing here loads a model or imports a machine-learning library; a host does, and only after what is found here.
"""

from .hints import InputHint
from .spec import ModelSpec, digest, from_options, located, python_reference

__all__ = ["InputHint", "ModelSpec", "digest", "from_options", "located", "python_reference"]
