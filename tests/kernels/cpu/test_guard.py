"""No operation reads or writes outside of its arrays; see `guard`."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(sys.platform == "win32", reason="needs mmap and mprotect")
@pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler, the primitives themselves refuse such places")
@pytest.mark.parametrize("side", ["end", pytest.param("start", marks=pytest.mark.slow)])
def test_operations_stay_within_their_arrays(side):
    done = subprocess.run([sys.executable, "-m", "tests.kernels.cpu.guard", side], cwd=ROOT, env=os.environ,
                          capture_output=True, text=True)
    *cases, last = done.stdout.splitlines()
    assert done.returncode == 0, f"died in {cases[-1:]} {last}: {done.stderr}"
    assert last == "written beside arrays of these sizes: []"
    assert len(cases) > 100
