"""The file given with ``--code``: its names become those of ``__main__``, where pickles made in a notebook look for them."""

import os
import sys
import types

from .refusal import LoadError


def install(code):
    """Run the helper file once, as the module ``__main__`` and as the module of its own name; its guard does not fire.

    :param code: a path, or ``{"path", "name"}`` where the path no longer tells the file's own name, or nothing.
    :raises LoadError: it cannot be read or raises.
    """
    if not code:
        return
    path, name = (code["path"], code.get("name") or code["path"]) if isinstance(code, dict) else (code, code)
    try:
        with open(path, "rb") as stream:
            source = stream.read()
    except OSError as exc:
        raise LoadError("unreadable", "the code file cannot be read: %s" % exc.strerror)
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
