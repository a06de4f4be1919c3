"""The pages: models, one model to try, many rows, how to call it. Each works by plain GET and POST; a script only spares the reload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from ..access import Permission, requires
from ..errors import CarafeError, NotReady
from ..globals import current_carafe
from ..operations.failures import log_failure
from ..operations.predict import Prediction, predict
from ..serving.table import Model
from . import calls, cards, tables
from .answers import empty_bars, prediction_output, show, title_of
from .assets import send_asset
from .controls import build_controls
from .errors import new_request_id, register_on
from .figures import duration
from .forms import Sent, as_query, example_row, is_long, read_sent, row_sent, rows_of, signature_of, start_values
from .headers import guard
from .problems import Problem, problem_of
from .rendering import ASSETS, page_url, render, root_url
from .sheet import Sheet, with_faults
from .shelf import all_models, find
from .snippets import snippets
from .turns import table_turn

blueprint = Blueprint("carafe", __name__)
blueprint.after_request(guard)
register_on(blueprint)
TABLE_S = 60.0  # many rows may take longer than one


def html(body: str, status: int = 200) -> Response:
    return Response(body, status, content_type="text/html; charset=utf-8")


@blueprint.get("/assets/<path:name>")
@requires(Permission.OPEN)
def asset(name: str) -> BaseResponse:
    """A stylesheet, script or picture of our own."""
    return send_asset(ASSETS, name)


@blueprint.get("/")
@requires(Permission.READ)
def gallery() -> Response:
    """All models as cards; for a program that takes anything, the sign of life that KServe's clients look for here."""
    if request.headers.get("Accept") == "*/*":
        return jsonify(status="alive")
    models = all_models()
    query = request.args.get("q", "")[:100]
    found = [cards.card(model) for model in cards.matching(models, query)]
    has_search = len(models) >= cards.SEARCH_FROM or bool(query)
    return html(render("gallery.html", here="models", heading=cards.heading(models), cards=found, query=query, has_search=has_search))


@blueprint.get("/models/", strict_slashes=False)
@requires(Permission.READ)
def models() -> BaseResponse:
    """The address that a model's own is under leads to all of them."""
    return redirect(page_url("gallery"))


@blueprint.get("/models/<name>")
@requires(Permission.READ)
def model(name: str) -> Response:
    """The form, filled with the example or with what the address says."""
    found = find(name)
    if found.entry.state in ("loading", "refused") or found.entry.signature is None:
        return waiting(found, "model")
    return html(try_page("model/try.html", found, start_values(found, request.args)))


@blueprint.post("/models/<name>", endpoint="ask")
@requires(Permission.PREDICT)
def ask(name: str) -> Response:
    """Answer one submission: the whole page, or for the script the parts of it that changed."""
    current_carafe.at_first_need()
    found = find(name)
    template = "model/_fragment.html" if request.headers.get("X-Requested-With") == "carafe" else "model/try.html"
    allow_body()
    if found.entry.signature is None:
        raise NotReady(name, found.entry.reason or "it is still loading")
    sent = read_sent(found.entry.signature)
    told = new_request_id()
    rows = None
    try:
        rows = rows_of(found, sent)
        made = predict(current_carafe, found, rows, door="page")
    except CarafeError as error:
        if error.status >= 500:
            log_failure(error, told)
        return html(
            try_page(template, found, sent, row_sent(found, rows, sent), problem=problem_of(error, found.entry.signature, told)), error.status
        )
    response = html(try_page(template, found, sent, row_sent(found, rows, sent), made=made))
    response.headers |= {"X-Prediction-Id": made.id, "X-Model-Version": found.version_text, "X-Request-Id": told}
    return response


def allow_body() -> None:
    """Hold this body to our own limits and not to those of the app that we live in."""
    limit = current_carafe.settings.max_body_bytes
    request.max_content_length = limit
    request.max_form_memory_size = limit


def waiting(found: Model, tab: str) -> Response:
    """What is known of a model that cannot be asked, and why."""
    return html(render("model/waiting.html", here="models", model=found, words=cards.describe(found), tab=tab))


