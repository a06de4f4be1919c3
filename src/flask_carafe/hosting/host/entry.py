"""The two ways in: a zygote that forks hosts, or one host started fresh."""

import argparse
import json
import os
import sys

from . import birth, zygote


def main(arguments):
    """Run until told to stop; ``arguments`` are those of the command line."""
    options = _parser().parse_args(arguments)
    if options.zygote:
        zygote.run(options.fd)
    else:
        listener, spec = _fresh(options)
        birth.live(listener, spec)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of libraries must not hold a process that has ended its work


def _parser():
    parser = argparse.ArgumentParser(prog="carafe-host", add_help=False)
    parser.add_argument("--zygote", action="store_true")
    parser.add_argument("--host", action="store_true")
    parser.add_argument("--fd", type=int, default=0)
    parser.add_argument("--spec-fd", type=int, default=-1)
    parser.add_argument("--token-fd", type=int, default=-1)
    parser.add_argument("--socket", default="")
    parser.add_argument("--id", default="")
    parser.add_argument("--uid", type=int, default=-1)
    parser.add_argument("--directory", default="")
    parser.add_argument("--idle-s", type=float, default=15.0)
    return parser


def _fresh(options):
    if options.spec_fd >= 0:
        spec = json.loads(_read_all(options.spec_fd).decode())
    else:
        token = _read_all(options.token_fd).decode().strip() if options.token_fd >= 0 else ""
        spec = {"id": options.id, "socket": options.socket, "token": token, "directory": options.directory, "limits": {"idle_s": options.idle_s}}
        if options.uid >= 0:
            spec["uid"] = options.uid
    return birth.bind(spec["socket"]), spec


def _read_all(fd):
    with os.fdopen(fd, "rb") as stream:
        return stream.read(1 << 20)
