"""Who may do what: every view declares a permission, or the application refuses to start.

People and keys come with their own tables later; this is the seam they plug into. Nothing here knows Flask:
an application is anything with ``url_map`` and ``view_functions``.
"""

from __future__ import annotations

import contextlib
import enum
import ipaddress
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .errors import ConfigError

View = TypeVar("View", bound=Callable[..., Any])
MARK = "_carafe_permission"
TOKEN = "admin_token"  # the file in the home


class Permission(enum.StrEnum):
    """What a route asks of its caller. ``OPEN`` is a decision too, and has to be written down."""

    OPEN = "open"  # health, static files: nothing to protect
    READ = "read"  # what models there are, their pages, schema and docs
    PREDICT = "predict"
    METRICS = "metrics"
    MANAGE = "manage"  # anything that changes what is served


class Application(Protocol):
    """What we need to know of a Flask app."""

    view_functions: Any
    url_map: Any


def requires(permission: Permission) -> Callable[[View], View]:
    """Mark a view function; the face asks :func:`permission_of` before it calls one."""

    def mark(view: View) -> View:
        setattr(view, MARK, permission)
        return view

    return mark


def permission_of(view: Callable[..., Any]) -> Permission | None:
    """What ``view`` declared, or None. Class-based views may declare on the class."""
    found = getattr(view, MARK, None) or getattr(getattr(view, "view_class", None), MARK, None)
    return found if isinstance(found, Permission) else None


def undeclared(views: Mapping[str, Callable[..., Any]], blueprints: Iterable[str]) -> list[str]:
    """Endpoints of our ``blueprints`` whose view declares no permission; the host application's own are not our business."""
    ours = tuple(name + "." for name in blueprints)
    return sorted(endpoint for endpoint, view in views.items() if endpoint.startswith(ours) and permission_of(view) is None)


def refuse_undeclared(app: Application, blueprints: Iterable[str]) -> None:
    """Default deny, at start.

    :raises ConfigError: an endpoint of ours that declares nothing.
    """
    missing = undeclared(app.view_functions, blueprints)
    if missing:
        raise ConfigError(f"No permission is declared for {', '.join(missing)}.", "Mark the view: @requires(Permission.READ)")


def is_loopback(host: str) -> bool:
    """True where only this machine can connect. A name other than ``localhost`` may lead anywhere, so it counts as beyond."""
    bare = host.strip().removeprefix("[").removesuffix("]").split("%")[0]
    if bare.lower() == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def may_listen(host: str, public: bool) -> None:
    """Predictions are open on loopback; beyond it somebody has to have said so.

    :raises ConfigError: ``host`` is reachable from elsewhere and ``public`` was not asked for.
    """
    if not is_loopback(host) and not public:
        raise ConfigError(
            f"--host {host} can be reached from other machines, and predictions would be open to all of them.",
            "Add --public if that is meant, or stay at 127.0.0.1 behind a proxy that asks who is there.",
        )


def is_own_host(host: str, trusted: Sequence[str]) -> bool:
    """Whether ``Host`` cannot be a name that somebody else made to lead here: one that is trusted, an address, or localhost.

    >>> [is_own_host(host, ()) for host in ("127.0.0.1:5000", "[::1]", "localhost:5000", "evil.example", "")]
    [True, True, True, False, False]
    """
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if bare in trusted or bare.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return not trusted


def admin_token(home: Path) -> str:
    """The token of ``home``, made at the first call; its file is for this user alone.

    :raises OSError: it can be neither read nor written.
    """
    path = home / TOKEN
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    home.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f".{TOKEN}.{os.getpid()}")
    made.unlink(missing_ok=True)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    with contextlib.suppress(FileExistsError):  # another process was faster: its token counts
        os.link(made, path)
    made.unlink()
    return path.read_text().strip()
