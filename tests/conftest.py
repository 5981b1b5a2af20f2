"""Settings that every test shares."""
import importlib.util
import re
import zlib
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import settings

from fastnet import kernels
from fastnet.kernels.cpu.runtime import launches

settings.register_profile("fastnet", derandomize=True, deadline=None, database=None, max_examples=40)
settings.load_profile("fastnet")

# Tables that are long: the default tier runs one in so many of their cases, always the same ones, `make test-all` every
# one; of each test at least one case is run. Nearly all of the time goes to compiling, so tables leave out the same
# cases: a kernel that none of them needs is not compiled. That goes by what a case is called, apart from `BESIDES`, and
# by shares that divide each other.
ONE_IN = {
    "kernels/test_backends.py": 4, "kernels/test_gradients.py": 4, "kernels/test_torch.py": 4,
    "kernels/test_sums.py": 2, "kernels/test_bfloat16.py": 4, "kernels/test_epilogues.py": 2,
    "kernels/cpu/test_simd.py": 2, "kernels/cpu/test_amx.py": 2, "layers/test_battery.py": 4,
    "layers/test_inputs.py": 4, "layers/test_copies.py": 4, "layers/test_state.py": 4, "layers/test_arguments.py": 2,
    "layers/test_torch.py": 2, "models/test_models.py": 2, "program/test_changes.py": 4, "program/test_passes.py": 4,
    "program/test_nets.py": 2, "program/test_memory.py": 2, "files/test_models.py": 4, "estimators/test_checks.py": 4,
    "estimators/test_checks_of_features.py": 4, "training/test_ends.py": 2, "test_copies.py": 4,
    "test_wrong_arguments.py": 2,
}
BESIDES = re.compile(r"\b(cpu|naive|float(16|32|64)|sliced|reversed|nchw|read_only|True|False)\b")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    tables = defaultdict(list)      # (file, test) -> its cases
    for item in items:
        file, test = item.path.relative_to(HERE).as_posix(), item.nodeid.partition("[")[0]
        if file in ONE_IN and hasattr(item, "callspec") and not item.get_closest_marker("slow"):
            tables[file, test].append(item)
    for (file, _), cases in tables.items():
        left = {case for case in cases if _number(case) % ONE_IN[file] == 0} or {cases[0]}
        for case in cases:
            if case not in left:
                case.add_marker(pytest.mark.slow)


def _number(case):
    """The same for all that are called the same."""
    return zlib.crc32(BESIDES.sub("", case.callspec.id).strip("-").encode())


@pytest.fixture
def late(monkeypatch):
    """The first pass of a net has every launch wait to the end of its line, as where each kernel is new and takes long
    to compile: so nobody can rely on what is not computed yet."""
    def add(line, function, wanted=(), size=0):
        line._waiting.append((function, wanted, size))

    monkeypatch.setattr(launches._Line, "add", add)


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
