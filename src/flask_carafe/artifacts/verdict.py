"""Versions in a file against versions here: the same, near enough, to be marked, or not to be served."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Literal

import msgspec

from ..errors import VersionRefused
from .breaks import known_break, version_of
from .inspection import Survey

OLDEST_INSTALLABLE = (1, 2)  # of scikit-learn, on the oldest Python that Carafe runs on
State = Literal["same", "patch", "unverified", "unrecorded"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``text`` says it in one line, empty where there is nothing to say; ``unverified`` models carry it as their mark."""

    state: State
    library: str = ""
    recorded: str = ""
    here: str = ""
    text: str = ""
    hint: str = ""


def installed(library: str) -> str:
    """The version of ``library`` in this interpreter, read from its metadata and without importing it; empty if absent.

    What builds add (``2.13.0+cpu``) is left out.
    """
    try:
        return metadata.version(library).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


def judge(survey: Survey, here: Mapping[str, str], *, strict: bool = False, told: Mapping[str, str] | None = None) -> Verdict:
    """What the recorded versions mean with the libraries that a host has.

    :param here: library -> version, as the host describes them.
    :param told: library -> version in the file, as loading it told; counts where reading the file found none.
    :raises VersionRefused: a known break, or with ``strict`` another minor version.
    """
    refuse_break(survey, here)
    versions = survey.versions or {library: (version,) for library, version in (told or {}).items() if library in here}
    worst = Verdict(state="same" if versions else "unrecorded")
    for library, recorded in versions.items():
        for version in recorded:
            verdict = _compare(library, version, here.get(library, ""))
            if strict and verdict.state == "unverified":
                raise VersionRefused(f"{verdict.text} and --strict-versions is on.", verdict.hint)
            worst = max(verdict, worst, key=lambda one: ("unrecorded", "same", "patch", "unverified").index(one.state))
    return worst


def _compare(library: str, recorded: str, here: str) -> Verdict:
    if not here or recorded == here:
        return Verdict(state="same", library=library, recorded=recorded, here=here)
    if version_of(recorded) == version_of(here):
        text = f"saved by {library} {recorded}, run by {here}: the same minor version"
        return Verdict(state="patch", library=library, recorded=recorded, here=here, text=text)
    return Verdict(
        state="unverified",
        library=library,
        recorded=recorded,
        here=here,
        text=f"saved by {library} {recorded}, but {here} is installed here",
        hint=f"Replay known answers with --examples rows.csv to clear the mark. {way_out(library, recorded, here)}",
    )


def way_out(library: str, recorded: str, here: str) -> str:
    """What to do about a file of another version: always training again, and what else is possible."""
    train = f"Train it again with {library} {here or 'of today'}"
    if library == "scikit-learn" and version_of(recorded) < OLDEST_INSTALLABLE:
        return f"{train}, or load it where scikit-learn {recorded} runs and export it to ONNX with skl2onnx."
    return f"{train}, or install {library} {recorded} here."


def refuse_break(survey: Survey, here: Mapping[str, str]) -> None:
    """Refuse what the table of known breaks names.

    :raises VersionRefused: with the class, both versions and the way out.
    """
    for library, version in here.items():
        found = known_break(survey.estimators, library, version)
        if found:
            row, estimator = found
            raise VersionRefused(
                f"{estimator.name} was saved by {library} {estimator.version}; with {version}, installed here, {row.reason}.",
                f"{way_out(library, estimator.version, version)} {row.way_out}".strip(),
            )


def versions_here(survey: Survey) -> dict[str, str]:
    """The libraries that the files record, in the versions installed here; read from metadata, nothing is imported."""
    return {library: version for library in survey.versions if (version := installed(library))}


def _differing(survey: Survey) -> Verdict | None:
    here = versions_here(survey)
    verdicts = [_compare(library, version, here.get(library, "")) for library, recorded in survey.versions.items() for version in recorded]
    return next((verdict for verdict in verdicts if verdict.text), None)


def difference(survey: Survey) -> str:
    """``saved by scikit-learn 0.24.2, but 1.9.1 is installed here``; empty where nothing differs or is recorded."""
    verdict = _differing(survey)
    return verdict.text if verdict else ""


def way_out_of(survey: Survey) -> str:
    """What to do about :func:`difference`; empty where there is none."""
    verdict = _differing(survey)
    return way_out(verdict.library, verdict.recorded, verdict.here) if verdict else ""
