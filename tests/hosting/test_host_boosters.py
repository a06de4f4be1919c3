"""The files that LightGBM writes itself, answered as the library's own wrapper for scikit-learn answers."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flask_carafe.artifacts.names import LIBRARIES
from flask_carafe.errors import LoadFailed, UnknownFormat
from flask_carafe.hosting.host.libraries import ALLOWED
from hosting.bench import Bench
from hosting.host_client import Zygote

RNG = np.random.RandomState(0)
N = 200
CITIES = ["Lagos", "Lima", "Oslo"]
FRAME = pd.DataFrame({
    "age": RNG.uniform(18, 80, N), "rooms": RNG.randint(1, 6, N), "city": pd.Categorical(RNG.choice(CITIES, N)), "flag": RNG.rand(N) > 0.5,
})  # fmt: skip
NUMBERS = FRAME[["age", "rooms"]]
BINARY = ((FRAME["age"] > 40) & (FRAME["city"] == "Oslo")).astype(int)
THREE = FRAME["rooms"] % 3
ROWS = [
    {"age": 41.5, "rooms": 3, "city": "Oslo", "flag": 1}, {"age": 20, "rooms": 1, "city": "Lagos", "flag": 0}, {"rooms": 5, "city": "Lima"},
    {"age": 70, "rooms": 5, "flag": 1},
]  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="carafe-b") as folder:
        made = Bench(Path(folder))
        yield made
        made.close()


@pytest.fixture(scope="module")
def lightgbm() -> Any:
    return pytest.importorskip("lightgbm")


def asked(*names: str) -> pd.DataFrame:
    """``ROWS`` as a table with the types of the training."""
    frame = pd.DataFrame(ROWS, columns=list(FRAME.columns))
    frame["city"] = pd.Categorical(frame["city"], categories=CITIES)
    return frame.assign(flag=frame["flag"].astype(float))[list(names or FRAME.columns)]


def rows_of(*names: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name in names} for row in ROWS]


def saved(model: Any, folder: Path) -> Path:
    model.booster_.save_model(folder / "model.txt")
    return folder / "model.txt"


def probabilities(body: dict[str, Any]) -> np.ndarray:
    return np.array([list(row.values()) for row in body["probabilities"]])


@pytest.mark.parametrize("target", [BINARY, THREE], ids=["two classes", "three classes"])
def test_lightgbm_tells_classes_apart_as_its_wrapper_does(lightgbm: Any, bench: Bench, tmp_path: Path, target: pd.Series) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=8, verbose=-1).fit(FRAME, target)
    body = bench.answer(ROWS, saved(model, tmp_path))
    assert body["prediction"] == model.predict(asked()).tolist()
    np.testing.assert_allclose(probabilities(body), model.predict_proba(asked()), rtol=0, atol=1e-15)


@pytest.mark.parametrize("objective", ["regression", "poisson", "lambdarank"])
def test_lightgbm_gives_numbers_and_scores_as_its_wrapper_does(lightgbm: Any, bench: Bench, tmp_path: Path, objective: str) -> None:
    more = {"group": [100, 100]} if objective == "lambdarank" else {}
    kind = lightgbm.LGBMRanker if more else lightgbm.LGBMRegressor
    model = kind(objective=objective, n_estimators=5, verbose=-1).fit(NUMBERS, THREE, **more)
    body = bench.answer(rows_of("age", "rooms"), saved(model, tmp_path))
    np.testing.assert_allclose(body["prediction"], model.predict(asked("age", "rooms")), rtol=1e-15)


def test_lightgbm_tells_names_ranges_and_categories(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    path = saved(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(FRAME, BINARY), tmp_path)
    admission = bench.admit(path, labels={"0": "stays", "1": "leaves"})
    fields = {field.name: field for field in admission.signature.fields}
    assert list(fields) == list(FRAME.columns) and all(field.nullable for field in fields.values())
    assert (fields["rooms"].low, fields["rooms"].high) == (1, 5)
    assert (fields["city"].kind, fields["city"].choices) == ("category", tuple(CITIES))
    assert admission.description["runtime"] == "lightgbm" and "binary, 3 trees" in admission.description["estimator"]
    assert admission.prediction["prediction"] in ("stays", "leaves")


def test_lightgbm_on_an_array_takes_codes_and_has_no_names(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    codes = np.column_stack([FRAME["age"], FRAME["city"].cat.codes])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = saved(lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(codes, BINARY, categorical_feature=[1]), tmp_path)
    admission = bench.admit(path, fields=["age", "city"])
    assert [(field.name, field.choices) for field in admission.signature.fields] == [("age", ()), ("city", (0, 1, 2))]


def test_a_custom_objective_gives_scores_that_may_be_logits(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    def logistic(true: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = 1 / (1 + np.exp(-raw))
        return given - true, given * (1 - given)

    path = saved(lightgbm.LGBMClassifier(objective=logistic, n_estimators=5, verbose=-1).fit(NUMBERS, BINARY), tmp_path)
    assert any("raw scores" in warning for warning in bench.admit(path).warnings)
    raw = np.array(bench.answer(rows_of("age", "rooms"), path)["prediction"])
    body = bench.answer(rows_of("age", "rooms"), path, outputs="logits")
    np.testing.assert_allclose(probabilities(body)[:, 1], 1 / (1 + np.exp(-raw)), rtol=1e-12)


def test_categories_that_cannot_be_told_apart_are_refused(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    frame = FRAME.assign(grade=pd.Categorical(RNG.choice(["low", "high"], N), categories=["low", "high"], ordered=True))
    path = saved(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(frame, BINARY), tmp_path)
    with pytest.raises(LoadFailed, match="2 lists of categories"):
        bench.admit(path)


def test_a_file_that_was_cut_short_is_refused_before_it_is_loaded(lightgbm: Any, bench: Bench, tmp_path: Path) -> None:
    path = saved(lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(NUMBERS, BINARY), tmp_path)
    data = path.read_bytes()
    for share in (0.05, 0.3, data.index(b"end of trees") / len(data)):
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises((LoadFailed, UnknownFormat), match="not whole"):
            bench.admit(path)


def test_a_host_forked_after_the_import_computes_on_several_threads(lightgbm: Any, tmp_path: Path) -> None:
    path = saved(lightgbm.LGBMRegressor(n_estimators=5, verbose=-1).fit(NUMBERS, THREE), tmp_path)
    zygote = Zygote(tmp_path, modules=["lightgbm"])
    try:
        assert zygote.imported["threads"] == 1
        for threads in (2, 1):
            with zygote.host() as host:
                host.ready((path, "lightgbm"), options={"threads": threads})
                answer, errors = host.predict(matrix(64))
                assert len(answer[0].values) == 64 and not errors
    finally:
        zygote.end()


def matrix(n: int) -> Any:
    from flask_carafe.signature import Chunk, Rows

    return Rows(n=n, chunks=(Chunk(data=NUMBERS.to_numpy(dtype="<f8")[:n].tobytes()),))


def test_zygotes_may_import_what_pickles_are_known_by() -> None:
    assert LIBRARIES <= ALLOWED
