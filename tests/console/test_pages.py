"""Pages over plain HTTP, as a browser without a script sees them."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask import request as flask_request
from flask.testing import FlaskClient

from console.models import entries, numbers
from flask_carafe.console.cards import card
from flask_carafe.serving.table import Entry, Model
from flask_carafe.signature import Field, Output, Signature

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
READY = [name for name, (entry, _) in entries().items() if entry.state == "ready"]
LOAN = {
    "amount": "12500", "yearly_income": "", "children": "2", "term": "36 months", "owns_home": ["false", "true"], "sex": "male",
    "employer": "Somebody Else", "first_payment": "2026-12-01T00:00:00", "reason": "A van",
}  # fmt: skip


class Ids(HTMLParser):
    """Collects what pages must get right: ids, labels, references, anything inline."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.refers: set[str] = set()
        self.inline: list[str] = []
        self.names: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        for key in ("for", "aria-describedby", "aria-labelledby", "aria-controls", "list"):
            self.refers |= set((found.get(key) or "").split())
        self.inline += [f"{tag} {key}" for key in found if key == "style" or key.startswith("on")]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in found) else []
        self.names += [found["name"] or ""] if tag in ("input", "select", "textarea") and "name" in found else []


def page_of(client: FlaskClient, path: str, status: int = 200) -> str:
    response = client.get(path, headers=BROWSER)
    assert response.status_code == status, response.text
    return response.text


PATHS = ["/", "/docs", "/nothing", *(f"/models/{name}{end}" for name in entries() for end in ("", "/rows", "/docs"))]


@pytest.mark.parametrize("path", PATHS)
def test_every_page_has_unique_ids_whole_references_and_nothing_inline(client: FlaskClient, path: str) -> None:
    found = Ids(client.get(path, headers=BROWSER).text)
    assert len(set(found.ids)) == len(found.ids)
    assert found.refers <= set(found.ids)
    assert not found.inline


def test_the_gallery_shows_each_model_with_its_state_and_why_it_is_not_served(client: FlaskClient) -> None:
    page = page_of(client, "/")
    assert "Nine of eleven models are ready" in page
    assert all(f'href="/models/{name}"' in page for name in entries())
    assert "scikit-learn 0.20.3" in page and "refused" in page and "loading" in page and "unverified" in page


def test_the_gallery_finds_by_name_and_description(client: FlaskClient) -> None:
    assert "/models/resumes" in (page := page_of(client, "/?q=TRADES")) and "/models/loan" not in page
    assert "No model is called “zebra”" in page_of(client, "/?q=zebra")


@pytest.mark.parametrize("path", ["/ml/models", "/ml/models/"])
def test_the_address_above_the_models_leads_to_the_gallery(made, path: str) -> None:
    response = made(prefix="/ml").test_client().get(path, headers=BROWSER)
    assert response.status_code == 302 and response.location == "/ml/"


@pytest.mark.parametrize(
    ("estimator", "kind", "words"),
    [
        ("MiniBatchKMeans", "integer", ("A cluster from 2 numbers.", "number to cluster")),
        ("Pipeline(StandardScaler, KMeans)", "integer", ("A cluster from 2 numbers.", "number to cluster")),
        ("Pipeline(KMeans, LinearRegression)", "number", ("A number from 2 numbers.", "number to number")),
        ("PoissonRegressor", "integer", ("A number from 2 numbers.", "number to number")),
    ],
)
def test_a_clusterer_gives_a_cluster(estimator: str, kind: str, words: tuple[str, str]) -> None:
    signature = Signature(fields=tuple(Field(name=name, kind="number") for name in "ab"), outputs=(Output(name="prediction", kind=kind),))
    made = card(Model(Entry(name="x", state="ready", estimator=estimator, signature=signature), 10))
    assert (made.words, made.flow) == words


def test_an_empty_gallery_teaches_the_first_command(made) -> None:
    page = page_of(made(names=set()).test_client(), "/")
    assert "carafe serve model.joblib" in page and "No model is served yet" in page


