"""Python functions and classes in a host: type hints as signature, rows as dicts, and code that misbehaves."""

from __future__ import annotations

import datetime
import struct
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, jsons, texts

CODE = '''
import datetime
from typing import Dict, List, Literal, Optional

def greet(name: str, times: int = 1, loud: bool = False) -> str:
    return " ".join(["hello " + name] * times).upper() if loud else " ".join(["hello " + name] * times)

def age(born: datetime.date, at: Optional[datetime.datetime] = None) -> int:
    return ((at.date() if at else datetime.date(2026, 1, 1)) - born).days

def price(size: float, colour: Literal["red", "blue"], parts: List[float]) -> dict:
    return {"price": size * len(parts), "colour": colour, "parts": tuple(parts)}

def untyped(anything):
    return [anything]

def picky(x: float) -> float:
    picky.calls = getattr(picky, "calls", 0) + 1
    if x < 0:
        raise ValueError("too small")
    return float(picky.calls)

def many(*args): ...

class Pets:
    name: str
    legs: int
    def load(self):
        self.loaded = True
    def predict(self, rows: List[Dict]) -> List[str]:
        return [f"{row['name']} on {row['legs']} legs" for row in rows]

class Noisy:
    x: float
    def predict(self, rows):
        import os, random, signal
        print("to stdout"); os.chdir("/"); random.seed(1); signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for row in rows:
            row["x"] += 1
        return [row["x"] for row in rows]

class Scalar:
    x: float
    def predict(self, rows):
        return 1

def long(n: int) -> str:
    return "x" * n

NUMBER = 3
'''


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "app_models.py"
    path.write_text(CODE)
    return path


def ready(host: Peer, code: Path, name: str) -> dict[str, Any]:
    return host.ready((f"{code}:{name}", "python"))


def floats(*values: float) -> Chunk:
    return Chunk(data=struct.pack(f"<{len(values)}d", *values))


def days(*dates: datetime.date) -> Chunk:
    micro = [int((date - datetime.date(1970, 1, 1)).days) * 86_400_000_000 for date in dates]
    return Chunk(data=struct.pack(f"<{len(micro)}q", *micro))


def test_type_hints_are_the_signature_and_defaults_stand_when_left_out(host: Peer, code: Path) -> None:
    description = ready(host, code, "greet")
    found = [(column["name"], column["kind"], column["dtype"], column["nullable"], column["default"]) for column in description["input"]["columns"]]
    assert found == [("name", "text", "text", False, None), ("times", "integer", "int64", True, 1), ("loud", "boolean", "bool", True, False)]
    assert description["outputs"] == [{"name": "prediction", "role": "prediction", "kind": "text", "dtype": "text", "width": 1}]
    rows = Rows(n=2, chunks=(texts(["Ada", "Bo"]), Chunk(data=struct.pack("<2q", 2, 0), mask=b"\0\1"), Chunk(data=b"\1\0", mask=b"\0\1")))
    answer, errors = host.predict(rows)
    assert not errors and answer[0].values == ["HELLO ADA HELLO ADA", "hello Bo"]


def test_dates_and_instants_arrive_as_themselves(host: Peer, code: Path) -> None:
    description = ready(host, code, "age")
    assert [(column["kind"], column["nullable"]) for column in description["input"]["columns"]] == [("datetime", False), ("datetime", True)]
    born = datetime.date(2025, 12, 31)
    rows = Rows(n=2, chunks=(days(born, born), Chunk(data=days(born, datetime.date(2026, 1, 10)).data, mask=b"\1\0")))
    answer, errors = host.predict(rows)
    assert not errors and answer[0].values == [1, 10]


def test_literals_are_choices_and_what_json_can_say_comes_back(host: Peer, code: Path) -> None:
    description = ready(host, code, "price")
    assert description["input"]["columns"][1]["choices"] == ["red", "blue"]
    answer, errors = host.predict(Rows(n=1, chunks=(floats(2.5), texts(["red"]), jsons([[1.0, 2.0]]))))
    assert not errors and answer[0].values == [{"price": 5.0, "colour": "red", "parts": [1.0, 2.0]}]


def test_a_row_that_raises_is_asked_once_and_fails_alone(host: Peer, code: Path) -> None:
    ready(host, code, "picky")
    answer, errors = host.predict(Rows(n=4, chunks=(floats(1, -1, 1, 1),)))
    assert [(error.row, error.code, error.reason) for error in errors] == [(1, "model_error", "ValueError: too small")]
    assert answer[0].values[0] == 1 and answer[0].values[2:] == [3, 4]


def test_a_class_is_loaded_once_and_gets_rows(host: Peer, code: Path) -> None:
    description = ready(host, code, "Pets")
    assert [column["name"] for column in description["input"]["columns"]] == ["name", "legs"] and description["outputs"][0]["dtype"] == "text"
    answer, errors = host.predict(Rows(n=2, chunks=(texts(["Rex", "Tweety"]), Chunk(data=struct.pack("<2q", 4, 2)))))
    assert not errors and answer[0].values == ["Rex on 4 legs", "Tweety on 2 legs"]


def test_code_that_prints_moves_and_changes_its_input_answers_the_same_again(host: Peer, code: Path) -> None:
    ready(host, code, "Noisy")
    for _ in range(3):
        answer, errors = host.predict(Rows(n=2, chunks=(floats(1, 2),)))
        assert not errors and answer[0].values == [2, 3]


def test_a_scalar_in_place_of_a_list_is_no_answer(host: Peer, code: Path) -> None:
    ready(host, code, "Scalar")
    _, errors = host.predict(Rows(n=2, chunks=(floats(1, 2),)))
    assert [(error.row, error.code) for error in errors] == [(0, "model_output_invalid"), (1, "model_output_invalid")]


def test_an_answer_that_is_too_long_fails_its_row(host: Peer, code: Path) -> None:
    ready(host, code, "long")
    answer, errors = host.predict(Rows(n=3, chunks=(Chunk(data=struct.pack("<3q", 3, 5_000_000, 4)),)))
    assert [tuple(error) for error in errors] == [(1, "model_output_invalid", "the model answered more than 4 MiB in place of text")]
    assert (answer[0].values[0], answer[0].values[2]) == ("xxx", "xxxx")


@pytest.mark.parametrize(("name", "error"), [
    ("nothing", "missing_name"), ("NUMBER", "no_predict"), ("many", "wrong_function"),
])
def test_what_is_no_model_is_told(host: Peer, code: Path, name: str, error: str) -> None:
    assert host.load((f"{code}:{name}", "python"))["error"]["code"] == error


def test_a_place_that_is_not_there_is_told(host: Peer, tmp_path: Path) -> None:
    assert host.load((f"{tmp_path}/none.py:f", "python"))["error"]["code"] == "unreadable"
    assert host.load(("no_such_module_here:f", "python"))["error"]["code"] == "missing_module"
    assert host.load(("json", "python"))["error"]["code"] == "wrong_function"


def test_a_module_is_found_on_the_path_that_is_given(host: Peer, code: Path) -> None:
    description = host.ready(("app_models:untyped", "python"), options={"python_path": [str(code.parent)]})
    assert description["input"]["columns"][0]["kind"] == "text" and description["estimator"] == "untyped"
    answer, _ = host.predict(Rows(n=1, chunks=(texts(["x"]),)))
    assert answer[0].values == [["x"]]
