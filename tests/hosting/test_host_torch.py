"""PyTorch in a host: what a module takes and gives, by real files of every kind that PyTorch writes."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from conftest import missing
from flask_carafe.artifacts.hints import read_inputs
from flask_carafe.artifacts.inspection import look
from flask_carafe.signature import Chunk, Rows
from hosting.host_client import Peer, Zygote

try:
    import torch
    from torch import nn
except ImportError:
    missing("torch")

RNG = np.random.RandomState(0)
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # PyTorch's own word on the format; its files are served


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    made = Zygote(tmp_path_factory.mktemp("z"), modules=["torch"])
    assert made.imported["threads"] == 1
    yield made
    made.end()


class Net(nn.Module):
    def __init__(self, last: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 8), nn.Linear(8, 3), last or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.second(torch.relu(self.first(x))))


class Picture(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters, self.dense = nn.Conv2d(1, 4, 3), nn.Linear(4 * 6 * 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(torch.relu(self.filters(x)).flatten(1))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 1)

    def forward(self, numbers: torch.Tensor, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        joined = torch.cat([numbers, tokens.float()], 1)
        return {"score": self.dense(joined).squeeze(), "largest": joined.argmax(1)}


def scripted(model: nn.Module, folder: Path) -> Path:
    torch.jit.save(torch.jit.script(model.eval()), folder / "model.pt")
    return folder / "model.pt"


def traced(model: nn.Module, folder: Path, *example: torch.Tensor) -> Path:
    torch.jit.save(torch.jit.trace(model.eval(), example), folder / "model.pt")
    return folder / "model.pt"


def words(path: Path, hint: str = "", fields: int = 0, **options: Any) -> dict[str, Any]:
    """A file and options as the steward sends them."""
    found = look(str(path))
    assert found.torch is not None
    traced = [{"shape": port.shape[1:], "dtype": port.dtype} for port in found.torch.inputs]
    options |= {"whole": found.torch.needs_code, "inputs": msgspec.to_builtins(read_inputs(hint)), "traced": traced, "fields": fields}
    return {"file": {"path": str(path), "format": found.format, "name": path.name, "sha256": found.sha256}, "options": options}


def ready(host: Peer, path: Path, hint: str = "", fields: int = 0, **options: Any) -> dict[str, Any]:
    given = words(path, hint, fields, **options)
    return host.ready(given["file"], options=given["options"])


def refusal(host: Peer, path: Path, hint: str = "", fields: int = 0, **options: Any) -> dict[str, str]:
    given = words(path, hint, fields, **options)
    error: dict[str, str] = host.load(given["file"], options=given["options"])["error"]
    return error


def numbers(*arrays: np.ndarray) -> Rows:
    return Rows(n=len(arrays[0]), chunks=tuple(Chunk(data=np.ascontiguousarray(array).tobytes()) for array in arrays))


def direct(model: nn.Module, *arrays: np.ndarray) -> Any:
    with torch.inference_mode():
        return model(*map(torch.from_numpy, arrays))


def test_a_scripted_module_takes_what_its_first_layer_does(host: Peer, tmp_path: Path) -> None:
    model = Net()
    description = ready(host, scripted(model, tmp_path))
    assert (description["runtime"], description["estimator"], description["input"]["build"]) == ("torch", "Net (TorchScript)", "array")
    assert [one["dtype"] for one in description["input"]["columns"]] == ["float32"] * 4
    assert description["outputs"][0]["width"] == 3 and description["outputs"][0]["float32"]
    rows = RNG.normal(size=(50, 4)).astype(np.float32)
    answer, errors = host.predict(numbers(rows))
    np.testing.assert_allclose(np.reshape(answer[0].values, (50, 3)), direct(model, rows), rtol=1e-5, atol=1e-6)
    assert not errors


@pytest.mark.parametrize(("last", "meaning"), [(nn.Softmax(1), ""), (nn.LogSoftmax(1), ""), (nn.Identity(), "logits")])
def test_scores_become_a_class_and_probabilities(host: Peer, tmp_path: Path, last: nn.Module, meaning: str) -> None:
    model = Net(last)
    description = ready(host, scripted(model, tmp_path), outputs=meaning)
    assert [output["role"] for output in description["outputs"]] == ["prediction", "probabilities"]
    rows = RNG.normal(size=(20, 4)).astype(np.float32)
    answer, errors = host.predict(numbers(rows))
    given = direct(model, rows)
    expected = given if isinstance(last, nn.Softmax) else torch.softmax(given, 1)
    assert not errors and answer[0].values == expected.argmax(1).tolist()
    np.testing.assert_allclose(np.reshape(answer[1].values, (20, 3)), expected, rtol=1e-5, atol=1e-6)


def test_a_traced_module_takes_what_it_was_traced_with(host: Peer, tmp_path: Path) -> None:
    model = Picture()
    description = ready(host, traced(model, tmp_path, torch.zeros(1, 1, 8, 8)))
    assert description["input"]["build"] == "tensor" and description["input"]["columns"][0]["shape"] == [1, 8, 8]
    pictures = RNG.normal(size=(7, 1, 8, 8)).astype(np.float32)
    answer, _ = host.predict(numbers(pictures))
    np.testing.assert_allclose(np.reshape(answer[0].values, (7, 3)), direct(model, pictures), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hint", ["image:8x8:L", "image:8x8", "tensor:1x8x8"])
def test_a_picture_model_needs_the_size_of_its_pictures(host: Peer, tmp_path: Path, hint: str) -> None:
    path = scripted(Picture(), tmp_path)
    error = refusal(host, path)
    assert error["code"] == "needs_input" and "a picture of 1 channel" in error["message"]
    assert ready(host, path, hint)["input"]["columns"][0]["shape"] == [1, 8, 8]


def test_a_size_that_does_not_fit_is_told_with_the_reason(host: Peer, tmp_path: Path) -> None:
    error = refusal(host, scripted(Picture(), tmp_path), "image:9x9")
    assert error["code"] == "needs_input" and "mat1 and mat2" in error["message"]


def test_several_tensors_go_by_name_and_come_back_by_name(host: Peer, tmp_path: Path) -> None:
    model = Two()
    path = scripted(model, tmp_path)
    assert refusal(host, path)["message"].endswith("it takes numbers, tokens")
    description = ready(host, path, "tokens=vector:2:int64,numbers=vector:3")
    found = [(one["name"], one["kind"], one["shape"], one["dtype"]) for one in description["input"]["columns"]]
    assert found == [("numbers", "vector", [3], "float32"), ("tokens", "vector", [2], "int64")]
    assert [(output["name"], output["dtype"]) for output in description["outputs"]] == [("score", "float32"), ("largest", "int64")]
    left, right = RNG.normal(size=(5, 3)).astype(np.float32), np.arange(10).reshape(5, 2)
    answer, _ = host.predict(numbers(left, right))
    expected = direct(model, left, right)
    np.testing.assert_allclose(answer[0].values, expected["score"], rtol=1e-5)
    assert answer[1].values == expected["largest"].tolist()
    alone, errors = host.predict(numbers(left[:1], right[:1]))
    assert not errors and alone[0].values[0] == pytest.approx(answer[0].values[0], rel=1e-5)


def test_a_module_without_known_layers_takes_as_many_numbers_as_are_named(host: Peer, tmp_path: Path) -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(1)

    path = scripted(Sum(), tmp_path)
    assert refusal(host, path)["message"] == "the model does not say what one row is"
    assert len(ready(host, path, fields=6)["input"]["columns"]) == 6
    answer, _ = host.predict(numbers(np.ones((2, 6), np.float32)))
    assert answer[0].values == [6, 6]


def test_dropout_is_off_and_one_thread_computes(host: Peer, tmp_path: Path) -> None:
    model = Net(nn.Dropout(0.9))
    ready(host, scripted(model.train(), tmp_path))
    rows = numbers(np.ones((300, 4), np.float32))
    first, second = host.predict(rows)[0][0].values, host.predict(rows)[0][0].values
    assert first == second and 0 not in first
    assert len(list(Path(f"/proc/{host.hello['pid']}/task").iterdir())) == 1


def test_a_row_that_fails_fails_alone(host: Peer, tmp_path: Path) -> None:
    class Picky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if bool((x > 99).any()):
                raise ValueError("too large")
            return self.dense(x)

    ready(host, scripted(Picky(), tmp_path))
    _, errors = host.predict(numbers(np.array([[1, 1], [100, 1], [2, 2]], np.float32)))
    assert [error.row for error in errors] == [1] and "too large" in errors[0].reason


def test_hosts_do_not_share_their_random_numbers(zygote: Zygote, tmp_path: Path) -> None:
    class Noise(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand([2])

    path, given = scripted(Noise(), tmp_path), []
    for _ in range(2):
        with zygote.host() as host:
            ready(host, path, fields=2)
            given.append(host.predict(numbers(np.zeros((1, 2), np.float32)))[0][0].values)
    assert given[0] != given[1]


def test_weights_of_16_bits_are_computed_with_in_32(host: Peer, tmp_path: Path) -> None:
    description = ready(host, scripted(Net().to(torch.bfloat16), tmp_path))
    assert description["input"]["columns"][0]["dtype"] == "float32" and "16 bits" in description["warnings"][0]


def exported(model: nn.Module, folder: Path, *example: torch.Tensor, **dynamic: Any) -> Path:
    torch.export.save(torch.export.export(model.eval(), example, **dynamic), folder / "model.pt2")
    return folder / "model.pt2"


def test_an_exported_program_says_what_it_takes(host: Peer, tmp_path: Path) -> None:
    model = Two()
    rows = {0: torch.export.Dim("rows")}
    path = exported(model, tmp_path, torch.zeros(4, 3), torch.zeros(4, 2, dtype=torch.int64), dynamic_shapes={"numbers": rows, "tokens": rows})
    description = ready(host, path)
    found = [(one["name"], one["kind"], one["shape"], one["dtype"]) for one in description["input"]["columns"]]
    assert found == [("numbers", "vector", [3], "float32"), ("tokens", "vector", [2], "int64")]
    left, right = RNG.normal(size=(5, 3)).astype(np.float32), np.arange(10).reshape(5, 2)
    answer, errors = host.predict(numbers(left, right))
    np.testing.assert_allclose(answer[0].values, direct(model, left, right)["score"], rtol=1e-5)
    assert not errors


@pytest.mark.parametrize("batch", [1, 3])
def test_a_program_exported_for_so_many_rows_is_always_given_them(host: Peer, tmp_path: Path, batch: int) -> None:
    model = Net()
    description = ready(host, exported(model, tmp_path, torch.zeros(batch, 4)))
    assert description["max_batch_rows"] == batch
    rows = RNG.normal(size=(batch, 4)).astype(np.float32)
    answer, errors = host.predict(numbers(rows[:1]))
    np.testing.assert_allclose(answer[0].values, direct(model, rows[:1])[0], rtol=1e-5, atol=1e-6)
    assert not errors


CODE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.dense = nn.Linear(width, 3)

    def forward(self, x):
        return self.dense(x)

class Net(nn.Module):
    def __init__(self, hidden=5):
        super().__init__()
        self.first, self.block = nn.Linear(4, hidden), Block(hidden)

    def forward(self, x):
        return self.block(torch.relu(self.first(x)))
"""


