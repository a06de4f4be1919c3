"""Many rows: a CSV in, a table out, and a file that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from flask import Flask
from flask.testing import FlaskClient

from flask_carafe.console.turns import table_turn

BROWSER = {"Accept": "text/html"}
HEAD = "experience,test_score,interview_score\n"


def test_a_pasted_csv_shows_its_answers_and_comes_back(client: FlaskClient) -> None:
    page = client.post("/models/price/rows", data={"text": HEAD + "1,2,3\n4,5,6\n", "as": "page"}, headers=BROWSER).text
    assert "2 answers in" in page and "1,234,569" in page
    assert "4,5,6</textarea>" in page.replace("\n</textarea>", "</textarea>")


def test_only_the_first_two_hundred_rows_are_drawn(client: FlaskClient) -> None:
    body = io.BytesIO((HEAD + "1,2,3\n" * 250).encode())
    page = client.post("/models/price/rows", data={"file": (body, "rows.csv"), "as": "page"}, headers=BROWSER).text
    assert "250 answers in" in page and "the first 200" in page
    assert page.count('<td class="num faint">') == 200


def test_the_download_holds_every_row_as_it_was_sent_with_its_prediction(client: FlaskClient) -> None:
    body = io.BytesIO(
        ("\ufeff" + HEAD.replace("experience", "test_score").replace("test_score,test_score", "test_score,experience") + "1,2,007\n" * 300).encode()
    )
    response = client.post("/models/price/rows", data={"file": (body, "rows.csv"), "as": "csv"})
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert response.headers["Content-Disposition"] == 'attachment; filename="price-predictions.csv"'
    assert len(rows) == 300
    assert rows[1] == {"test_score": "1", "experience": "2", "interview_score": "007", "prediction": "1234568.891"}


def test_cells_that_a_spreadsheet_would_run_are_made_harmless(client: FlaskClient) -> None:
    cells = ["=HYPERLINK(1)", "+1+cmd", "-2+3", "@SUM(1)", "\tx", "plain", "-5"]
    body = "text\n" + "".join(f'"{cell}"\n' for cell in cells)
    response = client.post("/models/sentiment/rows", data={"text": body, "as": "csv"})
    found = [row["text"] for row in csv.DictReader(io.StringIO(response.text))]
    assert found == ["'=HYPERLINK(1)", "'+1+cmd", "'-2+3", "'@SUM(1)", "'\tx", "plain", "-5"]


def test_a_wrong_cell_is_named_with_its_line_and_spoils_no_other_row(client: FlaskClient) -> None:
    response = client.post("/models/price/rows", data={"text": HEAD + "1,2,3\n\n1,two,3\n4,5\n", "as": "page"}, headers=BROWSER)
    assert response.status_code == 200 and "1 answer in" in response.text and "2 rows without an answer" in response.text
    assert "Line 4: test_score must be a number, got &#39;two&#39;" in response.text
    assert "Line 5: a row must have 3 cells as the header has, got 2." in response.text
    assert "1,two,3" in response.text


def test_a_file_without_one_good_row_is_refused_in_the_words_of_the_api(client: FlaskClient) -> None:
    response = client.post("/models/price/rows", data={"text": HEAD + "1,two,3\n", "as": "page"}, headers=BROWSER)
    assert response.status_code == 422 and "Line 2: test_score must be a number, got &#39;two&#39;" in response.text


def test_columns_that_are_no_fields_are_passed_over_and_kept_in_the_download(client: FlaskClient) -> None:
    text = "id," + HEAD.strip() + ",name\n7,1,2,3,Ann\n8,1,two,3,Bo\n"
    page = client.post("/models/price/rows", data={"text": text, "as": "page"}, headers=BROWSER).text
    assert "not used by the model: id, name" in page and "1 answer in" in page
    rows = list(csv.DictReader(io.StringIO(client.post("/models/price/rows", data={"text": text, "as": "csv"}).text)))
    assert [(row["id"], row["name"], bool(row["prediction"]), row["error"]) for row in rows] == [
        ("7", "Ann", True, ""),
        ("8", "Bo", False, "Line 3: test_score must be a number, got 'two'."),
    ]


def test_a_column_that_may_be_a_field_misspelt_is_not_passed_over(client: FlaskClient) -> None:
    response = client.post("/models/price/rows", data={"text": HEAD.replace("test_score", "test_scores") + "1,2,3\n"}, headers=BROWSER)
    assert response.status_code == 422 and "Did you mean &#39;test_score&#39;?" in response.text


def test_nothing_at_all_is_asked_for(client: FlaskClient) -> None:
    response = client.post("/models/price/rows", data={"text": "  ", "as": "page"}, headers=BROWSER)
    assert response.status_code == 400 and "Choose a CSV file" in response.text


def test_tables_take_at_most_half_of_the_threads_of_pages(made: Callable[..., Flask]) -> None:
    app = made(threads=3)
    client, sent = app.test_client(), {"text": HEAD + "1,2,3\n"}
    with table_turn(app.extensions["carafe"].state, "price"):
        response = client.post("/models/price/rows", data=sent, headers=BROWSER)
        assert response.status_code == 429 and "1,2,3" in response.text
    assert client.post("/models/price/rows", data=sent, headers=BROWSER).status_code == 200
