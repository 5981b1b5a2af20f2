"""Layers, losses and optimisers one by one, forward and backward, against PyTorch at its best in the same run.

usage: python bench/layers.py [WORDS] [--seconds 0.5]     rows in whose text one of the WORDS occurs

Each row is checked before it is timed. Prints a table in Markdown: milliseconds of fastnet, forward and backward, and
PyTorch's time over it, the faster of its two memory layouts for each pass; above 1 fastnet is faster. A loss is one
pass, which gives the value and the gradient; so is a step of an optimiser.
"""
import argparse
import statistics
import time

import numpy as np
import torch
from layer_rows import LAYERS, LOSSES, OPTIMISERS
from torch import nn

import fastnet
from fastnet.program import trees

BLOCKS, PAUSE = 5, 0.05
# Results of activations at which a derivative jumps: those of ReLU, Hardtanh, Hardswish and ReLU6.
KINKS = -1, 0, 1, 3, 6
LAYOUTS = torch.contiguous_format, torch.channels_last


def numbers(shape, seed=0):
    """float32 numbers, images channels-last in memory."""
    x = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if x.ndim == 4 else x


def tensor(x, layout):
    x = torch.from_numpy(np.ascontiguousarray(x))
    return x.to(memory_format=layout) if x.ndim == 4 else x


def first(y):
    """The result that gradients flow back from, of a layer that gives several."""
    return trees.flat(y)[0] if not torch.is_tensor(y) and not isinstance(y, np.ndarray) else y


class Function(nn.Module):
    """What PyTorch has as a function, as a module; the result in the memory layout of its input."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


class Moved(Function):
    """One of PyTorch's views of images, with the numbers moved: channels-last, as fastnet gives them."""

    def __init__(self, view):
        super().__init__(lambda x: view(x).contiguous(memory_format=torch.channels_last))


def ours(row):
    """(forward, backward), the results of which are lists of arrays."""
    layer = eval(row.ours, {"fastnet": fastnet} | vars(fastnet))
    x = row.x() if row.x else numbers(row.shape)
    layer.load_state_dict(row.state)
    kept = {}

    def forward():
        kept["y"] = layer.forward(x, training=True)
        return [first(kept["y"])]

    def backward():
        y, dy = kept["y"], row.dy
        dx = layer.backward(dy if isinstance(y, np.ndarray) else trees.build(trees.form(y), [dy] + [None] * (
            len(trees.flat(y)) - 1)), need_dx=row.differentiable)
        return [*([first(dx)] if row.differentiable else []), *(parameter.grad for parameter in layer.parameters())]

    return forward, backward


def theirs(row, layout):
    """The same of PyTorch."""
    module = eval(row.theirs, {"nn": nn, "torch": torch, "Function": Function, "Moved": Moved})
    if layout == torch.channels_last and len(row.shape) == 4:
        module = module.to(memory_format=layout)
    given = row.x() if row.x else numbers(row.shape)
    x, *more = [tensor(one, layout) for one in (given if isinstance(given, tuple) else (given,))]
    if row.differentiable:
        x.requires_grad_()
    row.state = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    leaves = [*([x] if row.differentiable else []), *module.parameters()]
    kept = {}

    def forward():
        kept["y"] = first(module(x, *more))
        return [kept["y"].detach()]

    def backward():
        if "dy" not in kept:    # once: making it takes longer than the pass
            kept["dy"] = tensor(row.dy, layout)
        return torch.autograd.grad(kept["y"], leaves, kept["dy"])

    return forward, backward


def loss_of(row, layout=None):
    """One function that gives value and gradient, of fastnet without a layout."""
    x, target = row.make()
    if layout is None:
        loss = eval(row.ours, vars(fastnet))
        return lambda: loss(x, target)
    loss, x, target = eval(row.theirs, {"nn": nn, "torch": torch}), tensor(x, layout).requires_grad_(), \
        tensor(target, layout)

    def run():
        value = loss(x, target)
        return value.detach(), torch.autograd.grad(value, x)[0]

    return run


