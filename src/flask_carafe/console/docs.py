"""``/docs``: every call of every model on one page, for people; ``/openapi.json`` says the same to programs."""

from __future__ import annotations

from typing import Any

from flask import Response

from ..access import Permission, requires
from ..config import show_size
from ..globals import current_carafe
from ..operations.openapi import ERRORS, example_answer, example_events
from ..serving.table import Model
from . import cards
from .calls import cut_json, field_row
from .forms import example_row
from .rendering import render, root_url
from .shelf import all_models
from .snippets import snippets
from .views import blueprint, html, predict_url


@blueprint.get("/docs")
@requires(Permission.READ)
def docs() -> Response:
    """The API in words, model by model."""
    models, table, settings = all_models(), current_carafe.table, current_carafe.settings
    ready = [model for model in cards.matching(models, "") if model.entry.signature is not None]
    return html(render(
        "docs.html", here="docs", root=root_url(), models=[told(model, table.default) for model in ready], errors=list(ERRORS.items()),
        body_limit=show_size(settings.max_body_bytes), most_rows=settings.max_rows, deadline=f"{settings.predict_timeout_s:g} s",
    ))  # fmt: skip


def told(model: Model, default: str | None) -> dict[str, Any]:
    """One model's part of the page."""
    signature = model.entry.signature
    assert signature is not None
    paths = [f"/models/{model.entry.name}/predict", *model.entry.routes]
    if model.entry.name == default and "/predict" not in paths:
        paths.append("/predict")
    return {
        "model": model, "words": cards.describe(model), "paths": paths, "fields": [field_row(field) for field in signature.fields[:12]],
        "more": max(0, len(signature.fields) - 12), "curl": snippets(predict_url(model), example_row(model), signature.fields, signature.streams)[0],
        "answer": example_events(model).rstrip() if signature.streams else cut_json(example_answer(model), 4),
    }  # fmt: skip
