"""Who may change what is served, until people and keys exist: whoever can read the token in the home."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from ..access import admin_token, is_own_host
from ..errors import NotAuthenticated, NotPermitted, WrongMediaType
from ..state import CarafeState

TYPES = ("application/json", "application/octet-stream")
BY_TOKEN = "Send Authorization: Bearer TOKEN; the token is in the file admin_token in Carafe's home."


def check_manager(state: CarafeState, get: Callable[[str], str | None], has_body: bool) -> None:
    """Let a call pass that may change what is served.

    A page in somebody's browser cannot make one: a name that was rebound to this address is a foreign Host, another
    site a foreign Origin, and a plain form has another Content-Type.

    :param get: a request header by its lower-case name.
    :raises NotPermitted: a foreign Host or Origin.
    :raises WrongMediaType: a body that is neither JSON nor bytes.
    :raises NotAuthenticated: no token, or another one.
    """
    host, origin = get("host") or "", get("origin")
    if not is_own_host(host, state.settings.trusted_hosts):
        raise NotPermitted(f"the Host {host[:100]!r} is not this server's. Ask by its address, or name it in trusted_hosts")
    if origin and origin.partition("://")[2] != host and origin not in state.settings.cors_origins:
        raise NotPermitted(f"the Origin {origin[:100]!r} is another site")
    kind = (get("content-type") or "").partition(";")[0].strip().lower()
    if has_body and kind and kind not in TYPES:
        error = WrongMediaType(kind[:100])
        error.hint = f"Send {TYPES[0]}, or no body."
        raise error
    scheme, _, token = (get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), _known_token(state).encode()):
        refusal = NotAuthenticated()
        refusal.text, refusal.hint = "This call needs the admin token.", BY_TOKEN
        raise refusal


def _known_token(state: CarafeState) -> str:
    try:
        return admin_token(state.settings.home)
    except OSError:
        raise NotPermitted("the admin token cannot be read") from None
