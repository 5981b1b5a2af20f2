"""Settings that every test shares."""
import importlib.util
import zlib
from pathlib import Path

import pytest
from hypothesis import settings

from fastnet import kernels

settings.register_profile("fastnet", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fastnet")

# Tables that are long: the default tier runs one in so many of their cases, always the same ones, `make test-all` every
# one. What is the only one of its name, as the tests that a table is complete, is always run.
ONE_IN = {
    "kernels/test_backends.py": 6, "kernels/test_gradients.py": 3, "kernels/test_torch.py": 2,
    "kernels/test_sums.py": 3, "kernels/test_bfloat16.py": 4, "kernels/test_epilogues.py": 2,
    "kernels/cpu/test_simd.py": 3, "kernels/cpu/test_amx.py": 2, "layers/test_battery.py": 6,
    "layers/test_inputs.py": 3, "layers/test_copies.py": 3, "layers/test_state.py": 3, "layers/test_arguments.py": 2,
    "models/test_models.py": 2, "program/test_changes.py": 2, "program/test_passes.py": 4, "program/test_nets.py": 3,
    "program/test_memory.py": 3, "files/test_models.py": 4, "estimators/test_checks.py": 3,
    "estimators/test_checks_of_features.py": 4, "training/test_ends.py": 2, "test_copies.py": 3,
    "test_wrong_arguments.py": 2,
}
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        share = ONE_IN.get(item.path.relative_to(HERE).as_posix(), 1)
        if hasattr(item, "callspec") and zlib.crc32(item.nodeid.rpartition("::")[2].encode()) % share:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=kernels.BACKENDS)
def ops(request):
    """Each backend's module of operations in turn."""
    return kernels.load(request.param)


@pytest.fixture(scope="module")
def example(request):
    """The program at the `PATH` that a file of tests names, as a module."""
    path = request.module.PATH
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
