"""The same application under foreign servers: it answers, its steward is replaced, and nothing outlives it."""

from __future__ import annotations

import getpass
import grp
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.hosting.process import Process
from processes import nothing_left, of_world, until

APP = "flask_carafe.application:create_app()"
Need = Callable[..., str]


@pytest.fixture
def declared(world: Any) -> Any:
    """A world with ``carafe.yaml``: what a foreign server's workers declare."""
    (world.path / "carafe.yaml").write_text(f"models:\n  triple: {{files: ['{world.code}:triple'], routes: [/api]}}\n")
    return world


def steward_of(world: Any) -> Process | None:
    return next((process for process, command in of_world(world.base).items() if "flask_carafe.steward" in command), None)


def hosts_of(world: Any) -> list[int]:
    table = json.loads((world.run_dir / "table.json").read_bytes())
    return [host["pid"] for model in table["models"] for host in model["hosts"]]


def lives_and_dies(world: Any, process: subprocess.Popen[bytes], stop: int = signal.SIGTERM) -> None:
    """What every server must show."""
    world.ready(process)
    assert world.try_ask(7.0, path="/api")[1]["prediction"] == 21
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for x in range(number * 100, number * 100 + 25):
            if world.prediction(float(x)) != 3 * x:
                wrong.append(x)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    host, steward = hosts_of(world), steward_of(world)
    assert steward is not None
    steward.kill()
    assert world.answers()
    until(lambda: steward_of(world) not in {None, steward} and hosts_of(world) and world.answers(), 4.0, "a successor of the steward")
    assert hosts_of(world) == host
    process.send_signal(stop)
    process.wait(12)
    assert not nothing_left(world.base, world.path, within_s=7.0)


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_gunicorn(declared: Any, need: Need, preload: tuple[str, ...]) -> None:
    need(module="gunicorn")
    options = ["-b", f"127.0.0.1:{declared.port}", "-w", "2", "-k", "gthread", "--threads", "4", "--no-control-socket", *preload]
    lives_and_dies(declared, declared.start(sys.executable, "-m", "gunicorn", APP, *options))


def test_gunicorn_reloads_its_workers_and_the_hosts_stay(declared: Any, need: Need) -> None:
    need(module="gunicorn")
    options = ["-b", f"127.0.0.1:{declared.port}", "-w", "1", "-k", "gthread", "--threads", "4", "--no-control-socket"]
    process = declared.ready(declared.start(sys.executable, "-m", "gunicorn", APP, *options))
    host, workers = declared.host(), declared.workers()
    process.send_signal(signal.SIGHUP)
    until(lambda: declared.answers() and declared.workers() and not set(workers) & set(declared.workers()), 10.0, "new workers")
    assert declared.host() == host
    lives_and_dies(declared, process)


def test_waitress(declared: Any, need: Need) -> None:
    need(module="waitress")
    arguments = [f"--listen=127.0.0.1:{declared.port}", "--threads=4", "--call", "flask_carafe.application:create_app"]
    lives_and_dies(declared, declared.start(sys.executable, "-m", "waitress", *arguments), signal.SIGINT)


@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["forked-after-loading", "lazy-apps"])
def test_uwsgi(declared: Any, need: Need, lazy: tuple[str, ...]) -> None:
    program = need(str(Path(sys.prefix, "bin", "uwsgi")), "uwsgi")
    options = ["--http-socket", f"127.0.0.1:{declared.port}", "--master", "--processes", "2", "--threads", "4", "--enable-threads", "--die-on-term"]
    options += ["--virtualenv", sys.prefix, "--module", APP, *lazy]
    lives_and_dies(declared, declared.start(program, *options))


APACHE = """
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {path}/apache.pid
ErrorLog {path}/apache.log
Mutex file:{path}
User {user}
Group {group}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/{wsgi}
WSGISocketPrefix {path}/wsgi
WSGIDaemonProcess carafe processes=2 threads=4 python-path={python_path}
WSGIProcessGroup carafe
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / {path}/app.wsgi
<Directory {path}>
  Require all granted
</Directory>
"""
WSGI = """
import os
os.environ.update({environment!r})
os.chdir({path!r})
from flask_carafe.application import create_app
application = create_app()
"""


def test_apache_with_mod_wsgi(declared: Any, need: Need) -> None:
    apache = need("apache2")
    modules = Path("/usr/lib/apache2/modules")
    need(path=str(modules / "mod_wsgi.so"))
    wsgi = f"mod_wsgi.so-{sys.version_info.major}.{sys.version_info.minor}"
    if not (modules / wsgi).exists():
        pytest.skip(f"Debian's mod_wsgi here is not made for Python {sys.version_info.major}.{sys.version_info.minor}")
    user = give_away(declared) if os.getuid() == 0 else getpass.getuser()  # Apache does not serve as root
    ours = {key: value for key, value in declared.environment.items() if "CARAFE" in key}
    (declared.path / "app.wsgi").write_text(WSGI.format(environment=ours, path=str(declared.path)))
    python_path = ":".join(path for path in sys.path if path and "lib-dynload" not in path and not path.endswith(".zip") and "tests" not in path)
    conf = declared.path / "apache.conf"
    group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    conf.write_text(
        APACHE.format(port=declared.port, path=declared.path, modules=modules, wsgi=wsgi, user=user, group=group, python_path=python_path)
    )
    process = declared.start(apache, "-f", str(conf), "-DFOREGROUND")
    try:
        lives_and_dies(declared, process)
    except AssertionError:
        time.sleep(0.1)
        raise AssertionError((declared.path / "apache.log").read_text()[-4000:]) from None


def give_away(world: Any) -> str:
    """Move the world to where another user can reach it, and make it theirs; the user's name."""
    theirs = world.base / "apache"
    shutil.copytree(world.path, theirs)
    world.path, world.home, world.code, world.log = theirs, theirs / "home", theirs / "models.py", theirs / "server.log"
    (theirs / "carafe.yaml").write_text((theirs / "carafe.yaml").read_text().replace(str(world.started_at), str(theirs)))
    world.base.chmod(0o755)
    user = pwd.getpwnam("www-data")
    runs = theirs / "run"
    runs.mkdir()
    world.environment |= {"CARAFE_HOME": str(world.home), "CARAFE_RUN_DIR": str(runs)}
    for place in [theirs, *theirs.rglob("*")]:
        os.chown(place, user.pw_uid, user.pw_gid)
    world.run_dir = runs / hashlib.sha256(os.path.realpath(world.home).encode()).hexdigest()[:16]
    return user.pw_name
