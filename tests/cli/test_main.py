"""The command line's front door: light, helpful about mistakes, and the same under ``flask``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from flask_carafe import errors
from flask_carafe.cli import group, main
from flask_carafe.cli import main as main_function
from flask_carafe.cli.main import COMMANDS, LazyGroup

MAIN = sys.modules[main_function.__module__]


def run(*args: str, door: tuple[str, ...] = ("flask_carafe",), **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *door, *args], capture_output=True, text=True, timeout=60, check=False, **more)


@pytest.fixture
def command(monkeypatch):
    """Put a command of the test's own in the group: ``command(function)``."""

    def put(function) -> None:
        own = click.command("doctor")(function)
        monkeypatch.setattr(LazyGroup, "get_command", lambda self, ctx, name: own if name == "doctor" else None)

    return put


def test_help_names_every_command_and_says_how_to_begin():
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for name in COMMANDS:
        assert f"\n  {name}  " in done.stdout
    assert "carafe serve model.joblib" in done.stdout


def test_help_imports_no_command_and_neither_flask_nor_a_model_library():
    code = (
        "import sys; from flask_carafe.cli import main; main(['--help']);"
        "bad = {'flask', 'werkzeug', 'sklearn', 'numpy', 'granian', 'yaml', 'asyncio', 'prometheus_client'} & set(sys.modules);"
        "bad |= {name for name in sys.modules if name.startswith('flask_carafe.cli.') and name != 'flask_carafe.cli.main'};"
        "print(sorted(bad), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "[]\n"


def test_every_command_is_where_its_name_says():
    for name in COMMANDS:
        with click.Context(group) as context:
            found = group.get_command(context, name)
        assert found is not None and found.name == name
        assert found.help


def test_a_mistyped_command_is_misuse_and_the_nearest_one_is_named(capsys):
    assert main(["srve"]) == 2
    assert "no command 'srve'; did you mean serve?" in capsys.readouterr().err


def test_our_errors_are_a_line_with_a_next_step_and_exit_1(capsys, command):
    def fail() -> None:
        raise errors.VersionNotFound("iris", 7)

    command(fail)
    assert main(["doctor"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "Error: Model 'iris' has no version 7.\nGET /v2/models/NAME lists its versions.\n"


def test_details_of_an_error_are_told_by_row_and_field(capsys, command):
    def fail() -> None:
        raise errors.InvalidInput("age must be a number, got 'old'", [errors.Detail("age", "number", "'old'", 3)], "Send a number.")

    command(fail)
    assert main(["doctor"]) == 1
    assert "  row 3, age: expected number, got 'old'" in capsys.readouterr().err


def test_a_number_that_a_command_returns_is_the_exit_code_under_flask_too(command):
    command(lambda: 1)
    assert main(["doctor"]) == 1
    assert CliRunner().invoke(group, ["doctor"]).exit_code == 1


def test_ctrl_c_ends_quietly(capsys, command):
    def interrupted() -> None:
        raise KeyboardInterrupt

    command(interrupted)
    assert main(["doctor"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_closed_pipe_is_quiet():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "flask_carafe", "doctor", "--json"], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 1


def test_version_names_what_a_bug_report_needs(capsys):
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert "Flask-Carafe" in out and "Python 3." in out and "Granian" in out


def test_the_group_hangs_under_flask(tmp_path):
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\napp.config['CARAFE_WORKERS'] = 3\n")
    env = {**os.environ, "FLASK_APP": "app"}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "carafe", "doctor", "--json"], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False
    )
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["workers"]["text"] == "3  (app.config)"
    assert str(tmp_path / "instance") in checks["home"]["text"]


def test_flask_tells_our_errors_without_a_traceback(tmp_path):
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\napp.config['CARAFE_WROKERS'] = 3\n")
    env = {**os.environ, "FLASK_APP": "app"}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "carafe", "steward", "--status"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "CARAFE_WROKERS (app.config) is not a setting (did you mean CARAFE_WORKERS?)." in done.stderr
    assert "Traceback" not in done.stderr


def test_the_module_is_the_command():
    assert Path(MAIN.__file__).name == "main.py"
    assert run("--version").stdout.startswith("Flask-Carafe ")
