"""How each rival is started: one worker, its own batching on where it has one, logs of requests off.

TensorFlow Serving and Triton are no Python packages and serve no scikit-learn models, so they are not here.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from servers import Server
from wires import BENTO, MLFLOW, V2

from . import environments

HERE = Path(__file__).resolve().parent
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false monitoring.enabled=false api_server.metrics.enabled=false",
}  # fmt: skip


class Rival(Server):
    """A server in an environment of its own."""

    env = ""
    target = "/predict"

    def command(self) -> list[Any]:
        """What follows the interpreter."""
        raise NotImplementedError

    def start(self) -> None:
        python = environments.python(self.env)
        place = {"MODEL": self.model, "MODELS": str(self.models), "WORK": str(self.work), "PORT": str(self.port)}
        path = f"{python.parent}:/usr/local/bin:/usr/bin:/bin"
        self.spawn([python, *self.command()], PATH=path, PYTHONPATH=str(HERE / "apps"), **place, **QUIET)


class FastApi(Rival):
    name, env = "fastapi", "fastapi"

    def command(self) -> list[Any]:
        return ["-m", "uvicorn", "fastapi_app:app", "--host", "127.0.0.1", "--port", self.port, "--no-access-log", "--log-level", "warning"]


class Flask(Rival):
    name, env = "flask", "flask"

    def command(self) -> list[Any]:
        return ["-m", "gunicorn", "-k", "gthread", "--threads", "8", "--log-level", "warning", "-b", f"127.0.0.1:{self.port}", "flask_app:app"]


class MlServer(Rival):
    name, env, wire = "mlserver", "mlserver", V2

    def command(self) -> list[Any]:
        """A folder as MLServer wants it: adaptive batching on, one parallel worker."""
        self.target = f"/v2/models/{self.model}/infer"
        folder = self.work / "mlserver"
        (folder / self.model).mkdir(parents=True, exist_ok=True)
        settings = {
            "debug": False, "host": "127.0.0.1", "http_port": self.port, "grpc_port": self.port + 1, "metrics_port": self.port + 2,
            "parallel_workers": 1, "environments_dir": str(folder / ".envs"), "metrics_dir": str(folder / ".metrics"),
        }  # fmt: skip
        model = {
            "name": self.model, "implementation": "mlserver_sklearn.SKLearnModel", "max_batch_size": 64, "max_batch_time": 0.001,
            "parameters": {"uri": str(self.models / f"{self.model}.joblib"), "version": "v1"},
        }  # fmt: skip
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / self.model / "model-settings.json").write_text(json.dumps(model))
        return [environments.python(self.env).parent / "mlserver", "start", folder]


class MlFlow(Rival):
    name, env, wire, target = "mlflow", "mlflow", MLFLOW, "/invocations"

    def command(self) -> list[Any]:
        folder = self.models / f"mlflow_{self.model}"
        if not folder.exists():
            save = [environments.python(self.env), HERE / "apps" / "mlflow_save.py"]
            subprocess.run([*save, self.models / f"{self.model}.joblib", folder], check=True)
        return ["-m", "mlflow", "models", "serve", "-m", folder, "--env-manager", "local", "-h", "127.0.0.1", "-p", self.port, "-w", "1"]


class BentoMl(Rival):
    name, env, wire = "bentoml", "bentoml", BENTO

    def command(self) -> list[Any]:
        service = ["serve", "bento_service:Batch", "--working-dir", HERE / "apps", "-q"]
        return ["-m", "bentoml", *service, "--host", "127.0.0.1", "--port", self.port]


class LitServe(Rival):
    name, env = "litserve", "litserve"

    def command(self) -> list[Any]:
        return [HERE / "apps" / "litserve_app.py"]


class RayServe(Rival):
    name, env = "ray", "ray"

    def command(self) -> list[Any]:
        return [HERE / "apps" / "ray_app.py"]


RIVALS: dict[str, type[Server]] = {rival.name: rival for rival in (FastApi, Flask, MlServer, MlFlow, BentoMl, LitServe, RayServe)}
