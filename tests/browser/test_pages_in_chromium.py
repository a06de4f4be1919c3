"""The pages in a real browser: with a script and without, with a mouse and with the keyboard."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from console.models import entries
from flask_carafe.signature.kinds.image import blank_png

EVERY = ["/", "/docs", *(f"/models/{name}" for name in entries()), "/models/loan/docs", "/models/loan/rows"]


def test_a_form_answers_without_a_script(open_page: Any) -> None:
    page = open_page("/models/loan", script=False)
    page.fill("[name=amount]", "20000")
    page.select_option("[name=term]", "12 months")
    page.click("text=Ask the model")
    assert page.inner_text(".answer") == "late"
    assert page.input_value("[name=amount]") == "20000" and page.input_value("[name=term]") == "12 months"
    assert page.is_hidden("input[type=range] >> nth=0") and page.is_hidden("[data-copy] >> nth=0")
    assert all(page.is_visible(f"#code-{kind}") for kind in ("curl", "requests", "stdlib", "fetch"))


def test_a_form_answers_without_a_reload(open_page: Any) -> None:
    page = open_page("/models/loan")
    page.evaluate("document.body.dataset.same = 'yes'")
    page.fill("[name=reason]", "A boat")
    page.click("text=Ask the model")
    page.wait_for_selector(".answer:not(.waiting)")
    assert page.inner_text(".answer") == "late" and "56.8 %" in page.inner_text("#answer")
    assert page.evaluate("document.body.dataset.same") == "yes"
    assert '"reason": "A boat"' in page.inner_text("#code-curl")


def test_errors_come_and_go_beside_their_fields(open_page: Any) -> None:
    page = open_page("/models/loan")
    page.fill("[name=amount]", "forty")
    page.click("text=Ask the model")
    page.wait_for_selector("#f0-wrong:visible")
    assert page.inner_text("#f0-wrong") == "amount must be a number, got 'forty'"
    assert page.get_attribute("[name=amount]", "aria-invalid") == "true"
    assert "f0-wrong" in page.get_attribute("[name=amount]", "aria-describedby")
    assert page.evaluate("document.activeElement.name") == "amount"
    page.fill("[name=amount]", "40")
    page.keyboard.press("Enter")
    page.wait_for_selector("#f0-wrong:has-text('at least 500')")
    page.fill("[name=amount]", "4000")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer:not(.waiting)")
    assert page.is_hidden("#f0-wrong") and page.get_attribute("[name=amount]", "aria-invalid") is None


def test_a_range_and_its_box_keep_in_step(open_page: Any) -> None:
    page = open_page("/models/loan")
    page.fill("[name=amount]", "30100")
    assert page.input_value("[data-twin=f0]") in ("30000", "30100")
    page.eval_on_selector("[data-twin=f0]", "range => { range.value = 700; range.dispatchEvent(new Event('input')); }")
    assert page.input_value("[name=amount]") == "700"
    page.focus("[name=amount]")
    page.keyboard.press("ArrowUp")
    assert page.input_value("[name=amount]") == "900"


def draw(page: Any, *points: tuple[float, float]) -> None:
    box = page.locator("canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def test_a_drawing_is_sent_as_a_picture_and_asked_by_itself(open_page: Any, received: dict[str, tuple[str, bytes]]) -> None:
    page = open_page("/models/digits")
    draw(page, (0.5, 0.1), (0.5, 0.9))
    page.wait_for_selector(".answer:not(.waiting)")
    name, body = received["image"]
    assert name == "drawing.png" and body.startswith(b"\x89PNG")
    assert page.inner_text(".answer") == "8" and "image=@drawing.png" in page.inner_text("#code-curl")


def test_a_drawing_is_dark_on_light_can_be_turned_round_undone_and_cleared(open_page: Any) -> None:
    page = open_page("/models/digits", scheme="dark")
    pixel = "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(280 * x, 280 * y, 1, 1).data].slice(0, 3)"
    draw(page, (0.5, 0.1), (0.5, 0.9))
    assert page.evaluate(pixel, [0.5, 0.5]) == [0, 0, 0] and page.evaluate(pixel, [0.1, 0.5]) == [255, 255, 255]
    page.check("[data-pad-light]")
    assert page.evaluate(pixel, [0.5, 0.5]) == [255, 255, 255] and page.evaluate(pixel, [0.1, 0.5]) == [0, 0, 0]
    draw(page, (0.1, 0.5), (0.3, 0.5))
    page.click("[data-pad-undo]")
    assert page.evaluate(pixel, [0.1, 0.5]) == [0, 0, 0] and page.evaluate(pixel, [0.5, 0.5]) == [255, 255, 255]
    page.click("[data-pad-clear]")
    assert page.evaluate(pixel, [0.5, 0.5]) == [0, 0, 0]


def test_a_chosen_picture_is_shown_and_replaces_the_drawing(open_page: Any, received: dict[str, tuple[str, bytes]]) -> None:
    page = open_page("/models/digits")
    draw(page, (0.5, 0.1), (0.5, 0.9))
    picture = {"name": "seven.png", "mimeType": "image/png", "buffer": blank_png(28, 28)}
    page.set_input_files("input[type=file]", [picture])
    page.wait_for_selector("#code-curl:has-text('seven.png')")
    assert received["image"] == ("seven.png", blank_png(28, 28))
    assert page.is_visible("[data-drop-preview]") and page.get_attribute("[data-drop-preview]", "src").startswith("blob:")
    assert "seven.png" in page.inner_text("[data-drop-name]")


def test_a_dropped_document_is_named_and_asked(open_page: Any) -> None:
    page = open_page("/models/resumes")
    page.evaluate("""() => {
        const data = new DataTransfer();
        data.items.add(new File(["I build bridges."], "cv.txt", { type: "text/plain" }));
        document.querySelector("[data-drop]").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""")
    assert "cv.txt, 16 bytes" in page.inner_text("[data-drop-name]")
    page.click("text=Ask the model")
    page.wait_for_selector(".answer:not(.waiting)")
    assert "document=@cv.txt" in page.inner_text("#code-curl")


def test_copy_puts_the_whole_call_on_the_clipboard(open_page: Any) -> None:
    page = open_page("/models/loan/docs")
    page.click("#panel-curl [data-copy]")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#code-curl")


def test_tabs_follow_the_keyboard_and_stay_where_they_were_after_an_answer(open_page: Any) -> None:
    page = open_page("/models/sentiment")
    page.focus("#tab-curl")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-requests", "aria-selected") == "true" and page.is_hidden("#panel-curl")
    page.click("text=Ask the model")
    page.wait_for_selector(".answer:not(.waiting)")
    assert page.is_visible("#panel-requests") and page.is_hidden("#panel-curl")


def test_a_csv_gives_a_table_and_a_download(open_page: Any, tmp_path: Any) -> None:
    page = open_page("/models/price/rows")
    rows = {"name": "rows.csv", "mimeType": "text/csv", "buffer": b"experience,test_score,interview_score\n1,2,3\n4,5,6\n"}
    page.set_input_files("input[type=file]", [rows])
    with page.expect_download() as download:
        page.click("text=Download with predictions")
    assert download.value.suggested_filename == "price-predictions.csv"
    assert "4,5,6,1234568.891" in download.value.path().read_text()
    page.click("text=Show the answers")
    assert "2 answers in" in page.inner_text("#rows h2") and page.locator("tbody tr").count() == 2


def test_a_server_that_is_gone_is_said_in_words(open_page: Any) -> None:
    page = open_page("/models/sentiment")
    page.route("**/models/sentiment", lambda route: route.abort())
    page.click("text=Ask the model")
    page.wait_for_selector(".notice.bad")
    assert "could not be reached" in page.inner_text("#answer")


def test_a_session_that_ended_is_said_in_words(open_page: Any) -> None:
    page = open_page("/models/price")
    page.route("**/models/price", lambda route: route.fulfill(status=200, content_type="text/html", body="<h1>Log in</h1>"))
    page.click("main button.primary")
    page.wait_for_selector("#answer .notice.bad")
    assert page.inner_text("#answer") == "You are signed out; load the page again."


def test_the_form_can_be_walked_by_keyboard_alone(open_page: Any) -> None:
    page = open_page("/models/loan")
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
        if seen[-1] == "Ask the model":
            break
    assert seen[0] == "Skip to the content"
    wanted = ["amount", "yearly_income", "children", "term", "owns_home", "sex", "employer", "first_payment", "reason", "Ask the model"]
    assert [name for name in dict.fromkeys(seen) if name in wanted] == wanted


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_window(open_page: Any, site: str, width: int) -> None:
    page = open_page("/", width=width)
    for path in EVERY:
        page.goto(site + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


CONTRAST = """() => {
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const under = (node) => {
        for (; node; node = node.parentElement) {
            const c = parse(getComputedStyle(node).backgroundColor);
            if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const bad = [];
    for (const node of document.querySelectorAll("body *")) {
        const says = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        const box = node.getBoundingClientRect();
        if (!says || !box.width || node.closest("[aria-hidden=true], .hidden-text, .skip, svg, [hidden]")) continue;
        const style = getComputedStyle(node);
        const [a, b] = [light(parse(style.color).slice(0, 3)), light(under(node))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio >= (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) continue;
        bad.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)} ${node.textContent.trim().slice(0, 30)}`);
    }
    return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(open_page: Any, site: str, scheme: str) -> None:
    page = open_page("/", scheme=scheme)
    for path in ("/", "/docs", "/models/loan", "/models/price", "/models/digits", "/models/old", "/models/loan/docs", "/models/loan/rows"):
        page.goto(site + path)
        if path in ("/models/loan", "/models/price"):
            page.fill("input.input >> nth=0", "forty")
            page.click("text=Ask the model")
            page.wait_for_selector(".problem")
        assert page.evaluate(CONTRAST) == [], path


NAMELESS = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a")]
    .filter((node) => node.offsetParent && !(node.getAttribute("aria-label") || node.labels?.length || node.textContent.trim()))
    .map((node) => node.outerHTML.slice(0, 120))"""


def test_every_control_has_a_name_that_can_be_read_aloud(open_page: Any, site: str) -> None:
    page = open_page("/")
    for path in EVERY:
        page.goto(site + path)
        assert page.evaluate(NAMELESS) == [], path


def test_a_kept_picture_is_shown_after_a_plain_post(open_page: Any) -> None:
    page = open_page("/models/digits", script=False)
    page.set_input_files("input[type=file]", [{"name": "a.png", "mimeType": "image/png", "buffer": blank_png(28, 28)}])
    page.click("text=Ask the model")
    shown = page.get_attribute("[data-drop-preview]", "src")
    assert base64.b64decode(re.sub("^data:image/png;base64,", "", shown)) == blank_png(28, 28)
    page.click("text=Ask the model")
    assert page.inner_text(".answer") == "8"
