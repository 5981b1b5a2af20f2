"""Compiling ahead: everything that the training and the inference of given nets will need."""
import difflib
import multiprocessing
import time
from math import prod

import numpy as np

from fastnet import arguments, kernels, models
from fastnet.losses import CrossEntropyLoss
from fastnet.optim import SGD, Adam

PIXELS = 128 * 32 * 32


def warmup(names, batch_size=None, processes=2, report=print):
    """Compile the kernels of the models called so for batches of that size and for single samples, into the cache. By
    default a batch has 128 images of 32 x 32 pixels, or as many pixels in larger ones.

    Operations of one kind and shape are run once, by several processes at a time: Numba compiles one kernel at a time
    in each. Then a training step of each model compiles what is left. `report` gets a line for all that took its time.
    ValueError for unknown names.
    """
    if not isinstance(names, (tuple, list)):
        raise TypeError(f"warmup: names must be a list of models' names, got {arguments.shown(names)}")
    if batch_size is not None:
        batch_size = arguments.integer(batch_size, "warmup: batch_size", 1)
    processes = arguments.integer(processes, "warmup: processes", 1)
    arguments.function(report, "warmup: report", "a function of a line of text")
    nets = {name: _model(name) for name in names}
    shapes = {name: _batch(name, batch_size) for name in nets}
    tasks = {}
    for name, net in nets.items():
        size, *sample = shapes[name]
        for count, training in ((size, True), (size, False), (1, False)):
            _collect(net, (count, *sample), training, tasks)
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(min(processes, len(tasks))) as pool:
        for text, seconds in pool.imap_unordered(_run, tasks.values()):
            if seconds > 0.1:
                report(f"{seconds:6.1f} s  {text}")
    for name, net in nets.items():
        report(f"{_first_step(net, shapes[name]):6.1f} s  {name}: what is left, a training step and inference")
    report(f"{time.perf_counter() - started:6.1f} s  in all, for {len(tasks)} kinds of operations")


def _model(name):
    if not isinstance(name, str) or name not in models.__all__:
        near = difflib.get_close_matches(name, models.__all__, 3) if isinstance(name, str) else []
        raise (ValueError if isinstance(name, str) else TypeError)(
            "warmup: the name of a model must be that of a net in fastnet.models, such as "
            f"{' or '.join(near or ['resnet20'])}, got {arguments.shown(name)}")
    return getattr(models, name)()


def _batch(name, batch_size):
    """The shape of a batch of what the model was made for."""
    sample = getattr(models, name).input_shape
    return batch_size or min(128, max(1, PIXELS // prod(sample[1:]))), *sample


def _collect(net, shape, training, tasks):
    """Add to `tasks` each kind of operation that the net needs, with the layers where it was met first."""
    for node in net.program(shape, training).after.nodes:
        if node.op != "reshape":
            task = _task(node)
            tasks.setdefault(repr(task), (f"{' + '.join(node.layers)}: {node.op}", task))


def _task(node):
    """What decides which kernels an operation runs: its name, the shapes and dtypes of what it reads, its options. What
    it reads may be a list, or be made by another operation."""
    def given(value):
        if isinstance(value, list):
            return [given(one) for one in value]
        return _task(value.node) if value.dtype == object else (value.shape, value.dtype.str)

    return node.op, {name: given(value) for name, value in sorted(node.inputs.items())}, node.options


def _run(task):
    """Run an operation on zeros: (what it was, seconds)."""
    text, operation = task
    started = time.perf_counter()
    _compute(operation)
    return text, time.perf_counter() - started


def _compute(operation):
    op, inputs, options = operation

    def array(given):
        if isinstance(given, list):
            return [array(one) for one in given]
        if len(given) == 3:
            return _compute(given)
        shape, dtype = given
        if len(shape) != 4:
            return np.zeros(shape, dtype)
        n, c, h, w = shape
        return np.zeros((n, h, w, c), dtype).transpose(0, 3, 1, 2)

    return getattr(kernels.load("cpu"), op)(**{name: array(given) for name, given in inputs.items()}, **options)


def _first_step(net, shape):
    """Seconds of training and of inference, until both are run by recordings."""
    x = np.zeros(shape, np.int64 if net.lets_integers_in() else np.float32)
    started = time.perf_counter()
    for _ in range(3):  # the second one is recorded
        net.backward(_gradient(net.forward(x, training=True)), need_dx=False)
    params = net.parameters()
    for optimizer in (Adam(params, lr=1e-3), SGD(params, lr=1e-3, momentum=0.9, nesterov=True, max_norm=1.0)):
        optimizer.step()
    net(x)
    for _ in range(3):
        net(x[:1])
    return time.perf_counter() - started


def _gradient(y):
    """That of the loss of scores (N, C) or (N, C, ...); of a net with several heads, of each."""
    if isinstance(y, dict):
        return {head: _gradient(one) for head, one in y.items()}
    _, gradient = CrossEntropyLoss()(y, np.zeros((len(y), *y.shape[2:]), np.int64))
    return gradient
