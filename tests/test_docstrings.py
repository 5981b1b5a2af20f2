"""The examples in docstrings run, and every public name has one."""
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import fastnet

HERE = Path(fastnet.__file__).parent
TEXTS = {name: HERE.joinpath(*name.split(".")[1:], *["__init__"] * package).with_suffix(".py").read_text("utf-8")
         for _, name, package in pkgutil.walk_packages([HERE], "fastnet.")}
MODULES = sorted(name for name, text in TEXTS.items() if ">>> " in text)
NEEDS = {"fastnet.plot": "matplotlib", "fastnet.estimators": "sklearn", "fastnet.data.images": "PIL",
         "fastnet.training.images": "PIL"}
# Whose names are public: a module's `__all__`, and where it has none all that do not begin with an underscore.
DOORS = ("calculators", "checks", "data", "estimators", "features", "init", "kernels", "layers", "losses", "metrics",
         "models", "optim", "plot", "regularizers", "schedules", "search", "training")


def public():
    """Every public name, and what it is."""
    found = {}
    for module in (fastnet, *(importlib.import_module(f"fastnet.{door}") for door in DOORS
                              if door != "estimators" or importlib.util.find_spec("sklearn"))):
        names = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
        for name in names:
            one = getattr(module, name)
            if (inspect.isclass(one) or inspect.isfunction(one)) and one.__module__.startswith("fastnet"):
                found[f"{one.__module__}.{name}"] = one
    return found


PUBLIC = public()


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    for beginning, module in NEEDS.items():
        if name.startswith(beginning):
            pytest.importorskip(module)
    if name.startswith("fastnet.plot"):
        importlib.import_module("matplotlib").use("Agg")
    monkeypatch.chdir(tmp_path)
    fastnet.manual_seed(0)      # an example is the same each time, whatever ran before
    module, runner = importlib.import_module(name), doctest.DocTestRunner()
    tests = doctest.DocTestFinder().find(module, globs={**vars(module), "np": np, "fastnet": fastnet})
    written = sum(line.lstrip().startswith(">>> ") for line in TEXTS[name].splitlines())
    assert sum(len(test.examples) for test in tests) == written
    for test in tests:
        runner.run(test)
    assert not runner.failures
    if name.startswith("fastnet.plot"):
        importlib.import_module("matplotlib.pyplot").close("all")


def test_every_public_name_has_an_example():
    assert len(PUBLIC) > 300
    assert not [name for name, one in PUBLIC.items() if not (one.__doc__ or "").strip()]
    assert not [name for name, one in PUBLIC.items() if ">>> " not in one.__doc__]
