"""Every library gets the same number of threads, set before any of them is imported."""
import importlib.util
import os

from cases import available_threads

THREADS = int(os.environ.setdefault("FASTNET_BENCH_THREADS", "2"))
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = str(THREADS)
# Numba cannot have more later than it starts with, and the scaling with threads goes further.
os.environ["NUMBA_NUM_THREADS"] = str(max(THREADS, available_threads()))

PEERS = [name for name, modules in {"PyTorch": ["torch"], "ONNX Runtime": ["onnxruntime", "onnx"]}.items()
         if all(map(importlib.util.find_spec, modules))]


def pytest_report_header():
    """What is about to be compared."""
    peers = f"compared with {', '.join(PEERS)}" if PEERS else "nothing to compare with: see docs/benchmarks.md"
    return f"threads for every library: {THREADS} (FASTNET_BENCH_THREADS); {peers}"
