"""What we raise on purpose. Nothing here knows Flask; the faces translate.

::

    CarafeError                    500 carafe_error
    ├── BadRequest                 400 malformed          the bytes cannot be parsed
    ├── InvalidInput               422 invalid_value      parsed, but a value is wrong; carries details
    ├── NotAuthenticated           401 not_authenticated
    ├── NotPermitted               403 not_permitted
    ├── NotFound                   404 not_found
    │   ├── ModelNotFound          404 model_not_found
    │   ├── NoDefaultModel         404 model_not_found    a path without a name, and several to choose from
    │   ├── VersionNotFound        404 version_not_found
    │   └── LabelNotFound          404 label_not_found    another server's names of versions
    ├── AnswerTooLong              406 answer_too_long    a stream that does not fit into one JSON answer
    ├── Conflict                   409 conflict           lost a race
    ├── TooLarge                   413 too_large
    │   └── TooManyRows            413 too_many_rows
    ├── WrongMediaType             415 wrong_media_type
    │   └── WrongEncoding          415 wrong_media_type   a Content-Encoding
    ├── Overloaded                 429 overloaded         carries retry_after_s; nothing was run
    │   └── TooMuchAtOnce          429 overloaded         bodies being read are over their budget
    ├── ModelFailed                500 model_error        the model raised
    ├── OutputInvalid              500 model_output_invalid
    ├── NotReady                   503 not_ready          no host yet, or draining
    │   ├── ModelRefused           503 model_refused      waiting does not help; carries the hint
    │   └── HostLost               503 host_lost          the host ended with this request in it
    ├── DeadlineExceeded           504 deadline_exceeded  the request's own clock
    │   └── ModelHung              504 model_hung         the hang limit; the host was replaced
    ├── ArtifactRefused            422 artifact_refused   a file that must not be served
    │   ├── UnknownFormat          422 unknown_format
    │   ├── LoadFailed             422 load_failed
    │   ├── TrialFailed            422 trial_failed
    │   ├── VersionRefused         422 version_refused    saved by a library that this one misreads
    │   └── CompileRefused         422 compile_refused    no graph answers as the model does
    ├── HostFault                  500 host_fault         the host could not be started or spoke nonsense
    └── ConfigError                500 config_error       start refused
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

MOST_DETAILS = 20


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing wrong with one value; ``row`` counts from 0, and is None where no single row is to blame."""

    field: str = ""
    expected: str = ""
    got: str = ""
    row: int | None = 0

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self) | {"row": self.row}
        return {key: value for key, value in told.items() if value is not None}


class CarafeError(Exception):
    """Base of all that we raise on purpose. The args fill ``text``, so errors survive a pickle."""

    code, status, text, hint = "carafe_error", 500, "{}", ""

    def __str__(self) -> str:
        return self.text.format(*self.args)

    @property
    def details(self) -> Sequence[Detail]:
        """What exactly is wrong; at most :data:`MOST_DETAILS` entries."""
        return ()

    def as_json(self, request_id: str = "") -> dict[str, Any]:
        """The body that every face sends: ``error``, ``code`` and what else there is to say."""
        body: dict[str, Any] = {"error": str(self), "code": self.code}
        if self.hint:
            body["hint"] = self.hint
        if self.details:
            body["details"] = [detail.as_json() for detail in self.details[:MOST_DETAILS]]
        if request_id:
            body["request_id"] = request_id
        return body


class BadRequest(CarafeError):
    code, status = "malformed", 400


class InvalidInput(CarafeError):
    """``InvalidInput(message, details, hint)``; the message is the first detail in words."""

    code, status = "invalid_value", 422

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def details(self) -> Sequence[Detail]:
        return self.args[1] if len(self.args) > 1 else ()

    @property
    def hint(self) -> str:  # type: ignore[override]
        return self.args[2] if len(self.args) > 2 else ""


class NotAuthenticated(CarafeError):
    code, status, text = "not_authenticated", 401, "Sign in, or send an API key."


class NotPermitted(CarafeError):
    code, status, text = "not_permitted", 403, "Not permitted: {}."


class NotFound(CarafeError):
    code, status, text = "not_found", 404, "There is no {}."


class ModelNotFound(NotFound):
    code, text = "model_not_found", "There is no model {!r}."
    hint = "Carafe's front page lists the models."


class NoDefaultModel(NotFound):
    code, text = "model_not_found", "None of the {} models is the default one."
    hint = "Ask one by its name, POST /models/NAME/predict, or set default_model."


class VersionNotFound(NotFound):
    code, text = "version_not_found", "Model {!r} has no version {}."
    hint = "GET /v2/models/NAME lists its versions."


