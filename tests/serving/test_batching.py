"""Batching never changes an answer: random rows of random models, cut, mixed and interleaved in any way, get what they get alone.

Real fitted models behind the real code of the host and of the lane; only the socket between them is missing, so that what is
on its way can be held up at will.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import msgspec
import pytest

pytest.importorskip("sklearn")

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingClassifier, IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from flask_carafe.artifacts.spec import from_options
from flask_carafe.hosting.frames import HEADER, pack_predict, read_answer, read_header
from flask_carafe.hosting.host import calls, wire
from flask_carafe.hosting.host.loading import load
from flask_carafe.serving.channel import Channel
from flask_carafe.serving.lane import Lane
from flask_carafe.serving.request import Answer
from flask_carafe.signature import Chunk, Output, Rows, columns
from flask_carafe.signature.infer import infer

CLOSE = 1e-12  # of a probability; of other numbers in proportion to their size
WORDS = ["good", "bad", "great", "broke", "phone", "at", "once", "", "é", "日本", "good bad"]
Row = tuple[float, ...] | str

NUMBERS = {
    "logistic": LogisticRegression(max_iter=300), "forest": RandomForestClassifier(3, random_state=1), "tree": DecisionTreeClassifier(random_state=1),
    "boosting": GradientBoostingClassifier(n_estimators=3), "neighbours": KNeighborsClassifier(3), "bayes": GaussianNB(), "vectors": SVC(),
    "network": make_pipeline(StandardScaler(), MLPClassifier((7,), max_iter=40, random_state=1)), "lda": LinearDiscriminantAnalysis(),
    "perceptron": Perceptron(), "line": LinearRegression(), "curve": make_pipeline(PolynomialFeatures(2), Ridge()), "svr": SVR(),
    "trees": ExtraTreesRegressor(3, random_state=1), "near": KNeighborsRegressor(2), "clusters": KMeans(4, n_init=1, random_state=1),
    "odd ones": IsolationForest(n_estimators=3, random_state=1), "several": RandomForestClassifier(2, random_state=2),
    "two lines": LinearRegression(),
}  # fmt: skip
TEXTS = {
    "words": make_pipeline(TfidfVectorizer(), LogisticRegression()), "hashes": make_pipeline(HashingVectorizer(n_features=64), Perceptron()),
    "counts": make_pipeline(TfidfVectorizer(), MultinomialNB()),
}  # fmt: skip
REAL_VALUED = ("line", "curve", "svr", "trees", "near")


class Served(NamedTuple):
    """A fitted model as its host holds it, and what the web side knows of it."""

    runtime: Any
    columns: Sequence[tuple[str, int]]
    outputs: Sequence[Output]
    width: int  # numbers in a row; 0 for a text


def fitted(name: str, width: int) -> Any:
    """One of the models above, fitted to ``width`` numbers a row, or to texts."""
    if name in TEXTS:
        return clone(TEXTS[name]).fit(WORDS[:7] * 3, ["a", "b", "a", "b", "c", "a", "b"] * 3)
    random = np.random.RandomState(width)
    rows = random.normal(size=(60, width))
    target = rows.sum(axis=1) + random.normal(size=60) if name in REAL_VALUED else np.array(["x", "yy", "z"])[random.randint(0, 3, 60)]
    if name == "several":
        target = np.stack([target, np.roll(target, 1)], axis=1)
    if name == "two lines":
        target = np.stack([rows.sum(axis=1), rows[:, 0]], axis=1)
    model = clone(NUMBERS[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network is not trained to its end here
        return model.fit(rows) if name in ("clusters", "odd ones") else model.fit(rows, target)


@cache
def served(folder: Path, name: str, width: int) -> Served:
    """The model, loaded by the host's own code and configured with the signature that is inferred for it."""
    path = folder / f"{name}-{width}.joblib"
    joblib.dump(fitted(name, width), path)
    runtime = load({"files": [{"path": str(path), "format": "joblib", "name": path.name}]})
    signature = infer(runtime.describe(), from_options("m", files=str(path)))
    runtime.configure(msgspec.json.decode(msgspec.json.encode(signature)))
    return Served(runtime, columns(signature), signature.outputs, width)


def packed(model: Served, rows: Sequence[Row]) -> Rows:
    """Rows as a decoder packs them; NaN, which no decoder lets through here, stands for a row that its model cannot answer."""
    if not model.width:
        texts = [str(row).encode() for row in rows]
        return Rows(len(rows), (Chunk(b"".join(texts), struct.pack(f"<{len(texts)}I", *map(len, texts))),))
    chunks, at = [], 0
    for _, width in model.columns:
        values = [value for row in rows for value in row[at : at + width]]
        chunks.append(Chunk(struct.pack(f"<{len(values)}d", *values)))
        at += width
    return Rows(len(rows), tuple(chunks))


def of_host(model: Served, frame: bytes) -> bytes:
    """What a host answers to ``frame``: the same calls in the same order as in its loop."""
    (asked,) = wire.Reader(1 << 20).feed(frame)
    answers, errors = calls.predict(model.runtime, asked.columns, asked.rows)
    told = [[row, code, text] for row, (code, text) in sorted(errors.items())]
    return bytes(wire.answer(asked.frame_id, asked.rows, answers, told))


