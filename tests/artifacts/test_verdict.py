"""Versions in a file against versions here, by the table of breaks and by number."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from flask_carafe.artifacts import breaks, from_options
from flask_carafe.artifacts.eras import era, notes
from flask_carafe.artifacts.inspection import Inspection, Survey, survey
from flask_carafe.artifacts.names import kind_of
from flask_carafe.artifacts.pickles import PickleFacts
from flask_carafe.artifacts.verdict import difference, judge, way_out
from flask_carafe.errors import VersionRefused

FILES = Path(__file__).parent / "files"
DOCS = Path(__file__).resolve().parents[2] / "docs"


def saved_by(*versions: str) -> Survey:
    facts = PickleFacts(versions={"scikit-learn": versions} if versions else {})
    return Survey(files=(Inspection(name="m.pkl", path="m.pkl", format="pickle", pickle=facts),))


@pytest.mark.parametrize(
    ("recorded", "here", "state"),
    [
        (("1.9.1",), "1.9.1", "same"),
        (("1.9.0",), "1.9.1", "patch"),
        (("1.8.0",), "1.9.1", "unverified"),
        (("1.10.0",), "1.9.1", "unverified"),
        (("1.9.1", "1.8.0"), "1.9.1", "unverified"),
        (("1.9.dev0",), "1.9.1", "patch"),
        ((), "1.9.1", "unrecorded"),
        (("1.8.0",), "", "same"),
    ],
)
def test_another_minor_version_is_marked(recorded: tuple[str, ...], here: str, state: str) -> None:
    verdict = judge(saved_by(*recorded), {"scikit-learn": here} if here else {})
    assert verdict.state == state
    assert bool(verdict.text) == (state in ("patch", "unverified"))
    if state == "unverified":
        assert verdict.recorded in verdict.text and here in verdict.text and "--examples" in verdict.hint


def test_strict_versions_refuse_another_minor_version_and_nothing_else() -> None:
    judge(saved_by("1.9.0"), {"scikit-learn": "1.9.1"}, strict=True)
    with pytest.raises(VersionRefused, match=r"1\.8\.0"):
        judge(saved_by("1.8.0"), {"scikit-learn": "1.9.1"}, strict=True)


@pytest.mark.parametrize(
    ("file", "here", "is_broken"),
    [
        ("1.3.2/tfidf_lr", "1.4.2", False),
        ("1.3.2/tfidf_lr", "1.5.0", True),
        ("1.3.2/tf_lr", "1.5.0", False),
        ("1.5.2/tfidf_lr", "1.9.1", False),
        ("1.3.2/tree", "1.4.0", True),
        ("1.3.2/forest", "1.9.1", True),
        ("1.3.2/boosting", "1.9.1", False),
        ("1.5.2/tree", "1.9.1", False),
        ("1.3.2/pls", "1.5.0", True),
        ("1.5.2/pls", "1.9.1", False),
        ("1.5.2/adaboost_real", "1.6.0", True),
        ("1.5.2/adaboost_real", "1.5.2", False),
        ("1.5.2/adaboost", "1.6.0", False),
        ("1.7.2/lr_rest", "1.8.0", True),
        ("1.7.2/lr_rest", "1.7.2", False),
        ("1.7.2/lr_liblinear", "1.8.0", True),
        ("1.7.2/lr_two", "1.8.0", False),
        ("1.7.2/lr_three", "1.8.0", False),
        ("1.7.2/lr_two_softmax", "1.8.0", True),
    ],
)
def test_the_table_of_breaks_names_what_is_misread_and_nothing_else(file: str, here: str, is_broken: bool, tmp_path: Path) -> None:
    found = survey(from_options("m", files=FILES / f"{file}.joblib"), tmp_path)
    if not is_broken:
        judge(found, {"scikit-learn": here})
        return
    with pytest.raises(VersionRefused) as refusal:
        judge(found, {"scikit-learn": here})
    assert file.split("/", maxsplit=1)[0] in str(refusal.value) and here in str(refusal.value)
    assert "rain it again" in refusal.value.hint


def test_the_docs_have_the_whole_table() -> None:
    page = (DOCS / "checking.md").read_text()
    assert page.count("| before 1.") == len(breaks.BREAKS)
    for row in breaks.BREAKS:
        before, since = (".".join(map(str, version)) for version in (row.saved_before, row.read_from))
        assert f"| before {before} | {since} and later |" in page


def test_the_way_out_promises_only_what_can_be_installed() -> None:
    assert "install scikit-learn 1.4.2" in way_out("scikit-learn", "1.4.2", "1.9.1")
    assert "install" not in way_out("scikit-learn", "0.24.2", "1.9.1")
    assert difference(saved_by("0.24.2")).startswith("saved by scikit-learn 0.24.2")


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def test_the_version_that_xgboost_writes_into_its_booster_is_read(tmp_path: Path) -> None:
    ubjson = b"{L" + bytes(7) + b"\x07version[#L" + bytes(7) + b"\x03i\x03i\x02i\x01}}"
    handle = text("builtins") + text("bytearray") + b"\x93B" + struct.pack("<I", 20_000) + ubjson.rjust(20_000, b"x") + b"\x85R"
    path = tmp_path / "booster.pkl"
    path.write_bytes(b"\x80\x04" + text("xgboost.core") + text("Booster") + b"\x93)\x81}" + text("handle") + handle + b"sb.")
    found = survey(from_options("m", files=path), tmp_path)
    assert found.versions == {"xgboost": ("3.2.1",)}
    assert judge(found, {"xgboost": "2.1.0"}).state == "unverified"


def test_names_tell_an_era_where_no_version_is_recorded(tmp_path: Path) -> None:
    found = survey(from_options("m", files=FILES / "0.20.4" / "ridge.joblib"), tmp_path)
    assert "scikit-learn before 0.23" in era(found)
    assert notes(found.files[0]) == ()


@pytest.mark.parametrize(
    ("module", "name", "called", "kind"),
    [
        ("sklearn.linear_model._logistic", "LogisticRegression", True, "known"),
        ("sklearn.feature_selection._univariate_selection", "f_classif", False, "known"),
        ("sklearn.datasets._base", "load_files", True, "dangerous"),
        ("numpy.core.multiarray", "_reconstruct", True, "known"),
        ("numpy._core.multiarray", "scalar", True, "known"),
        ("numpy", "load", True, "dangerous"),
        ("numpy", "os.system", False, "dangerous"),
        ("scipy.sparse._csr", "csr_matrix", True, "known"),
        ("pandas._libs.internals", "_unpickle_block", True, "known"),
        ("pandas", "read_pickle", False, "dangerous"),
        ("builtins", "set", True, "known"),
        ("builtins", "getattr", True, "dangerous"),
        ("__builtin__", "eval", True, "dangerous"),
        ("copy_reg", "_reconstructor", True, "known"),
        ("collections", "OrderedDict", True, "known"),
        ("functools", "partial", True, "known"),
        ("functools", "reduce", True, "dangerous"),
        ("operator", "attrgetter", True, "dangerous"),
        ("json", "loads", False, "unknown"),
        ("json", "loads", True, "dangerous"),
        ("cloudpickle.cloudpickle", "_make_function", True, "code"),
        ("dill._dill", "_import_module", True, "dangerous"),
        ("__main__", "clean", False, "main"),
        ("shop.pricing", "Model", True, "unknown"),
        ("shop.pricing", "os.system", True, "dangerous"),
        ("torch._utils", "_rebuild_tensor_v2", True, "known"),
        ("torch.nn.modules.linear", "Linear", True, "known"),
        ("torch.storage", "_load_from_bytes", True, "code"),
        ("torch.hub", "load", True, "dangerous"),
        ("torch.fx.graph_module", "reduce_graph_module", True, "dangerous"),
    ],
)
def test_names_are_judged_whole(module: str, name: str, called: bool, kind: str) -> None:
    assert kind_of(module, name, called=called) == kind