def test_a_form_has_the_control_that_each_kind_needs(client: FlaskClient) -> None:
    page = page_of(client, "/models/loan")
    assert re.search(r'<input class="input" type="text" id="f0" name="amount"[^>]* value="12500"', page)
    assert re.search(r'<input type="range" min="500" max="40000" step="200" value="12500" data-twin="f0"', page)
    assert '<option value="36 months" selected>' in page
    assert re.search(r'<input type="hidden" name="owns_home" value="false"><label class="check"><input type="checkbox"[^>]* checked>', page)
    assert page.count('type="radio"') == 2
    assert '<datalist id="f6-list"><option value="Acme">' in page
    assert 'type="datetime-local"' in page and 'value="2026-12-01T00:00:00"' in page
    assert "A used van for deliveries</textarea>" in page


def test_an_address_may_fill_the_form(client: FlaskClient) -> None:
    page = page_of(client, "/models/loan?amount=777&term=12+months")
    assert 'value="777"' in page and '<option value="12 months" selected>' in page


def test_a_plain_post_answers_with_the_whole_page_and_keeps_the_input(client: FlaskClient) -> None:
    response = client.post("/models/loan", data=LOAN, headers=BROWSER)
    assert response.status_code == 200
    assert '<p class="answer">late</p>' in response.text and "56.8 %" in response.text
    assert 'value="Somebody Else"' in response.text and "A van</textarea>" in response.text
    assert '"yearly_income": null' in response.text and '"employer": "Somebody Else"' in response.text
    assert response.headers["X-Prediction-Id"] in response.text
    assert response.headers["X-Model-Version"] == "7"


def test_a_wrong_value_stands_beside_its_field_in_the_words_of_the_api(client: FlaskClient) -> None:
    response = client.post("/models/loan", data=LOAN | {"amount": "forty", "children": "1.5"}, headers=BROWSER)
    assert response.status_code == 422
    page = response.text
    assert re.search(r'id="f0-wrong" data-wrong>amount must be a number, got &#39;forty&#39;</p>', page)
    assert re.search(r'id="f2-wrong" data-wrong>children must be an? (integer|whole number), got 1.5</p>', page)
    assert re.search(r'name="amount" aria-describedby="f0-hint f0-wrong" aria-invalid="true" value="forty"', page)
    assert page.count('aria-invalid="true"') == 2
    assert "2 values need another look." in page and '<a href="#f0">' in page


def test_a_script_gets_the_parts_that_changed_and_no_page(client: FlaskClient) -> None:
    response = client.post("/models/loan", data=LOAN, headers={"X-Requested-With": "carafe"})
    assert "<html" not in response.text
    assert re.findall(r'data-swap id="(\w+)"', response.text) == ["answer", "call"]


