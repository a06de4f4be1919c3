"""``python -m flask_carafe.steward --home DIR [--stay] [--detach]``: be the steward of one home."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ..config import Settings
from ..logs import setup
from .service import AlreadyRunning, Steward


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the home needs no steward any more; 0 also when another one serves it already."""
    parser = argparse.ArgumentParser(prog="python -m flask_carafe.steward", description="Own the model hosts of one home.")
    parser.add_argument("--home", type=Path, required=True, help="the CARAFE_HOME to be the steward of")
    parser.add_argument("--stay", action="store_true", help="do not leave when nobody is connected")
    parser.add_argument("--detach", action="store_true", help="return at once and run in the background")
    options = parser.parse_args(arguments)
    if options.detach and os.fork():
        os._exit(0)  # the steward is nobody's child: no worker has to reap it
    settings = Settings.load(command_line={"home": str(options.home)})
    setup(settings.log_format, settings.log_level)
    try:
        asyncio.run(_run(options.home, options.stay))
    except AlreadyRunning:
        return 0
    return 0


async def _run(home: Path, stay: bool) -> None:
    steward = Steward(home, stay=stay, idle_s=_seconds("_CARAFE_STEWARD_IDLE_S"), host_idle_s=_seconds("_CARAFE_HOST_IDLE_S"))
    loop = asyncio.get_running_loop()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGTERM, steward.leave_when_alone)
    await steward.run()


def _seconds(name: str, default: float = 15.0) -> float:
    """How long to be alone; a variable that only tests set."""
    try:
        return float(os.environ.get(name, default))
    except ValueError:
        return default


if __name__ == "__main__":
    sys.exit(main())
