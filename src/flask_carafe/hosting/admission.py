"""What goes into a trial and what comes out of it: files that were read, and a version that passed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..artifacts.inspection import Survey, survey
from ..artifacts.mlflow import Declared
from ..artifacts.spec import ModelSpec
from ..artifacts.torchzip import TorchFacts
from ..artifacts.verdict import Verdict
from ..signature import Signature
from .handle import HostHandle


class Examined(msgspec.Struct, frozen=True):
    """Files that were read and not refused: what to import beforehand, and the request that loads them."""

    survey: Survey
    modules: tuple[str, ...]
    load: dict[str, Any]


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """What compiling brought: on how many rows it was compared, the largest difference, microseconds of a call by number of rows.

    ``width`` is what the graph computes in. A difference of probabilities is one as it is, of numbers a share of them.
    """

    width: str
    rows: int
    largest: float
    native_us: dict[str, float]
    graph_us: dict[str, float]
    tools: dict[str, str] = {}

    @property
    def in_words(self) -> str:
        """``speed 5.1x at 1 row, 2.3x at 64 rows; largest difference 3e-07 in 1,400 rows``."""
        known = [(rows, self.native_us[rows] / graph) for rows, graph in self.graph_us.items() if graph]
        speeds = [f"{_times(factor)}x at {rows} row{'' if rows == '1' else 's'}" for rows, factor in known]
        return f"speed {', '.join(speeds)}; largest difference {self.largest:.1g} in {self.rows:,} rows"


def _times(factor: float) -> str:
    """Two digits that tell, and no power of ten.

    >>> _times(5.13), _times(0.054), _times(238.4), _times(12.0)
    ('5.1', '0.054', '240', '12')
    """
    return f"{float(f'{factor:.2g}'):.15g}"


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """A version that passed. ``unverified`` is its mark, empty when there is none; ``prediction`` answered ``example``."""

    signature: Signature
    description: dict[str, Any]
    libraries: dict[str, str]
    load_ms: float
    memory_bytes: int
    first_ms: float
    unverified: str = ""
    warnings: tuple[str, ...] = ()
    max_batch_rows: int = 256
    verdict: Verdict
    example: dict[str, Any] = {}
    prediction: dict[str, Any] = {}
    replayed: int = 0
    compiled: Compiled | None = None


class Started(msgspec.Struct, frozen=True):
    """A host that has passed, what its trial found, and how to load the same bytes again."""

    handle: HostHandle
    admission: Admission
    modules: tuple[str, ...]
    load: dict[str, Any]


def examine(spec: ModelSpec, home: str | Path | None = None) -> Examined:
    """Read the files of ``spec`` without loading them; with ``home`` they are copied into it first. Blocks: call it in a thread.

    :raises ArtifactRefused: a file that must not be loaded.
    """
    found = survey(spec, home)
    return Examined(found, found.modules, load_request(spec, found))


def load_request(spec: ModelSpec, found: Survey) -> dict[str, Any]:
    """The control message that makes a host load these very bytes."""
    files = [{"path": file.path, "format": file.format, "name": file.name, "sha256": file.sha256} for file in found.files]
    message: dict[str, Any] = {"op": "load", "files": files, "options": {"outputs": spec.outputs, "threads": spec.threads}}
    message["options"] |= tensor_options(spec, found)
    folders = [spec.folder, *(file.mlflow.code for file in found.files if file.mlflow)]
    if any(folders):
        message["options"]["python_path"] = [folder for folder in folders if folder]
    message["code"] = {"path": found.code.path, "name": found.code.name, "sha256": found.code.sha256} if found.code else None
    message["columns"] = {"path": found.columns.path, "name": found.columns.name, "sha256": found.columns.sha256} if found.columns else None
    return message


def tensor_options(spec: ModelSpec, found: Survey) -> dict[str, Any]:
    """What a host should know of the tensors that a model takes, where the model itself may not tell."""
    torch = found.files[0].torch or TorchFacts()
    mlflow = found.files[0].mlflow
    declared = mlflow.inputs if mlflow else ()
    facts = {
        "inputs": msgspec.to_builtins([hint for hint in spec.inputs if hint.kind in ("image", "vector", "tensor")]) or _shaped_by_hand(spec),
        "traced": [{"shape": one.shape[1:], "dtype": one.dtype} for one in torch.inputs] or _declared_tensors(declared),
        "whole": torch.needs_code,
        "fields": len(spec.fields) or sum(1 for one in declared if not one.shape),
    }
    return {key: value for key, value in facts.items() if value}


def _declared_tensors(declared: Sequence[Declared]) -> list[dict[str, Any]]:
    """Tensors of a signature of MLflow, where all that it declares are tensors of numbers whose sizes are known."""
    known = [one for one in declared if len(one.shape) > 1 and min(one.shape[1:]) > 0 and one.type.startswith(("float", "int", "bool"))]
    return [{"shape": one.shape[1:], "dtype": one.type} for one in known] if len(known) == len(declared) else []


def _shaped_by_hand(spec: ModelSpec) -> list[dict[str, Any]]:
    """Vectors and tensors that ``fields`` describes: ``{pixels: {kind: vector, shape: [64]}}``."""
    facts = spec.fields.items() if isinstance(spec.fields, dict) else ()
    return [{"kind": "tensor", "field": name, "shape": list(one["shape"])} for name, one in facts if isinstance(one, dict) and one.get("shape")]
