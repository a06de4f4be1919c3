"""From files to a runtime: each file is read over one descriptor, hashed, and loaded by its declared format.

A failure is one clear line with a stable code: ``missing_module``, ``missing_main_name``, ``missing_name``, ``truncated``,
``wrong_format``, ``hash_mismatch``, ``unreadable``, ``no_predict``, ``load_failed``.
"""

import importlib
import pickle
import re
import traceback
import warnings

from . import helpers
from .refusal import LoadError

MOST_TRACE = 20000
FITTED = {"pickle", "joblib", "skops"}  # these make chains
# format of a file that stands alone -> what it is called, and its runtime
ALONE = {
    "onnx": ("an ONNX file", "runtime_onnx", "OnnxRuntime"),
    "python": ("a Python function", "runtime_python", "PythonRuntime"),
    "lightgbm": ("a LightGBM file", "runtime_lightgbm", "LightgbmRuntime"),
    "xgboost": ("an XGBoost file", "runtime_xgboost", "XgboostRuntime"),
    "catboost": ("a CatBoost file", "runtime_catboost", "CatboostRuntime"),
    "torchscript": ("a PyTorch file", "runtime_torch", "TorchRuntime"),
    "torchexport": ("a PyTorch file", "runtime_torch", "TorchRuntime"),
    "torch": ("a PyTorch file", "runtime_torch", "TorchRuntime"),
    "keras": ("a Keras file", "runtime_keras", "KerasRuntime"),
    "hdf5": ("a Keras file", "runtime_keras", "KerasRuntime"),
}
VERSIONS = re.compile(r"from version (\S+) when using version (\S+?)\.? ")


def load(request):
    """The runtime that a ``load`` request asks for, described and ready to be configured.

    :raises LoadError: anything that went wrong, whatever user code raised.
    """
    files, options = request.get("files") or [], request.get("options") or {}
    try:
        helpers.add_folders(options.get("python_path"))
        helpers.install(request.get("code"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            runtime = runtime_for(files, options)(request, files, options)
        warnings.simplefilter("ignore")  # from here on: a line a prediction would fill the log
        runtime.warnings[:0] = [line for line in _lines(caught) if line not in runtime.warnings]
        runtime.recorded.update(_recorded(runtime.warnings))
        return runtime
    except LoadError:
        raise
    except BaseException as exc:  # the edge round a user's model: loading runs whatever the file says
        raise explain(exc)


def runtime_for(files, options):
    """The class of the runtime for these files; only its own file imports the library.

    :raises LoadError: a format that no runtime knows, or a chain that none can hold.
    """
    formats = {str(file.get("format", "")) for file in files}
    if options.get("runtime") == "media":
        from .runtime_media import MediaRuntime as runtime
    elif options.get("compiled"):
        from .runtime_compiled import CompiledRuntime as runtime
    elif formats and formats <= FITTED:
        from .runtime_sklearn import ObjectRuntime as runtime
    elif len(files) == 1 and formats <= set(ALONE):
        _, module, name = ALONE[files[0]["format"]]
        runtime = getattr(importlib.import_module("." + module, __package__), name)
    elif formats & set(ALONE):
        raise LoadError("wrong_format", "%s stands alone: it cannot be chained with other files" % ALONE[sorted(formats & set(ALONE))[0]][0])
    else:
        raise LoadError("wrong_format", "no runtime here loads %s" % (", ".join(sorted(formats)) or "an empty list of files"))
    return runtime


def _lines(caught):
    """What was warned of while loading, one line each; only what tells about versions or the file."""
    lines = []
    for warning in caught:
        name, text = warning.category.__name__, " ".join(str(warning.message).split())
        if name == "InconsistentVersionWarning" or "unpickle" in text or "version" in text.lower():
            line = "%s: %s" % (name, text[:400])
            if line not in lines:
                lines.append(line)
    return lines[:20]


def _recorded(lines):
    """``{"scikit-learn": "1.2.2"}`` where a warning names the version in the file."""
    for line in lines:
        found = VERSIONS.search(line + " ")
        if found and "estimator" in line:
            return {"scikit-learn": found.group(1)}
    return {}


def explain(exc):
    """A :class:`LoadError` that says in one line what the file lacks."""
    trace = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))[-MOST_TRACE:]
    code, text = _explain(exc, " ".join(str(exc).split())[:400])
    return LoadError(code, text, trace)


def _explain(exc, text):
    main = re.search(r"(?:Can't get attribute|has no attribute) '(\w+)'.*__main__|__main__.*has no attribute '(\w+)'", text)
    if isinstance(exc, AttributeError) and main:
        name = main.group(1) or main.group(2)
        return "missing_main_name", "the pickle looks for `%s` in __main__: give the file that defines it with --code" % name
    if isinstance(exc, ImportError) and getattr(exc, "name", None) and isinstance(exc, ModuleNotFoundError):
        return "missing_module", _missing_module(exc.name)
    missing = re.search(r"Can't get attribute '([^']+)' (?:on|from) <module '([^']+)'", text)
    if isinstance(exc, AttributeError) and missing:
        return "missing_name", "the file needs `%s` of %s, which the version installed here does not have" % missing.groups()
    if isinstance(exc, (EOFError, IndexError)) or isinstance(exc, pickle.UnpicklingError) and "truncated" in text:
        return "truncated", "the file ends too early: it is not whole"
    if isinstance(exc, MemoryError):
        return "load_failed", "the model does not fit into the memory here"
    if isinstance(exc, SystemExit):
        return "load_failed", "loading the file called sys.exit()"
    if isinstance(exc, pickle.UnpicklingError):
        return "wrong_format", "the file is no pickle that can be read: %s" % text
    return "load_failed", "%s: %s" % (type(exc).__name__, text) if text else type(exc).__name__


def _missing_module(name):
    top = name.split(".")[0]
    try:
        __import__(top)
    except BaseException:  # a library may be there and broken: it is of no use either way
        return "needs %s, which is not installed here" % top
    return "needs the module %s, which the %s installed here does not have" % (name, top)
