"""The laws that hold for nets as a whole: threads, dtypes, one forward and one backward."""
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastnet
from fastnet import Linear, ReLU, Sequential, manual_seed, models


def test_threads_share_a_net_while_programs_are_made():
    """Programs for several shapes are made and used by eight threads at once; no thread sees another's arrays."""
    manual_seed(0)
    net = models.lenet5()
    batches = [np.random.default_rng(i).standard_normal((1 + i % 5, 3, 32, 32), np.float32) for i in range(40)]
    expected = [net(x) for x in batches]
    net = Sequential(*net.layers)   # a net without programs
    with ThreadPoolExecutor(8) as pool:
        for actual, wanted in zip(pool.map(net, batches), expected, strict=True):
            np.testing.assert_array_equal(actual, wanted)
    assert all(layer.saved is None for _, layer in net.named_layers())


SCRIPT = """
import threading
import numpy as np
from fastnet import models
net = models.resnet20()
x = np.random.default_rng(0).standard_normal((4, 3, 32, 32), np.float32)
expected, wrong = net(x), []

def work():
    for _ in range(5):
        if not np.array_equal(net(x), expected):
            wrong.append(1)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("wrong:", len(wrong))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_eight_threads_on_each_threading_layer(layer):
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "wrong: 0\n"


def test_inference_between_forward_and_backward_disturbs_nothing():
    manual_seed(0)
    net = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    x, dy = np.ones((5, 3), np.float32), np.ones((5, 2), np.float32)
    net.forward(x, training=True)
    expected = net.backward(dy)
    net.forward(x, training=True)
    net(7 * x[:2])
    np.testing.assert_array_equal(net.backward(dy), expected)
    with pytest.raises(RuntimeError, match="^Sequential: backward without a training forward; call forward"):
        net.backward(dy)
    net.forward(x, training=True)
    net.program((7, 3), training=True)
    fastnet.summary(net, (7, 3))
    fastnet.input_gradient(net, x[:3], dy[:3])
    np.testing.assert_array_equal(net.backward(dy), expected)


def test_gradients_are_assigned_to_new_arrays():
    """What was handed out as a gradient stays as it was when the next one is computed."""
    net = Sequential(Linear(3, 2))
    x = np.ones((4, 3), np.float32)
    net.forward(x, training=True)
    net.backward(np.ones((4, 2), np.float32))
    first = net[0].weight.grad
    kept = first.copy()
    net.forward(2 * x, training=True)
    net.backward(np.ones((4, 2), np.float32))
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(net[0].weight.grad, 2 * kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_net_computes_in_one_dtype(dtype):
    net = models.lenet5().astype(dtype)
    x = np.zeros((2, 3, 32, 32), dtype)
    y = net.forward(x, training=True)
    dx = net.backward(np.ones_like(y))
    assert {y.dtype, dx.dtype, *(parameter.grad.dtype for parameter in net.parameters())} == {np.dtype(dtype)}
