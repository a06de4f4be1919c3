"""Which names a pickle may ask for: known, unknown, or such that loading it runs something.

The list may refuse a file and never vouches for one: code can hide behind any library's name. A host is the boundary;
this is what is said, and refused, before it. Names are judged whole (module and name), never by package alone.
"""

from __future__ import annotations

import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Literal

import msgspec

NameKind = Literal["known", "unknown", "code", "main", "dangerous"]


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """One name that a file asks for; ``called`` where loading calls it."""

    module: str
    name: str
    kind: NameKind
    called: bool = False

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LIBRARIES = _words(
    "sklearn numpy scipy pandas joblib xgboost lightgbm catboost imblearn category_encoders statsmodels threadpoolctl skops onnxruntime torch"
)

KNOWN = frozenset(
    f"{module}.{name}"
    for module, names in {
        "builtins": "set frozenset dict list tuple int float complex bool str bytes bytearray slice range object Ellipsis NotImplemented "
        "len min max abs "
        "sum round sorted any all ord chr repr format hash divmod pow zip enumerate reversed Exception ValueError TypeError KeyError RuntimeError "
        "AttributeError IndexError",
        "collections": "OrderedDict defaultdict deque Counter ChainMap UserDict UserList",
        "copyreg": "_reconstructor __newobj__ __newobj_ex__",
        "_codecs": "encode",
        "datetime": "datetime date time timedelta timezone",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "uuid": "UUID SafeUUID",
        "functools": "partial",
        "operator": "itemgetter",
        "pathlib": "Path PosixPath PurePath PurePosixPath WindowsPath PureWindowsPath",
        "pathlib._local": "Path PosixPath PurePosixPath",
        "re": "_compile Pattern RegexFlag",
        "random": "Random",
        "types": "SimpleNamespace MappingProxyType NoneType",
        "zoneinfo": "ZoneInfo ZoneInfo._unpickle",
        "logging": "getLogger",
        "string": "capwords",
        "unicodedata": "normalize",
        "numpy": "dtype ndarray matrix recarray generic bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 "
        "longdouble "
        "complex64 complex128 str_ bytes_ string_ unicode_ object_ void datetime64 timedelta64 intc uintc intp uintp longlong float_ int_ "
        "log log1p log2 log10 exp expm1 sqrt square abs absolute sin cos tan tanh sign mean median std var sum min max amin amax nan_to_num "
        "reciprocal ravel reshape asarray array cbrt clip round negative maximum minimum argmax argmin vectorize poly1d isnan power",
        "numpy.random": "__RandomState_ctor",
        "numpy.random._pickle": "__randomstate_ctor __generator_ctor __bit_generator_ctor",
        "numpy.ma.core": "_mareconstruct MaskedArray",
        "joblib.numpy_pickle": "NumpyArrayWrapper",
        "joblib.numpy_pickle_compat": "NDArrayWrapper ZNDArrayWrapper",
        "sklearn.externals.joblib.numpy_pickle": "NumpyArrayWrapper NDArrayWrapper ZNDArrayWrapper",
        "sklearn.externals.joblib.numpy_pickle_compat": "NDArrayWrapper ZNDArrayWrapper",
        "scipy.special": "expit logit logsumexp softmax",
        "scipy.special._ufuncs": "expit logit",
        "scipy.special._basic": "comb",
        "torch": "Size device dtype Tensor DoubleStorage FloatStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage "
        "ByteStorage BoolStorage float16 float32 float64 bfloat16 int8 int16 int32 int64 uint8 bool strided",
        "torch._utils": "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor "
        "_rebuild_sparse_tensor",
        "torch.nn.parameter": "Parameter",
        "torch.storage": "TypedStorage UntypedStorage",
        "torch.serialization": "_get_layout",
        "torch.jit._pickle": "restore_type_tag build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id",
    }.items()
    for name in names.split()
)

CODE_MODULES = ("cloudpickle.", "dill.", "joblib.externals.cloudpickle.", "types.")
CODE_NAMES = _words(
    "types.CodeType types.FunctionType types.CellType types.MethodType types.new_class abc.ABCMeta builtins.type torch.storage._load_from_bytes"
)

