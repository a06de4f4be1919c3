"""Default deny, and who may listen where."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView

from flask_carafe.access import Permission, is_loopback, may_listen, permission_of, refuse_undeclared, requires, undeclared
from flask_carafe.errors import ConfigError


@requires(Permission.READ)
def shown() -> str:
    return "shown"


def hidden() -> str:
    return "hidden"


def app_with(*views) -> Flask:
    app, blueprint = Flask(__name__), Blueprint("carafe", __name__, static_folder=None)
    for view in views:
        blueprint.add_url_rule("/" + view.__name__, view_func=view)
    app.register_blueprint(blueprint)
    app.add_url_rule("/theirs", "theirs", hidden)
    return app


def test_an_application_starts_when_each_of_our_views_declares_a_permission():
    refuse_undeclared(app_with(shown), ["carafe"])
    assert permission_of(shown) is Permission.READ


def test_a_view_without_a_permission_stops_the_start_and_is_named():
    app = app_with(shown, hidden)
    assert undeclared(app.view_functions, ["carafe"]) == ["carafe.hidden"]
    with pytest.raises(ConfigError, match=r"carafe\.hidden"):
        refuse_undeclared(app, ["carafe"])


def test_views_of_the_host_application_are_not_our_business():
    assert undeclared(app_with(shown).view_functions, ["carafe"]) == []
    assert undeclared({"carafes.x": hidden, "carafe.x": shown}, ["carafe"]) == []


def test_a_view_class_may_declare_for_its_methods():
    @requires(Permission.MANAGE)
    class Things(MethodView):
        pass

    assert permission_of(Things.as_view("things")) is Permission.MANAGE


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST", "unix:/run/carafe.sock"])
def test_loopback_needs_no_word(host):
    assert is_loopback(host)
    may_listen(host, public=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "localhost.example.org", "127.0.0.1.example.org"])
def test_beyond_loopback_somebody_must_have_said_public(host):
    with pytest.raises(ConfigError) as caught:
        may_listen(host, public=False)
    assert "--public" in caught.value.hint
    may_listen(host, public=True)
