"""Which library Keras computes with. It reads that from the environment when it is imported, so it is chosen before."""

import importlib.util
import os

BACKENDS = ("torch", "tensorflow", "jax")  # the first that is installed; with threads of its own none can be forked but torch


def choose():
    """Settle the backend unless it is named already, and keep Keras from writing its settings into anybody's home."""
    os.environ["KERAS_HOME"] = os.path.join(os.devnull, "keras")  # where no settings can be read or made
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")  # a graphics card does not survive a fork
    if not os.environ.get("KERAS_BACKEND"):
        found = [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
        if found:
            os.environ["KERAS_BACKEND"] = found[0]
