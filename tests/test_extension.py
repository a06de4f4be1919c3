"""Carafe in an app that exists: one line, nothing of the host's touched, and models at hand in its views."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from flask import Flask, abort, g, jsonify, render_template_string, request, session

import flask_carafe
from flask_carafe import Carafe, current_carafe, prediction_made
from flask_carafe.application import create_app
from flask_carafe.config import Settings
from flask_carafe.errors import ConfigError, ModelNotFound
from flask_carafe.extension import runs_hosts
from flask_carafe.testing import stand_in


def host_app(home: Path, **config: object) -> Flask:
    """An app with its own life: home page, ``/predict``, login, errors, JSON, templates, sessions."""
    app = Flask("hostapp", instance_path=str(home), template_folder=str(home / "templates"))
    app.config.update(SECRET_KEY="not a secret", TESTING=True, **config)
    app.json.sort_keys = False
    (home / "templates").mkdir(exist_ok=True)
    (home / "templates" / "base.html").write_text("<title>The host's own base</title>{{ session.name or 'nobody' }}")

    @app.before_request
    def guard() -> None:
        g.seen = True
        if request.path.startswith("/private") and "name" not in session:
            abort(401)

    @app.route("/")
    def index():
        return render_template_string("{% extends 'base.html' %}")

    @app.post("/predict")
    def predict():
        return jsonify({"z": 1, "a": request.get_json()["x"] * 2})

    @app.post("/login")
    def login():
        session["name"] = request.form["name"]
        return "", 204

    @app.errorhandler(404)
    def lost(_):
        return "the host's own 404", 404

    @app.errorhandler(Exception)
    def failed(error):
        return f"the host's own error page: {getattr(error, 'code', 500)}", getattr(error, "code", 500)

    return app


def told(app: Flask) -> list[tuple[int, dict[str, str], bytes]]:
    """What the host's own routes say, from the first to the last byte."""
    client = app.test_client()
    answers = [
        client.get("/"), client.post("/predict", json={"x": 21}), client.post("/login", data={"name": "dana"}), client.get("/"),
        client.get("/private"), client.get("/nowhere"), client.get("/login"), client.post("/predict", data=b"{", content_type="application/json"),
        client.options("/predict"), client.get("/static/none.css"),
    ]  # fmt: skip
    return [(answer.status_code, {name: payload(value) for name, value in answer.headers}, answer.data) for answer in answers]


def payload(header: str) -> str:
    """A header, but of a session cookie only what it says: the rest is a time and a signature."""
    return header.split(".", maxsplit=1)[0] if header.startswith("session=") else header


def test_a_host_app_keeps_its_own_byte_for_byte(tmp_path):
    before = told(host_app(tmp_path))
    app = host_app(tmp_path)
    carafe = Carafe(app)

    @carafe.model("double")
    def double(x: int) -> int:
        return 2 * x

    assert told(app) == before
    assert app.test_client().post("/carafe/models/double/predict", json={"x": 4}).json["prediction"] == 8


def test_nothing_of_the_hosts_is_replaced(tmp_path):
    app = host_app(tmp_path)
    before = (app.session_interface, app.json, app.jinja_env.loader, dict(app.error_handler_spec), app.wsgi_app.__func__, dict(app.jinja_env.globals))
    filters = set(app.jinja_env.filters)
    Carafe(app)
    assert (app.session_interface, app.json, app.jinja_env.loader) == before[:3]
    assert {key: value for key, value in app.error_handler_spec.items() if key is None} == {
        key: value for key, value in before[3].items() if key is None
    }
    assert app.wsgi_app.__func__ is before[4]
    assert dict(app.jinja_env.globals) == before[5] and set(app.jinja_env.filters) == filters
    assert all(hooks is None or not hooks for name, hooks in app.before_request_funcs.items() if name is None and hooks != [hooks[0]])
    assert None not in app.after_request_funcs and None not in app.teardown_request_funcs


def test_predictions_pass_the_hosts_own_guard_at_the_flask_door(tmp_path):
    app = host_app(tmp_path)
    Carafe(app, url_prefix="/private/ml")
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    client = app.test_client()
    assert client.post("/private/ml/predict", json={"text": "hello"}).status_code == 401
    client.post("/login", data={"name": "dana"})
    assert client.post("/private/ml/predict", json={"text": "hello"}).json["prediction"] == "hello"