class Alone(NamedTuple):
    """What one row gets by itself: its values by output, or its error."""

    values: list[list[Any]]
    error: tuple[str, str] | None


ALONE: dict[tuple[str, int, Row], Alone] = {}


def alone(model: Served, key: tuple[str, int], row: Row) -> Alone:
    """Ask once, remember it; rows with NaN are kept by their text, since NaN equals nothing."""
    kept = (*key, repr(row))
    if kept not in ALONE:
        lane = Lane("m", "1", model.columns, model.outputs, 1, 60.0)
        said = of_host(model, pack_predict(1, [packed(model, [row])], lane.dtypes, lane.widths))
        columns, errors = read_answer(read_header(said), said[HEADER.size :], model.outputs)
        ALONE[kept] = Alone([column.values for column in columns], (errors[0].code, errors[0].reason) if errors else None)
    return ALONE[kept]


def same(got: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return abs(got - expected) <= CLOSE * max(1.0, abs(expected))
    return bool(got == expected)


def check(model: Served, key: tuple[str, int], rows: Sequence[Row], answer: Answer) -> None:
    """Every row of ``answer`` is what the row gets alone, and its errors are those of its own rows."""
    errors = {error.row: (error.code, error.reason) for error in answer.errors}
    assert answer.n == len(rows)
    for i, row in enumerate(rows):
        expected = alone(model, key, row)
        assert errors.get(i) == expected.error, f"row {i}, {row}"
        for column, values in zip(answer.columns, expected.values, strict=True):
            at = (answer.start + i) * column.width
            got = column.values[at : at + column.width]
            assert expected.error or all(map(same, got, values)), f"row {i}, {row}: {got} in place of {values}"


class Mix(NamedTuple):
    """One case: a model, requests, and the order in which things happen."""

    name: str
    width: int
    requests: list[list[Row]]
    most_rows: int
    channels: int
    steps: list[int]


NUMBER = st.floats(-100, 100, width=32).map(lambda value: round(value, 3)) | st.sampled_from([0.0, 1.0, -1.0, 0.5])


@st.composite
def mixes(draw: st.DrawFn) -> Mix:
    is_text = draw(st.integers(0, 6)) == 0
    width = 0 if is_text else draw(st.sampled_from([1, 3]))
    row: st.SearchStrategy[Row]
    if is_text:
        row = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)
    else:
        good = st.tuples(*[NUMBER] * width)
        bad = st.tuples(*[st.just(float("nan"))] * width)
        row = st.one_of(*[good] * 9, bad)
    requests = draw(st.lists(st.lists(row, min_size=1, max_size=5) | st.lists(row, min_size=6, max_size=15), min_size=1, max_size=6))
    steps = draw(st.lists(st.integers(0, 5), max_size=20))
    name = draw(st.sampled_from(sorted(TEXTS if is_text else NUMBERS)))
    return Mix(name, width, requests, draw(st.integers(1, 40)), draw(st.integers(1, 3)), steps)


def play(folder: Path, mix: Mix) -> None:
    """Let the requests arrive, travel and be answered in the order that ``mix`` says, then whatever is left."""
    model = served(folder, mix.name, mix.width)
    lane = Lane("m", "1", model.columns, model.outputs, mix.most_rows, 60.0)
    channels = [Channel(lane, f"h{i}") for i in range(mix.channels)]
    got: dict[int, list[Any]] = {i: [] for i in range(len(mix.requests))}
    arriving, under_way, now = list(enumerate(mix.requests)), dict[Channel, bytes](), 0.0

    def step(what: int) -> None:
        nonlocal now
        now += 0.0001
        channel = channels[what % len(channels)]
        if what < 2 and arriving:
            i, rows = arriving.pop(0)
            lane.arrive(packed(model, rows), now + 1e6, now, got[i].append)
        elif channel in under_way:
            said = of_host(model, under_way.pop(channel))
            channel.answer(read_header(said), said[HEADER.size :], now)
        elif frame := channel.send(now):
            under_way[channel] = frame

    for what in mix.steps:
        step(what)
    while arriving or lane.waiting or under_way:
        for what in range(len(channels) + 2):
            step(what)
    for i, rows in enumerate(mix.requests):
        assert len(got[i]) == 1
        assert isinstance(got[i][0], Answer), got[i][0]
        check(model, (mix.name, mix.width), rows, got[i][0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.mark.timeout(600)
@settings(UNHURRIED, max_examples=200)
@given(mix=mixes())
def test_a_row_gets_in_any_company_what_it_gets_alone(folder: Path, mix: Mix) -> None:
    play(folder, mix)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(UNHURRIED, max_examples=3000)
@given(mix=mixes())
def test_a_row_gets_in_any_company_what_it_gets_alone_in_three_thousand_cases(folder: Path, mix: Mix) -> None:
    play(folder, mix)
