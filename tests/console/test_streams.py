"""What pages and the OpenAPI document say of a model that yields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from flask import Flask
from flask.testing import FlaskClient

from dataplane.test_streams import events
from flask_carafe import Carafe
from flask_carafe.errors import ConfigError
from flask_carafe.operations.bench import Server


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    app = Flask(__name__, instance_path=str(tmp_path))
    app.config["TESTING"] = True
    carafe = Carafe(app, url_prefix="")

    @carafe.model("say")
    def say(text: str) -> Iterator[str]:
        """Word by word."""
        assert app.name  # functions may want the app
        yield from text.split()

    return app.test_client()


def test_the_page_shows_all_values_and_how_to_take_them_one_by_one(client):
    page = client.post("/models/say", data={"text": "to be or not"})
    assert page.status_code == 200
    assert "tobeornot" in page.text and "Many rows" not in page.text and "This model streams" in page.text
    assert "curl" in page.text and " -N " in page.text
    told = client.get("/models/say/docs").text
    assert "iter_lines" in told and "event: end" in told and "Lists give lists" not in told and "text/csv" not in told and "10,000" not in told


def test_the_document_tells_of_events_and_its_examples_are_true(client):
    document = client.get("/openapi.json").json
    answer = document["paths"]["/models/say/predict"]["post"]["responses"]["200"]["content"]
    assert list(answer) == ["text/event-stream", "application/json"]
    assert list(document["paths"]["/models/say/predict"]["post"]["requestBody"]["content"]) == ["application/json"]
    *values, last = events(answer["text/event-stream"]["example"].encode())
    one = answer["application/json"]["examples"]["row"]["value"]
    assert [event.data for event in values] == one["prediction"]
    assert last.name == "end" and last.data["values"] == len(values)
    jsonschema.validate(one, {"components": document["components"], "$ref": "#/components/schemas/say.Answer"})


def test_it_is_not_measured_as_if_it_answered_at_once(client, monkeypatch):
    monkeypatch.setattr(Server, "exchange", lambda self, method, path: (200, client.open(path, method=method).data))
    with pytest.raises(ConfigError, match="value by value"):
        Server("http://127.0.0.1:5000", "say").schema()


def test_a_view_gets_the_values_as_a_list(client):
    with client.application.app_context():
        carafe = client.application.extensions["carafe"].state.sender
        assert carafe.predict("say", {"text": "to be"})["prediction"] == ["to", "be"]
