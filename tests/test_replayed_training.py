"""Training steps by replay: the same bits as the layers', and none once something has changed."""
import copy
import gc

import numba
import numpy as np
import pytest

from fastnet import SGD, Adam, CrossEntropyLoss, changes, kernels, manual_seed, models
from fastnet.kernels.cpu.runtime import array
from fastnet.layers import (
    BatchNorm2d,
    Checkpoint,
    Conv2d,
    Dropout,
    Flatten,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)

from .layers.battery import CASES, IDS, build

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")

RNG = np.random.default_rng(0)


def numbers(*shape):
    return RNG.standard_normal(shape, np.float32)


def make_net():
    manual_seed(0)
    return Sequential(Conv2d(3, 16, 3, padding=1), BatchNorm2d(16), ReLU(), MaxPool2d(2),
                      Residual(Sequential(Conv2d(16, 16, 3, padding=1, bias=False), BatchNorm2d(16)),
                               Sequential(Conv2d(16, 16, 1), BatchNorm2d(16))), ReLU(), Flatten(), Linear(256, 5))


def images(n=6):
    return numbers(n, 3, 8, 8)


def replays(net):
    """Whether the next step will be replayed, if nothing changes."""
    step = net._training._step
    return step is not None and step.again_back is not None


def step(net, x, dy=None, need_dx=False):
    """(y, dx) of a training step."""
    y = net.forward(x, training=True)
    return y, net.backward(np.ones_like(y) if dy is None else dy, need_dx)


def check_step(net, x, need_dx=False):
    """A training step gives what the same layers give without a recording: outputs, gradients, statistics."""
    twin = copy.deepcopy(net)
    dy = numbers(*net.output_shape(x.shape))
    results, expected = step(net, x, dy, need_dx), step(twin, x, dy, need_dx)
    assert not replays(twin)
    np.testing.assert_array_equal(results[0], expected[0])
    np.testing.assert_array_equal(results[1], expected[1])
    for (name, parameter), other in zip(net.named_parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad, other.grad, name)
    for (name, value), other in zip(net.state_dict().items(), twin.state_dict().values(), strict=True):
        np.testing.assert_array_equal(value, other, name)
    for parameter in net.parameters():  # as an optimiser does, in place
        parameter.value -= np.float32(0.01) * (parameter.value if parameter.grad is None else parameter.grad)


@pytest.mark.parametrize("need_dx", [False, True])
@pytest.mark.parametrize(("text", "shape"), [case for case in CASES if isinstance(case[1], tuple)],
                         ids=[text for text, (_, shape) in zip(IDS, CASES, strict=True) if isinstance(shape, tuple)])
def test_every_layer_can_be_replayed(text, shape, need_dx):
    manual_seed(0)
    net = Sequential(build(text))
    random = any(isinstance(layer, (Dropout, Checkpoint)) for _, layer in net.named_layers())
    for i in range(6):
        check_step(net, numbers(*shape), need_dx)
        assert replays(net) == (i >= 2 and not random)


@pytest.mark.parametrize("name", models.__all__)
def test_models_learn_the_same(name):
    weights = []
    for way in ("plain", "replayed"):
        manual_seed(0)
        net = getattr(models, name)()
        rng, loss, optimizer = np.random.default_rng(0), CrossEntropyLoss(), Adam(net.parameters(), lr=1e-3)
        for i in range(6):
            if way == "plain":
                net._training._row = -100
            x, labels = rng.standard_normal((8, 3, 32, 32), np.float32), rng.integers(0, 10, 8)
            net.backward(loss(net.forward(x, training=True), labels)[1], need_dx=False)
            optimizer.step()
            random = any(isinstance(layer, Dropout) for _, layer in net.named_layers())
            assert replays(net) == (way == "replayed" and i >= 2 and not random)
        weights.append(net.state_dict())
    for key, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][key], key)


