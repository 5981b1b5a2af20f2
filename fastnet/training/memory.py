"""How much of the machine's memory the process holds."""
import os
import sys

_MEBIBYTE = 2**20


def resident():
    """MiB that are resident now; where the system does not tell, the most there ever were, or None."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:     # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (_MEBIBYTE if sys.platform == "darwin" else 1024)