def test_it_lives_beside_the_usual_extensions(tmp_path):
    flask_login, flask_limiter = pytest.importorskip("flask_login"), pytest.importorskip("flask_limiter")
    flask_wtf, flask_sqlalchemy = pytest.importorskip("flask_wtf"), pytest.importorskip("flask_sqlalchemy")
    flask_talisman = pytest.importorskip("flask_talisman")
    app = host_app(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://", RATELIMIT_STORAGE_URI="memory://", WTF_CSRF_ENABLED=True)
    login, csrf, db = flask_login.LoginManager(app), flask_wtf.CSRFProtect(app), flask_sqlalchemy.SQLAlchemy(app)
    limiter = flask_limiter.Limiter(lambda: "everyone", app=app, default_limits=["1000 per minute"])
    flask_talisman.Talisman(app, force_https=False)
    before = dict(app.extensions)
    Carafe(app)
    assert {name: app.extensions[name] for name in before} == before
    assert app.login_manager is login and db and limiter
    csrf.exempt("flask_carafe.dataplane.views.predict")
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    client = app.test_client()
    assert client.post("/predict", json={"x": 1}).status_code == 400  # the host's own CSRF guard still stands
    assert client.get("/carafe/").status_code == 200
    assert client.get("/carafe/readyz").json["status"] == "ready"


def test_two_apps_in_one_process_share_nothing(tmp_path):
    made = []
    for i in (1, 2):
        (tmp_path / str(i)).mkdir()
        app = host_app(tmp_path / str(i))
        Carafe(app, url_prefix=f"/ml{i}")
        stand_in(app, f"model{i}", lambda text, i=i: i, fields={"text": "text"})
        made.append(app)
    first, second = (app.test_client() for app in made)
    assert first.post("/ml1/predict", json={"text": ""}).json["prediction"] == 1
    assert second.post("/ml2/predict", json={"text": ""}).json["prediction"] == 2
    assert second.post("/ml2/models/model1/predict", json={"text": ""}).status_code == 404
    assert 'model="model1"' not in second.get("/ml2/metrics").text


def test_one_carafe_serves_several_apps_and_an_app_has_one(tmp_path):
    carafe = Carafe()

    @carafe.model("double")
    def double(x: int) -> int:
        return 2 * x

    apps = [host_app(tmp_path), host_app(tmp_path)]
    for app in apps:
        carafe.init_app(app)
        assert app.test_client().post("/carafe/predict", json={"x": 2}).json["prediction"] == 4
    with pytest.raises(RuntimeError, match="already has a Carafe"):
        carafe.init_app(apps[0])


def test_a_view_asks_a_model(tmp_path):
    app = host_app(tmp_path)
    carafe = Carafe(app)
    stand_in(app, "length", len_of, fields={"text": "text"})

    @app.get("/length")
    def length():
        assert "length" in current_carafe.table.models
        return jsonify(carafe.predict("length", {"text": request.args["of"]}))

    answer = app.test_client().get("/length?of=four").json
    assert answer["prediction"] == 4 and answer["model"] == "length"
    with app.app_context(), pytest.raises(ModelNotFound):
        carafe.predict("nobody", {})


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


def len_of(text: str) -> int:
    return len(text)


def test_type_hints_are_the_signature(tmp_path):
    app = host_app(tmp_path)
    carafe = Carafe(app)

    @carafe.model("order", routes=("/order",), description="What it costs.")
    def order(item: str, size: Size, n: int = 1, gift: bool | None = None, paper: Literal["red", "blue"] = "red") -> str:
        return f"{n} {size} {item} {gift} {paper}"

    client = app.test_client()
    assert client.post("/carafe/order", json={"item": "cup", "size": "l"}).json["prediction"] == "1 l cup None red"
    assert (
        client.post("/carafe/order", json={"item": "cup", "size": "l", "n": 2, "gift": True, "paper": "blue"}).json["prediction"]
        == "2 l cup True blue"
    )
    refused = client.post("/carafe/order", json={"item": 7, "size": "xl", "paper": "green"})
    assert refused.status_code == 422 and {detail["field"] for detail in refused.json["details"]} == {"item", "size", "paper"}
    with pytest.raises(ConfigError, match="no kind of field"):
        carafe.model("odd")(lambda_with_hint)


def lambda_with_hint(x: io.StringIO) -> int:
    return 1


def test_a_class_is_loaded_once_and_gets_rows(tmp_path):
    app = host_app(tmp_path)
    carafe = Carafe(app)
    loads = []

    @carafe.model("pets", fields={"name": "text", "legs": {"kind": "integer", "minimum": 0}})
    class Pets(carafe.Model):
        def load(self):
            loads.append(1)

        def predict(self, rows):
            return [{"pet": row["name"], "spider": row["legs"] == 8} for row in rows]

    client = app.test_client()
    answer = client.post("/carafe/predict", json={"rows": [{"name": "Rex", "legs": 4}, {"name": "Bo", "legs": 8}]})
    assert answer.json["prediction"] == [{"pet": "Rex", "spider": False}, {"pet": "Bo", "spider": True}]
    assert client.post("/carafe/predict", json={"name": "Rex", "legs": -1}).status_code == 422
    assert loads == [1]


class Mood(StrEnum):
    GOOD = "good"


@pytest.mark.parametrize(
    ("answer", "told"),
    [(np.float64(1.5), 1.5), (np.float32(0.5), 0.5), (np.int64(3), 3), (np.str_("a"), "a"), (np.bool_(True), True), (Mood.GOOD, "good")],
)
def test_a_function_may_answer_with_any_library_s_own_numbers_and_texts(tmp_path, answer, told):
    app = host_app(tmp_path)
    Carafe(app)
    stand_in(app, "f", lambda x: {"answer": [answer]}, fields={"x": "integer"})
    assert app.test_client().post("/carafe/predict", json={"x": 1}).json["prediction"] == {"answer": [told]}


def test_a_date_reaches_a_function_as_a_date(tmp_path):
    app = host_app(tmp_path)
    carafe = Carafe(app)

    @carafe.model("year")
    def year(when: datetime, other: datetime | None = None) -> int:
        return when.year

    assert app.test_client().post("/carafe/predict", json={"when": "2026-03-01T12:30:00Z"}).json["prediction"] == 2026


@pytest.mark.parametrize(("name", "options"), [("a/b", {}), ("", {}), ("a", {"routes": ("api",)}), ("a", {"routes": ("/<x>",)})])
def test_names_and_routes_of_functions_are_held_to_the_rules_of_models(tmp_path, name, options):
    with pytest.raises(ConfigError):
        Carafe(host_app(tmp_path)).model(name, **options)(len_of)


def test_one_route_may_be_given_as_a_text(tmp_path):
    app = host_app(tmp_path)
    Carafe(app).model("length", routes="/length")(len_of)
    assert app.test_client().post("/carafe/length", json={"text": "four"}).json["prediction"] == 4


def test_a_class_that_many_need_at_once_is_loaded_once(tmp_path):
    app = host_app(tmp_path)
    carafe, loads = Carafe(app), []

    @carafe.model("slow", fields={"x": "integer"})
    class Slow(carafe.Model):
        def load(self):
            time.sleep(0.05)
            loads.append(1)

        def predict(self, rows):
            return [row["x"] for row in rows]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda x: app.test_client().post("/carafe/predict", json={"x": x}).json["prediction"], range(4)))
    assert answers == [0, 1, 2, 3] and loads == [1]


