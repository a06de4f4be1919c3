"""Entry of the child script: ``python __main__.py --zygote --fd N`` or ``python __main__.py --host ...``.

A fresh host takes ``--socket PATH --id ID --token-fd N [--uid U] [--directory DIR] [--idle-s S]``, or ``--spec-fd N``: a
descriptor from which the same words are read as JSON (``id``, ``socket``, ``token``, ``uid``, ``directory``, ``limits``).
"""
import importlib.util
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"  # before any library is imported: a zygote must have one thread, and a host computes on one
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime 1.31 starts a thread at import that would send what it sees to its maker


def load_package():
    """Load this folder as the package ``carafe_host``, so that relative imports work in a plain script."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path and os.path.abspath(path) != folder]
    spec = importlib.util.spec_from_file_location("carafe_host", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder])
    package = importlib.util.module_from_spec(spec)
    sys.modules["carafe_host"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    load_package()
    from carafe_host.entry import main

    main(sys.argv[1:])