def steps_of(row, theirs=None):
    """One function that does a step over the parameters of the row, and returns them; of PyTorch, with what it
    writes."""
    values = [numbers(shape, i) for i, shape in enumerate(row.shapes)]
    grads = [numbers(shape, 100 + i) for i, shape in enumerate(row.shapes)]
    if theirs is None:
        parameters = [fastnet.Parameter(value.copy()) for value in values]
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad.copy()    # in C order, like the parameter; `numbers` gives images channels-last
        optimizer = eval(row.ours, vars(fastnet) | {"parameters": parameters})
        return lambda: (optimizer.step(), [parameter.value for parameter in parameters])[1]
    parameters = [nn.Parameter(torch.from_numpy(value.copy())) for value in values]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = torch.from_numpy(grad.copy())
    optimizer = eval(theirs, {"torch": torch, "parameters": parameters})
    return lambda: (optimizer.step(), [parameter.detach() for parameter in parameters])[1]


def gradient(row, results):
    """What flows back through a layer, given what each library has for it: 0 where these lie on two sides of a kink,
    and the last bit would decide whether a gradient passes."""
    dy = numbers(results[0].shape, 1)
    if not row.drawn:
        for kink in KINKS:
            for compare in (np.greater, np.less):
                sides = [compare(np.asarray(y), kink) for y in results]
                dy *= np.logical_and.reduce([side == sides[0] for side in sides])
    return dy


def agree(mine, other, name):
    """AssertionError where the results lie apart."""
    for a, b in zip(mine, other, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, (name, a.shape, b.shape)
        assert np.linalg.norm(a - b) <= 1e-3 * max(np.linalg.norm(b), 1e-6), name


def timed(contenders, seconds):
    """{name: (times of each of its functions)}, medians, the contenders taking turns in blocks."""
    times = {name: [[] for _ in functions] for name, functions in contenders.items()}
    for functions in contenders.values():
        for _ in range(4):
            for function in functions:
                function()
    for _ in range(BLOCKS):
        for name, functions in contenders.items():
            time.sleep(PAUSE)
            end = time.perf_counter() + seconds / BLOCKS
            while time.perf_counter() < end:
                for place, function in enumerate(functions):
                    start = time.perf_counter()
                    function()
                    times[name][place].append(time.perf_counter() - start)
    return {name: [statistics.median(each) for each in all_] for name, all_ in times.items()}


def measure(row, seconds):
    """(milliseconds, ratios) of a row, one of each a pass."""
    if row in LAYERS:
        others = {layout: theirs(row, layout) for layout in LAYOUTS[:1 + (len(row.shape) == 4)]}
        mine = ours(row)
        row.dy = gradient(row, [functions[0]()[0] for functions in (mine, *others.values())])
    else:
        make, ways = (loss_of, LAYOUTS) if row in LOSSES else (steps_of, row.theirs)
        mine, others = [make(row)], {way: [make(row, way)] for way in ways}
    for place, function in enumerate(mine):
        result, wanted = function(), None
        for other in others.values():
            wanted = other[place]()
        if row not in LAYERS or not row.drawn:
            agree(result if row not in OPTIMISERS else list(result), wanted, str(row))
    times = timed({"fastnet": mine} | others, seconds)
    own = times.pop("fastnet")
    return [1e3 * each for each in own], [min(best) / each for each, best in zip(own, zip(*times.values(), strict=True),
                                                                                 strict=True)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seconds", type=float, default=0.5)
    given = parser.parse_args()
    print("| | shape | forward, ms | backward, ms | PyTorch over it | |\n|---|---|---|---|---|---|")
    for row in [*LAYERS, *LOSSES, *OPTIMISERS]:
        if given.words and not any(word in str(row) for word in given.words):
            continue
        milliseconds, ratios = measure(row, given.seconds)
        cells = [f"{value:.3g}" for value in milliseconds] + [""] * (2 - len(milliseconds))
        marks = [f"{ratio:.2f}" for ratio in ratios] + [""] * (2 - len(ratios))
        print(f"| {row.name} | {row.at} | {cells[0]} | {cells[1]} | {marks[0]} | {marks[1]} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(len(__import__("os").sched_getaffinity(0)))
    main()
