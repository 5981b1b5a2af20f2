"""The examples in docstrings run, and every public name has one."""
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import checks, data, metrics, models, plot, regularizers, schedules

HERE = Path(fastnet.__file__).parent


def part(name):
    """fastnet.data for fastnet.data.loader."""
    return ".".join(name.split(".")[:2])


# Parts of the package of whose names some have no example yet.
LACKING = {"fastnet.init", "fastnet.kernels", "fastnet.layers", "fastnet.optim", "fastnet.parameter", "fastnet.program"}
TEXTS = {name: HERE.joinpath(*name.split(".")[1:]).with_suffix(".py").read_text("utf-8")
         for _, name, package in pkgutil.walk_packages([HERE], "fastnet.") if not package}
MODULES = sorted(name for name, text in TEXTS.items()
                 if ">>> " in text and part(name) not in LACKING - {"fastnet.init"})
NEEDS = {"fastnet.plot": "matplotlib", "fastnet.estimators": "sklearn", "fastnet.data.images": "PIL",
         "fastnet.training.images": "PIL"}


def public():
    """Every public name, and what it is."""
    found = {}
    for module in (fastnet, checks, data, metrics, models, plot, regularizers, schedules):
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
    found = doctest.testmod(importlib.import_module(name), extraglobs={"np": np, "fastnet": fastnet})
    assert not found.failed and (found.attempted or "# doctest: +SKIP" in TEXTS[name])
    if name.startswith("fastnet.plot"):
        importlib.import_module("matplotlib.pyplot").close("all")


def test_every_public_name_has_an_example():
    assert len(PUBLIC) > 250
    assert not [name for name, one in PUBLIC.items() if not (one.__doc__ or "").strip()]
    without = {name for name, one in PUBLIC.items() if ">>> " not in one.__doc__}
    assert not {name for name in without if part(name) not in LACKING}
