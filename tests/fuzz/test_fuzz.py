"""Every public callable, called with values of every kind.

A call may work, or be refused by a TypeError, a ValueError or what the documentation names, in words of our own that
tell who refuses which argument; it takes no longer than a second or two, and one that is refused changes nothing.
"""
import importlib
import inspect
import time
import types

import numpy as np
import pytest

import fastnet
from fastnet import init

from ..layers.wrong import judge
from ..test_wrong_arguments import INNER, takes
from . import of_layers, of_rest
from .pool import POOL
from .target import call, state, world

TARGETS = of_layers.TARGETS + of_rest.TARGETS
EXEMPT = of_layers.EXEMPT | of_rest.EXEMPT
SECONDS = 3     # a second on a machine that has other things to do; measured again where it took longer
MODULES = ("calculators", "data", "features", "init", "kernels", "layers", "losses", "metrics", "models", "optim",
           "regularizers", "schedules", "training")


def public():
    """Names of all public callables: functions, classes, and the classes' public methods that take something; those of
    layers with the name of each class, others with that of the class that defines them."""
    found = set()
    for module in (fastnet, *(importlib.import_module(f"fastnet.{name}") for name in MODULES)):
        for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
            value = getattr(module, name)
            home = getattr(value, "__module__", None) or ""
            if isinstance(value, types.ModuleType) or not home.startswith("fastnet") or home == "fastnet.arguments":
                continue
            if module is fastnet or getattr(fastnet, name, None) is not value:
                found.add(name)
            for method, function in inspect.getmembers(value, callable) if isinstance(value, type) else ():
                if method.startswith("_") or not getattr(function, "__module__", "").startswith("fastnet"):
                    continue
                if not issubclass(value, fastnet.Layer):
                    found.update([function.__qualname__] * bool(takes(function)))
                elif len(inspect.signature(function).parameters) > 1:
                    found.add(f"{name}.{method}")
    return found


def test_every_public_callable_is_called():
    known = {target.name for target in TARGETS} | EXEMPT.keys()
    assert not {name for name in public() - known if name.rpartition(".")[2] not in INNER}


def fuzz(seed, calls):
    """So many calls of targets, each as often as any other, with one or two arguments that are drawn."""
    rng = np.random.default_rng(seed)
    tags, order = list(POOL), rng.permutation(len(TARGETS))
    for i in range(calls):
        target = TARGETS[order[i % len(TARGETS)]]
        init.manual_seed(0)
        function, right, watched = target.make()
        count = min(len(right), 1 + int(rng.random() < 0.2))
        if not count:
            continue
        drawn = [(str(argument), tags[rng.integers(len(tags))])
                 for argument in rng.choice(list(right), count, replace=False)]
        drawn = [(argument, tag) for argument, tag in drawn if tag not in target.never.get(argument, ())]
        try:
            one_call(target, function, right, watched, drawn)
        except Exception as error:
            raise AssertionError(f"call {i} of seed {seed}: {target.name}({drawn})") from error
        if of_rest.DRAWN:
            importlib.import_module("matplotlib.pyplot").close("all")


def one_call(target, function, right, watched, drawn):
    given = right | {argument: POOL[tag]() for argument, tag in drawn}
    watched = [*watched, [value for argument, value in right.items() if argument not in dict(drawn)]]
    before = state(watched), world()
    started = time.perf_counter()
    try:
        call(function, given)
    except (TypeError, ValueError, *target.errors) as error:
        if not isinstance(error, target.errors) or isinstance(error, (TypeError, ValueError)):
            names = "|".join(target.pattern(argument) for argument, _ in drawn)
            judge(error, target.called, names, ours=target.errors)
        assert (state(watched), world()) == before, f"refused, and something changed: {error}"
    if time.perf_counter() - started > SECONDS:     # perhaps it compiled
        function, right, watched = target.make()
        started = time.perf_counter()
        try:
            call(function, right | {argument: POOL[tag]() for argument, tag in drawn})
        except (TypeError, ValueError, *target.errors):
            pass
        assert time.perf_counter() - started < SECONDS, "slow"


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Files are written to a folder of the test's, and no data lies anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTNET_DATA", str(tmp_path))


def test_right_arguments_are_right():
    for target in TARGETS:
        function, right, _ = target.make()
        try:
            call(function, right)
        except Exception as error:
            assert isinstance(error, target.errors), f"{target.name}: {error}"


@pytest.mark.parametrize("seed", range(4))
def test_calls(seed):
    fuzz(seed, 500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 104))
def test_many_calls(seed):
    fuzz(seed, 1000)
