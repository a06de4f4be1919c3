"""TensorFlow Serving's REST API and KServe V1, which share their paths: ``POST /v1/models/<name>:predict``, ``:classify``, ``:regress``.

Source: https://www.tensorflow.org/tfx/serving/api_rest and https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
Neither server looks at the Content-Type, so neither do we: the body is JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import BadRequest, CarafeError
from ...serving.request import Answer
from ...serving.table import Model
from ...signature import Output, Rows
from ...signature.kinds import shown
from ...signature.pending import Pending
from ...signature.refusal import refusal
from ..protocol import JSON, Get, Protocol, Reply, answer_headers, encode_answer, packed, write_error
from .rows import from_columns, from_rows, has_probabilities, predicted, predictions, read_object
from .v1_values import simple_columns, simple_row, with_bytes

DEFAULT, PROBABILITIES = "serving_default", "probabilities"  # signatures that a request may name
KEYS = {b"instances", b"inputs"}
EXAMPLE = '{"instances": [...]} or {"inputs": {...}}'
EXAMPLES = '{"examples": [{...}]}'


class Memo(NamedTuple):
    """What the answer needs of a ``:predict`` request."""

    in_columns: bool
    signature_name: str


class V1(Protocol):
    """What the three calls share: bodies that are JSON whatever they say, and a wrong value is a 400."""

    def write(  # noqa: PLR0917
        self, model: Model, answer: Answer, rows: Rows | Pending, memo: Any, prediction_id: str, request_id: str, get: Get
    ) -> Reply:
        """See :meth:`Protocol.write`."""
        body = encode_answer(model, self.answered(model, answer, memo))
        headers = answer_headers(model, JSON, prediction_id, request_id)
        return 200, headers, packed(body, get("accept-encoding"), headers)

    def answered(self, model: Model, answer: Answer, memo: Any) -> dict[str, Any]:
        """The JSON object of an answer."""
        raise NotImplementedError

    def error(self, error: CarafeError, request_id: str) -> Reply:
        """As everywhere, but a wrong value is a 400."""
        status, headers, body = write_error(error, request_id)
        return 400 if status == 422 else status, headers, body


class Predict(V1):
    """``:predict``: ``instances`` row by row get ``predictions``, ``inputs`` column by column get ``outputs``."""

    name = "v1"
    rules = ("/v1/models/<name>:predict", "/v1/models/<name>/versions/<version>:predict")

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, Memo]:
        """See :meth:`Protocol.read`.

        :raises BadRequest: both or neither of ``instances`` and ``inputs``.
        """
        decoder = model.usable_decoder()
        if (surely := decoder.foreign(body, KEYS)) is not None:
            return surely, Memo(body.startswith(b'{"inputs"'), DEFAULT)
        found = with_bytes(read_object(body, EXAMPLE), body, decoder.signature)
        if ("instances" in found) == ("inputs" in found):
            error = BadRequest(f"The body must have either instances or inputs, got {'both' if 'inputs' in found else 'neither'}.")
            error.hint = f"Send {EXAMPLE}."
            raise error
        memo = Memo("inputs" in found, signature_named(model, found))
        if memo.in_columns:
            return from_columns(decoder, "inputs", simple_columns(found["inputs"], decoder.signature)), memo
        rows = found["instances"]
        if isinstance(rows, list):
            rows = [simple_row(row, decoder.signature) for row in rows]
        return from_rows(decoder, "instances", rows), memo

    def answered(self, model: Model, answer: Answer, memo: Memo) -> dict[str, Any]:
        """Bare values for one output, by name for several: a list of objects, or an object of lists."""
        rows: list[Any] = _probabilities(model, answer) if memo.signature_name == PROBABILITIES else predictions(model, answer)
        if not memo.in_columns:
            return {"predictions": rows}
        names = predicted(model)
        if len(names) == 1 or memo.signature_name == PROBABILITIES:
            return {"outputs": rows}
        return {"outputs": {name: [row[name] for row in rows] for name in names}}


class Classify(V1):
    """``:classify``: for each example the classes and their probabilities, in the model's order."""

    name = "v1_classify"
    rules = ("/v1/models/<name>:classify", "/v1/models/<name>/versions/<version>:classify")

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, None]:
        """See :meth:`Protocol.read`."""
        rows = read_examples(model, body)
        if not has_probabilities(model):
            raise refusal("This model gives no probabilities of classes.", expected="a classifier", got="none", hint="Ask it with :predict.")
        return rows, None

    def answered(self, model: Model, answer: Answer, memo: None) -> dict[str, Any]:
        """``results``, as the server's code has it (its text says ``result``)."""
        rows = model.usable_encoder().output("probabilities", answer.columns, answer.start, answer.n)
        return {"results": [[[label, score] for label, score in row.items()] for row in rows]}


