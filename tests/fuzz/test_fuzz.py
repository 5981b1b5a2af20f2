"""Every public callable, called with values of every kind.

A call may work, or be refused by a TypeError, a ValueError or what the documentation names, in words of our own that
tell who refuses which argument; it takes no longer than a second or two, and one that is refused changes nothing.
"""
import gc
import importlib
import inspect
import time
import types

import numpy as np
import pytest

import fastnet
from fastnet import init

from ..layers.wrong import judge
from . import of_layers, of_rest
from .pool import POOL
from .target import call, state, world

TARGETS = of_layers.TARGETS + of_rest.TARGETS
EXEMPT = of_layers.EXEMPT | of_rest.EXEMPT
SECONDS = 3     # a second on a machine that has other things to do; measured again where it took longer
MODULES = ("data", "init", "kernels", "layers", "losses", "models", "optim", "schedules", "training")


def public():
    """Dotted names of all public callables: functions, classes, and the classes' public methods."""
    found = set()
    for module in (fastnet, *(importlib.import_module(f"fastnet.{name}") for name in MODULES)):
        for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
            value = getattr(module, name)
            if isinstance(value, types.ModuleType) or not getattr(value, "__module__", "").startswith("fastnet"):
                continue
            if module is not fastnet and (name in fastnet.__all__ or value.__module__.startswith("fastnet.arguments")):
                continue
            short = name if module is fastnet else f"{module.__name__.partition('.')[2]}.{name}"
            found.add(short)
            if isinstance(value, type):
                found.update(f"{short}.{method}" for method, one in inspect.getmembers(value, callable)
                             if not method.startswith("_") and getattr(one, "__module__", "").startswith("fastnet"))
    return found


def test_every_public_callable_is_called():
    known = {target.name for target in TARGETS} | EXEMPT.keys()
    assert not public() - known, "a public callable that tests/fuzz does not call"


def fuzz(seed, calls):
    """So many calls of targets in turn, with one or two arguments that are drawn."""
    rng = np.random.default_rng(seed)
    tags = list(POOL)
    for i in range(calls):
        target = TARGETS[i % len(TARGETS)]
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
    """Files are written to a folder of the test's."""
    monkeypatch.chdir(tmp_path)
    yield
    gc.collect()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_right_arguments_are_right(target):
    function, right, _ = target.make()
    call(function, right)


@pytest.mark.parametrize("seed", range(4))
def test_calls(seed):
    fuzz(seed, 500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 104))
def test_many_calls(seed):
    fuzz(seed, 1000)
