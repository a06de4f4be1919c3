"""``carafe predict``: each row gets its answer or its error, in its place, and good rows never pay for bad ones."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.serving import make_server

from flask_carafe.cli import main
from flask_carafe.cli.predictors import Refused, settle
from flask_carafe.cli.tables import Failed
from flask_carafe.extension import Carafe

ROWS = "id,age,city\n1,20,Lagos\n2,old,Lima\n3,30,Oslo\n4,,Rome\n5,40,Bern\n"


@pytest.fixture(scope="module")
def server():
    """A real server with a model that is a function; its address."""
    app = Flask(__name__)
    app.config |= {"TESTING": True, "CARAFE_URL_PREFIX": "/ml"}
    carafe = Carafe(app)

    @carafe.model("greeting")
    def greet(age: float, city: str) -> str:
        if city == "Raise":
            raise ValueError("not there")
        return f"{city} at {age:g}"

    running = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.port}/ml"
    running.shutdown()
    thread.join()
    running.server_close()


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(tmp_path: Path, text: str, name: str = "rows.csv") -> str:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


# ---- with a server


def test_a_csv_comes_back_with_answers_and_errors_in_their_places(server, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["predict", "greeting", "--url", server, "-i", write(tmp_path, ROWS), "-o", str(out)]) == 1
    rows = read(out)
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["prediction"] for row in rows] == ["Lagos at 20", "", "Oslo at 30", "", "Bern at 40"]
    assert rows[1]["error"] == "age: expected a number, got 'old'" or "age" in rows[1]["error"]
    assert "age" in rows[3]["error"] and rows[0]["error"] == ""
    told = capsys.readouterr().err
    assert "5 rows in" in told and "2 failed; line 3: age" in told and "Not used by the model: id" in told


def test_ndjson_keeps_the_inputs_and_adds_to_them(server, tmp_path, capsys):
    lines = [
        '{"age": 1, "city": "Lima", "id": "a"}',
        '{"age": "x", "city": "Lima"}',
        "not json",
        '[2, "Oslo"]',
        '{"age": 3, "city": "Rome", "prediction": "mine"}',
    ]
    code = main(["predict", "greeting", "--url", server, "-i", write(tmp_path, "\n".join(lines), "rows.ndjson"), "--quiet"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert code == 1
    assert found[0] == {"age": 1, "city": "Lima", "id": "a", "prediction": "Lima at 1"}
    assert "age" in found[1]["error"] and found[2]["input"] == "not json" and found[2]["error"]
    assert found[3] == {"input": [2, "Oslo"], "prediction": "Oslo at 2"}
    assert found[4]["prediction"] == "mine" and found[4]["answer_prediction"] == "Rome at 3"


def test_a_row_on_which_the_model_raises_fails_alone(server, tmp_path):
    out = tmp_path / "out.csv"
    text = "age,city\n" + "".join(f"{i},{'Raise' if i == 77 else 'Lima'}\n" for i in range(300))
    assert main(["predict", "greeting", "--url", server, "-i", write(tmp_path, text), "-o", str(out), "--quiet"]) == 1
    rows = read(out)
    assert [i for i, row in enumerate(rows) if row["error"]] == [77]
    assert [row["prediction"] for row in rows if not row["error"]] == [f"Lima at {i}" for i in range(300) if i != 77]


def test_rows_may_be_piped_in_and_out(server):
    command = [sys.executable, "-m", "flask_carafe", "predict", "greeting", "--url", server]
    done = subprocess.run(command, input="age,city\n1,Köln\n", capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "age,city,prediction,error\n1,Köln,Köln at 1,\n")


def test_text_comes_back_to_the_letter(server, tmp_path):
    cities = ['a "quoted" one', "two\nlines", "comma, comma", "=1+1", " spaced ", "漢字 🍷"]
    text = io.StringIO()
    csv.writer(text).writerows([["city", "age"], *([city, 1] for city in cities)])
    out = tmp_path / "out.csv"
    assert main(["predict", "greeting", "--url", server, "-i", write(tmp_path, text.getvalue()), "-o", str(out), "--quiet"]) == 0
    assert [row["prediction"] for row in read(out)] == [f"{city} at 1" for city in cities]
    assert [row["city"] for row in read(out)] == cities


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("age", "missing: city."),
        ("age,citi", "missing: city; not known: citi.\nDid you mean city?"),
        ("age,age,city", "more than once: age."),
        ("x,y", "missing: age, city; not known: x, y.\nThe fields are: age, city."),
        ("age;city", "Values are separated by ';': use commas.\n"),
    ],
)
def test_columns_that_do_not_fit_end_the_command_before_anything_is_written(server, tmp_path, capsys, header, said):
    out = tmp_path / "out.csv"
    assert main(["predict", "greeting", "--url", server, "-i", write(tmp_path, f"{header}\n1,2,3\n"), "-o", str(out)]) == 1
    assert said in capsys.readouterr().err
    assert list(tmp_path.glob("*out*")) == []


def test_ragged_lines_fail_alone(server, tmp_path):
    out = tmp_path / "out.csv"
    main(["predict", "greeting", "--url", server, "-i", write(tmp_path, "age,city\n1\n2,Lima\n3,Rome,x\n"), "-o", str(out), "--quiet"])
    assert [row["error"] for row in read(out)] == ["1 cells, the header has 2", "", "3 cells, the header has 2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"age,city\n1,\xff\n", "not UTF-8"), (b'age,city\n1,"x\n', "not CSV that can be read"), (b"\n\n", "is empty")],
)
def test_a_file_that_cannot_be_read_is_one_error(server, tmp_path, capsys, content, said):
    (tmp_path / "rows.csv").write_bytes(content)
    assert main(["predict", "greeting", "--url", server, "-i", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.csv")]) == 1
    told = capsys.readouterr().err
    assert said in told and "JSON" not in told
    assert not (tmp_path / "out.csv").exists()


def test_a_header_alone_is_no_rows_and_no_error(server, tmp_path):
    out = tmp_path / "out.csv"
    assert main(["predict", "greeting", "--url", server, "-i", write(tmp_path, "age,city\n"), "-o", str(out), "--quiet"]) == 0
    assert out.read_text() == "age,city,prediction,error\n"


def test_a_model_that_is_not_there_is_told_in_the_servers_words(server, tmp_path, capsys):
    assert main(["predict", "absent", "--url", server, "-i", write(tmp_path, "a\n1\n")]) == 1
    assert "There is no model 'absent'." in capsys.readouterr().err


def test_a_server_that_is_not_there_is_told_at_once(tmp_path, capsys):
    assert main(["predict", "m", "--url", "127.0.0.1:1", "-i", write(tmp_path, "a\n1\n")]) == 1
    assert "No server answers at 127.0.0.1:1" in capsys.readouterr().err


# ---- misuse


def test_what_cannot_be_meant_is_misuse(tmp_path, capsys):
    rows = write(tmp_path, ROWS)
    assert main(["predict", "m", "-i", rows, "-o", rows]) == 2
    assert main(["predict", "m", "-i", rows, "--labels", "a,b"]) == 2
    assert "go with a model file" in capsys.readouterr().err


def test_a_name_that_is_neither_file_nor_model_says_what_to_do(tmp_path, capsys):
    assert main(["predict", "nowhere", "-i", write(tmp_path, ROWS), "--home", str(tmp_path / "home")]) == 1
    told = capsys.readouterr().err
    assert "There is no model 'nowhere'." in told and "--url" in told


# ---- telling the bad rows from the good


class Picky:
    """Refuses bodies that hold a bad row; names the bad ones as far as ``names`` lets it."""

    fields, keys, most_rows = None, None, 256

    def __init__(self, bad: set[int], names: int) -> None:
        self.bad, self.names, self.asked = bad, names, 0

    def ask(self, form: str, body: bytes, n: int) -> list[dict[str, int] | Failed]:
        self.asked += 1
        rows = msgspec.json.decode(body)
        at_fault = [i for i, row in enumerate(rows) if row in self.bad]
        if at_fault:
            raise Refused("a row is bad", {i: f"bad {rows[i]}" for i in at_fault[: self.names]})
        return [{"prediction": row} for row in rows]

    def close(self) -> None: ...


def body(rows: Sequence[int]) -> bytes:
    return msgspec.json.encode(list(rows))


@given(st.integers(0, 60), st.sets(st.integers(0, 59)), st.integers(0, 20))
def test_only_bad_rows_fail_whatever_a_refusal_names(n, bad, names):
    outcomes = settle(Picky(bad, names), "csv", body, range(n))
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [i in bad for i in range(n)]
    assert all(outcome == {"prediction": i} for i, outcome in enumerate(outcomes) if i not in bad)


def test_one_bad_row_of_many_costs_few_questions():
    named, nameless = Picky({100}, 20), Picky({100}, 0)
    settle(named, "csv", body, range(256))
    settle(nameless, "csv", body, range(256))
    assert named.asked == 2
    assert nameless.asked < 20
