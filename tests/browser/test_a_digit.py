"""The whole way of one picture: drawn in a real browser, uploaded there, and sent as a program does; the host gives one answer."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from flask_carafe import Carafe
from flask_carafe.testing import serving

pytest.importorskip("PIL")
joblib = pytest.importorskip("joblib")
datasets = pytest.importorskip("sklearn.datasets")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, str]]:
    """An app that serves a model of small handwritten digits from a real host, and where it is."""
    from sklearn.linear_model import LogisticRegression

    home = Path(tmp_path_factory.mktemp("digits"))
    known = datasets.load_digits()
    joblib.dump(LogisticRegression(max_iter=300, tol=1e-2).fit(known.data / 16, known.target), home / "digits.joblib")
    app = Flask("digits")
    app.config.update(CARAFE_HOME=str(home / "home"), CARAFE_PUBLIC=True, CARAFE_URL_PREFIX="/ml")
    carafe = Carafe(app)
    carafe.serve("digits", str(home / "digits.joblib"), input="image:8x8:L:invert:0-1")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    is_up = threading.Event()

    def serve() -> None:  # in a thread of its own: the browser's driver runs an event loop in this one
        with serving(app, wait_s=60):
            is_up.set()
            server.serve_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    assert is_up.wait(90)
    yield app, f"http://127.0.0.1:{server.server_port}/ml"
    server.shutdown()
    thread.join()


def test_a_digit_drawn_uploaded_and_sent_by_a_program_gets_the_same_answer(
    digits: tuple[Flask, str], chromium: Any, need: Callable[..., str]
) -> None:
    app, address = digits
    sent: list[bytes] = []

    def note() -> None:
        from flask import request

        for file in () if request.path.endswith("/predict") else request.files.values():
            sent.append(file.read())
            file.seek(0)

    app.before_request_funcs.setdefault(None, []).append(note)
    page = chromium.new_context().new_page()
    page.goto(f"{address}/models/digits")
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 90, box["y"] + 50)
    page.mouse.down()
    for x, y in ((190, 50), (170, 120), (140, 180), (120, 240)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    page.wait_for_selector(".answer:not(.waiting)")
    drawn, drawn_bars = page.inner_text(".answer"), page.inner_text(".bars tbody")

    picture = sent[0]
    assert picture.startswith(b"\x89PNG")
    page.goto(f"{address}/models/digits")
    page.set_input_files("input[type=file]", [{"name": "seven.png", "mimeType": "image/png", "buffer": picture}])
    page.wait_for_selector(".answer:not(.waiting)")
    assert (page.inner_text(".answer"), page.inner_text(".bars tbody")) == (drawn, drawn_bars)

    answer = app.test_client().post("/ml/models/digits/predict", data={"image": (io.BytesIO(picture), "seven.png")}).json
    assert str(answer["prediction"]) == drawn == "7"
    likeliest = max(answer["probabilities"].values())
    assert f"{100 * likeliest:.1f} %" in drawn_bars or likeliest > 0.9995
    page.context.close()
