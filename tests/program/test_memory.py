"""What a process holds: peaks, what stays when nets go, and that nothing grows with the number of shapes."""
import json
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from numba import config

from fastnet import empty_cache
from fastnet.kernels.cpu.runtime import empty

from .nets import fresh, images, step
from .steps import SHAPE, replayed_net

pytestmark = [pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
              pytest.mark.skipif(config.DISABLE_JIT, reason="takes minutes")]

BEGIN = """
import json, threading
import numpy as np
from fastnet import *
from fastnet import models
rng, loss, gone, report = np.random.default_rng(0), CrossEntropyLoss(), [], {}

def megabytes(what):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(what)).split()[1]) / 1024

def peak(function, *arguments):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")     # VmHWM starts anew
    before = megabytes("VmRSS")
    function(*arguments)
    return megabytes("VmHWM") - before

def convnet():
    return Sequential(Conv2d(3, 16, 3, padding=1), BatchNorm2d(16), ReLU(), MaxPool2d(2), Conv2d(16, 32, 3, padding=1),
                      ReLU(), Conv2d(32, 32, 3, stride=2, padding=1), ReLU(), AdaptiveAvgPool2d(1), Flatten(),
                      Linear(32, 10))

def learn(net, x):
    _, dlogits = loss(net.forward(x, training=True), np.zeros(len(x), np.int64))
    net.backward(dlogits, need_dx=False)

def serve(net, sizes, batch=1, training=False, passes=4):
    for size in sizes:
        x = rng.standard_normal((batch, size, size, 3), np.float32).transpose(0, 3, 1, 2)
        for _ in range(passes):
            learn(net, x) if training else net(x)
        del x
"""


