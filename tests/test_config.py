"""Settings: layers, types, and errors that name everything wrong at once."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_carafe.config import SETTINGS, Settings, read_yaml, show
from flask_carafe.errors import ConfigError

DOCS = Path(__file__).parents[1] / "docs" / "configuration.md"


def load(tmp_path: Path, yaml: str = "", environ: dict[str, str] | None = None, **layers: Any) -> Settings:
    if yaml:
        (tmp_path / "carafe.yaml").write_text(yaml, encoding="utf-8")
    return Settings.load(environ=environ or {}, directory=tmp_path, **layers)


def test_without_anything_given_the_defaults_of_the_design_hold(tmp_path):
    settings = load(tmp_path)
    assert settings.home == tmp_path / ".carafe"
    assert (settings.max_body_bytes, settings.max_rows, settings.max_batch_rows) == (16 << 20, 10_000, 256)
    assert (settings.predict_timeout_s, settings.hang_limit_s, settings.drain_s) == (2.0, 10.0, 30.0)
    assert (settings.queue_rows, settings.queue_bytes, settings.reading_bytes) == (4096, 64 << 20, 128 << 20)
    assert (settings.header_timeout_s, settings.body_timeout_s, settings.workers, settings.threads) == (10, 30, 2, 16)
    assert settings.provenance("port") == "default"


def test_each_layer_beats_the_one_below_and_says_where_a_value_came_from(tmp_path):
    layers: dict[str, Any] = {
        "yaml": "port: 1\nworkers: 1\nthreads: 1\nmax_rows: 1\n",
        "app_config": {"CARAFE_PORT": 2, "CARAFE_WORKERS": 2, "CARAFE_THREADS": 2},
    }
    settings = load(tmp_path, environ={"CARAFE_PORT": "3", "CARAFE_WORKERS": "3"}, command_line={"port": 4, "host": None}, **layers)
    assert (settings.port, settings.workers, settings.threads, settings.max_rows) == (4, 3, 2, 1)
    names = [settings.provenance(name) for name in ("port", "CARAFE_WORKERS", "threads", "max_rows", "host")]
    assert names == ["command line", "environment", "app.config", "carafe.yaml", "default"]


def test_all_problems_are_listed_and_the_nearest_key_is_named(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "max_row: 5\nport: many\n", {"CARAFE_WROKERS": "2", "CARAFE_PUBLIC": "perhaps"}, app_config={"CARAFE_DOOR": "window"})
    text = str(caught.value)
    assert "5 settings are wrong" in text
    assert "max_row (carafe.yaml) is not a setting (did you mean max_rows?)." in text
    assert "CARAFE_WROKERS (environment) is not a setting (did you mean CARAFE_WORKERS?)." in text
    assert "port (carafe.yaml) must be a whole number, got 'many'" in text
    assert "CARAFE_PUBLIC (environment) must be true or false, got 'perhaps'" in text
    assert "CARAFE_DOOR (app.config) must be one of flask, wsgi, got 'window'" in text


def test_a_mistake_in_a_lower_layer_is_told_although_a_higher_one_wins(tmp_path):
    with pytest.raises(ConfigError, match="workers"):
        load(tmp_path, "workers: 0\n", command_line={"workers": 3})


@pytest.mark.parametrize(
    ("text", "size"), [("16 MiB", 16 << 20), ("1.5MiB", 3 << 19), ("4096", 4096), ("64 kb", 64_000), ("1_000", 1000), ("2g", 2 << 30), ("7 bytes", 7)]
)
def test_sizes_are_written_as_people_write_them(tmp_path, text, size):
    assert load(tmp_path, environ={"CARAFE_MAX_BODY_BYTES": text}).max_body_bytes == size


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2.0), ("500ms", 0.5), ("1 min", 60.0), ("0.25", 0.25), ("3", 3.0)])
def test_times_are_written_as_people_write_them(tmp_path, text, seconds):
    assert load(tmp_path, f"predict_timeout_s: {text}\n").predict_timeout_s == seconds


@pytest.mark.parametrize("text", ["-1 MiB", "lots", "1.0000001 b", "16 MiB 2", "nan", "inf", "0", "1e3", "٣"])
def test_a_size_that_is_none_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match="max_body_bytes"):
        load(tmp_path, f"max_body_bytes: '{text}'\n")


def test_a_number_is_not_a_truth_and_a_truth_is_not_a_number(tmp_path):
    with pytest.raises(ConfigError, match="2 settings"):
        load(tmp_path, app_config={"CARAFE_PORT": True, "CARAFE_MODELS": "iris.pkl"})
    assert load(tmp_path, environ={"CARAFE_PUBLIC": "1", "CARAFE_DEV": "off"}).public is True


def test_yaml_keys_may_stand_only_once(tmp_path):
    with pytest.raises(ConfigError, match=r"carafe\.yaml .*'iris' stands twice \(line 3, column 3\)"):
        load(tmp_path, "models:\n  iris: a.pkl\n  iris: b.pkl\n")


def test_yaml_words_and_dates_stay_texts(tmp_path):
    content = "models:\n  spam: {labels: [no, yes, on, off], fields: {day: {example: 2019-01-02}, at: {example: '12:30:00'}}, code: 012, x: 1:30}\n"
    spam = load(tmp_path, content).models["spam"]
    assert spam["labels"] == ["no", "yes", "on", "off"]
    assert spam["fields"]["day"]["example"] == "2019-01-02"
    assert spam["x"] == "1:30"
    assert load(tmp_path, "public: true\nport: 0\ncors_origins: [https://a.example]\n").public is True


def test_yaml_labels_keep_their_number_keys(tmp_path):
    assert load(tmp_path, "models: {s: {files: [a.pkl], labels: {0: negative, 1: positive}}}\n").models["s"]["labels"] == {
        0: "negative",
        1: "positive",
    }


@pytest.mark.parametrize(
    "content",
    ["- a\n- b\n", "port: [1\n", "!!python/object/apply:os.system ['true']\n", "port: &a [*a]\n", "\t: x", "a: !!int z", "? [1, 2]\n: 3\n", "1: 2\n"],
)
def test_yaml_that_is_no_mapping_of_settings_is_refused_with_the_place(tmp_path, content):
    with pytest.raises(ConfigError, match=r"carafe\.yaml|port"):
        load(tmp_path, content)


def test_an_empty_yaml_file_changes_nothing(tmp_path):
    assert load(tmp_path, "# nothing yet\n").port == 5000


def test_a_config_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"CARAFE_CONFIG names 'absent\.yaml'"):
        load(tmp_path, environ={"CARAFE_CONFIG": "absent.yaml"})


def test_relative_paths_begin_where_they_were_written(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "c.yaml").write_text("home: state\nmodels: {iris: iris.pkl}\n")
    settings = load(tmp_path, command_line={"config": "etc/c.yaml"})
    assert settings.home == tmp_path / "etc" / "state"
    assert settings.models_base == tmp_path / "etc"
    assert load(tmp_path, command_line={"config": "etc/c.yaml", "home": "here"}).home == tmp_path / "here"


def test_an_app_gives_its_own_defaults(tmp_path):
    settings = load(tmp_path, defaults={"home": tmp_path / "instance", "url_prefix": "/carafe"})
    assert (settings.home, settings.url_prefix) == (tmp_path / "instance", "/carafe")
    assert load(tmp_path, environ={"CARAFE_URL_PREFIX": "/"}, defaults={"url_prefix": "/carafe"}).url_prefix == ""


def test_variables_of_a_kubernetes_service_called_carafe_are_not_ours(tmp_path):
    links = {
        "CARAFE_PORT": "tcp://10.0.0.1:80",
        "CARAFE_SERVICE_HOST": "10.0.0.1",
        "CARAFE_PORT_80_TCP_ADDR": "10.0.0.1",
        "CARAFE_SERVICE_PORT_HTTP": "80",
    }
    assert load(tmp_path, environ=links).port == 5000


def test_an_empty_variable_is_a_variable_that_was_not_given(tmp_path):
    assert load(tmp_path, environ={"CARAFE_PORT": ""}).port == 5000


def test_a_child_process_comes_to_the_same_settings(tmp_path):
    given = {"port": 5000, "public": True, "cors_origins": ("https://a.example", "https://b.example"), "predict_timeout_s": 0.5}
    parent = load(tmp_path, "port: 6000\nworkers: 3\nmax_body_bytes: 1 MiB\nsecret_key: 0123456789abcdef\n", command_line=given)
    child = Settings.load(environ=parent.environment(), directory=tmp_path.parent)
    for field in dataclasses.fields(Settings):
        assert field.name == "sources" or getattr(child, field.name) == getattr(parent, field.name), field.name


def test_the_secret_is_in_no_text(tmp_path):
    settings = load(tmp_path, environ={"CARAFE_SECRET_KEY": "correct horse battery"})
    assert "horse" not in repr(settings)
    assert show(next(s for s in SETTINGS if s.secret), settings.secret_key) == "(set)"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, app_config={"CARAFE_SECRET_KEY": 1234567})
    assert "1234567" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("url_prefix", "carafe"), ("url_prefix", "//evil"), ("cors_origins", ["https://a.example/x"]), ("secret_key", "short")]
)
def test_what_a_type_cannot_say_is_checked_too(tmp_path, key, value):
    with pytest.raises(ConfigError, match=key):
        load(tmp_path, app_config={"CARAFE_" + key.upper(): value})


def test_what_belongs_to_the_process_is_refused_in_the_file(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "run_dir: /run/x\nconfig: other.yaml\n", {"CARAFE_MODELS": "a"}, command_line={"secret_key": "0123456789abcdef"})
    assert "run_dir (carafe.yaml) may stand only here: environment" in str(caught.value)
    assert str(caught.value).count("may stand only here") == 4


def test_settings_cannot_be_changed(tmp_path):
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(tmp_path).port = 1  # type: ignore[misc]


def test_a_yaml_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfport: 1\n")
    assert read_yaml(path) == {"port": 1}
    path.write_bytes(b"port: \xff\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_yaml(path)


def test_every_setting_has_its_line_in_the_docs():
    text = DOCS.read_text(encoding="utf-8")
    for setting in SETTINGS:
        default = f"`{setting.shown_default}`" if setting.shown_default else ""
        assert f"| `{setting.name}` | {default} | {setting.help} |" in text, setting.name


def test_a_command_line_goes_on_top_of_settings_that_stand(tmp_path):
    settings = load(tmp_path, app_config={"CARAFE_WORKERS": 3}).overridden({"port": "0", "host": None})
    assert (settings.port, settings.workers, settings.provenance("port"), settings.provenance("workers")) == (0, 3, "command line", "app.config")
    with pytest.raises(ConfigError, match="--port"):
        settings.overridden({"port": "many"})


SNIPPETS = st.sampled_from([*"-{}[]|>#'\"\n\té%", "port", "models", ": ", "  ", "&a", "*a", "<<", "!!binary", "!!set", "? ", "0x", "2019-01-01"])


@given(st.lists(SNIPPETS | st.text(max_size=4), max_size=30).map("".join))
def test_any_text_at_all_is_settings_or_a_config_error(text):
    with TemporaryDirectory() as folder:
        (Path(folder) / "carafe.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigError):
            Settings.load(environ={}, directory=Path(folder))


ODD = st.sampled_from([1e-05, 0.1 + 0.2, 123456789012.5, ["a,b"], "a,b", "\0", [" "], "/", "~", "https://a", 2**63])
VALUES = ODD | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


def test_a_home_of_nobody_is_no_path():
    with pytest.raises(ConfigError, match="must be a path; there is no user of that name"):
        Settings.load(environ={}, app_config={"CARAFE_HOME": "~nobody-of-that-name/carafe"})


@settings(max_examples=300)
@given(st.sampled_from(SETTINGS), VALUES)
def test_any_value_of_any_setting_is_converted_or_a_config_error(setting, value):
    try:
        parent = Settings.load(environ={}, app_config={setting.key: value}, directory=Path("/nowhere"))
    except ConfigError as exc:
        assert setting.name in str(exc).lower()
    else:
        child = Settings.load(environ=parent.environment(), directory=Path("/nowhere"))
        assert setting.name == "models" or getattr(child, setting.name) == getattr(parent, setting.name)
