"""One table of cases for each operation, and how to call it and its gradients: it serves every backend and every judge.

A case names a forward operation, the shapes of its operands and its options. `operands` draws the arrays, `forward`
calls the operation, `gradients` calls the backward operations that belong to it. Every operation of the contract is
reached this way, but for `draw`, which takes no array, and the optimiser steps, which write in place: their cases are
UPDATES.

A file a family of operations. Each has

    CASES           the family's cases
    EXACT           its operations that are exact in small integers, whatever the order of their sums, and those each of
                    whose roundings is stated; the others divide or take roots
    GRADIENTS       {operation: gradients(ops, case, arrays, results, dys), a list with one for each operand}

and, where it needs them,

    FORWARD         {operation: forward(ops, case, arrays)}, a list, for what is not called as op(*arrays, **options)
    NO_GRADIENT     operations that no gradient flows through
    SQUARED         {operation: the places of operands that must not be negative}
    CONSTANT        {operation: the places of operands that no gradient flows to}
    DIFFERENTIABLE  {operation: number(case), of its results that gradients flow back from}, where that is not the first
                    one alone
"""
import numpy as np

from . import (
    broadcast,
    convolutions,
    elementwise,
    features,
    losses,
    moves,
    norms,
    pools,
    products,
    regions,
    resample,
    scores,
    sequences,
    updates,
)
from .case import Case, as_list
from .convolutions import CONVOLUTIONS, LOCAL, TRANSPOSED, conv, geometry, local, transposed
from .elementwise import ACTIVATIONS
from .norms import groups, last_axes, local_norm, norm
from .pools import pool
from .products import LINEARS, linear
from .regions import BOXES, region
from .sequences import recurrent, table
from .updates import UPDATES

__all__ = ["ACTIVATIONS", "BOXES", "CASES", "CONVOLUTIONS", "Case", "LINEARS", "LOCAL", "NO_GRADIENT", "TRANSPOSED",
           "UPDATES", "conv", "geometry", "groups", "last_axes", "linear", "local", "local_norm", "norm", "pool",
           "recurrent", "region", "table", "transposed"]

FAMILIES = (broadcast, convolutions, products, pools, resample, regions, norms, elementwise, moves, scores, sequences,
            features, losses, updates)


def _all(name):
    """What the families say under one name, dictionaries joined, lists put end to end."""
    found = [vars(family)[name] for family in FAMILIES if name in vars(family)]
    if isinstance(found[0], dict):
        return {key: value for each in found for key, value in each.items()}
    return [one for each in found for one in each]


CASES, EXACT, NO_GRADIENT = _all("CASES"), _all("EXACT"), _all("NO_GRADIENT")
_DIFFERENTIABLE = _all("DIFFERENTIABLE")
_FORWARD, _GRADIENTS, _SQUARED, _CONSTANT = _all("FORWARD"), _all("GRADIENTS"), _all("SQUARED"), _all("CONSTANT")

EXACT_ACTIVATIONS = ("relu", "leaky_relu", "hardtanh", "softshrink", "hardshrink", "threshold")


def name(case):
    return f"{case.op}-{case.name}"


def exact_in_integers(case):
    return case.op in EXACT or case.options.get("function") in EXACT_ACTIVATIONS


def one_each(cases=CASES):
    """The first case of each operation, and of each activation and cell."""
    return list({(case.op, case.options.get("function"), case.options.get("cell")): case
                 for case in reversed(cases)}.values())[::-1]


def integers(rng, shape):
    return rng.integers(-3, 4, shape)


def reals(rng, shape):
    return rng.standard_normal(shape)


def distinct(rng, shape):
    """Numbers between -2 and 2, no two of them close to each other and none close to zero."""
    size = int(np.prod(shape))
    return ((rng.permutation(size) + 0.3) / size * 4 - 2).reshape(shape)


def operands(case, numbers, dtype, seed=0):
    """The arrays of a case, their numbers drawn by `numbers`; None for an operand that it does without."""
    rng = np.random.default_rng(seed)
    arrays = [None if shape is None else numbers(rng, shape).astype(dtype) for shape in case.shapes]
    for place in _SQUARED.get(case.op, ()):
        arrays[place] = np.square(arrays[place])
    return arrays


def forward(ops, case, arrays):
    """What the operation returns, as a list."""
    if case.op in _FORWARD:
        return _FORWARD[case.op](ops, case, arrays)
    return as_list(getattr(ops, case.op)(*arrays, **case.options))


def constant(case, place):
    """Whether no gradient flows to that operand, as to the statistics of batchnorm_inference."""
    return place in _CONSTANT.get(case.op, ())


def differentiable(case, results):
    """Those of the results that gradients flow back from."""
    if case.op in NO_GRADIENT:
        return []
    return results if case.op == "split" else results[:_DIFFERENTIABLE.get(case.op, lambda case: 1)(case)]


def gradients(ops, case, arrays, results, dys):
    """The gradients of sum(dy * result) for each operand, from the backward operations; None for those without: what
    was left out, and what is constant."""
    return _GRADIENTS[case.op](ops, case, arrays, results, dys)


def flat(values):
    """The elements of nested lists and tuples, one after another."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from flat(value)
        else:
            yield value