@pytest.mark.parametrize("answer", [float("nan"), object(), {"a": [float("inf")]}, "\ud800", np.float64("nan")])
def test_a_function_that_answers_nonsense_is_a_500_that_says_so(tmp_path, answer):
    app = host_app(tmp_path)
    Carafe(app)
    stand_in(app, "odd", lambda x: answer, fields={"x": "integer"})
    refused = app.test_client().post("/carafe/predict", json={"x": 1})
    assert refused.status_code == 500 and refused.json["code"] == "model_output_invalid"


def test_a_function_that_raises_keeps_its_words_to_the_log(tmp_path, caplog):
    app = host_app(tmp_path)
    Carafe(app)
    stand_in(app, "bad", lambda x: 1 / x, fields={"x": "integer"})
    refused = app.test_client().post("/carafe/predict", json={"x": 0})
    assert refused.json["code"] == "model_error" and "division" not in refused.text
    assert "ZeroDivisionError" in caplog.text


def test_signals_tell_of_predictions(tmp_path):
    app = host_app(tmp_path)
    carafe = Carafe(app)
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    heard = []

    def hear(sender, **facts):
        heard.append((sender, facts))

    def fail(sender, **facts):
        raise ValueError("a receiver's own fault")

    with prediction_made.connected_to(hear), prediction_made.connected_to(fail):
        answer = app.test_client().post("/carafe/predict", json={"rows": ["a", "b"]})
    assert answer.status_code == 200
    (sender, facts) = heard[0]
    assert sender is carafe and facts["model"] == "echo" and facts["rows"] == 2 and facts["prediction_id"] == answer.json["id"]


