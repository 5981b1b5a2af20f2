"""Which way imports point, and what ``import fastnet`` costs."""
import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fastnet.kernels.cpu import runtime

PACKAGE = Path(__file__).parents[1] / "fastnet"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part of the package may import: of the package itself, and of what is installed beside it.
INSIDE = {
    "arguments": set(),
    "writing": set(),
    "columns": set(),
    "probabilities": set(),
    "kernels": {"arguments", "kernels", "sealed"},
    "parameter": {"arguments", "changes", "habits", "sealed"},
    "sealed": set(),
    "habits": set(),
    "memory": {"arguments", "kernels"},
    "init": {"arguments", "init"},
    "changes": set(),
    "program": {"arguments", "kernels", "changes", "program", "columns", "sealed"},
    "layers": {"arguments", "changes", "habits", "kernels", "parameter", "init", "program", "layers", "sealed"},
    "losses": {"arguments", "habits", "kernels", "losses"},
    "metrics": {"arguments", "probabilities"},
    "regularizers": {"arguments", "kernels"},
    "optim": {"arguments", "changes", "habits", "kernels", "parameter", "optim"},
    "schedules": {"arguments", "habits", "kernels", "parameter"},
    "data": {"arguments", "writing", "kernels", "data"},
    "features": {"arguments", "kernels", "data"},
    "models": {"arguments", "layers", "init", "models"},
    "files": {"arguments", "writing", "init", "layers", "data", "parameter", "files", "probabilities"},
    "training": {"arguments", "writing", "metrics", "data", "optim", "training", "files", "init", "plot",
                 "probabilities"},
    "checks": {"arguments", "changes", "layers", "losses", "optim", "program", "regularizers", "training", "checks",
               "columns"},
    "plot": {"arguments", "plot"},
    "estimators": {"arguments", "init", "kernels", "data", "features", "layers", "losses", "optim", "regularizers",
                   "training", "estimators", "probabilities"},
    "search": {"arguments", "init", "training", "columns"},
    "warmup": {"arguments", "kernels", "models", "losses", "optim"},
    "calculators": {"arguments"},
    "commands": {"init", "models", "schedules", "data", "files", "losses", "optim", "training"},
    "__main__": {"__version__", "commands", "init", "models", "kernels", "program", "warmup"},
}
OUTSIDE = {
    "files": {"numpy", "safetensors"},
    "kernels": {"numpy", "numba", "llvmlite"},
    "data": {"numpy", "tqdm", "PIL"},
    "training": {"numpy", "tqdm", "tensorboardX", "matplotlib"},
    "plot": {"numpy", "matplotlib"},
    "estimators": {"numpy", "numba", "sklearn"},
    "search": {"numpy", "tqdm", "joblib"},
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


def folder(module):
    """The folder, as a dotted name, of the module that a dotted name is or begins with; None where it is no module."""
    parts = module.split(".")
    while parts:
        path = PACKAGE.parent.joinpath(*parts)
        if path.is_dir():
            return ".".join(parts)
        if path.with_suffix(".py").is_file():
            return ".".join(parts[:-1])
        parts.pop()
    return None


def is_module(name):
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private_names(tree, package):
    """Dotted private names that a module in `package` uses of modules in other folders: those that it imports, and
    those that it reads off a module, as in ``module._name``."""
    modules = {}    # what a name stands for in the module: the dotted name of a module
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else \
                    alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[:len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                if is_module(name):
                    modules[alias.asname or alias.name] = name
                if any(map(is_private, name.split("."))) and folder(name) not in (None, package):
                    yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            owner = dotted(node.value)
            if owner and owner[0] in modules:
                name = ".".join([modules[owner[0]], *owner[1:]])
                if is_module(name) and folder(name) not in (None, package):
                    yield f"{name}.{node.attr}"


def dotted(node):
    """["a", "b"] for the expression a.b; None for any other."""
    if isinstance(node, ast.Name):
        return [node.id]
    before = dotted(node.value) if isinstance(node, ast.Attribute) else None
    return before and [*before, node.attr]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_stay_in_their_folder(path):
    package = ".".join(("fastnet", *path.relative_to(PACKAGE).parent.parts))
    assert list(private_names(parsed(path), package)) == []


@pytest.mark.parametrize("text, found", [
    ("from fastnet.kernels.cpu.fusions import _rule", ["fastnet.kernels.cpu.fusions._rule"]),
    ("from ..program.trace import _names", ["fastnet.program.trace._names"]),
    ("from fastnet.program import trace as t\nt._names(1)", ["fastnet.program.trace._names"]),
    ("import fastnet.program.trace\nprint(fastnet.program.trace._names)", ["fastnet.program.trace._names"]),
    ("import fastnet.program.trace as t\nt._names", ["fastnet.program.trace._names"]),
    ("def f():\n    from fastnet import losses\n    return losses._x", ["fastnet.losses._x"]),
    ("from fastnet.layers.base import _x\nfrom . import base\nbase._x", []),
    ("from fastnet import kernels\nkernels.__name__", []),
    ("import numpy as np\nnp._x\nself._x", []),
])
def test_private_names_are_found(text, found):
    assert list(private_names(ast.parse(text), "fastnet.layers")) == found


RUNTIME = "fastnet.kernels.cpu.runtime"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_runtime_has_one_door(path):
    """Whoever is not of runtime/ imports what its __init__ exports, from there."""
    if path.parent != PACKAGE / "kernels" / "cpu" / "runtime":
        for name in imported(path):
            if name.startswith(f"{RUNTIME}."):
                assert name.removeprefix(f"{RUNTIME}.") in runtime.__all__


def test_compilation_has_one_place():
    """Only runtime/compiler.py calls njit, so that flags, cache and threads are decided once."""
    callers = {path.relative_to(PACKAGE).as_posix() for path in MODULES for node in ast.walk(parsed(path))
               if getattr(node, "attr", getattr(node, "id", "")) == "njit"}
    assert callers == {"kernels/cpu/runtime/compiler.py"}


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


def test_numba_is_imported_with_the_first_operation():
    """It takes longer than all the rest: whoever only looks, or computes by the naive backend, does without."""
    code = ("import sys, numpy as np, fastnet\n"
            "fastnet.Linear(2, 3).to('naive')(np.ones((1, 2)))\n"
            "assert 'numba' not in sys.modules\n"
            "fastnet.Linear(2, 3)(np.ones((1, 2)))\n"
            "assert 'numba' in sys.modules\n")
    subprocess.run([sys.executable, "-c", code], check=True)
