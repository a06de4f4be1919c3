"""One thread a model: what scikit-learn and the libraries below it must be told before and after loading."""

import os
import sys

from . import wrappers

MOST_VISITED = 20000
SIMPLE = (str, bytes, int, float, bool, type(None))


def before_loading():
    """Skip scikit-learn's check of constructor parameters at each call. Finiteness stays checked: NaN must not get an answer."""
    try:
        import sklearn
    except ImportError:
        return
    try:
        sklearn.set_config(skip_parameter_validation=True)
    except TypeError:
        pass  # before scikit-learn 1.3 there was no such check


def after_loading(objects, threads):
    """Compute on ``threads`` threads, and let nothing inside start workers of its own."""
    single_jobs(objects, threads)
    if threads > 1:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)
        try:
            import threadpoolctl

            threadpoolctl.threadpool_limits(limits=threads)
        except ImportError:
            sys.stderr.write("host: threadpoolctl is not installed, so the model computes on one thread\n")


def single_jobs(objects, threads):
    """Set ``n_jobs`` to 1 on all estimators inside ``objects``: a pool for one row costs ten times the row. Boosted trees get ``threads``."""
    seen, todo = set(), list(objects)
    while todo and len(seen) < MOST_VISITED:
        one = todo.pop()
        if isinstance(one, SIMPLE) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            todo += list(one.values())
        elif isinstance(one, (list, tuple)):
            todo += _few(one)
        elif type(one).__module__.split(".")[0] not in ("numpy", "pandas", "scipy", "builtins") and not isinstance(one, type):
            todo += _settle(one, threads)


def _few(items):
    """Items of a list; of a list of trees only the first, since a forest has thousands and they are alike."""
    items = list(items)
    if len(items) > 8 and len({type(item) for item in items}) == 1 and type(items[0]).__module__.startswith("sklearn.tree"):
        return items[:1]
    return items


def _settle(one, threads):
    inside = getattr(one, "__dict__", None)
    if not isinstance(inside, dict):
        return []
    if inside.get("n_jobs") not in (None, 1):
        inside["n_jobs"] = 1
    if wrappers.library_of(one):
        wrappers.limit_threads(one, threads)
    return [value for value in inside.values() if not isinstance(value, SIMPLE)]