class Regress(V1):
    """``:regress``: one number for each example."""

    name = "v1_regress"
    rules = ("/v1/models/<name>:regress", "/v1/models/<name>/versions/<version>:regress")

    def read(self, model: Model, get: Get, body: bytes) -> tuple[Rows | Pending, None]:
        """See :meth:`Protocol.read`."""
        rows = read_examples(model, body)
        output = prediction_output(model)
        if output is None or output.classes or output.width != 1 or output.kind not in ("number", "integer"):
            raise refusal("This model predicts no single number.", expected="a regression", got="none", hint="Ask it with :predict.")
        return rows, None

    def answered(self, model: Model, answer: Answer, memo: None) -> dict[str, Any]:
        """See :class:`Classify`."""
        return {"results": model.usable_encoder().output("prediction", answer.columns, answer.start, answer.n)}


def read_examples(model: Model, body: bytes) -> Rows | Pending:
    """The rows of ``:classify`` and ``:regress``: objects, to each of which the features of ``context`` are added.

    A signature's name is let pass: each of the two calls has one alone.

    :raises BadRequest: no examples.
    :raises InvalidInput: one that is no object, a feature that is in both places, or a value that does not fit.
    """
    decoder = model.usable_decoder()
    found = with_bytes(read_object(body, EXAMPLES), body, decoder.signature)
    if "examples" not in found:
        error = BadRequest("The body must have examples.")
        error.hint = f"Send {EXAMPLES}."
        raise error
    examples, context = found["examples"], found.get("context") or {}
    if not isinstance(context, dict):
        raise BadRequest(f"context must be an object of features, got {shown(context)}.")
    if isinstance(examples, list):
        examples = [simple_row(_merged(example, context, place), decoder.signature) for place, example in enumerate(examples)]
    return from_rows(decoder, "examples", examples)


def _merged(example: Any, context: dict[str, Any], place: int) -> dict[str, Any]:
    if not isinstance(example, dict):
        raise refusal(f"Example {place} must be an object of features, got {shown(example)}.", expected="an object", got=shown(example), row=place)
    twice = next((name for name in example if name in context), None)
    if twice is not None:
        sentence = f"Example {place}: {twice[:60]!r} stands in the context as well."
        raise refusal(sentence, field=twice, expected="one place", got="two", row=place)
    return context | example


def signature_named(model: Model, found: dict[str, Any]) -> str:
    """The signature that a request asks for.

    :raises BadRequest: one that this model does not have.
    """
    name = found.get("signature_name") or DEFAULT
    known = (DEFAULT, PROBABILITIES) if has_probabilities(model) else (DEFAULT,)
    if name not in known:
        raise BadRequest(f"signature_name must be {' or '.join(known)}, got {shown(name)}.")
    return str(name)


def prediction_output(model: Model) -> Output | None:
    """The output that is the prediction itself."""
    assert model.signature is not None
    return next((output for output in model.signature.outputs if output.role == "prediction"), None)


def _probabilities(model: Model, answer: Answer) -> list[list[float]]:
    rows = model.usable_encoder().output("probabilities", answer.columns, answer.start, answer.n)
    return [list(row.values()) for row in rows]
