"""The file given with ``--code``: its names become those of ``__main__``, where pickles made in a notebook look for them."""

import os
import sys
import types

from .opening import open_checked
from .refusal import LoadError


def add_folders(folders):
    """Let modules in ``folders`` be imported, the first before the others."""
    for path in reversed(folders or []):
        if path not in sys.path:
            sys.path.insert(0, path)


def install(code):
    """Run the helper file once, as the module ``__main__`` and as the module of its own name; its guard does not fire.

    :param code: a path, or ``{"path", "name", "sha256"}`` where the path no longer tells the file's own name, or nothing.
    :raises LoadError: it cannot be read or raises.
    """
    if not code:
        return
    file = code if isinstance(code, dict) else {"path": code}
    path, name = file["path"], file.get("name") or file["path"]
    with open_checked(file) as stream:
        source = stream.read()
    stem = os.path.splitext(os.path.basename(name))[0]
    module = types.ModuleType("carafe_code")
    module.__file__ = path
    sys.modules["__main__"] = sys.modules["carafe_code"] = module
    if stem not in sys.modules:
        sys.modules[stem] = module
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except BaseException as exc:  # user code: anything may come
        raise LoadError("code_failed", "the code file raised %s: %s" % (type(exc).__name__, str(exc)[:300]))