def test_the_wsgi_door_stands_before_the_app(tmp_path):
    app = host_app(tmp_path)
    Carafe(app, door="wsgi")
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    client = app.test_client()
    assert client.post("/carafe/predict", json={"text": "hi"}).json["prediction"] == "hi"
    assert client.post("/carafe/predict", data=b"{").status_code == 400
    assert client.post("/predict", json={"x": 1}).json == {"z": 1, "a": 2}
    assert client.options("/carafe/predict").headers["Allow"] == "POST, OPTIONS" or "POST" in client.options("/carafe/predict").headers["Allow"]


@pytest.mark.parametrize("door", ["flask", "wsgi"])
def test_cors_is_for_named_origins_and_our_routes_alone(tmp_path, door):
    app = host_app(tmp_path)
    Carafe(app, cors_origins=["https://app.example.org"], door=door)
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    client, ours, other = app.test_client(), {"Origin": "https://app.example.org"}, {"Origin": "https://evil.example"}
    allowed = client.post("/carafe/predict", json={"text": ""}, headers=ours)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example.org" and "Access-Control-Allow-Credentials" not in allowed.headers
    assert "POST" in client.options("/carafe/predict", headers=ours).headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Origin" not in client.post("/carafe/predict", json={"text": ""}, headers=other).headers
    assert "Access-Control-Allow-Origin" not in client.get("/", headers=ours).headers


def test_the_wsgi_door_leaves_hosts_that_are_not_trusted_to_flask(tmp_path, monkeypatch):
    monkeypatch.setattr("flask_carafe.application.setup", lambda *_: None)
    app = create_app(Settings(home=tmp_path, door="wsgi", trusted_hosts=("models.example.org",)))
    app.extensions["carafe"].state.hosted = False
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    client = app.test_client()
    assert client.post("/predict", json={"text": "hi"}, base_url="http://models.example.org:8000").json["prediction"] == "hi"
    assert client.post("/predict", json={"text": "hi"}, base_url="http://evil.example").status_code == 400


def test_settings_come_from_the_apps_config_and_mistakes_stop_the_start(tmp_path):
    app = host_app(tmp_path, CARAFE_URL_PREFIX="/ml", CARAFE_MAX_ROWS=2)
    Carafe(app)
    stand_in(app, "echo", lambda text: text, fields={"text": "text"})
    assert app.test_client().post("/ml/predict", json={"rows": ["a", "b", "c"]}).status_code == 413
    with pytest.raises(ConfigError, match="CARAFE_MAX_ROW"):
        Carafe(host_app(tmp_path, CARAFE_MAX_ROW=2))


def test_importing_the_package_imports_no_flask():
    code = "import sys, flask_carafe; assert 'flask' not in sys.modules; flask_carafe.Carafe; assert 'flask' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        _ = flask_carafe.Nothing


@pytest.mark.parametrize(
    ("command", "starts"),
    [
        ("flask run", True), ("flask --app x shell", False), ("flask routes", False), ("/usr/bin/celery worker", False), ("gunicorn app:app", True),
        ("/lib/celery/__main__.py worker", False), ("/lib/flask/__main__.py --app x shell", False), ("huey_consumer.py tasks", False),
    ],
)  # fmt: skip
def test_nothing_is_started_for_shells_and_task_queues(monkeypatch, command, starts):
    monkeypatch.setattr(sys, "argv", command.split())
    assert runs_hosts(Flask("any")) is starts


def test_health_is_told_at_once_while_models_load(tmp_path, monkeypatch):
    app = host_app(tmp_path)
    Carafe(app).serve("iris", tmp_path / "iris.joblib")
    state = app.extensions["carafe"].state
    monkeypatch.setattr(state, "hosted", True)
    monkeypatch.setattr(state, "is_started", True)
    monkeypatch.setattr(state, "patient_until", time.monotonic() + 30)
    began = time.monotonic()
    for path in ("/carafe/readyz", "/carafe/ping"):
        assert app.test_client().get(path).status_code == 503
    assert time.monotonic() - began < 5


def test_models_of_an_apps_own_configuration_begin_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    app = host_app(tmp_path, CARAFE_MODELS={"iris": "iris.joblib"})
    Carafe(app)
    assert app.extensions["carafe"].state.specs[0].files == (str(Path(app.root_path) / "iris.joblib"),)
