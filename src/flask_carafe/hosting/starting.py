"""From a spec to a host that serves it: examined, tried, and compiled where that was asked for."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from ..artifacts.spec import ModelSpec
from ..errors import CarafeError
from . import compiling, trial
from .admission import Started
from .supervisor import Supervisor

log = logging.getLogger(__name__)


async def start(supervisor: Supervisor, spec: ModelSpec, home: Path) -> Started:
    """Inspect, start a host, try it; the host that passed is the one that serves, or one with the graph made from it.

    :raises ArtifactRefused: the file must not be served, or cannot be compiled as was asked.
    :raises HostFault: no host could be started.
    """
    if spec.compile and (kept := await asyncio.to_thread(compiling.read_kept, spec, home)):
        handle = await compiling.start_kept(supervisor, spec, kept)
        if handle is not None:
            return Started(handle, kept.admission, compiling.MODULES, kept.load)
    found = await asyncio.to_thread(trial.examine, spec, home)
    handle = await supervisor.start_host(found.modules)
    try:
        admission = await trial.admit(handle, spec, found)
        started = Started(handle, admission, found.modules, found.load)
        return await _compiled(supervisor, spec, started, home) if spec.compile else started
    except CarafeError:
        await supervisor.stop_host(handle)
        raise
    except BaseException:  # nobody wants it any more, or a mistake of ours
        handle.kill()
        raise


async def _compiled(supervisor: Supervisor, spec: ModelSpec, native: Started, home: Path) -> Started:
    """The graph in place of the model, whose host is stopped."""
    handle, kept = await compiling.Compiling(supervisor, spec, native, home).run()
    try:
        await supervisor.stop_host(native.handle)
        await asyncio.to_thread(compiling.keep, spec, home, kept)
    except OSError as exc:
        log.warning("What was found of the compiled model %r cannot be kept, so it is made again at the next start: %s", spec.name, exc)
    except BaseException:  # nobody wants it any more
        handle.kill()
        raise
    return Started(handle, kept.admission, compiling.MODULES, kept.load)
