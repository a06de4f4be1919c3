"""Pages from templates, in an environment of our own: the host application's Jinja options, filters and templates do not reach ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import current_app, request, url_for
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .. import __version__
from .assets import load_assets
from .figures import duration, figure, percent

NAME = "carafe"  # of the blueprint; pages link by it
TEMPLATES = Path(__file__).parent / "templates"
ASSETS = load_assets()


def endpoint(name: str) -> str:
    """The endpoint of one of our pages in the application at hand, whatever name the blueprint got there."""
    mine = next((each for each in request.blueprints if each.rpartition(".")[2] == NAME), NAME)
    return f"{mine}.{name}"


def page_url(page: str, /, **values: Any) -> str:
    """Path of a page; it begins with the prefix of the application and the SCRIPT_NAME of the server."""
    return url_for(endpoint(page), **values)


def root_url() -> str:
    """Where the API hangs, as this client calls it, without a slash at the end."""
    return url_for(endpoint("gallery"), _external=True).rstrip("/")


def asset_url(name: str) -> str:
    """A static file by its version."""
    return page_url("asset", name=name, v=ASSETS[name].version)


def plain(value: float) -> str:
    """A number as HTML attributes take it.

    >>> plain(40.0), plain(0.25)
    ('40', '0.25')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def ticked(text: str) -> Markup:
    """``text`` escaped, with what stands between backticks as code.

    >>> ticked("say `x<1`")
    Markup('say <code>x&lt;1</code>')
    """
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))


def host_token() -> Mapping[str, str]:
    """The hidden field that the host app's own CSRF protection asks of every form, where it has one (Flask-WTF's)."""
    make = current_app.jinja_env.globals.get("csrf_token") if "csrf" in current_app.extensions else None
    return {current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token"): make()} if callable(make) else {}


def make_environment() -> Environment:
    """Autoescape on, blocks trimmed, an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, auto_reload=False
    )
    made.filters |= {"figure": figure, "percent": percent, "duration": duration, "plain": plain, "ticked": ticked}
    made.globals |= {"url": page_url, "asset": asset_url, "carafe_version": __version__, "host_token": host_token}
    return made


ENVIRONMENT = make_environment()


def render(template: str, **context: Any) -> str:
    """One page or part of a page as HTML."""
    return ENVIRONMENT.get_template(f"carafe/{template}").render(context)