def test_a_model_that_raises_is_a_500_with_a_request_id_and_no_traceback(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    response = client.post("/models/sentiment", data={"text": "please fail"}, headers={"X-Requested-With": "carafe", "X-Request-Id": "mine-1"})
    assert response.status_code == 500
    assert "model_error" in response.text and "mine-1" in response.text and "ValueError" not in response.text
    assert caplog.records[-1].request_id == "mine-1" and "asked to" in str(caplog.records[-1].exc_info)


def test_a_regression_shows_one_large_figure_and_all_its_digits(client: FlaskClient) -> None:
    page = client.post("/models/price", data={"experience": "1", "test_score": "2", "interview_score": "3"}, headers=BROWSER).text
    assert '<p class="answer">1,234,568</p>' in page and "1234567.891" in page
    assert "Unverified." in page


def test_more_than_ten_classes_are_folded(client: FlaskClient) -> None:
    page = client.post("/models/resumes", data={"document": "I build bridges."}, headers=BROWSER).text
    head, _, tail = page.partition("<details><summary>15 more, ")
    assert head.count('class="bar"') == 10 and tail.count('class="bar"') == 15


def test_a_vector_is_a_curve_and_several_outputs_are_a_table(client: FlaskClient) -> None:
    page = client.post("/models/sentence-vector", data={"text": "x"}, headers=BROWSER).text
    assert "384 <small>numbers</small>" in page and re.search(r'<path class="line" d="M0\.00 ', page)
    page = client.post("/models/weather", data={"readings": "1 2 3\n4,5 6"}, headers=BROWSER).text
    assert re.search(r'<th scope="row">sun</th><td class="num">1,277</td>', page)


@pytest.mark.parametrize(
    "pasted",
    ["{" + ", ".join(f'"gene_{i}": {i}' for i in range(60)) + "}", ",".join(f"gene_{i}" for i in range(60)) + "\n" + ",".join(map(str, range(60))),
     " ".join(map(str, range(60))), ", ".join(map(str, range(60))), str(list(range(60))), "\n".join(map(str, range(60)))],
    ids=["object", "csv", "spaces", "commas", "list", "lines"],
)  # fmt: skip
def test_more_than_forty_fields_are_pasted_in_any_of_the_usual_ways(client: FlaskClient, pasted: str) -> None:
    assert Ids(page_of(client, "/models/genes")).names == ["carafe:paste"]
    response = client.post("/models/genes", data={"carafe:paste": pasted}, headers=BROWSER)
    assert response.status_code == 200, response.text
    assert '"gene_59": 59' in response.text


def test_a_paste_that_does_not_fit_says_so_beside_the_box(client: FlaskClient) -> None:
    response = client.post("/models/genes", data={"carafe:paste": "1, 2, 3"}, headers=BROWSER)
    assert response.status_code == 400
    assert "The model takes 60 values, and there are 3 in the box." in response.text
    assert 'aria-describedby="paste-hint paste-wrong" aria-invalid="true"' in response.text


def test_a_paste_that_no_csv_can_be_is_told_as_one(client: FlaskClient) -> None:
    response = client.post("/models/genes", data={"carafe:paste": "x" * 200_000 + "\n1"}, headers=BROWSER)
    assert response.status_code == 400 and "cannot be read" in response.text


def test_a_picture_that_was_sent_comes_back_so_that_nobody_chooses_it_twice(client: FlaskClient) -> None:
    from flask_carafe.signature.kinds.image import blank_png

    picture = {"image": (io.BytesIO(blank_png(28, 28)), "three; rm -rf.png", "image/png")}
    page = client.post("/models/digits", data=picture, headers=BROWSER).text
    assert '<p class="answer">8</p>' in page and 'image=@"three; rm -rf.png"' in page
    kept = re.search(r'<input type="hidden" name="(carafe:kept:f0)" value="(data:image/png;base64,[^"]+)"', page)
    assert kept
    again = client.post("/models/digits", data={kept[1]: kept[2]}, headers=BROWSER)
    assert again.status_code == 200 and '<p class="answer">8</p>' in again.text


def test_a_model_without_a_picture_asks_for_one(client: FlaskClient) -> None:
    response = client.post("/models/digits", data={}, headers=BROWSER)
    assert response.status_code == 422 and "image is missing" in response.text


def test_models_that_cannot_be_asked_say_why(client: FlaskClient) -> None:
    assert "scikit-learn 0.20.3" in page_of(client, "/models/old") and "save it as ONNX" in page_of(client, "/models/old/docs")
    assert 'http-equiv="refresh"' in page_of(client, "/models/slow")
    assert client.post("/models/slow", data={}).status_code == 503


def test_names_with_a_meaning_of_their_own_in_html_still_arrive() -> None:
    from flask_carafe.console.controls import build_controls
    from flask_carafe.signature import Field

    fields = [Field(name=name, kind="number") for name in ("", "_charset_", "a\nb", "carafe:paste", "plain", "__class__", "<b>")]
    names = [control.name for control in build_controls(fields, {}, {}, {})]
    assert names == [*(f"carafe:field:{i}" for i in range(4)), "plain", "__class__", "<b>"]


def test_what_people_typed_is_never_markup(client: FlaskClient) -> None:
    nasty = "<script>alert(1)</script>\"'"
    page = client.post("/models/loan", data=LOAN | {"reason": nasty, "employer": nasty, "amount": nasty}, headers=BROWSER).text
    assert "<script>alert" not in page


def test_pages_carry_the_strict_policy(client: FlaskClient) -> None:
    for path in ("/", "/models/loan", "/docs", "/nothing", "/assets/carafe.css"):
        headers = client.get(path, headers=BROWSER).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_files_are_kept_for_a_year_by_their_version_and_asked_again_without_it(client: FlaskClient) -> None:
    address = re.search(r'href="(/assets/carafe\.css\?v=[0-9a-f]{12})"', page_of(client, "/"))
    assert address
    assert "immutable" in client.get(address[1]).headers["Cache-Control"]
    loose = client.get("/assets/carafe.css")
    assert loose.headers["Cache-Control"] == "no-cache"
    assert client.get("/assets/carafe.css", headers={"If-None-Match": loose.headers["ETag"]}).status_code == 304
    assert client.get("/assets/../views.py").status_code == 404


def test_pages_work_under_a_prefix_and_under_a_script_name(made) -> None:
    client = made(prefix="/ml").test_client()
    for base, shown in (({}, "/ml"), ({"SCRIPT_NAME": "/app"}, "/app/ml")):
        page = client.get("/ml/models/loan", headers=BROWSER, environ_overrides=base).text
        links = re.findall(r'(?:href|src|action)="([^"#]+)"', page)
        assert links and all(link.startswith(shown + "/") for link in links)
        assert f"http://localhost{shown}/models/loan/predict" in page


def test_a_host_app_keeps_its_own_errors_templates_and_headers(made) -> None:
    app: Flask = made(prefix="/ml")
    app.jinja_options = {"variable_start_string": "[[", "variable_end_string": "]]"}
    app.add_url_rule("/mine", "mine", lambda: "mine")
    client = app.test_client()
    assert client.get("/ml/models/loan", headers=BROWSER).status_code == 200
    assert "Content-Security-Policy" not in client.get("/mine").headers
    assert "Carafe" not in client.get("/nothing", headers=BROWSER).text
    assert "Carafe" not in client.get("/ml/nothing/at/all", headers=BROWSER).text


@pytest.mark.parametrize("name", READY)
def test_every_model_has_a_page_that_says_how_to_call_it(client: FlaskClient, name: str) -> None:
    page = page_of(client, f"/models/{name}/docs")
    assert f"http://localhost/models/{name}/predict" in page
    assert all(f'id="code-{kind}"' in page for kind in ("curl", "requests", "stdlib", "fetch"))
    assert "What comes back" in page and "16 MiB" in page and "10,000" in page


def test_an_answer_links_to_its_own_input_and_the_calls_page_shows_the_same(client: FlaskClient) -> None:
    page = client.post("/models/loan", data=LOAN, headers=BROWSER).text
    links = re.findall(r'<a href="(/models/loan[^"]*\?[^"]*)"', page)
    assert len(links) == 2
    for link in links:
        shown = page_of(client, link.replace("&amp;", "&"))
        assert '"employer": "Somebody Else"' in shown and '"yearly_income": null' in shown


def test_fields_called_as_parts_of_an_address_do_not_disturb_it(client: FlaskClient) -> None:
    from flask_carafe.console.forms import as_query, start_values
    from flask_carafe.serving.table import Entry, Model
    from flask_carafe.signature import Signature

    model = Model(Entry(name="m", signature=Signature(fields=numbers("name", "page", "_external", "q"))), 10)
    with client.application.test_request_context("/models/m?name=5"):
        sent = start_values(model, flask_request.args)
        assert as_query(model, sent)["name"] == "5"


def test_forms_pass_the_csrf_protection_of_the_app_they_live_in(made) -> None:
    flask_wtf = pytest.importorskip("flask_wtf")
    app: Flask = made(prefix="/ml")
    app.config["SECRET_KEY"] = "for this test"
    flask_wtf.CSRFProtect(app)
    client = app.test_client()
    token = re.search(r'<input type="hidden" name="csrf_token" value="([^"]+)">', client.get("/ml/models/sentiment").text)
    assert token
    assert client.post("/ml/models/sentiment", data={"text": "great"}).status_code == 400
    assert client.post("/ml/models/sentiment", data={"text": "great", "csrf_token": token[1]}).status_code == 200


def test_a_page_is_drawn_in_milliseconds(client: FlaskClient) -> None:
    from time import perf_counter

    client.get("/models/loan")
    times = []
    for _ in range(10):
        began = perf_counter()
        client.get("/models/loan")
        times.append(perf_counter() - began)
    assert min(times) < 0.05
