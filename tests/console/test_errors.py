"""Errors: a page for people, JSON for programs, and the host's own where it is the host's."""

from __future__ import annotations

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422, 429, 500, 503, 504])
def test_each_status_has_a_page_and_a_json_body(app: Flask, status: int) -> None:
    app.add_url_rule("/fail", "fail", lambda: abort(status))
    client = app.test_client()
    page = client.get("/fail", headers=BROWSER)
    assert page.status_code == status and page.content_type.startswith("text/html")
    assert "All models" in page.text and "request id" in page.text.lower()
    body = client.get("/fail", headers={"X-Request-Id": "mine"})
    assert body.status_code == status and body.json["error"] and body.json["code"]
    assert body.json["request_id"] == body.headers["X-Request-Id"] == "mine"


def test_a_model_that_is_not_there_names_the_nearest(client: FlaskClient) -> None:
    page = client.get("/models/laon", headers=BROWSER)
    assert page.status_code == 404 and "There is no model called “laon”" in page.text and 'href="/models/loan"' in page.text
    assert client.get("/models/laon").json["code"] == "model_not_found"


def test_addresses_of_the_api_answer_in_json_even_to_a_browser(client: FlaskClient) -> None:
    for path in ("/api/v1/nothing", "/v2/nothing", "/nothing.json"):
        assert client.get(path, headers=BROWSER).json["code"] == "not_found"


def test_another_method_says_which_ones_there_are(client: FlaskClient) -> None:
    response = client.delete("/models/loan")
    assert response.status_code == 405 and response.json["code"] == "method_not_allowed"
    assert "GET" in response.headers["Allow"] and "DELETE is not a method" in response.json["error"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(made) -> None:
    client = made(names={"sentiment"}, max_body_bytes=2000).test_client()
    response = client.post("/models/sentiment", data={"text": "x" * 5000}, headers=BROWSER)
    assert response.status_code == 413 and "larger than the limit" in response.text
    assert client.post("/models/sentiment", data={"text": "x" * 1000}, headers=BROWSER).status_code == 200


def test_our_own_fault_is_a_page_with_a_request_id_and_goes_to_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    app.add_url_rule("/bug", "bug", lambda: 1 / 0)
    page = app.test_client().get("/bug", headers=BROWSER | {"X-Request-Id": "mine-7"})
    assert page.status_code == 500 and "mine-7" in page.text and "ZeroDivision" not in page.text
    assert any(getattr(record, "request_id", "") == "mine-7" for record in caplog.records)


def test_a_redirect_stays_a_redirect(app: Flask) -> None:
    app.add_url_rule("/folder/", "folder", lambda: "here")
    assert app.test_client().get("/folder", headers=BROWSER).status_code == 308
