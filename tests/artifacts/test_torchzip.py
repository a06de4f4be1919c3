"""Files of PyTorch are read without PyTorch, and those that would run something are refused; the files are made by hand here."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from flask_carafe.artifacts.inspection import look, refuse
from flask_carafe.artifacts.torchzip import EXPRESSION
from flask_carafe.errors import ArtifactRefused, LoadFailed


class Name:
    """Pickles as a bare name, or as a call of it."""

    def __init__(self, path: str, *args: Any) -> None:
        self.path, self.args = path, args

    def __reduce__(self) -> Any:
        raise AssertionError("only Writer pickles it")


class Writer(pickle._Pickler):  # type: ignore[name-defined]
    """Writes names that need not exist, and storages as PyTorch does."""

    def persistent_id(self, thing: Any) -> Any:
        return thing[1:] if isinstance(thing, tuple) and thing and thing[0] == "PID" else None

    def save(self, thing: Any, save_persistent_id: bool = True) -> None:
        if isinstance(thing, Name):
            self.write(b"c" + thing.path.replace("/", "\n").encode() + b"\n")
            if thing.args:
                super().save(thing.args[0] if thing.args == ((),) else thing.args)
                self.write(b"R")
            return
        super().save(thing, save_persistent_id)


def pickled(thing: Any) -> bytes:
    stream = io.BytesIO()
    Writer(stream, 2).dump(thing)
    return stream.getvalue()


def tensor(*shape: int, storage: str = "FloatStorage") -> Name:
    numbers = ("PID", "storage", Name(f"torch/{storage}"), "0", "cpu", 8)
    return Name("torch._utils/_rebuild_tensor_v2", numbers, 0, shape, (4, 1), False, OrderedDict())


def written(folder: Path, members: dict[str, bytes], name: str = "m") -> str:
    with zipfile.ZipFile(folder / "model.bin", "w") as archive:
        for member, data in members.items():
            archive.writestr(f"{name}/{member}", data)
    return str(folder / "model.bin")


def exported(folder: Path, *, graph: Any = None, weights: Any = None, **members: bytes) -> str:
    told = {"archive_format": b"pt2", "models/model.json": json.dumps(graph or {"torch_version": "2.13.0+cpu"}).encode()}
    told["data/weights/model_weights_config.json"] = json.dumps({"config": weights or {}}).encode()
    return written(folder, told | {name.replace("__", "/").replace("_pt", ".pt"): data for name, data in members.items()})


def saved(thing: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(thing))
    return stream.getvalue()


def test_weights_are_told_from_whole_modules(tmp_path: Path) -> None:
    file = look(written(tmp_path, {"data.pkl": pickled({"a.weight": tensor(2, 4)}), "data/0": bytes(32), "version": b"3"}))
    assert (file.format, file.root) == ("torch", "the weights of a model: 1 tensor")
    with pytest.raises(LoadFailed, match="without the model itself") as refusal:
        refuse(file)
    assert "--code" in refusal.value.hint
    refuse(file, has_code=True)


def test_a_whole_module_is_refused_without_the_code_of_its_classes(tmp_path: Path) -> None:
    file = look(written(tmp_path, {"data.pkl": pickled(Name("shop.nets/Net", ())), "version": b"3"}))
    assert file.torch is not None and file.torch.is_whole
    with pytest.raises(ArtifactRefused, match="a pickled Net"):
        refuse(file)
    refuse(file, has_code=True)


def test_a_whole_module_of_pytorchs_own_layers_needs_no_code(tmp_path: Path) -> None:
    layers = [Name("torch.nn.modules.container/Sequential", ()), Name("torch.nn.modules.linear/Linear", ())]
    file = look(written(tmp_path, {"data.pkl": pickled(layers), "version": b"3"}))
    refuse(file)
    with pytest.raises(ArtifactRefused):
        refuse(look(written(tmp_path, {"data.pkl": pickled([*layers, Name("torch.nn.modules.linear/Linear.forward", ())]), "version": b"3"})))


def test_what_a_traced_module_takes_is_read(tmp_path: Path) -> None:
    tag = "torch.jit._pickle/restore_type_tag"
    inputs = Name(tag, {"forward": Name(tag, [tensor(5, 3, 8, 8), tensor(5, storage="LongStorage")], "List[Any]")}, "Dict[str, List[Any]]")
    members = {"data.pkl": pickled(Name("__torch__/Net", ())), "constants.pkl": pickled(()), "traced_inputs.pkl": pickled(inputs)}
    file = look(written(tmp_path, members))
    assert file.format == "torchscript" and file.torch is not None
    assert [(port.shape, port.dtype) for port in file.torch.inputs] == [((None, 3, 8, 8), "float32"), ((None,), "int64")]
    assert not file.named("unknown") and not file.named("dangerous")
    refuse(file)


@pytest.mark.parametrize("place", ["data.pkl", "constants.pkl", "extra/more.pkl"])
def test_a_pickle_that_runs_something_is_found_wherever_it_lies(place: str, tmp_path: Path) -> None:
    members = {"data.pkl": pickled(()), "constants.pkl": pickled(()), place: pickled(Name("posix/system", "touch /tmp/x"))}
    with pytest.raises(ArtifactRefused, match=r"posix\.system"):
        refuse(look(written(tmp_path, members)), has_code=True)


@pytest.mark.parametrize("name", ["torch.hub/load", "torch/load", "torch.serialization/load", "builtins/getattr", "torch.utils.model_zoo/load_url"])
def test_functions_of_pytorch_that_load_or_fetch_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused):
        refuse(look(written(tmp_path, {"data.pkl": pickled(Name(name, "x", "y"))})), has_code=True)


def test_an_exported_program_says_which_version_wrote_it(tmp_path: Path) -> None:
    file = look(exported(tmp_path, data__sample_inputs__model_pt=saved(tensor(1, 4))))
    assert file.format == "torchexport" and file.versions == {"torch": ("2.13.0",)}
    refuse(file)


@pytest.mark.parametrize(
    "more",
    [
        {"data__sample_inputs__model_pt": saved(Name("shop.nets/Net", ()))},
        {"data__sample_inputs__model_pt": pickled(Name("posix/system", "x"))},
        {"data__constants__opaque_obj_0": pickled(())},
        {"data__constants__custom_obj_0": pickled(())},
        {"data__weights__weight_0": pickled(Name("posix/system", "x")), "weights": {"a": {"path_name": "weight_0", "use_pickle": True}}},
        {"data__weights__weight_0": saved(Name("posix/system", "x")), "weights": {"a": {"path_name": "weight_0", "use_pickle": True}}},
        {"graph": {"dim": {"expr_str": "__import__('os').system('x')"}}},
    ],
)
def test_an_exported_program_holds_a_graph_and_tensors_and_no_more(more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused):
        refuse(look(exported(tmp_path, **more)), has_code=True)


@pytest.mark.parametrize("text", ["s0", "2*s0 + 1", "Symbol('s7', positive=True)", "Pow(Integer(2), Float('0.5', precision=53))", "Max(1, s0)"])
def test_arithmetic_is_arithmetic(text: str) -> None:
    assert EXPRESSION.fullmatch(text)


@pytest.mark.parametrize("text", ["__import__('os')", "exec('a')", "open ('x')", "().a", "s0.a", "eval\n('x')", "[s0]", "f'{s0}'", "\n__x__"])
def test_other_code_is_none(text: str) -> None:
    assert not EXPRESSION.fullmatch(text)


def test_no_text_keeps_the_look_at_arithmetic_busy() -> None:
    assert not EXPRESSION.fullmatch("a" * 100_000 + ";")
    assert not EXPRESSION.fullmatch("a " * 100_000 + ";")


def test_members_of_one_name_are_refused_for_readers_differ_in_which_they_take(tmp_path: Path) -> None:
    with pytest.raises(ArtifactRefused, match="two members"):
        look(written(tmp_path, {"data.pkl": pickled({}), "DATA.pkl": pickled(Name("posix/system", "x"))}))


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"data.pkl": pickled({"a": tensor(2, 4)}), "data/0": bytes(5000)})
    os.truncate(path, 3000)
    with pytest.raises(ArtifactRefused):
        look(path)
    with pytest.raises(LoadFailed, match="not whole"):
        refuse(look(written(tmp_path, {"data.pkl": pickled({"a": tensor(2, 4)})[:-20]})), has_code=True)
