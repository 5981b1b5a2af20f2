"""Packed weights: whatever changes a weight, by whatever way, the next inference knows."""
import copy
import pickle
import threading

import numpy as np
import pytest

from fastnet import SGD, init, kernels, manual_seed
from fastnet.layers import BatchNorm2d, Conv2d, Graph, Layer, Parallel, ReLU, Residual, Sequential
from fastnet.layers.compose import Add
from fastnet.packed import Store
from fastnet.parameter import Parameter

X = np.random.default_rng(0).standard_normal((2, 16, 6, 6), np.float32)


def make_net(backend="cpu"):
    manual_seed(0)
    body = Sequential(Conv2d(16, 16, 3, padding=1), BatchNorm2d(16), ReLU(), Conv2d(16, 16, 3, padding=1, bias=False))
    branches = Parallel(Add(), Conv2d(16, 1, 1), Sequential(Conv2d(16, 1, 3, padding=1)))
    net = Sequential(Conv2d(16, 16, 3, padding=1), BatchNorm2d(16), Residual(body, Conv2d(16, 16, 1)), ReLU(), branches)
    return net.to(backend)


def fresh(net, x):
    """What the net computes with nothing packed."""
    return copy.deepcopy(net)(x)


def conv(net):
    return net[0]


CHANGES = {
    "one element": lambda net: conv(net).weight.value.__setitem__((3, 2, 1, 0), 7),
    "the last element": lambda net: conv(net).bias.value.__setitem__(-1, 7),
    "by the smallest step":
        lambda net: conv(net).weight.value.__setitem__(..., np.nextafter(conv(net).weight.value, 9)),
    "a sign": lambda net: np.negative(conv(net).weight.value, out=conv(net).weight.value),
    "two elements swapped": lambda net: conv(net).weight.value.__setitem__([0, 1], conv(net).weight.value[[1, 0]]),
    "through a view": lambda net: conv(net).weight.value[2:].reshape(-1).__iadd__(1),
    "an array assigned": lambda net: setattr(conv(net).weight, "value", conv(net).weight.value + 1),
    "a parameter assigned": lambda net: setattr(conv(net), "weight", Parameter(conv(net).weight.value + 1)),
    "in another order in memory": lambda net: setattr(conv(net).weight, "value",
                                                      np.asfortranarray(conv(net).weight.value + 1)),
    "the bias away": lambda net: setattr(conv(net), "bias", None),
    "statistics": lambda net: net[1].running_var.__imul__(4),
    "statistics assigned": lambda net: setattr(net[1], "running_mean", net[1].running_mean + 1),
    "scale": lambda net: net[1].weight.value.__setitem__(0, 3),
    "shift": lambda net: net[1].bias.value.__setitem__(0, 3),
    "eps": lambda net: setattr(net[1], "eps", 0.5),
    "inside a residual": lambda net: net[2].body[0].weight.value.__imul__(-2),
    "the shortcut": lambda net: net[2].shortcut.weight.value.__setitem__((0, 0, 0, 0), 7),
    "inside a branch": lambda net: net[4].branches[1][0].weight.value.__setitem__((0, 0, 0, 0), 7),
    "another body": lambda net: setattr(net[2], "body", Conv2d(16, 16, 3, padding=1)),
    "load_state_dict": lambda net: net.load_state_dict({k: v * 2 for k, v in net.state_dict().items()}),
    "initialised": lambda net: init.apply(net, init.kaiming_normal),
    "dtype": lambda net: net.astype(np.float64),
}


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen(change, backend):
    net = make_net(backend)
    before = [net(X) for _ in range(3)]
    np.testing.assert_array_equal(before[0], before[2])
    CHANGES[change](net)
    for _ in range(2):
        np.testing.assert_array_equal(net(X), fresh(net, X))
    assert not np.array_equal(net(X), before[0])


@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_training_steps_are_seen(backend):
    net = make_net(backend)
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        y = net.forward(X, training=True)
        net(X)
        net.backward(np.ones_like(y))
        optimizer.step()
        np.testing.assert_array_equal(net(X), fresh(net, X))


def test_other_inputs_and_backends():
    net = make_net()
    for x in (X, X.astype(np.float64), X[:1], X[:, :, :5, :3], X.astype(np.float16), X):
        y = net(x)
        np.testing.assert_array_equal(y, fresh(net, x))
        assert y.dtype == (np.float64 if x.dtype == np.float64 else np.float32)
    y = net(X)
    np.testing.assert_allclose(net.to("naive")(X), y, rtol=1e-4, atol=1e-5)
    net[0].to("cpu")
    np.testing.assert_allclose(net(X), y, rtol=1e-4, atol=1e-5)


def test_exact_is_heeded():
    net = Sequential(Conv2d(16, 16, 3, padding=1))
    net[0].weight.value = np.round(9 * net[0].weight.value)
    net[0].bias.value[:] = 0
    x = np.round(X)
    net(x)
    with kernels.exact():
        np.testing.assert_array_equal(net(x), net.to("naive")(x))


def test_weights_are_packed_once(monkeypatch):
    naive, packed = kernels.load("naive"), []
    pack = naive.conv2d_pack
    monkeypatch.setattr(naive, "conv2d_pack", lambda w, b=None: packed.append(w.shape) or pack(w, b))
    net = make_net("naive")
    for x in (X, X[:1], X[:, :, :5], X.astype(np.float64)):
        net(x)
    assert len(packed) == 6
    net[4].branches[0].weight.value += 1
    net(X)
    net(X)
    assert len(packed) == 12
    net.forward(X, training=True)
    assert len(packed) == 12


class Doubled(Conv2d):
    def forward(self, x, training=False):
        return 2 * super().forward(x, training)


class Affine(Layer):
    """A user's layer that packs: y = scale x."""

    def __init__(self):
        self.scale = Parameter(np.ones(1))
        self.made = 0

    def forward(self, x, training=False, packed=None):
        scale = self.scale.value
        return x * (scale if packed is None else packed.get(self, (scale,), scale.copy))


def test_layers_of_ones_own():
    doubled, affine = Doubled(16, 4, 3), Affine()
    net = Sequential(Graph({"a": (doubled, "input"), "b": (affine, "a")}), affine2 := Affine())
    once = net(X)
    affine.scale.value *= 3
    affine2.scale.value *= 2
    np.testing.assert_array_equal(net(X), 6 * once)


def test_copies_and_pickles_pack_for_themselves():
    net = make_net()
    y = net(X)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin[0].weight.value += 1
        assert not np.array_equal(twin(X), y)
    np.testing.assert_array_equal(net(X), y)


def test_threads_pack_together():
    net, wrong = make_net(), []
    expected = fresh(net, X)

    def work():
        for _ in range(20):
            if not np.array_equal(net(X), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_replaced_arrays_are_let_go():
    store, old, new = Store(), np.zeros(100), np.ones(100)
    ops = kernels.load("naive")
    packed = store.current(ops)
    assert packed.get("owner", (old,), lambda: 1) == packed.get("owner", (old,), lambda: 2) == 1
    assert store.current(ops) is packed
    assert packed.get("owner", (new,), lambda: 3) == 3
    assert store.current(ops) is not packed
    assert store.current(kernels.load("cpu")).ops is kernels.load("cpu")