def run(script):
    """What a process of its own reports."""
    done = subprocess.run([sys.executable, "-c", f"{BEGIN}{script}\nprint(json.dumps(report))"], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LIFE = """
def life(size):
    net = convnet()
    with {precision}:
        serve(net, [size], 64, True)
        serve(net, [size], 64)
    held = megabytes("VmRSS")
    del net
    empty_cache()
    return held

import contextlib
def live(size):
    if {threads} == 1:
        return life(size)
    running = [threading.Thread(target=life, args=(size,)) for _ in range({threads})]
    [thread.start() for thread in running]
    held = megabytes("VmRSS")
    [thread.join() for thread in running]
    empty_cache()
    return held
live(64)
before = megabytes("VmRSS")
report["held"] = live({size}) - before
report["left"] = megabytes("VmRSS") - before
"""


# Images of bfloat16 take half as much.
@pytest.mark.parametrize("precision, threads, size", [
    ("contextlib.nullcontext()", 1, 96), ("exact()", 1, 96), ("bfloat16_products()", 1, 128),
    ("contextlib.nullcontext()", 3, 96)])
def test_a_net_that_is_deleted_leaves_nothing(precision, threads, size):
    found = run(LIFE.format(precision=precision, threads=threads, size=size))
    assert found["left"] < 25
    assert threads > 1 or found["held"] > 40    # or else there is nothing to give back


ASKED = """
def net(blocks):
    layers = [(Conv2d(1024, 1024, 1, bias=False), BatchNorm2d(1024), ReLU()) for _ in range(blocks)]
    return Sequential(*(layer for block in layers for layer in block))

def ask(net):
    for _ in range(4):
        net(np.ones((1, 1024, 7, 7), np.float32))

ask(net(1))     # compiles, and takes memory of its own
empty_cache()
report["peak"] = peak(ask, net(8))
"""


def test_inference_keeps_one_more_form_of_the_weights():
    """8 of 4 MB; a batch norm that is folded into them leaves no other copy."""
    assert run(ASKED)["peak"] < 8 * 4 + 8


SIZES = """
sizes = np.linspace(900, 1099, {count}).astype(int).tolist()
np.random.default_rng(0).shuffle(sizes)
serve(convnet(), [64], training={training})
empty_cache()
report["one"] = max(peak(serve, convnet(), [size], 1, {training}) for size in (1098, 1099))
empty_cache()
before = megabytes("VmRSS")
net = convnet()
report["many"] = peak(serve, net, sizes, 1, {training})
del net
empty_cache()
report["left"] = megabytes("VmRSS") - before
"""


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("count", [6, pytest.param(24, marks=pytest.mark.slow)])
def test_many_sizes_cost_what_one_does(count, training):
    found = run(SIZES.format(count=count, training=training))
    assert found["many"] < 1.2 * found["one"]
    assert found["left"] < 50


BATCHES = """
net = Sequential(Conv2d(3, 16, 3, stride=2), ReLU(), Flatten(), Linear(784, 10))
optimizer = SGD(net.parameters(), lr=1e-3)
x = rng.standard_normal(({most}, 3, 16, 16), np.float32)
report["held"] = []
for i in range({steps}):
    batch = int(rng.integers(1, {most} + 1))
    learn(net, x[:batch])
    optimizer.step()
    net(x[:batch])
    if i % ({steps} // 10) == 0:
        report["held"].append(megabytes("VmRSS"))
"""


@pytest.mark.parametrize("steps, most", [(150, 20), pytest.param(10_000, 150, marks=pytest.mark.slow)])
def test_batches_of_many_sizes(steps, most):
    """Flat, once each of them has been there."""
    held = run(BATCHES.format(steps=steps, most=most))["held"]
    assert max(held[5:]) - max(held[:5]) < 8


PACKED = """
net = Sequential(Conv2d(256, 256, 3, padding=1), ReLU(), Flatten())
def serve_changing(count):
    for batch in range(1, count + 1):
        net[0].weight.value += 1e-3
        x = np.zeros((batch, 256, 8, 8), np.float32)
        for _ in range(4):
            net(x)
serve_changing(3)
report["grown"] = peak(serve_changing, 12)
"""


def test_packed_weights_go_with_the_weights():
    """9 MB for each batch size, where the recordings of other shapes hold on to theirs."""
    assert run(PACKED)["grown"] < 40


TRAINING = """
net = models.small_convnet()
optimizer = Adam(net.parameters(), lr=1e-3)
def train(size):
    x = rng.standard_normal((size, 3, 32, 32), np.float32)
    for _ in range(8):
        learn(net, x)
        optimizer.step()
train(8)
empty_cache()
report["peak"] = peak(train, 128)
"""


def test_the_peak_of_training():
    """Of small_convnet, 128 images at a time."""
    assert run(TRAINING)["peak"] < 135


GRADIENTS = """
def train():
    net = Sequential(Linear(2048, 4096), ReLU(), Linear(4096, 2048), Flatten())
    x = np.zeros((8, 2048), np.float32)
    for _ in range(6):
        learn(net, x)
train()
empty_cache()
report["peak"] = peak(train)
"""


def test_gradients_take_the_place_of_the_last_ones():
    """Weights and gradients are 67 MB each."""
    assert run(GRADIENTS)["peak"] < 2.5 * 67


def test_emptying_in_the_midst_of_a_training_pass():
    """What backward needs stays, also where another thread empties all the time."""
    net, dy, stop = replayed_net(), np.ones((4, 5), np.float32), threading.Event()

    def empty_all():
        while not stop.wait(0.0005):
            empty_cache()

    thread = threading.Thread(target=empty_all)
    thread.start()
    try:
        for i in range(10):
            x = images(SHAPE, i)
            expected = step(fresh(net), x, dy=dy)["dx"]
            net.forward(x, training=True)
            empty_cache()
            net(images((5 + i, *SHAPE[1:]), i))
            np.testing.assert_array_equal(net.backward(dy), expected)
    finally:
        stop.set()
        thread.join()


def test_a_child_process_has_memory_of_its_own():
    """A copy of the parent's, not a share in it; and it may be given back there."""
    numba.get_num_threads()
    x = empty(1 << 20)
    x[...] = 1
    child = os.fork()
    if child == 0:
        status = 1
        try:
            x[...] = 2
            y = empty(1 << 20)
            y[...] = 3
            del y
            empty_cache()
            status = 0 if (x == 2).all() else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert (x == 1).all()
