"""Compiling ahead: everything that the training and the inference of given nets will need."""
import multiprocessing
import time

import numpy as np

from fastnet import models
from fastnet.losses import CrossEntropyLoss
from fastnet.optim import SGD, Adam
from fastnet.packed import Store

IMAGE = (3, 32, 32)


def warmup(names, batch_size=128, processes=2, report=print):
    """Compile the kernels of the models called so for batches of that size and for single images, into the cache.

    Layers of one kind and shape are run once, by several processes at a time: Numba compiles one kernel at a time in
    each. Then a training step of each model compiles what is left. `report` gets a line for all that took its time.
    ValueError for unknown names.
    """
    nets = {name: _model(name) for name in names}
    tasks = {}
    for net in nets.values():
        for size in (batch_size, 1):
            _collect(net, (size, *IMAGE), size > 1, tasks)
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(min(processes, len(tasks))) as pool:
        for text, seconds in pool.imap_unordered(_run, tasks.values()):
            if seconds > 0.1:
                report(f"{seconds:6.1f} s  {text}")
    for name, net in nets.items():
        report(f"{_first_step(net, batch_size):6.1f} s  {name}: what is left, a training step and inference")
    report(f"{time.perf_counter() - started:6.1f} s  in all, for {len(tasks)} kinds of layers")


def _model(name):
    if name not in models.__all__:
        raise ValueError(f"unknown model {name!r}: choose from {', '.join(models.__all__)}")
    return getattr(models, name)()


def _collect(layer, shape, training, tasks):
    """Add the layer's steps, and those within them, as {what decides which kernels run: arguments for `_run`}."""
    if not hasattr(layer, "plan"):
        parts = dict(layer.named_children())
        for name, inner in layer.inner_shapes(shape).items():
            if isinstance(inner, tuple):  # a list is what a merge gets, and those are quick to compile
                _collect(parts[name], inner, training, tasks)
        return
    for step in layer.plan(shape).steps:
        if step.layers[0].inner_shapes(shape):
            _collect(step.layers[0], shape, training, tasks)
        else:
            text = " + ".join(f"{type(part).__name__}({part.arguments()})" for part in step.layers)
            tasks.setdefault((text, shape, training), (f"{text}, x {shape}", step, shape, training))
        for part in step.layers:
            shape = tuple(part.output_shape(shape))


def _run(task):
    """Run a step forward, backward and at inference: (what it was, seconds)."""
    text, step, shape, training = task
    started = time.perf_counter()
    x = np.zeros(shape, np.float32)
    step.forward(x, packed=Store().current(step.layers[0].ops))
    if training:
        y = step.forward(x, True)
        step.backward(y, True, x)
    return text, time.perf_counter() - started


def _first_step(net, batch_size):
    """Seconds of training and of inference, until both are replayed."""
    x, labels = np.zeros((batch_size, *IMAGE), np.float32), np.zeros(batch_size, np.int64)
    started = time.perf_counter()
    for _ in range(3):  # the third one is recorded
        _, gradient = CrossEntropyLoss()(net.forward(x, training=True), labels)
        net.backward(gradient, need_dx=False)
    params = net.parameters()
    for optimizer in (Adam(params, lr=1e-3), SGD(params, lr=1e-3, momentum=0.9, nesterov=True, max_norm=1.0)):
        optimizer.step()
    net(x)
    for _ in range(3):
        net(x[:1])
    return time.perf_counter() - started
