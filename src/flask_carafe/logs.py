"""Logging: one JSON line an event in production, aligned and coloured lines on a terminal.

Only our own tree ``flask_carafe`` is ever touched, never the root logger and never the host application's. Embedded
in somebody's app nothing is set up at all: our lines go where the app sends its own. Input rows and secrets are
never logged; what a client sent (a path, an id) is escaped, so one event stays one line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from contextvars import ContextVar
from typing import Any, Literal, TextIO

ROOT = "flask_carafe"
request_id: ContextVar[str] = ContextVar("carafe_request_id", default="")

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
COLOURS = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
MOST_CHARS = 8000  # of one message: a line has to pass through log shippers


def escaped(text: str) -> str:
    """``text`` in one line: control, direction-changing and half characters as escapes."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as ``extra={...}``, and the request's id where there is one."""
    told = {key: value for key, value in vars(record).items() if key not in STANDARD}
    current = told.pop("request_id", None) or request_id.get()
    return told | {"request_id": current} if current else told


class JsonFormatter(logging.Formatter):
    """``{"at": "2026-01-31T12:00:00.123Z", "level": "info", "logger": "flask_carafe.serving", "message": "…", …}``"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MOST_CHARS],
            "pid": record.process,
        }
        line |= {key: value for key, value in extras(record).items() if key not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=_shown)


class TextFormatter(logging.Formatter):
    """``12:00:00  warning  serving     message  request_id=… model=…``, coloured if asked; a traceback is indented below."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self.colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = self._paint(f"{record.levelname.lower():<8}", COLOURS.get(record.levelname, "0"))
        room = self._paint(f"{record.name.removeprefix(ROOT + '.').split('.')[0]:<10}", "2")
        clock = self._paint(time.strftime("%H:%M:%S", time.localtime(record.created)), "2")
        told = "".join(f"  {key}={escaped(str(value))}" for key, value in extras(record).items())
        line = f"{clock}  {level}  {room}  {escaped(record.getMessage()[:MOST_CHARS])}{self._paint(told, '2')}"
        if record.exc_info:
            line += "".join(f"\n    {escaped(row)}" for row in self.formatException(record.exc_info).splitlines())
        return line

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def _shown(value: Any) -> str:
    """What JSON cannot write, as text. An object whose ``__str__`` raises must not lose the line."""
    try:
        return str(value)
    except Exception:  # somebody's object: any error at all may come out of it
        return f"<{type(value).__name__}>"


def is_terminal(stream: Any) -> bool:
    """Whether a person is looking at ``stream``."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def wants_colour(stream: Any) -> bool:
    """Colour on a terminal that can show it, unless ``NO_COLOR`` is set."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Handler(logging.StreamHandler[TextIO]):
    """Ours, so that a second :func:`setup` finds the first one's. A log that cannot be written never stops a prediction."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a closed pipe or a full disk: nobody is left to tell
            super().handleError(record)


def setup(form: Literal["auto", "json", "text"] = "auto", level: str = "info", stream: TextIO | None = None) -> logging.Logger:
    """Send our own tree to ``stream`` (stderr). For processes that are ours: ``carafe serve``, workers, steward. May be repeated.

    :param form: ``auto`` is ``text`` on a terminal and ``json`` elsewhere.
    """
    stream = sys.stderr if stream is None else stream
    as_text = form == "text" or (form == "auto" and is_terminal(stream))
    handler = Handler(stream)
    handler.setFormatter(TextFormatter(colour=wants_colour(stream)) if as_text else JsonFormatter())
    logger = logging.getLogger(ROOT)
    for old in [old for old in logger.handlers if isinstance(old, Handler)]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return logger
