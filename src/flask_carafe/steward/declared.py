"""What was declared to be served: kept in ``declared.json`` so that the successor of a dead steward knows it too."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import msgspec

from ..artifacts.spec import ModelSpec
from ..hosting.rundir import write_atomically
from .bringup import Recipe

SERVE = "serve"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Declared(msgspec.Struct, frozen=True):
    """One model as ``source`` (``serve``, ``yaml``, ``app``, ``worker``) declared it."""

    spec: ModelSpec
    source: str


class Declarations(msgspec.Struct):
    """``boot``: which start of the machine this belongs to; what an earlier one left behind counts for nothing."""

    boot: str = ""
    default: str = ""
    models: dict[str, Declared] = {}
    recipes: dict[str, Recipe] = {}  # of the versions that were admitted last
    unloaded: set[str] = set()  # models that an operator took away

    def declare(
        self, specs: Iterable[ModelSpec], source: str, *, replace: bool = False, keep: Collection[str] = ()
    ) -> tuple[list[ModelSpec], list[str]]:
        """Note ``specs``; with ``replace`` other models of the same source go, save those to ``keep``.

        What ``carafe serve`` was told on its command line stands above what its own workers read in ``carafe.yaml``.

        :return: the specs that count (same or new), and the names that went.
        """
        specs = [spec for spec in specs if source == SERVE or spec.name not in self.models or self.models[spec.name].source != SERVE]
        names = {spec.name for spec in specs}.union(keep)
        gone = [name for name, known in self.models.items() if replace and known.source == source and name not in names]
        for name in gone:
            del self.models[name]
            self.recipes.pop(name, None)
            self.unloaded.discard(name)
        self.models.update({spec.name: Declared(spec, source) for spec in specs})
        return specs, gone

    @property
    def default_model(self) -> str | None:
        """The one that ``/predict`` means: as declared, else the only one there is."""
        if self.default in self.models:
            return self.default
        return next(iter(self.models)) if len(self.models) == 1 else None


class DeclaredFile:
    """Reads and writes :class:`Declarations` in the run directory."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "declared.json"

    def read(self) -> Declarations:
        """What a steward before this one knew, or nothing."""
        boot = _boot_id()
        try:
            known = msgspec.json.decode(self.path.read_bytes(), type=Declarations)
        except (OSError, msgspec.MsgspecError):
            return Declarations(boot=boot)
        return known if known.boot == boot else Declarations(boot=boot)

    def write(self, declarations: Declarations) -> None:
        write_atomically(self.path, msgspec.json.encode(declarations))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _boot_id() -> str:
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
