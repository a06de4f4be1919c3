"""Logs: one line an event whatever is in it, and nothing but our own tree is touched."""

from __future__ import annotations

import io
import json
import logging

import pytest

from flask_carafe import logs

NASTY = "a\r\nfake: line\x1b[2J\u202e\u2028 \ud800 é"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.fixture(autouse=True)
def our_tree_as_it_was():
    logger = logging.getLogger(logs.ROOT)
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def write(form: str, *, stream: io.StringIO | None = None, message: str = NASTY, **more) -> str:
    stream = stream or io.StringIO()
    logs.setup(form, "info", stream)
    logging.getLogger("flask_carafe.serving.lane").warning(message, **more)
    return stream.getvalue()


def test_an_event_is_one_json_line_whatever_is_in_the_message():
    text = write("json", extra={"model": "iris", "what": Unspeakable(), "path": NASTY})
    assert text.count("\n") == 1 and text.isascii()
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"], line["model"]) == ("warning", "flask_carafe.serving.lane", NASTY, "iris")
    assert line["what"] == "<Unspeakable>"
    assert line["at"].endswith("Z")


def test_a_traceback_stays_in_the_same_json_line():
    try:
        raise ValueError("in the model")
    except ValueError:
        text = write("json", exc_info=True)
    assert text.count("\n") == 1
    assert "ValueError: in the model" in json.loads(text)["traceback"]


def test_lines_carry_the_id_of_the_request_they_belong_to():
    token = logs.request_id.set("r-1")
    try:
        assert json.loads(write("json"))["request_id"] == "r-1"
        assert json.loads(write("json", extra={"request_id": "r-2"}))["request_id"] == "r-2"
        assert "request_id=r-1" in write("text")
    finally:
        logs.request_id.reset(token)
    assert "request_id" not in json.loads(write("json"))


def test_an_extra_cannot_pose_as_a_field_of_the_line():
    assert json.loads(write("json", extra={"level": "info", "at": "never"}))["level"] == "warning"


def test_text_escapes_what_would_make_a_second_line_or_move_the_cursor():
    text = write("text")
    assert text.count("\n") == 1
    assert "\x1b" not in text and "\u202e" not in text and "\r" not in text
    assert r"a\r\nfake: line\x1b[2J" in text and "é" in text


def test_auto_is_text_with_colour_on_a_terminal_and_json_elsewhere(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[33mwarning" in write("auto", stream=Terminal(), message="hello")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in write("auto", stream=Terminal(), message="hello")
    assert json.loads(write("auto", message="hello"))["message"] == "hello"


def test_only_our_own_tree_is_touched():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    logs.setup("json", "debug", io.StringIO())
    logs.setup("json", "debug", io.StringIO())
    assert (root.handlers, root.level) == before
    assert len([h for h in logging.getLogger(logs.ROOT).handlers if isinstance(h, logs.Handler)]) == 1


def test_a_log_that_cannot_be_written_stops_nothing(capsys):
    write("json", stream=Closed())
    assert capsys.readouterr().err == ""