def coded(hidden: int) -> nn.Module:
    module = types.ModuleType("training")
    exec(CODE, vars(module))
    sys.modules["training"] = module
    made: nn.Module = module.Net(hidden)
    return made


@pytest.mark.parametrize(
    ("wrap", "more"),
    [
        (lambda weights: weights, ""),
        (lambda weights: {"epoch": 3, "model_state_dict": weights}, ""),
        (lambda weights: {f"module.{name}": value for name, value in weights.items()}, "MODEL = Net\n"),
        (lambda weights: weights, "MODEL = lambda: Net(5)\n"),
    ],
)
def test_weights_go_into_the_class_of_the_code_file_that_they_fit(host: Peer, tmp_path: Path, wrap: Any, more: str) -> None:
    model = coded(5)
    torch.save(wrap(model.state_dict()), tmp_path / "w.pth")
    (tmp_path / "net.py").write_text(CODE + more)
    given = words(tmp_path / "w.pth")
    assert host.ready(given["file"], code=str(tmp_path / "net.py"))["estimator"] == "Net"
    rows = RNG.normal(size=(5, 4)).astype(np.float32)
    answer, _ = host.predict(numbers(rows))
    np.testing.assert_allclose(np.reshape(answer[0].values, (5, 3)), direct(model, rows), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "words_of"),
    [("", "size mismatch"), ("ARGS = {'hidden': 7}\n", ""), ("ARGS = (7,)\n", ""), ("class Other(Net): pass\nARGS = (7,)\n", "MODEL =")],
)
def test_a_class_is_made_with_args_and_must_fit_alone(host: Peer, tmp_path: Path, more: str, words_of: str) -> None:
    torch.save(coded(7).state_dict(), tmp_path / "w.pth")
    (tmp_path / "net.py").write_text(CODE + more)
    reply = host.load(words(tmp_path / "w.pth")["file"], code=str(tmp_path / "net.py"))
    assert reply["ok"] if not words_of else words_of in reply["error"]["message"] and reply["error"]["code"] == "code_failed"


