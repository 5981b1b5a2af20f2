"""Which way imports point, and what ``import fastnet`` costs."""
import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fastnet"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part of the package may import: of the package itself, and of what is installed beside it.
INSIDE = {
    "kernels": {"kernels"},
    "parameter": {"changes"},
    "init": set(),
    "changes": set(),
    "packed": {"replays"},
    "plan": {"kernels", "parameter"},
    "replays": {"kernels", "plan", "changes"},
    "layers": {"changes", "kernels", "parameter", "init", "packed", "plan", "replays", "layers"},
    "losses": {"kernels", "parameter"},
    "optim": {"kernels", "parameter"},
    "schedules": {"kernels", "parameter"},
    "data": {"kernels", "data"},
    "models": {"layers", "init", "models"},
    "training": {"training"},
    "plot": set(),
    "summary": set(),
    "warmup": {"models", "losses", "optim", "packed"},
    "__main__": {"__version__", "models", "kernels", "warmup"},
}
OUTSIDE = {
    "kernels": {"numpy", "numba", "llvmlite"},
    "data": {"numpy", "tqdm"},
    "training": {"numpy", "tqdm"},
    "plot": {"numpy", "matplotlib"},
    "__main__": {"numpy", "numba"},
}


def part(path):
    """The top-level name that a module belongs to: "kernels" for fastnet/kernels/cpu/conv/ops.py."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def parsed(path):
    """The syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path):
    """Dotted names of all that a module imports, wherever in it."""
    package = ("fastnet", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[:len(package) - node.level + 1]) + "." if node.level else ""
            base = (start + (node.module or "")).rstrip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    if path == PACKAGE / "__init__.py":
        return  # it re-exports from everywhere
    assert part(path) in INSIDE, "a new part of the package: say in this test what it may import"
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "fastnet":
            assert rest and rest[0] in INSIDE[part(path)], f"{part(path)} must not import {name}"
        elif top not in sys.stdlib_module_names:
            assert top in OUTSIDE.get(part(path), {"numpy"}), f"{part(path)} must not import {name}"


def test_compilation_has_one_place():
    """Only runtime/jit.py calls njit, so that flags, cache and threads are decided once."""
    callers = {path.relative_to(PACKAGE).as_posix() for path in MODULES for node in ast.walk(parsed(path))
               if getattr(node, "attr", getattr(node, "id", "")) == "njit"}
    assert callers == {"kernels/cpu/runtime/jit.py"}


PROBE = """
import json, sys
import numpy, numba, tqdm
needed = set(sys.modules)
compiled = []
from numba.core import event
class Listener(event.Listener):
    def on_start(self, event): compiled.append(str(event.data))
    def on_end(self, event): pass
event.register("numba:compile", Listener())
import fastnet
print(json.dumps({"modules": sorted(set(sys.modules) - needed), "compiled": compiled}))
"""


@pytest.fixture(scope="module")
def probe():
    """What importing fastnet adds to a fresh interpreter that has its dependencies."""
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_import_leaves_the_extras_alone(probe):
    extras = {"torch", "onnxruntime", "sklearn", "scipy", "matplotlib", "pytest"}
    assert not extras & set(probe["modules"])


def test_import_leaves_what_only_a_download_needs_alone(probe):
    """The network's modules alone took a third of the import; the seconds themselves are measured in bench/."""
    network = {"ssl", "http.client", "urllib.request"}
    assert "fastnet.data.download" in probe["modules"]
    assert not network & set(probe["modules"])


def test_import_compiles_nothing(probe):
    assert probe["compiled"] == []
