"""From a fitted model to an answer, through a real host: what is inferred is enough, and answers equal direct ones."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flask_carafe.artifacts.spec import from_options
from flask_carafe.errors import InvalidInput
from flask_carafe.hosting import frames
from flask_carafe.signature import Output, Rows, Signature, columns, schema, unpack
from flask_carafe.signature.answer import Encoder
from flask_carafe.signature.decode import Decoder
from flask_carafe.signature.infer import infer, with_nullable
from flask_carafe.signature.kinds import Upload
from flask_carafe.signature.pending import Pending
from hosting.host_client import Peer, Zygote, blobs, jsons
from models import small


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(
        tmp_path_factory.mktemp("z"),
        modules=["sklearn.linear_model", "sklearn.ensemble", "sklearn.pipeline", "sklearn.compose", "pandas", "PIL.Image", "pypdf"],
    )
    yield made
    made.end()


class Served:
    """One fitted model in a host, with the signature that was inferred for it."""

    def __init__(self, peer: Peer, path: Path, nullable: list[str] | None = None, **options: Any) -> None:
        reply = peer.load(path)
        assert reply["ok"], reply
        self.peer = peer
        self.signature = infer(reply["description"], from_options("m", files=str(path), **options))
        if nullable is not None:
            self.signature = with_nullable(self.signature, nullable)
        wire = msgspec.json.encode(self.signature)
        assert msgspec.json.decode(wire, type=Signature) == self.signature
        peer.configure(json.loads(wire), json.loads(msgspec.json.encode(self.signature.outputs)))
        assert [(frames.DTYPES[dtype], width) for dtype, width in columns(self.signature)]
        self.decoder, self.encoder = Decoder(self.signature), Encoder(self.signature)

    def ask(self, body: Any) -> dict[str, Any]:
        return self.answer(self.decoder.json(json.dumps(body).encode()))

    def answer(self, rows: Any) -> dict[str, Any]:
        assert isinstance(rows, Rows)
        answered, errors = self.peer.predict(rows)
        assert not errors
        return self.encoder.body(answered, 0, rows.n, rows.scalar)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client would send them: null where a cell is empty."""
    return [{name: None if pd.isna(value) else value for name, value in row.items()} for row in json.loads(frame.to_json(orient="records"))]


def fit_table(frame: pd.DataFrame, target: Any) -> Any:
    frame = frame.copy()
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].astype(object).where(frame[name].notna(), np.nan)
    categories = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="error"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    parts = ColumnTransformer(
        [("c", categories, make_column_selector(dtype_include=object)), ("n", numbers, make_column_selector(dtype_include="number"))]
    )
    return make_pipeline(parts, LogisticRegression(max_iter=2000)).fit(frame, target), frame


def check_table(served: Served, fitted: Any, frame: pd.DataFrame, target_names: list[Any]) -> None:
    rows = records(frame.head(40))
    answer = served.ask({"rows": rows})
    assert answer["prediction"] == fitted.predict(frame.head(40)).tolist()
    probabilities = fitted.predict_proba(frame.head(40))
    np.testing.assert_allclose([list(row.values()) for row in answer["probabilities"]], probabilities, rtol=1e-12)
    assert list(answer["probabilities"][0]) == [str(name) for name in target_names]
    for row in rows[:5]:
        assert served.ask(row) == served.ask(dict(reversed(row.items())))
    by_csv = served.answer(served.decoder.csv(frame.head(40).to_csv(index=False).encode()))
    assert by_csv == answer
    assert served.answer(served.decoder.value(frame.head(40))) == answer


def test_the_titanic(zygote: Zygote, tmp_path: Path, data: Callable[[str], Path]) -> None:
    path = data("titanic/titanic.csv")
    table = pd.read_csv(path)
    fitted, frame = fit_table(table[["Pclass", "Sex", "Age", "SibSp", "Fare", "Embarked"]], table["Survived"])
    with zygote.host() as peer:
        served = Served(peer, small.save(fitted, tmp_path / "m.joblib"), sample=str(path))
        kinds = {field.name: (field.kind, field.choices) for field in served.signature.fields}
        assert kinds["Sex"] == ("category", ("female", "male"))
        assert kinds["Embarked"] == ("category", ("C", "Q", "S"))
        assert kinds["Age"][0] == "number" and served.signature.field("Age").nullable
        check_table(served, fitted, frame, [0, 1])
        assert isinstance(served.ask(schema.example_request(served.signature))["prediction"], int)


def test_telco_churn(zygote: Zygote, tmp_path: Path, data: Callable[[str], Path]) -> None:
    path = data("telco-churn/telco_churn_a.csv")
    table = pd.read_csv(path, na_values=[" "]).head(1500)
    fitted, frame = fit_table(table.drop(columns=["customerID", "Churn"]), table["Churn"])
    with zygote.host() as peer:
        served = Served(peer, small.save(fitted, tmp_path / "m.joblib"), sample=str(path))
        total = served.signature.field("TotalCharges")
        assert total is not None and (total.kind, total.nullable) == ("number", True)
        assert served.signature.field("Contract").choices == ("Month-to-month", "One year", "Two year")
        check_table(served, fitted, frame, ["No", "Yes"])


