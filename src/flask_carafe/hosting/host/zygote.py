"""The zygote: imports libraries once, forks hosts that share them. It never imports a user's code, and never has two threads."""

import gc
import importlib
import os
import signal
import socket
import sys

from . import birth, keras_backend, wire
from .libraries import ALLOWED


def run(fd):
    """Answer the requests on the inherited socket ``fd`` until its other end is closed."""
    birth.quiet_signals()
    signal.signal(signal.SIGCHLD, _reap)
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pandas imports pyarrow, whose allocator would start a thread
    os.dup2(2, 1)
    stream = socket.socket(fileno=fd) if sys.version_info >= (3, 7) else socket.fromfd(fd, socket.AF_UNIX, socket.SOCK_STREAM)
    stream.setblocking(True)
    reader = wire.Reader()
    while True:
        data = stream.recv(1 << 16)
        if not data:
            return
        for frame in reader.feed(data):
            stream.sendall(wire.reply(frame.frame_id, _answer(frame.message or {}, (stream.fileno(), fd))))


def _reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _answer(request, fds):
    op = request.get("op")
    try:
        if op == "import":
            return import_all(request.get("modules") or ())
        if op == "fork":
            return fork(request, fds)
        if op == "status":
            return {"ok": True, "pid": os.getpid(), "threads": threads(), "python": sys.version.split()[0]}
    except Exception as exc:  # one request that fails must not end the zygote of all others
        return {"ok": False, "error": {"code": "zygote", "message": "%s: %s" % (type(exc).__name__, exc)}}
    return {"ok": False, "error": {"code": "unknown_op", "message": "the zygote knows no %r" % op}}


def import_all(names):
    """Import what is on the allow-list; what fails is told, and costs nothing more."""
    imported, failed = [], {}
    for name in names:
        if str(name).split(".")[0] not in ALLOWED:
            failed[name] = "not on the zygote's list"
            continue
        if name == "keras":
            keras_backend.choose()
        try:
            importlib.import_module(name)
            imported.append(name)
        except BaseException as exc:  # a broken library may raise anything, SystemExit included
            failed[name] = "%s: %s" % (type(exc).__name__, str(exc)[:500])
    _prepare()
    birth.quiet_signals()
    signal.signal(signal.SIGCHLD, _reap)
    gc.collect()
    return {"ok": True, "imported": imported, "failed": failed, "threads": threads()}


SHARED = {
    "sklearn": ("joblib", "threadpoolctl", "carafe_host.runtime_sklearn"), "onnxruntime": ("carafe_host.runtime_onnx",),
    "lightgbm": ("carafe_host.runtime_lightgbm",), "xgboost": ("carafe_host.runtime_xgboost",), "catboost": ("carafe_host.runtime_catboost",),
    "torch": ("carafe_host.runtime_torch",), "keras": ("carafe_host.runtime_keras",),
}


def _prepare():
    """Import what hosts of the loaded libraries will want beside them, so that they share that too."""
    wanted = ["carafe_host.server"] + [name for library, names in SHARED.items() if library in sys.modules for name in names]
    for name in wanted:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # a scikit-learn of 2018 carries its own joblib


def threads():
    """Threads of this process as the system counts them."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        import threading

        return threading.active_count()


def fork(request, fds):
    """A new host; its socket listens before this returns, so that a caller may connect at once."""
    if threads() > 1:
        return {"ok": False, "error": {"code": "threads", "message": "a library has started threads: hosts must be started fresh"}}
    listener = birth.bind(request["socket"])
    gc.disable()
    if hasattr(gc, "freeze"):
        gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = os.fork()
    except OSError:
        listener.close()
        os.unlink(request["socket"])
        raise
    if pid:
        listener.close()
        gc.enable()
        return {"ok": True, "pid": pid, "started": birth.started(pid)}
    _child(listener, request, fds)


def _child(listener, request, fds):
    code = 1
    try:
        for fd in set(fds):
            os.close(fd)
        gc.enable()
        birth.live(listener, request)
        code = 0
    except BaseException:  # the edge of the process: tell it and end, never run the zygote's code on
        import traceback

        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(code)