def try_page(
    template: str, found: Model, sent: Sent, row: Mapping[str, Any] | None = None, *, made: Prediction | None = None, problem: Problem | None = None
) -> str:
    """The page of one model, or the parts of it that an answer changes."""
    signature = signature_of(found)
    errors = {said.name: said.text for said in problem.fields} if problem else {}
    controls = [] if is_long(signature) else build_controls(signature.fields, sent.values, errors, sent.kept)
    body = made.body() if made else None
    return render(
        template, here="models", tab="model", model=found, words=cards.describe(found), controls=controls, pasted=sent.pasted,
        paste_error=problem.text if problem else "", has_files=any(control.widget in ("file", "canvas") for control in controls),
        asks_itself=[control.widget for control in controls] == ["canvas"], problem=problem,
        shown=show(signature, body) if body else None, prediction=calls.told(made),
        waiting_title=title_of(prediction_output(signature)), waiting_bars=empty_bars(signature), start_words=calls.start_words(controls),
        snippets=snippets(predict_url(found), row or first_row(found, sent), signature.fields, signature.streams),
        query=urlencode(as_query(found, sent)),
    )  # fmt: skip


def first_row(found: Model, sent: Sent) -> Mapping[str, Any]:
    """The row that the page starts from, as a call would send it."""
    return example_row(found) if sent.pasted is not None else checked_row(found, sent)


def predict_url(found: Model) -> str:
    """Where programs ask this model."""
    return f"{root_url()}/models/{found.entry.name}/predict"


@blueprint.get("/models/<name>/docs", endpoint="call")
@requires(Permission.READ)
def call(name: str) -> Response:
    """How to call the model from a program."""
    found = find(name)
    if found.entry.signature is None:
        return waiting(found, "call")
    told = calls.call_page(found, predict_url(found), given_row(found))
    return html(render("model/call.html", here="models", tab="call", model=found, words=cards.describe(found), query="", **told))


def given_row(found: Model) -> Mapping[str, Any]:
    """The row that the address names, the example where it names none or one that is wrong."""
    sent = start_values(found, request.args)
    return checked_row(found, sent) if request.args and sent.pasted is None else example_row(found)


def checked_row(found: Model, sent: Sent) -> Mapping[str, Any]:
    """The row as a call would send it, as far as it can be understood."""
    try:
        return row_sent(found, rows_of(found, sent), sent)
    except CarafeError:
        return row_sent(found, None, sent)


@blueprint.get("/models/<name>/rows", endpoint="table")
@requires(Permission.READ)
def table(name: str) -> Response:
    """A box and a drop-zone for a CSV."""
    found = find(name)
    if found.entry.signature is None or found.entry.state in ("loading", "refused"):
        return waiting(found, "table")
    return html(table_page(found, "" if pictures(found) else tables.example_csv(example_row(found))))


def pictures(found: Model) -> list[str]:
    """Names of fields whose example no CSV can hold."""
    return [field.name for field in signature_of(found).fields if field.kind == "image"]


@blueprint.post("/models/<name>/rows", endpoint="ask_table")
@requires(Permission.PREDICT)
def ask_table(name: str) -> Response:
    """The answers to a CSV, as a page or as a file."""
    current_carafe.at_first_need()
    found = find(name)
    allow_body()
    text = ""
    try:
        decoder = found.usable_decoder()
        body, text = tables.read_csv_sent()
        with table_turn(current_carafe._get_current_object(), name):  # type: ignore[attr-defined]
            sheet = Sheet(body, signature_of(found), current_carafe.settings.max_rows)
            rows, faults = sheet.read(decoder)
            made = predict(current_carafe, found, rows, timeout_s=TABLE_S, door="page")
    except CarafeError as error:
        told = new_request_id()
        if error.status >= 500:
            log_failure(error, told)
        return html(table_page(found, text, problem=problem_of(error, None, told)), error.status)
    records = with_faults(made.records(), faults)
    if request.form.get("as") == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{found.entry.name}-predictions.csv"'}
        return Response(tables.write_csv(records, sheet), content_type="text/csv; charset=utf-8", headers=headers)
    return html(table_page(found, text, tables.show_table(sheet, records, len(faults), duration(made.seconds * 1000))))


def table_page(found: Model, text: str, shown: tables.Table | None = None, problem: Problem | None = None) -> str:
    """The page of many rows."""
    return render(
        "model/table.html", here="models", tab="table", model=found, words=cards.describe(found), text=text, table=shown, problem=problem,
        pictures=pictures(found) if found.entry.signature else [], most_rows=current_carafe.settings.max_rows,
    )  # fmt: skip
