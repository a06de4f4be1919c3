"""A model is described in one way, whoever writes it down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from flask_carafe.artifacts import InputHint, ModelSpec, digest, from_options, located, python_reference
from flask_carafe.errors import ArtifactRefused, ConfigError
from flask_carafe.operations.declare import specs_of


def test_command_line_yaml_and_python_give_the_same_spec() -> None:
    from_cli = from_options("spam", files="cv.pkl,clf.pkl", labels="0=ham,1=spam", fields="a,b", routes="/api", timeout_ms="500", required="true")
    from_yaml = from_options(
        "spam", files=["cv.pkl", "clf.pkl"], labels={0: "ham", 1: "spam"}, fields=["a", "b"], routes=["/api"], timeout_ms=500, required=True
    )
    from_python = from_options(
        "spam",
        files=(Path("cv.pkl"), Path("clf.pkl")),
        labels={"0": "ham", "1": "spam"},
        fields=("a", "b"),
        routes=("/api",),
        **{"timeout-ms": 500},
        required=True,
    )
    assert from_cli == from_yaml == from_python
    assert msgspec.json.decode(msgspec.json.encode(from_cli), type=ModelSpec) == from_cli


def test_what_was_not_given_is_the_default() -> None:
    assert from_options("m", files="a.pkl", fields=None, labels=None, input="") == ModelSpec(name="m", files=("a.pkl",))


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"lables": "a"}, "'lables' is not an option", "labels"),
        ({"files": ""}, "has no files", "model file"),
        ({"fields": {"a": {"kind": "numbr"}}}, "fields.a.kind: got 'numbr'", "number"),
        ({"fields": {"a": {"minimun": 1}}}, "'minimun' is not known", "minimum"),
        ({"fields": "a,b,a"}, "'a' is named twice", "name of its own"),
        ({"fields": 7}, "fields: got 7", ""),
        ({"labels": "ham,1=spam"}, "some are written class=label", "one way"),
        ({"labels": "0=a,0=b"}, "one class is named twice", ""),
        ({"labels": [["a"]]}, "expected a text or a number", ""),
        ({"fields": "{a"}, "starts like JSON", ""),
        ({"input": "picture:28x28"}, "got 'picture:28x28'", "Known are"),
        ({"input": "image:28x28:inver"}, "got 'inver' for an image", "invert"),
        ({"input": "image:0x28"}, "got 0x28 pixels", ""),
        ({"input": "image:28x28:32x32"}, "says width twice", ""),
        ({"input": "text:L"}, "text takes no options", ""),
        ({"outputs": "logit"}, "got 'logit'", "logits"),
        ({"extra": "allow"}, "got 'allow'", ""),
        ({"threads": 0}, "from 1 to 256", ""),
        ({"timeout_ms": "soon"}, "got 'soon'", ""),
        ({"max_batch_rows": 1.5}, "got 1.5", ""),
        ({"required": "maybe"}, "expected true or false", ""),
        ({"routes": "api"}, "starts with '/'", ""),
        ({"code": 3}, "code: got 3", ""),
        ({"files": ["a.pkl", "shop.pricing:predict"]}, "stands alone", ""),
    ],
)
def test_an_error_says_what_it_got_and_what_is_wanted(options: dict[str, Any], words: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        from_options("m", **{"files": "a.pkl", **options})
    assert words in str(error.value)
    assert hint in error.value.hint
    assert "'m'" in str(error.value)


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        specs_of({"a": {"files": "a.pkl", "threads": 0, "lables": "x"}, "b": 7, "c": {"files": ""}}, Path())
    assert [line.split()[1] for line in str(error.value).splitlines()] == ["'a':", "'a':", "got", "'c'"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "a b", "x" * 65, "naïve", ".hidden"])
def test_names_that_could_be_paths_or_look_alike_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        from_options(name, files="a.pkl")


def test_hints_of_pictures_are_typed() -> None:
    spec = from_options("m", files="a.pkl", input="photo=image:32x24:rgb:invert:-1-1:chw,cv=document")
    photo = InputHint(kind="image", field="photo", width=32, height=24, mode="RGB", invert=True, scale=(-1.0, 1.0), layout="chw")
    assert spec.inputs == (photo, InputHint(kind="document", field="cv"))
    assert from_options("m", files="a.pkl", input="image:28x28:L:invert:0-1").inputs[0].scale == (0.0, 1.0)
    assert from_options("m", files="a.pkl", input={"photo": "image"}).inputs[0].field == "photo"


def test_names_may_hold_commas_when_they_are_quoted() -> None:
    assert from_options("m", files="a.pkl", fields='age,"city, country"').fields == ("age", "city, country")
    assert from_options("m", files="a.pkl", fields='["a,b", "c"]').fields == ("a,b", "c")


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("shop.pricing:predict", ("shop.pricing", "predict")),
        ("models/pets.py:Pets", ("models/pets.py", "Pets")),
        ("pets.py:Pets.predict", ("pets.py", "Pets.predict")),
        ("model.pkl", None),
        ("C:model", ("C", "model")),
        ("models/a.pkl:v2", None),
    ],
)
def test_python_is_told_from_files(text: str, reference: tuple[str, str] | None) -> None:
    assert python_reference(text) == reference


def test_paths_are_made_whole_and_references_stay(tmp_path: Path) -> None:
    spec = located(from_options("m", files="a.pkl", code="helpers.py"), tmp_path)
    assert spec.files == (str(tmp_path / "a.pkl"),)
    assert spec.code == str(tmp_path / "helpers.py")
    assert located(from_options("m", files="pets.py:Pets"), tmp_path).files == (f"{tmp_path}/pets.py:Pets",)
    assert located(from_options("m", files="shop:price"), tmp_path).files == ("shop:price",)


def test_the_digest_hangs_on_bytes_and_options_and_not_on_paths(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.pkl").write_bytes(b"model")
        (tmp_path / folder / "code.py").write_text("x = 1")
    spec = from_options("one", files=tmp_path / "a" / "a.pkl", code=str(tmp_path / "a" / "code.py"))
    same = from_options("two", files=tmp_path / "b" / "b.pkl", code=str(tmp_path / "b" / "code.py"))
    assert digest(spec) == digest(same)
    assert digest(spec) != digest(msgspec.structs.replace(spec, labels=("a", "b")))
    (tmp_path / "b" / "code.py").write_text("x = 2")
    assert digest(spec) != digest(same)
    with pytest.raises(ArtifactRefused, match="no such file"):
        digest(from_options("m", files=tmp_path / "absent.pkl"))


def test_the_digest_of_hosted_python_hangs_on_its_file(tmp_path: Path) -> None:
    code = tmp_path / "pets.py"
    code.write_text("class Pets: ...")
    before = digest(from_options("m", files=f"{code}:Pets"))
    code.write_text("class Pets: pass")
    assert digest(from_options("m", files=f"{code}:Pets")) != before
    assert digest(from_options("m", files="shop:price")) != digest(from_options("m", files="shop:cost"))


@pytest.mark.parametrize("route", ["/", "/models/other/predict", "/livez", "/v2/models", "/docs", "/api/v1/models"])
def test_a_route_cannot_take_a_path_of_our_own(route):
    with pytest.raises(ConfigError, match="Carafe's own"):
        from_options("iris", files="iris.joblib", routes=[route])
