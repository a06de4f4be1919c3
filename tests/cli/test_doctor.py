"""``carafe doctor``: true about the machine, and of use when something is wrong."""

from __future__ import annotations

import json
import os
import socket

import pytest

from flask_carafe.cli import main
from flask_carafe.cli.doctor import LIBRARIES, landlock_abi


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CARAFE_RUN_DIR", str(tmp_path / "r"))

    def run(*args: str) -> tuple[int, dict[str, dict[str, str]]]:
        code = main(["doctor", "--json", *args])
        return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}

    return run


def test_a_machine_that_is_well_gets_exit_0_and_nothing_is_made(doctor, tmp_path):
    code, checks = doctor("--port", "0")
    assert code == 0
    assert checks["home"]["text"].startswith(f"{tmp_path}/.carafe (will be made)")
    assert {checks[name]["state"] for name in ("python", "carafe", "home", "run directory", "port", "sqlite")} == {"ok"}
    assert not (tmp_path / ".carafe").exists()
    assert set(LIBRARIES) <= set(checks)


def test_words_for_people_have_a_mark_and_a_verdict(doctor, capsys):
    assert main(["doctor", "--port", "0"]) == 0
    out = capsys.readouterr().out
    assert "✓ home" in out and out.endswith("Everything that serving needs is here.\n")


def test_wrong_settings_are_bad_and_the_rest_is_still_told(doctor, monkeypatch):
    monkeypatch.setenv("CARAFE_PRT", "1")
    code, checks = doctor()
    assert code == 1
    assert checks["settings"]["state"] == "bad" and "did you mean CARAFE_PORT?" in checks["settings"]["text"]
    assert "home" in checks


def test_settings_that_are_no_defaults_are_told_with_their_source(doctor, tmp_path, monkeypatch):
    (tmp_path / "carafe.yaml").write_text("max_body_bytes: 1 MiB\nsecret_key: correct horse battery\n")
    monkeypatch.setenv("CARAFE_WORKERS", "3")
    _, checks = doctor("--port", "0")
    assert checks["max_body_bytes"]["text"] == "1 MiB  (carafe.yaml)"
    assert checks["workers"]["text"] == "3  (environment)"
    assert checks["secret_key"]["text"] == "(set)  (carafe.yaml)"


def test_a_port_that_is_taken_comes_with_a_way_out(doctor):
    with socket.create_server(("127.0.0.1", 0)) as other:
        _, checks = doctor("--port", str(other.getsockname()[1]))
    assert checks["port"]["state"] == "warn" and "--port" in checks["port"]["hint"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_bad(doctor, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, checks = doctor("--home", str(tmp_path / "locked" / "home"))
    assert code == 1 and checks["home"]["state"] == "bad"


def test_a_home_that_is_a_file_is_bad(doctor, tmp_path):
    (tmp_path / "file").touch()
    code, checks = doctor("--home", str(tmp_path / "file"))
    assert code == 1 and checks["home"]["state"] == "bad"


def test_a_run_directory_too_long_for_sockets_is_bad_and_says_what_to_set(doctor, monkeypatch, tmp_path):
    monkeypatch.setenv("CARAFE_RUN_DIR", str(tmp_path / ("long" * 30)))
    code, checks = doctor()
    assert code == 1
    assert "CARAFE_RUN_DIR" in checks["run directory"]["hint"]


def test_asking_for_landlock_restricts_nothing(tmp_path):
    landlock_abi()
    (tmp_path / "still").write_text("writable")