def test_text_numbers_pictures_and_regressions(zygote: Zygote, tmp_path: Path) -> None:
    digits = load_digits()
    with zygote.host() as peer:
        served = Served(peer, small.save(small.sentiment(), tmp_path / "text.joblib"))
        assert served.ask({"text": "great: a good phone"})["prediction"] == "positive"
        assert served.ask({"texts": ["great", "terrible"]})["prediction"] == ["positive", "negative"]
    with zygote.host() as peer:
        fitted = RandomForestClassifier(10, random_state=0).fit(digits.data, digits.target)
        served = Served(peer, small.save(fitted, tmp_path / "digits.joblib"), input="image:8x8:L:0-16")
        wanted = fitted.predict(digits.data[:3]).tolist()
        assert served.ask({"features": digits.data[:3].tolist()})["prediction"] == wanted
        assert served.ask({"image": digits.images[0].tolist()})["prediction"] == wanted[0]
        assert served.ask({"images": [image.tolist() for image in digits.images[:3]]})["prediction"] == wanted
    with zygote.host() as peer:
        rows, _ = small.points()
        fitted = RandomForestRegressor(5, random_state=0).fit(rows, rows[:, 0] * 2)
        served = Served(peer, small.save(fitted, tmp_path / "number.joblib"), fields="a,b,c,d")
        assert served.ask({"features": rows[0].tolist()}) == {"prediction": fitted.predict(rows[:1]).tolist()}
        assert served.ask(dict(zip("dcba", rows[0][::-1].tolist(), strict=True)))["prediction"] == fitted.predict(rows[:1])[0]


def read_media(zygote: Zygote, pending: Pending) -> Rows:
    """What the engine does: ask the media host for every file, complete the rows."""
    answers = []
    with zygote.host() as media:
        assert media.load(options={"runtime": "media"})["ok"]
        for request in pending.media:
            is_image = request.field.kind == "image"
            media.signature = {"fields": [{"dtype": "bytes"}, {"dtype": "json"}], "layout": "columns"}
            media.outputs = [Output(name="prediction", dtype="float32" if is_image else "text", width=request.field.width if is_image else 1)]
            rows = Rows(len(request.blobs), (blobs(request.blobs), jsons([request.wanted] * len(request.blobs))))
            columns_read, faults = media.predict(rows)
            if faults:
                raise request.refusal(faults)
            answers.append(columns_read[0])
    return pending.complete(answers)


@pytest.mark.parametrize(
    ("hint", "shape"), [("image:0-16", [8, 8]), ("image:RGB:invert:0-1", [3, 8, 8]), ("image:RGB", [8, 8, 3]), ("image:8x8:L", [64])]
)
def test_a_picture_file_becomes_the_numbers_that_it_shows(zygote: Zygote, hint: str, shape: list[int]) -> None:
    image = pytest.importorskip("PIL.Image")
    grey = (load_digits().images[0] * 15).astype("uint8")
    file = io.BytesIO()
    image.fromarray(grey).save(file, "PNG")
    column = {"name": None, "kind": "tensor", "dtype": "float32", "shape": shape}
    signature = infer({"input": {"build": "tensor", "named": False, "columns": [column]}}, from_options("m", files="x", input=hint))
    body = json.dumps({"images": [base64.b64encode(file.getvalue()).decode()] * 2}).encode()
    pending = Decoder(signature).json(body)
    assert isinstance(pending, Pending)
    wanted = grey / 255 * 16 if "0-16" in hint else (255 - grey) / 255 if "invert" in hint else grey.astype(float)
    if len(shape) == 3:
        wanted = np.stack([wanted] * 3, axis=0 if shape[0] == 3 else -1)
    for row in unpack.values(signature, read_media(zygote, pending)):
        np.testing.assert_allclose(np.array(row["image"]).reshape(shape), wanted.reshape(shape), rtol=1e-6)
    broken = Decoder(signature).json(json.dumps({"image": base64.b64encode(file.getvalue()[:60]).decode()}).encode())
    with pytest.raises(InvalidInput, match=r"image cannot be read: .*(damaged|cut short)"):
        read_media(zygote, broken)


def test_a_document_becomes_its_text(zygote: Zygote, data: Callable[[str], Path]) -> None:
    text = {"name": None, "kind": "text", "dtype": "text", "shape": []}
    signature = infer({"input": {"build": "texts", "named": False, "columns": [text]}}, from_options("m", files="x", input="document"))
    files = sorted(data("resumes/pdf").glob("*.pdf"))[:1] + sorted(data("resumes/docx").glob("*.docx"))[:1]
    for file in files:
        pending = Decoder(signature).form({}, {"document": Upload(file.read_bytes(), file.name)})
        assert isinstance(pending, Pending)
        assert len(unpack.values(signature, read_media(zygote, pending))[0]["document"].split()) > 50


def test_several_targets_and_labels(zygote: Zygote, tmp_path: Path) -> None:
    rows, target = small.points()
    with zygote.host() as peer:
        several = np.column_stack([target, np.where(rows[:, 1] > 0, "big", "small")])
        fitted = RandomForestClassifier(5, random_state=0).fit(rows, several)
        served = Served(peer, small.save(fitted, tmp_path / "several.joblib"))
        answer = served.ask({"features": rows[:4].tolist()})
        assert [[str(value) for value in row] for row in answer["prediction"]] == fitted.predict(rows[:4]).tolist()
        direct = fitted.predict_proba(rows[:4])
        for place, row in enumerate(answer["probabilities"]):
            for at, target_probabilities in enumerate(row.values()):
                np.testing.assert_allclose(list(target_probabilities.values()), direct[at][place])
    with zygote.host() as peer:
        served = Served(peer, small.save(LogisticRegression().fit(rows, target), tmp_path / "l.joblib"), labels="0=ham,1=spam")
        answer = served.ask({"features": rows[0].tolist()})
        assert answer["prediction"] == [["ham", "spam"][target[0]]] and list(answer["probabilities"][0]) == ["ham", "spam"]
