"""Hints about an artifact's age from the names that it needs, where no version is recorded; and notes for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .breaks import version_of
from .inspection import Inspection, Survey, listed
from .verdict import installed

# libraries that make a model's answers, as MLflow pins them
COMPARED = frozenset(("scikit-learn", "xgboost", "lightgbm", "catboost", "onnxruntime", "torch", "keras", "tensorflow", "numpy", "pandas", "scipy"))

# start of a name -> what wrote it
ERAS = (
    ("sklearn.externals.joblib", "scikit-learn before 0.23"),
    ("sklearn.linear_model.logistic", "scikit-learn before 0.22"),
    ("sklearn.ensemble.forest", "scikit-learn before 0.22"),
    ("sklearn.tree.tree", "scikit-learn before 0.22"),
    ("sklearn.svm.classes", "scikit-learn before 0.22"),
    ("sklearn.neighbors.classification", "scikit-learn before 0.22"),
    ("sklearn.preprocessing.data", "scikit-learn before 0.22"),
    ("sklearn.preprocessing.label", "scikit-learn before 0.22"),
    ("sklearn.preprocessing.imputation", "scikit-learn before 0.22"),
    ("sklearn.ensemble._gb_losses", "scikit-learn before 1.5"),
    ("sklearn.neighbors._dist_metrics", "scikit-learn before 1.3"),
    ("pandas.core.indexes.numeric", "pandas before 2"),
    ("numpy._core", "NumPy 2 or later"),
)


def era(survey: Survey) -> tuple[str, ...]:
    """What must have written the files, by their names: ``("scikit-learn before 0.23",)``."""
    modules = {name.module for file in survey.files for name in file.names}
    found = [wrote for start, wrote in ERAS if any(module == start or module.startswith(f"{start}.") for module in modules)]
    return tuple(dict.fromkeys(found))


def notes(file: Inspection) -> tuple[str, ...]:
    """What a person should know of a file that is not refused; one sentence each."""
    return tuple(_notes(file))


def _notes(file: Inspection) -> Iterable[str]:
    if code := file.named("code"):
        yield f"it carries Python code of its own ({listed(code, 2)}), which runs in the host"
    if unknown := file.named("unknown"):
        yield f"it needs {listed(unknown)}, which are not on the list of known names"
    if file.pickle and file.pickle.is_python2:
        yield "it was written by Python 2"
    if file.pickle and file.pickle.trailing_bytes:
        yield "it has bytes after its end, which nothing reads"
    if file.mlflow and (other := _other_versions(file.mlflow.requirements)):
        yield f"its MLflow folder asks for {'; '.join(other)}"


def _other_versions(requirements: Mapping[str, str]) -> list[str]:
    """``scikit-learn 1.2.2, and 1.9.1 is installed here`` for each library of which another minor version is here."""
    found = []
    for library, version in requirements.items():
        here = installed(library) if library in COMPARED else ""
        if here and version_of(here) != version_of(version):
            found.append(f"{library} {version}, and {here} is installed here")
    return found