class AnswerTooLong(CarafeError):
    """``AnswerTooLong(model, limit)``: the limit in words."""

    code, status, text = "answer_too_long", 406, "The answer of model {!r} is longer than {}, and so no single JSON answer can hold it."
    hint = "Take its values as they come, with the header Accept: text/event-stream."


class LabelNotFound(NotFound):
    code, text = "label_not_found", "Model {!r} has no label {!r}."
    hint = "Versions have no labels here: leave /labels/LABEL out, or ask /versions/NUMBER."


class Conflict(CarafeError):
    code, status = "conflict", 409


class TooLarge(CarafeError):
    """``TooLarge(what, limit)``: both already in words, as ``("The body", "16 MiB")``."""

    code, status, text = "too_large", 413, "{} is larger than the limit of {}."


class TooManyRows(TooLarge):
    code, text = "too_many_rows", "{:,} rows are more than the {:,} that one request may have."
    hint = "Send the rows in several requests, or as a batch job."


class WrongMediaType(CarafeError):
    code, status, text = "wrong_media_type", 415, "Content-Type {!r} is not understood here."
    hint = "Send application/json, text/csv, application/x-ndjson, Parquet, Arrow or multipart/form-data."


class WrongEncoding(WrongMediaType):
    text, hint = "Content-Encoding {} is not understood here.", "Send gzip, deflate or none."


class Overloaded(CarafeError):
    """``Overloaded(model, retry_after_s)``; nothing was run, so a retry is safe."""

    code, status, text = "overloaded", 429, "Model {!r} has more waiting than it can answer in time."
    hint = "Come again after Retry-After seconds, or give more time with X-Request-Timeout-Ms."

    @property
    def retry_after_s(self) -> int:
        return self.args[1] if len(self.args) > 1 else 1


class TooMuchAtOnce(Overloaded):
    text = "More is being sent to this server than it takes in at once."
    hint = "Come again after Retry-After seconds."


class ModelFailed(CarafeError):
    """``ModelFailed(model, details, what the model said)``; the last is for the log alone."""

    code, status, text = "model_error", 500, "Model {!r} failed on this input."
    hint = "The log has the traceback under this request's id."

    @property
    def details(self) -> Sequence[Detail]:
        return self.args[1] if len(self.args) > 1 else ()


class OutputInvalid(CarafeError):
    code, status, text = "model_output_invalid", 500, "Model {!r} gave an answer that cannot be used: {}."

    @property
    def details(self) -> Sequence[Detail]:
        return self.args[2] if len(self.args) > 2 else ()


class NotReady(CarafeError):
    code, status, text = "not_ready", 503, "Model {!r} is not ready: {}."

    def __str__(self) -> str:
        said = super().__str__()
        return said[:-1] if said.endswith("..") else said  # the reason was a sentence


class ModelRefused(NotReady):
    """``ModelRefused(model, reason, hint)``: its file must not be served, so a retry is of no use."""

    code, text = "model_refused", "Model {!r} is refused: {}."

    @property
    def hint(self) -> str:  # type: ignore[override]
        return self.args[2] if len(self.args) > 2 else ""


class HostLost(NotReady):
    code, text = "host_lost", "The process that ran model {!r} ended while this request was in it."
    hint = "It is being restarted; try again."


class DeadlineExceeded(CarafeError):
    code, status, text = "deadline_exceeded", 504, "No answer within {:g} s."
    hint = "Give more time with X-Request-Timeout-Ms, or with the setting predict_timeout_s."


class ModelHung(DeadlineExceeded):
    code, text = "model_hung", "Model {!r} did not answer within its limit of {:g} s and was restarted."
    hint = ""


class ArtifactRefused(CarafeError):
    """A file that must not be served; the args are the reason and what to do about it."""

    code, status = "artifact_refused", 422

    @property
    def hint(self) -> str:  # type: ignore[override]
        return self.args[1] if len(self.args) > 1 else ""


class UnknownFormat(ArtifactRefused):
    code = "unknown_format"


class LoadFailed(ArtifactRefused):
    code = "load_failed"


class TrialFailed(ArtifactRefused):
    code = "trial_failed"


class VersionRefused(ArtifactRefused):
    code = "version_refused"


class CompileRefused(ArtifactRefused):
    code = "compile_refused"


class HostFault(CarafeError):
    code = "host_fault"


class ConfigError(CarafeError):
    code = "config_error"

    @property
    def hint(self) -> str:  # type: ignore[override]
        return self.args[1] if len(self.args) > 1 else ""