CHANGES = {
    "a parameter's array": lambda net: setattr(net[0].weight, "value", net[0].weight.value * 2),
    "a frozen parameter": lambda net: setattr(net[0].weight, "requires_grad", False),
    "a parameter": lambda net: setattr(net[7], "bias", None),
    "where it pads": lambda net: setattr(net[4].body[0], "_pads", (2, 0, 1, 1)),
    "eps": lambda net: setattr(net[1], "eps", 0.1),
    "a function": lambda net: setattr(net[2], "forward", lambda x, training=False, relu=False: x),
    "the backend of one layer": lambda net: net[7].to("naive"),
    "dtype": lambda net: net.astype(np.float64),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changes_are_seen(change):
    net = make_net()
    for _ in range(4):
        check_step(net, images())
    assert replays(net)
    CHANGES[change](net)
    if change == "a function":
        y = net.forward(images(), training=True)
        assert not replays(net) and y.shape == (6, 5)
        return
    for _ in range(4):
        check_step(net, images())


def test_what_is_written_into_arrays_is_seen():
    net = make_net()
    for _ in range(4):
        net[7].bias.value[2] += 3
        net[1].running_mean[:] = 9
        check_step(net, images())
    assert replays(net)


def test_another_batch_size_in_between():
    net = make_net()
    for n in (6, 6, 6, 5, 6, 5, 5, 6, 5, 5, 5, 5, 6, 6):
        check_step(net, images(n))
    assert replays(net) and net._training._step.key[0].input_shape[0] == 5


def test_inference_in_between():
    net, x = make_net(), images()
    for _ in range(5):
        check_step(net, images())
        np.testing.assert_allclose(net(x), copy.deepcopy(net)(x), rtol=1e-5, atol=1e-5)
    assert replays(net)


def test_gradients_and_outputs_are_the_callers():
    net = make_net()
    kept = []
    for _ in range(6):
        y, dx = step(net, images(), need_dx=True)
        arrays = [y, dx, *(parameter.grad for parameter in net.parameters())]
        kept.append((arrays, [a.copy() for a in arrays]))
    assert replays(net)
    for arrays, copies in kept:
        for a, b in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_backward_pass_that_was_not_recorded():
    """The layers then compute what they would have saved, and statistics are not moved a second time."""
    net = make_net()
    for need_dx in (False, False, False, True, False, True, True):
        check_step(net, images(), need_dx)
    before = numba.get_num_threads()
    try:
        for _ in range(3):
            x, dy, twin = images(64), numbers(64, 5), copy.deepcopy(net)
            for one in (net, twin):
                numba.set_num_threads(before)
                one.forward(x, training=True)
                numba.set_num_threads(1)
                one.backward(dy, need_dx=False)
            for a, b in zip(net.parameters(), twin.parameters(), strict=True):
                np.testing.assert_array_equal(a.grad, b.grad)
    finally:
        numba.set_num_threads(before)


def test_the_gradient_of_another_dtype_or_shape():
    net = make_net()
    for _ in range(4):
        step(net, images())
    assert replays(net)
    x, dy, twin = images(), RNG.standard_normal((6, 5)), copy.deepcopy(net)
    for a, b in zip(step(net, x, dy, True), step(twin, x, dy, True), strict=True):
        np.testing.assert_array_equal(a, b)
    net.forward(x, training=True)
    with pytest.raises(ValueError, match='Linear "7"'):
        net.backward(numbers(6, 4))
    with pytest.raises(RuntimeError, match="backward without a training forward"):
        net.backward(numbers(6, 5))
    check_step(net, images())


def test_forward_passes_without_a_backward_pass():
    net = make_net()
    for _ in range(5):
        net.forward(images(), training=True)
    assert not replays(net)
    net = make_net()
    for _ in range(4):
        step(net, images())
    net.forward(images(), training=True)
    check_step(net, images())


@pytest.mark.parametrize("precision", [kernels.exact, kernels.bfloat16_products])
def test_another_precision_is_another_recording(precision):
    net = make_net()
    for _ in range(4):
        check_step(net, images())
    with precision():
        check_step(net, images())
    check_step(net, images())


class Doubling(Layer):
    """A user's layer, which does more than compute."""

    def __init__(self):
        self.seen = []

    def forward(self, x, training=False):
        self.seen.append(training)
        return 2 * x

    def backward(self, dy, need_dx=True):
        return 2 * dy


def test_layers_of_ones_own_are_always_run():
    layer = Doubling()
    net = Sequential(Sequential(Linear(4, 4), ReLU()), layer, Linear(4, 3))
    for _ in range(5):
        step(net, numbers(6, 4))
        assert not replays(net) and not replays(net[0])
    assert layer.seen == 5 * [True]


def test_only_the_outermost_container_records():
    net = make_net()
    for _ in range(5):
        step(net, images())
    assert replays(net) and not replays(net[4].body) and not replays(net[4].shortcut)


def test_an_error_on_the_way_leaves_nothing_behind(monkeypatch):
    """Neither this net nor another one is kept from a recording because the first try was cut short."""
    net, other = make_net(), make_net()
    for _ in range(2):
        step(net, images())

    def fail(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kernels.load("cpu"), "maxpool2d_forward", fail)
        with pytest.raises(KeyboardInterrupt):
            net.forward(images(), training=True)
    for one in (other, net):
        for i in range(4):
            check_step(one, images())
            assert replays(one) == (i >= 2)


def test_another_number_of_threads_is_recorded_anew():
    net, before = make_net(), numba.get_num_threads()
    try:
        for count in (before, max(1, before - 1), before):
            numba.set_num_threads(count)
            for _ in range(4):
                check_step(net, images(64))
            again = net._training._step.again
            assert replays(net) and again(images(64)) is not None
    finally:
        numba.set_num_threads(before)


def test_memory_is_given_back_with_the_net():
    """Without the garbage collector: there is no circle of references."""
    gc.collect()
    gc.disable()
    try:
        net = make_net()
        for _ in range(4):
            step(net, images(64))
        taken = net._training._step.again.pool.taken_bytes
        array.empty_cache()
        del net
        assert 0 < taken <= array.shared_pool._free_bytes
    finally:
        gc.enable()


def test_optimisers_that_make_new_arrays_are_followed():
    net = make_net()
    for _ in range(5):
        step(net, images())
        for parameter in net.parameters():
            parameter.value = parameter.value - np.float32(0.01) * parameter.grad
    check_step(net, images())
    assert not replays(net)


def test_momentum_in_place_keeps_the_recording():
    net = make_net()
    optimizer = SGD(net.parameters(), lr=0.01, momentum=0.9)
    for _ in range(5):
        step(net, images())
        optimizer.step()
    assert replays(net)


def test_a_copy_has_no_recording():
    net = make_net()
    for _ in range(4):
        step(net, images())
    assert replays(net) and not replays(copy.deepcopy(net))
    before, others = changes.latest(), changes.latest(buffers=False)
    step(net, images())
    assert changes.latest() is not before and changes.latest(buffers=False) is others  # running statistics moved alone
    assert replays(net)
