"""``carafe check``: what is in a model file, read before it is loaded; then a trial in a process apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ..artifacts.spec import ModelSpec, from_options, located
from ..config import show_size
from ..operations.check import FileReport, Report, TrialReport
from ..operations.check import check as run_check
from ..signature import Field, Signature
from .options import json_option, model_options, parse_models
from .output import Mark, cut, heading, line, milliseconds, print_json, table

FORMATS = {
    "pickle": "pickle", "joblib": "joblib", "skops": "skops", "onnx": "ONNX", "python": "Python",
    "lightgbm": "LightGBM", "xgboost": "XGBoost", "catboost": "CatBoost",
    "torchscript": "TorchScript", "torchexport": "torch.export", "torch": "PyTorch",
    "keras": "Keras", "hdf5": "Keras, HDF5",
}  # fmt: skip
MOST_FIELDS = 40
MOST_CHARS = 60
CODES = {"passed": 0, "looked": 0, "unverified": 0, "refused": 1}


@click.command()
@click.argument("models", metavar="FILE...", nargs=-1, required=True)
@click.option("--static", is_flag=True, help="Only read the files; load nothing.")
@model_options
@json_option
def check(models: tuple[str, ...], static: bool, model: Mapping[str, Any], as_json: bool) -> int:
    """Look into model files, load them in a process apart, and try them.

    A pickle is read without running it first: format, classes, the versions that saved it, the names that it asks for.
    A file that asks for names that run code is not loaded. Chains are written with commas: vectorizer.pkl,model.pkl

    Exit code 0: it can be served. 1: it is refused, and the reason is told. 2: the call was wrong.
    """
    named = parse_models(models)
    if model and len(named) > 1:
        raise click.UsageError("Options that describe a model go with one model; check them one after the other.")
    specs = [located(from_options(name, files=files, **model), Path.cwd()) for name, files in named.items()]
    reports = asyncio.run(_check_all(specs, static, as_json))
    if as_json:
        print_json(reports[0] if len(reports) == 1 else reports)
    return max(CODES[report.outcome] for report in reports)


async def _check_all(specs: list[ModelSpec], static: bool, as_json: bool) -> list[Report]:
    reports = []
    for spec in specs:
        report = await run_check(spec, static=static)
        reports.append(report)
        if not as_json:
            click.echo(("\n" if len(reports) > 1 else "") + "\n".join(shown(report)))
    return reports


def shown(report: Report) -> Iterator[str]:
    """The report as lines for people."""
    for file in report.files:
        yield heading(file.name)
        yield from _file(file, report.difference)
    if not report.files:
        yield heading(report.model)
    if report.trial is not None:
        yield ""
        yield heading("Trial in a process apart")
        yield from _trial(report.trial)
    yield ""
    yield _verdict(report)


def _file(file: FileReport, difference: str) -> Iterator[str]:
    packed = f", {file.compression}-compressed" if file.compression else ""
    protocol = f", protocol {file.protocol}" if file.protocol >= 0 else ""
    size = f", {show_size(file.size_bytes)}" if file.size_bytes else ""
    sha = f", sha256 {file.sha256[:12]}…" if file.sha256 else ""
    yield line("bad" if file.broken else "ok", "format", f"{FORMATS[file.format]}{protocol}{packed}{size}{sha}")
    if file.folder:
        yield line("note", "in", file.folder)
    if file.broken:
        yield line("bad", "whole", f"no: {file.broken}")
    if file.holds and file.format != "python":
        yield line("note", "holds", cut(file.holds, 120))
    if file.classes:
        yield line("note", "classes", _few([name.rsplit(".", 1)[-1] for name in file.classes]))
    for library, versions in file.versions.items():
        yield line("warn" if difference else "ok", "saved by", difference.removeprefix("saved by ") or f"{library} {', '.join(versions)}")
    if file.onnx:
        yield from _onnx(file.onnx)
    yield from _names(file)


def _names(file: FileReport) -> Iterator[str]:
    if known := file.names.get("known"):
        yield line("note", "names", f"{known} of well-known libraries")
    words: tuple[tuple[str, Mark, str], ...] = (
        ("code", "warn", "carries code"),
        ("main", "warn", "of __main__"),
        ("unknown", "warn", "unknown names"),
        ("dangerous", "bad", "runs code"),
    )
    for kind, sign, label in words:
        if names := file.listed.get(kind):
            yield line(sign, label, _few(names))
    for oddity in file.oddities:
        yield line("bad", "odd", f"it {oddity}")
    for note in file.notes:
        if not file.listed or note.startswith(("it was", "it has")):
            yield line("warn", "note", note)


def _onnx(facts: Mapping[str, Any]) -> Iterator[str]:
    producer = " ".join(filter(None, (facts.get("producer"), facts.get("producer_version")))) or "an unnamed tool"
    opsets = ", ".join(f"{domain} {version}" for domain, version in facts.get("opsets", {}).items())
    yield line("note", "made by", f"{producer}; operators {opsets}")
    for word, key in (("inputs", "inputs"), ("outputs", "outputs")):
        ports = [f"{port['name']} {port['dtype']}{_shape(port['shape'])}" for port in facts.get(key, ())]
        yield line("note", word, _few(ports))


def _shape(shape: Any) -> str:
    return f"[{', '.join('any' if extent is None else str(extent) for extent in shape)}]" if shape else ""


def _few(names: Any, most: int = 6) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _trial(trial: TrialReport) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in trial.libraries.items())
    yield line("ok", "loads", f"{trial.estimator}, in {milliseconds(trial.load_ms / 1000)}, {show_size(trial.memory_bytes)} of memory")
    yield line("note", "with", versions)
    yield line("ok", "answers", f"{cut(json.dumps(trial.prediction, ensure_ascii=False), 100)}, in {milliseconds(trial.first_ms / 1000)}")
    if trial.compiled:
        yield line("ok", "compiled", trial.compiled.in_words)
    if trial.replayed:
        yield line("ok", "examples", f"{trial.replayed:,} known answers were given again")
    for warning in trial.warnings:
        yield line("warn", "note", cut(warning, 160))
    yield ""
    yield table(_fields(trial.signature, trial.example), ("field", "kind", "missing", "values", "example"), indent="  ")
    if len(trial.signature.fields) > MOST_FIELDS:
        yield f"  … and {len(trial.signature.fields) - MOST_FIELDS:,} more"
    yield ""
    yield table(_outputs(trial.signature), ("answer", "kind", "values"), indent="  ")


def _fields(signature: Signature, examples: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for field in signature.fields[:MOST_FIELDS]:
        example = cut(json.dumps(examples.get(field.name), ensure_ascii=False, default=str), 30)
        rows.append([field.name, field.kind, "allowed" if field.nullable else "no", _values(field), example])
    return rows


def _values(field: Field) -> str:
    if field.choices:
        return cut(", ".join(map(str, field.choices)), MOST_CHARS) + ("" if field.closed else ", …")
    low, high = field.minimum if field.minimum is not None else field.low, field.maximum if field.maximum is not None else field.high
    if low is not None or high is not None:
        return f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}"
    return " x ".join(map(str, field.shape))


def _outputs(signature: Signature) -> list[list[str]]:
    rows = []
    for output in signature.outputs:
        values = ", ".join(map(str, output.shown)) if output.shown else f"{output.width} values" if output.width > 1 else ""
        rows.append([output.name, output.role if output.role != "prediction" else output.kind, cut(values, MOST_CHARS)])
    return rows


def _verdict(report: Report) -> str:
    if report.outcome == "refused":
        return line("bad", "refused", click.style(report.reason, fg="red"), report.hint, width=11)
    if report.outcome == "unverified":
        return line("warn", "unverified", f"It is served, and marked: {report.reason}.", report.hint, width=11)
    if report.outcome == "looked":
        words = f"Nothing was loaded. {report.difference.capitalize()}." if report.difference else "Nothing was loaded."
        return line("note", "looked", words, "A look can refuse a file and never vouch for one; without --static it is tried as well.", width=11)
    return line("ok", "passed", "It loads and answers here, and can be served.", width=11)