# parts of a dotted name that reach what runs things, whatever library they are reached through
DANGEROUS_PARTS = _words(
    """
    system popen Popen exec eval execfile compile __import__ import_module getattr setattr delattr __getattribute__ __builtins__ __globals__
    __subclasses__ __dict__ __code__ __class__ __init_subclass__ __reduce__ spawn fork execv execve runstring check_output check_call getoutput
    startfile os subprocess posix nt importlib shutil socket builtins ctypes pty runpy marshal breakpoint read_pickle safe_load unsafe_load
    _get_attr _import_module _eval_repr exec_module load_module attrgetter methodcaller run_code run_module run_path
    from_file PyTorchFileWriter PyTorchFileReader PackageImporter PackageExporter
    """
)
# of the standard library: what is not in KNOWN is refused with these, named or called
DANGEROUS_MODULES = _words(
    """
    os posix nt posixpath ntpath subprocess sys shutil socket pty platform commands importlib imp runpy code codeop ctypes _ctypes cffi
    multiprocessing threading _thread asyncio pdb bdb cProfile profile trace timeit webbrowser http urllib urllib2 httplib ftplib smtplib
    telnetlib xmlrpc ssl requests httpx aiohttp pip setuptools distutils pkg_resources ensurepip venv pickle _pickle cPickle shelve marshal
    tempfile fileinput glob signal sched atexit gc inspect linecache io _io zipimport pkgutil site builtins __builtin__ operator _operator
    functools itertools sqlite3 socketserver wsgiref pydoc doctest unittest cgi cgitb ast mmap fcntl resource termios tty curses readline
    idlelib lib2to3
    """
)
CLASS_LIKE = re.compile(r"_*[A-Z][A-Za-z0-9_]*")
REBUILDS = re.compile(
    r"_*(un|re)?pickle_?\w*|__pyx_unpickle_\w+|\w*_reconstruct\w*|_*new_?[A-Z]\w*|scalar|_frombuffer|_?from_\w+|\w+_ctor|\w*_unpickle\w*"
)
SMALL_CLASSES = re.compile(r"\w+_(matrix|array|gen|frozen|type)|interp[12]d|gaussian_kde|multivariate_normal\w*|rv_\w+|ndarray|matrix|dtype")
TRICKS = _words(
    "numpy.testing numpy.f2py numpy.distutils numpy.lib.npyio numpy.lib._npyio_impl numpy.ctypeslib pandas.io "
    "torch.package torch.multiprocessing torch.distributed torch.utils.cpp_extension"
)


def kind_of(module: str, name: str, *, called: bool = False) -> NameKind:
    """What is to be thought of ``module.name`` in a pickle; ``called``: loading calls it."""
    module, name = in_python3(module, name)
    top, parts = module.split(".")[0], name.split(".")
    if module == "__main__":
        return "main"
    if f"{module}.{name}" in CODE_NAMES or (f"{module}.".startswith(CODE_MODULES) and not _is_gadget(parts)):
        return "known" if f"{module}.{name}" in KNOWN else "code"
    if f"{module}.{name}" in KNOWN or _is_plain_method(module, parts):
        return "known"
    if top in DANGEROUS_MODULES or _is_gadget(parts):
        return "dangerous"
    if top in LIBRARIES:
        return _in_library(module, name, called)
    if top in sys.stdlib_module_names:
        return "dangerous" if called else "unknown"
    return "unknown"


def _is_gadget(parts: list[str]) -> bool:
    return any(part in DANGEROUS_PARTS for part in parts)


def _is_plain_method(module: str, parts: list[str]) -> bool:
    """``str.lower`` and the like: a method of a built-in type that is itself known."""
    return module == "builtins" and len(parts) == 2 and f"builtins.{parts[0]}" in KNOWN and not parts[1].startswith("_")


def _in_library(module: str, name: str, called: bool) -> NameKind:
    """A class, or a function that puts one together again; another function may be named but not called."""
    if any(module == trick or module.startswith(f"{trick}.") for trick in TRICKS):
        return "dangerous" if called else "unknown"
    if CLASS_LIKE.fullmatch(name) or REBUILDS.fullmatch(name) or SMALL_CLASSES.fullmatch(name):
        return "known"
    if called:
        return "dangerous"
    return "known" if module.startswith("sklearn.") else "unknown"


def in_python3(module: str, name: str) -> tuple[str, str]:
    """The name that Python 3 looks up for one that Python 2 wrote, as unpickling maps them."""
    first, dot, rest = name.partition(".")
    if (module, first) in NAME_MAPPING:
        module, first = NAME_MAPPING[(module, first)]
    return IMPORT_MAPPING.get(module, module), first + dot + rest
