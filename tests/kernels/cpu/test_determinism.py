"""The same seed gives the same weights, bit for bit, for any number of threads and in every run."""
import json
import os
import subprocess
import sys

import pytest
from numba import config

# Winograd and direct convolutions, of bfloat16 too, strided and with few channels, norms, dropout, and all of the
# augmentation.
# A run for each number of threads that is named, after each other in one process.
SCRIPT = """
import contextlib, hashlib, json, sys
import numba, numpy as np
import fastnet
from fastnet import (SGD, Adam, BatchNorm2d, Conv2d, CrossEntropyLoss, Dropout, Dropout2d, Flatten, GroupNorm,
                     LayerNorm, Linear, LocalResponseNorm, MaxPool2d, ReLU, Residual, Sequential)
from fastnet.data import Augment, DataLoader
from fastnet.kernels.cpu.runtime import launches

rng = np.random.default_rng(0)
images, labels = rng.integers(0, 256, (96, 3, 16, 16), np.uint8), rng.integers(0, 10, 96)

launched, in_parallel = [], launches.in_parallel
launches.in_parallel = lambda *args: launched.append(1) or in_parallel(*args)

def weights(threads, make, p=0.2, precision=contextlib.nullcontext):
    with precision():
        return _weights(threads, make, p)

def _weights(threads, make, p):
    numba.set_num_threads(threads)
    fastnet.manual_seed(0)
    dropout = [Dropout(p), Dropout2d(p)] if p else []  # without them the steps are replayed
    body = Sequential(Conv2d(24, 24, 3, padding=1, bias=False), BatchNorm2d(24), ReLU(), *dropout,
                      Conv2d(24, 24, 1), BatchNorm2d(24))
    net = Sequential(Conv2d(3, 24, 3, padding=1), ReLU(), Residual(body), ReLU(), MaxPool2d(2),
                     Conv2d(24, 40, 3, stride=2, padding=1), GroupNorm(5, 40), ReLU(), LocalResponseNorm(5), Flatten(),
                     Linear(40 * 16, 280), LayerNorm(280), ReLU(), Linear(280, 10))
    optimizer, loss = make(net.parameters()), CrossEntropyLoss(label_smoothing=0.1)
    loader = DataLoader(images, labels, batch_size=20, seed=1, augment=Augment(crop=2, flip=True, cutout=4))
    for _ in range(3):
        for x, y in loader:
            value, dlogits = loss(net.forward(x / 128 - 1, training=True), y)
            net.backward(dlogits, need_dx=False)
            optimizer.step()
    assert np.isfinite(value)
    state = net.state_dict()
    return hashlib.sha256(b"".join(np.ascontiguousarray(state[name]).tobytes() for name in sorted(state))).hexdigest()

makers = [lambda p: Adam(p, lr=1e-2, weight_decay=1e-4), lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True),
          lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True, max_norm=0.5)]
runs = [[weights(threads, *how) for threads in map(int, sys.argv[1].split())]
        for how in [*((make,) for make in makers), (makers[0], 0),
                    *((makers[0], p, fastnet.bfloat16_products) for p in (0, 0.2))]]
print(json.dumps([runs, len(launched)]))
"""


def digests(threads, available):
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(available)}
    done = subprocess.run([sys.executable, "-c", SCRIPT, threads], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(config.DISABLE_JIT, reason="there is one thread, and it takes long")
def test_weights_do_not_depend_on_threads_or_runs():
    runs, parallel = digests("1 2 3 4 4", available=4)
    assert [len(set(run)) for run in runs] == [1, 1, 1, 1, 1, 1]
    assert len({run[0] for run in runs}) == 6
    assert parallel > 100   # it was no serial run in disguise
    assert digests("3", available=3)[0] == [run[:1] for run in runs]
