"""The trial: nothing is served that has not loaded, described itself and answered here, with the libraries at hand.

``examine`` reads the files without loading them, ``admit`` takes a host through load, signature, first predictions,
missing values, a batch of two, versions and known answers. What fails is refused with the version in the file, the
version here and the way out; the host that passes is configured and may serve.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, NoReturn, Protocol

import msgspec

from ..artifacts.eras import era, notes
from ..artifacts.hints import python_names
from ..artifacts.mlflow import refined
from ..artifacts.spec import ModelSpec
from ..artifacts.verdict import Verdict, difference, judge, way_out_of
from ..errors import ArtifactRefused, ConfigError, HostFault, HostLost, LoadFailed, OutputInvalid, TrialFailed
from ..signature import Rows, Signature
from ..signature.answer import Encoder
from ..signature.infer import infer, with_nullable
from ..signature.sample import Sample, read_sample
from . import trial_rows
from .admission import Admission, Examined, examine, load_request
from .frames import Column, RowError
from .media_needs import check_media
from .replay import compare, read_examples
from .trial_answers import answers_differ, check_probabilities

__all__ = ["Admission", "Examined", "Host", "admit", "examine", "load_request"]

LOAD_TIMEOUT_S = 300.0
ANSWER_TIMEOUT_S = 60.0
REPLAY_ROWS = 256
Answer = tuple[list[Column], list[RowError]]


class Host(Protocol):
    """What a trial needs of :class:`~flask_carafe.hosting.handle.HostHandle`."""

    async def request(self, message: dict[str, Any], timeout_s: float = 10.0) -> dict[str, Any]: ...

    async def predict(self, signature: Signature, rows: Rows, timeout_s: float = 10.0) -> Answer: ...


async def admit(handle: Host, spec: ModelSpec, examined: Examined) -> Admission:
    """Take an empty host through the trial; it is configured and ready when this returns.

    :raises ArtifactRefused: it must not be served; the subclass and the text say why, the hint what to do.
    :raises HostFault: the host failed us, not the model.
    """
    try:
        return await Trial(handle, spec, examined).run()
    except HostLost as exc:
        raise TrialFailed("Its process ended during the trial.", LAST_WORDS) from exc


class Trial:
    """One host on trial, step by step."""

    def __init__(self, handle: Host, spec: ModelSpec, examined: Examined) -> None:
        self.handle, self.spec, self.survey, self.request = handle, spec, examined.survey, examined.load
        self.max_batch_rows = spec.max_batch_rows
        self.warnings: list[str] = [note for file in examined.survey.files for note in notes(file)]

    async def run(self) -> Admission:
        loaded = await self.load()
        description = loaded["description"]
        libraries = {str(name): str(version) for name, version in (description.get("libraries") or {}).items()}
        verdict = judge(self.survey, libraries, strict=self.spec.strict_versions, told=description.get("recorded"))
        signature = await self.signature_of(description)
        if isinstance(description.get("max_batch_rows"), int):
            self.max_batch_rows = min(self.max_batch_rows, max(1, description["max_batch_rows"]))
        signature = await self.find_example(with_nullable(signature, []), signature)
        signature = await self.find_nullable(signature, description)
        await self.configure(signature)
        body, first_ms = await self.first_answers(signature)
        replayed = await self.replay(signature) if self.spec.examples else 0
        return Admission(
            signature=signature,
            description=description,
            libraries=libraries,
            load_ms=float(loaded.get("load_ms") or 0.0),
            memory_bytes=await self.memory(int(loaded.get("memory_bytes") or 0)),
            first_ms=first_ms,
            unverified=verdict.text if verdict.state == "unverified" and not replayed else "",
            warnings=self.told(description, verdict, replayed),
            max_batch_rows=self.max_batch_rows,
            verdict=verdict,
            example=trial_rows.example(signature),
            prediction=body,
            replayed=replayed,
        )

    # -- load

    async def load(self) -> dict[str, Any]:
        """The host's reply to ``load``. :raises LoadFailed: with what the file lacks, and the versions if they differ."""
        try:
            reply = await self.handle.request(self.request, LOAD_TIMEOUT_S)
        except HostLost as exc:
            raise LoadFailed("Its process ended while it was loaded.", LAST_WORDS) from exc
        except HostFault as exc:  # tried again it would only hold up the others again
            raise LoadFailed(f"It gave no answer that can be used while it was loaded: {exc}", "Loading may take at most 300 s.") from exc
        if reply.get("ok"):
            if not isinstance(reply.get("description"), dict):
                raise HostFault("The host loaded the model and did not describe it.")
            return reply
        error = reply.get("error") or {}
        text = f"It cannot be loaded: {error.get('message', 'no reason given')}"
        if error.get("code") == "missing_name":
            raise LoadFailed(f"{text.rstrip('.')}.", python_names(self.spec.files[0]))
        if error.get("code") in LOAD_HINTS:  # no question of versions
            raise LoadFailed(f"{text.rstrip('.')}.", LOAD_HINTS[error["code"]])
        is_absent = error.get("code") == "missing_module" and not difference(self.survey) and not era(self.survey)
        self.refuse(LoadFailed, text, "Install it beside Carafe, into the same environment." if is_absent else "")

    def refuse(self, kind: type[ArtifactRefused], text: str, hint: str = "") -> NoReturn:
        """Raise ``kind`` with the versions in the file and here, where they differ: most such failures come of that."""
        told, wrote = difference(self.survey), era(self.survey)
        if told:
            raise kind(f"{text.rstrip('.')}. It was {told}.", f"{way_out_of(self.survey)} {hint}".strip())
        if wrote and not self.survey.versions:
            raise kind(f"{text.rstrip('.')}. It was saved by {wrote[0]}.", hint or "Train it again with the libraries installed here.")
        raise kind(
            f"{text.rstrip('.')}.", hint or "Train it again with the libraries installed here, or see what it needs with: carafe check FILE --static"
        )

    async def memory(self, known: int) -> int:
        """Bytes that the host has of its own now."""
        status = await self.handle.request({"op": "status"})
        return int(status.get("memory_bytes") or known)

    # -- signature

    async def signature_of(self, description: dict[str, Any]) -> Signature:
        """What the version takes and gives.

        :raises TrialFailed: what was said by hand does not fit the model, or what reads its files is not installed.
        """
        try:
            sample: Sample | None = await asyncio.to_thread(read_sample, self.spec.sample) if self.spec.sample else None
            if self.survey.files and (mlflow := self.survey.files[0].mlflow):
                description = refined(description, mlflow, is_named=isinstance(self.spec.fields, tuple) and bool(self.spec.fields))
            signature = infer(description, self.spec, sample)
            self.spec.journal.fits(signature)
        except ConfigError as exc:
            raise TrialFailed(str(exc), exc.hint) from exc
        check_media(signature)
        return signature

    async def configure(self, signature: Signature) -> None:
        message = {
            "op": "configure", "signature": msgspec.to_builtins(signature), "max_batch_rows": self.max_batch_rows, "timeout_ms": self.spec.timeout_ms,
        }  # fmt: skip
        reply = await self.handle.request(message, ANSWER_TIMEOUT_S)
        if not reply.get("ok"):
            self.refuse(TrialFailed, f"Its inputs cannot be built: {(reply.get('error') or {}).get('message', 'no reason given')}")

    async def find_example(self, strict: Signature, signature: Signature) -> Signature:
        """The signature with an example that is answered; unchanged where its own is.

        :raises TrialFailed: none of the candidates is; the reason is that of the first.
        """
        await self.configure(strict)
        first: TrialFailed | None = None
        for number, row in enumerate(trial_rows.candidates(strict)):
            try:
                self.body(strict, await self.predict(strict, trial_rows.packed(strict, [row])), scalar=True)
            except TrialFailed as exc:
                first = first or exc
                continue
            return trial_rows.with_examples(signature, row) if number else signature
        assert first is not None
        raise first

    async def find_nullable(self, signature: Signature, description: dict[str, Any]) -> Signature:
        """The signature with exactly those fields nullable that the model answers without; hand-written facts are held to."""
        said = self.said_nullable(signature, description)
        names = [field.name for field in signature.fields if said.get(field.name) is not False and field.kind not in ("image", "vector", "tensor")]
        open_signature = with_nullable(signature, names)
        if not names:
            return open_signature
        await self.configure(open_signature)
        found = await self.answered_without(open_signature, names)
        for name, is_nullable in self.by_hand().items():
            if is_nullable and name not in found:
                raise TrialFailed(
                    f"fields.{name}: nullable is true, but the model fails when it is missing.", "Say nullable: false, or add an imputer."
                )
        return with_nullable(signature, found)

    def by_hand(self) -> dict[str, bool]:
        facts = self.spec.fields if isinstance(self.spec.fields, dict) else {}
        return {name: fact["nullable"] for name, fact in facts.items() if isinstance(fact, dict) and isinstance(fact.get("nullable"), bool)}

    def said_nullable(self, signature: Signature, description: dict[str, Any]) -> dict[str, bool]:
        """What the model itself and the hand say, hand first; fields of which neither speaks are absent."""
        columns = (description.get("input") or {}).get("columns") or []
        known = {}
        if len(columns) == len(signature.fields):
            for field, column in zip(signature.fields, columns, strict=True):
                if isinstance(column.get("nullable"), bool):
                    known[field.name] = column["nullable"]
        return known | self.by_hand()

    async def answered_without(self, signature: Signature, names: list[str]) -> list[str]:
        """Those of ``names`` without which a row is still answered, found with one frame of rows that lack one each."""
        gaps = list(trial_rows.with_gaps(signature, names))
        found: list[str] = []
        step = min(self.max_batch_rows, REPLAY_ROWS)
        for start in range(0, len(gaps), step):
            piece = gaps[start : start + step]
            _, errors = await self.predict(signature, trial_rows.joined(signature, [row for _, row in piece]))
            failed = {error.row for error in errors}
            found += [name for at, (group, _) in enumerate(piece) if at not in failed for name in group]
        return found

    # -- answers

    async def predict(self, signature: Signature, rows: Rows) -> Answer:
        """One frame. :raises TrialFailed: the process ended, or there was no answer in time."""
        try:
            return await self.handle.predict(signature, rows, ANSWER_TIMEOUT_S)
        except HostLost as exc:
            raise TrialFailed("Its process ended during its first prediction.", LAST_WORDS) from exc
        except HostFault as exc:
            raise TrialFailed(f"It gave no answer that can be used: {exc}", "A first prediction may take at most 60 s.") from exc

    async def first_answers(self, signature: Signature) -> tuple[dict[str, Any], float]:
        """The answer to the example and how long it took in ms; also sees whether two rows may travel together."""
        rows = trial_rows.packed(signature, [trial_rows.example(signature), trial_rows.variant(signature)])
        single = trial_rows.one(signature, rows, 0)
        began = time.perf_counter()
        first = await self.predict(signature, single)
        first_ms = 1000 * (time.perf_counter() - began)
        body = self.body(signature, first, scalar=True)
        second = await self.predict(signature, trial_rows.one(signature, rows, 1))
        if not second[1]:
            self.body(signature, second, scalar=True)
        if self.max_batch_rows > 1 and answers_differ(signature, await self.predict(signature, rows), [first, second]):
            self.max_batch_rows = 1
            self.warnings.append("two rows together are answered otherwise than one by one, so every row is run alone")
            await self.configure(signature)
        return body, first_ms

    def body(self, signature: Signature, answer: Answer, *, scalar: bool) -> dict[str, Any]:
        """The answer as a client would get it. :raises TrialFailed: an error, or an output that may not be sent."""
        columns, errors = answer
        if errors:
            self.refuse(TrialFailed, f"It loads, but fails at its first prediction: {errors[0].reason}", FAILS_HINT)
        try:
            body = Encoder(signature, self.spec.name).body(columns, 0, 1, scalar)
        except OutputInvalid as exc:
            self.refuse(TrialFailed, f"Its first answer cannot be used: {exc.args[-1]}", FAILS_HINT)
        fault, warning = check_probabilities(signature, columns)
        if fault:
            self.refuse(
                TrialFailed, f"Its first answer cannot be used: {fault}", "Where the model gives scores in place of probabilities: --outputs logits"
            )
        if warning and warning not in self.warnings:
            self.warnings.append(warning)
        return body

    async def replay(self, signature: Signature) -> int:
        """Play the examples; how many there were. :raises TrialFailed: one is answered otherwise."""
        try:
            examples = await asyncio.to_thread(read_examples, self.spec.examples, signature)
        except ConfigError as exc:
            raise TrialFailed(str(exc), exc.hint) from exc
        encoder, answers = Encoder(signature, self.spec.name), []
        step = min(self.max_batch_rows, REPLAY_ROWS)
        for start in range(0, examples.rows.n, step):
            columns, errors = await self.predict(signature, trial_rows.part(signature, examples.rows, start, start + step))
            failed = {error.row for error in errors}
            answers += [None if row in failed else _prediction(encoder, columns, row) for row in range(min(step, examples.rows.n - start))]
        output = next((output for output in signature.outputs if output.role == "prediction"), None)
        compare(examples, answers, output)
        return examples.rows.n

    def told(self, description: dict[str, Any], verdict: Verdict, replayed: int) -> tuple[str, ...]:
        """All that should be said of a version that is served; the library's own line about versions is said better by ours."""
        own = [str(line) for line in description.get("warnings") or () if "InconsistentVersionWarning" not in str(line)]
        if verdict.state == "patch":
            own.append(verdict.text)
        if verdict.state == "unverified" and replayed:
            own.append(f"{verdict.text}; {replayed:,} known answers were given again")
        return tuple(dict.fromkeys([*self.warnings, *own]))


