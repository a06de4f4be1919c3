"""The three models as `carafe demo` serves them: by the API, and digits drawn with a mouse in a real browser."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)

CUSTOMER = {
    "tenure_months": 2, "monthly_fee": 64.5, "contract": "month to month", "connection": "fibre",
    "payment": "invoice", "support_calls": 5, "age": None,
}  # fmt: skip
# One plain shape a digit, as corners in percent of the canvas; not those that the model learnt from.
SHAPES = {
    0: "52,18 36,24 28,44 30,66 42,82 58,82 70,66 72,42 64,24 52,18",
    1: "38,34 53,18 53,82",
    2: "31,33 40,20 58,18 69,29 66,44 50,62 31,82 71,82",
    3: "33,22 52,16 66,26 62,42 46,48 64,55 68,70 54,83 33,78",
    4: "60,18 29,60 75,60 / 61,40 61,84",
    5: "69,19 38,19 34,46 52,42 68,54 68,72 52,83 32,79",
    6: "61,18 42,32 32,56 36,76 52,83 67,72 63,58 48,54 35,64",
    7: "30,20 70,20 56,48 46,83",
    8: "62,24 48,18 37,28 44,42 60,54 66,70 52,83 36,74 40,58 58,44 64,32 60,22",
    9: "66,30 54,18 38,24 35,40 48,50 64,42 66,30 64,60 58,83",
}


def ask(url: str, body: Any) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def test_a_review_is_judged_at_the_classic_route(demo_url: str) -> None:
    assert ask(demo_url + "/api", {"text": "great"})["prediction"] == "positive"
    assert ask(demo_url + "/api", {"text": "It broke after two days, what a waste of money."})["prediction"] == "negative"


def test_a_customer_with_a_missing_age_is_judged_whatever_the_order_of_keys(demo_url: str) -> None:
    answer = ask(demo_url + "/models/churn/predict", CUSTOMER)
    turned = ask(demo_url + "/models/churn/predict", dict(reversed(CUSTOMER.items())))
    assert answer["prediction"] == "leaves"
    assert answer["probabilities"] == turned["probabilities"]


def test_an_unknown_contract_is_refused_by_name(demo_url: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(demo_url + "/models/churn/predict", CUSTOMER | {"contract": "weekly"})
    with caught.value as response:
        assert response.code == 422
        assert "month to month" in json.load(response)["error"]


def test_the_form_of_churn_offers_the_categories_and_takes_a_gap(demo_url: str) -> None:
    with urllib.request.urlopen(demo_url + "/models/churn") as response:
        page = response.read().decode()
    assert all(choice in page for choice in ("month to month", "two years", "fibre", "DSL", "direct debit"))


def draw(page: Any, shape: str) -> None:
    """Draw with the mouse on the canvas."""
    box = page.locator("canvas").bounding_box()
    for stroke in shape.split("/"):
        points = [tuple(float(number) / 100 for number in point.split(",")) for point in stroke.split()]
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()


def canvas_png(page: Any) -> bytes:
    url = page.evaluate("document.querySelector('canvas').toDataURL('image/png')")
    return base64.b64decode(url.partition(",")[2])


def test_digits_drawn_with_a_mouse_are_read_and_curl_gives_the_same_answer(
    demo_url: str, chromium: Any, tmp_path: Path, need: Callable[..., str]
) -> None:
    read, page = {}, chromium.new_page()
    for digit, shape in SHAPES.items():
        page.goto(demo_url + "/models/digits")
        draw(page, shape)
        page.wait_for_selector(".answer:not(.waiting)")
        page.wait_for_load_state("networkidle")
        drawing = tmp_path / f"{digit}.png"
        drawing.write_bytes(canvas_png(page))
        sent = subprocess.run([need("curl"), "-s", demo_url + "/models/digits/predict", "-F", f"image=@{drawing}"], capture_output=True, check=True)
        by_curl = json.loads(sent.stdout)
        by_json = ask(demo_url + "/models/digits/predict", {"image": base64.b64encode(drawing.read_bytes()).decode()})
        read[digit] = int(page.inner_text(".answer"))
        assert read[digit] == by_curl["prediction"] == by_json["prediction"]
        assert by_curl["probabilities"] == by_json["probabilities"]
    page.close()
    wrong = {digit: answer for digit, answer in read.items() if answer != digit}
    assert len(wrong) <= 1, wrong
