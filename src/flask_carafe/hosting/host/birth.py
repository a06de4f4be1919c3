"""From a bare process to a listening host: session, signals, descriptors, limits, private directory."""

import os
import signal
import socket
import sys

MOST_NAME = 107  # bytes in the path of a Unix socket
CORE_OFF = {"RLIMIT_CORE": 0}  # a core file would hold rows of somebody's requests


def bind(path):
    """A listening Unix socket at ``path`` that only this user may open; a stale file is replaced.

    :raises OSError: the path is too long or cannot be made.
    """
    if len(os.fsencode(path)) > MOST_NAME:
        raise OSError("the socket's path is longer than %d bytes: %s" % (MOST_NAME, path))
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(64)
    return listener


def live(listener, spec):
    """Be a host until told to stop or left alone; ``spec`` is a fork request."""
    settle(spec)
    from .server import Server

    Server(listener, spec).run()


def settle(spec):
    """Own session, deaf to a terminal's signals, stdout to stderr, limits, private directory."""
    try:
        os.setsid()
    except OSError:
        pass  # the parent has made this process a leader already
    quiet_signals()
    if spec.get("log"):
        log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 2)
        os.close(log)
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null > 2:
        os.close(null)
    _limit(spec.get("limits") or {})
    directory = spec.get("directory")
    if directory:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.chdir(directory)
        os.environ["TMPDIR"] = os.environ["HOME"] = os.environ["MPLCONFIGDIR"] = directory
    _reseed()


def quiet_signals():
    """What ends a terminal's processes does not end a host; called again after user code was loaded."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _limit(limits):
    import resource

    wanted = dict(CORE_OFF)
    if limits.get("address_bytes"):
        wanted["RLIMIT_AS"] = int(limits["address_bytes"])
    if limits.get("files"):
        wanted["RLIMIT_NOFILE"] = int(limits["files"])
    for name, value in wanted.items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError) as exc:
            sys.stderr.write("host: %s stays as it is: %s\n" % (name, exc))


def _reseed():
    """Hosts of one zygote must not share their random numbers."""
    import random

    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def started(pid):
    """Clock ticks since boot at which ``pid`` began, or 0 where the system does not tell."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            return int(stream.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
