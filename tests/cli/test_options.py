"""What describes a model on a command line, and what models are called."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flask_carafe.artifacts.spec import ModelSpec, from_options, limited
from flask_carafe.cli.main import COMMANDS
from flask_carafe.cli.options import MODEL_OPTIONS, model_options, name_of, parse_models
from flask_carafe.config import Settings


@click.command()
@click.argument("file")
@model_options
def describe(file: str, model: dict) -> None:
    click.echo(sorted(model.items()))


def test_options_that_were_not_given_are_not_in_the_mapping():
    assert CliRunner().invoke(describe, ["a.pkl"]).output == "[]\n"


def test_all_options_make_one_spec(tmp_path):
    args = ["--fields", "age,city", "--labels", "0=ham,1=spam", "--columns", "c.json", "--code", "h.py", "--input", "text", "--sample", "s.csv"]
    args += ["--examples", "e.csv", "--routes", "/api", "--outputs", "logits", "--timeout-ms", "500", "--max-batch-rows", "1", "--model-threads", "2"]
    args += ["--description", "A model.", "--strict-versions", "--required", "--extra", "ignore", "--journal", "age=hashed", "--compile", "onnx"]
    got = {}

    @click.command()
    @model_options
    def take(model: dict) -> None:
        got.update(model)

    result = CliRunner().invoke(take, args)
    assert result.exit_code == 0, result.output
    assert set(got) == {key for _, key, _, _ in MODEL_OPTIONS}
    spec = from_options("m", files=["a.pkl"], **got)
    assert (spec.fields, spec.labels, spec.routes, spec.threads, spec.timeout_ms) == (("age", "city"), {"0": "ham", "1": "spam"}, ("/api",), 2, 500)
    assert spec.strict_versions and spec.outputs == "logits"


def test_every_option_is_a_key_of_the_spec():
    assert {key for _, key, _, _ in MODEL_OPTIONS} <= set(ModelSpec.__struct_fields__)


@pytest.mark.parametrize(
    ("arguments", "models"),
    [
        (["model.joblib"], {"model": ["model.joblib"]}),
        (["spam=cv.pkl,clf.pkl", "iris=iris.onnx"], {"spam": ["cv.pkl", "clf.pkl"], "iris": ["iris.onnx"]}),
        (["cv.pkl,clf.pkl"], {"clf": ["cv.pkl", "clf.pkl"]}),
        (["models/my iris (2).onnx"], {"my-iris-2": ["models/my iris (2).onnx"]}),
        (["v1.2.tar.pkl"], {"v1": ["v1.2.tar.pkl"]}),
        (["shop.pricing:predict"], {"predict": ["shop.pricing:predict"]}),
        (["price=shop/pricing.py:Price"], {"price": ["shop/pricing.py:Price"]}),
        (["shop/pricing.py:Price"], {"Price": ["shop/pricing.py:Price"]}),
        (["runs/lr=0.1/model.pkl"], {"model": ["runs/lr=0.1/model.pkl"]}),
    ],
)
def test_models_are_named_by_the_user_or_by_their_file(arguments, models):
    assert parse_models(arguments) == models


def test_a_file_that_is_there_is_taken_by_its_whole_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alpha=1,2.pkl").touch()
    assert parse_models(["alpha=1,2.pkl"]) == {"alpha-1-2": ["alpha=1,2.pkl"]}


@pytest.mark.parametrize("arguments", [["a.pkl", "x/a.onnx"], ["=a.pkl"], ["-x=a.pkl"], ["a="], [","], ["a b=c.pkl"]])
def test_names_that_cannot_be_are_misuse(arguments):
    with pytest.raises(click.UsageError):
        parse_models(arguments)


@pytest.mark.parametrize("file", ["...", "---.pkl", "模型.pkl", ".pkl", "x" * 100])
def test_any_file_gets_a_name_that_a_model_may_have(file):
    assert from_options(name_of(file), files=[file])


def test_every_option_has_its_line_in_the_docs():
    text = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    for option, key, _, _ in MODEL_OPTIONS:
        assert f"| `{option}` | `{key}` | " in text
    for name in COMMANDS:
        assert f"| `carafe {name}" in text


def test_a_model_lives_within_the_settings_where_it_says_nothing_itself():
    settings = Settings(hang_limit_s=2.5, max_batch_rows=64)
    assert limited(from_options("m", files=["a.pkl"]), settings).timeout_ms == 2500
    assert limited(from_options("m", files=["a.pkl"], timeout_ms=700), settings).timeout_ms == 700
    assert limited(from_options("m", files=["a.pkl"]), settings).max_batch_rows == 64
    assert limited(from_options("m", files=["a.pkl"], max_batch_rows=1), settings).max_batch_rows == 1
    spec = from_options("m", files=["a.pkl"])
    assert limited(spec, Settings()) == spec
