"""What a host costs, and how to keep the pages that it shares with its zygote shared."""

import gc
import sys


def settle():
    """Throw away what loading left behind; what stays is never looked at by the collector again."""
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


def private_bytes():
    """Bytes that only this process holds; the peak of its resident set where the system does not tell."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as stream:
            return sum(int(line.split()[1]) for line in stream if line.startswith(b"Private_")) * 1024
    except (OSError, ValueError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