def _prediction(encoder: Encoder, columns: list[Column], row: int) -> Any:
    """The prediction of one row as an answer spells it; None where it could not be sent."""
    try:
        return encoder.body(columns, row, 1, True)["prediction"]
    except OutputInvalid:
        return None


LAST_WORDS = "The log has its last words; it may have run out of memory."
FAILS_HINT = "If it only answers rows near those it was fitted on, give it some: --sample data.csv."
LOAD_HINTS = {
    "missing_main_name": "Give the Python file that defines it with --code helpers.py.",
    "code_failed": "The file given with --code must run on its own.",
    "truncated": "Copy or save the file again.",
    "hash_mismatch": "The file changed meanwhile; try again when it is whole.",
    "unreadable": "The file must be readable by this user.",
    "no_predict": "Save the fitted model itself, as in joblib.dump(model, 'model.joblib'); name preprocessing steps before it.",
    "needs_input": "Say it with --input: image:28x28:L, tensor:3x224x224, vector:64, vector:128:int64 for tokens; or name the numbers with --fields.",
    "wrong_option": "Leave out what does not fit, or export the model once more.",
    "bare_booster": "LightGBM's text and XGBoost's JSON are served as they are.",
    "wrong_format": "Name the files that a fitted model was saved to.",
    "wrong_function": "A function's parameters are the inputs; what it returns, or yields, is the answer.",
}