def test_a_pickled_module_is_loaded_with_its_code_alone(host: Peer, tmp_path: Path) -> None:
    model = coded(5)
    torch.save(model, tmp_path / "whole.pth")
    (tmp_path / "training.py").write_text(CODE)
    given = words(tmp_path / "whole.pth")
    assert host.load(given["file"], options=given["options"])["error"]["code"] == "missing_module"
    assert "weights_only" in host.load(given["file"], code=str(tmp_path / "training.py"))["error"]["message"].lower().replace(" ", "_")
    assert host.ready(given["file"], code=str(tmp_path / "training.py"), options=given["options"])["estimator"] == "Net"
    rows = RNG.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(np.reshape(host.predict(numbers(rows))[0][0].values, (5, 3)), direct(model, rows), rtol=1e-5, atol=1e-6)


def test_a_pickled_module_of_pytorchs_own_layers_is_loaded_restrictedly(host: Peer, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 2)).eval()
    torch.save(model, tmp_path / "whole.pth")
    given = words(tmp_path / "whole.pth")
    assert not given["options"]["whole"] and host.ready(given["file"], options=given["options"])["estimator"] == "Sequential"
    rows = RNG.normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(np.reshape(host.predict(numbers(rows))[0][0].values, (5, 2)), direct(model, rows), rtol=1e-5, atol=1e-6)


def test_checkpoints_without_weights_are_told_what_they_hold(host: Peer, tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "w.pth")
    (tmp_path / "net.py").write_text(CODE)
    error = host.load(words(tmp_path / "w.pth")["file"], code=str(tmp_path / "net.py"))["error"]
    assert "epoch, loss" in error["message"]
