"""Initialisers: their spread, their seed, and how they are applied to a net."""
from functools import partial

import numpy as np
import pytest

from fastnet import BatchNorm2d, Conv2d, Linear, Sequential, init, manual_seed

SHAPE = (60, 40, 3, 3)   # fan_in 360, fan_out 540


@pytest.mark.parametrize(("draw", "deviation", "bound"), [
    (init.uniform_fan_in, (1 / 360 / 3)**0.5, 360**-0.5),
    (init.kaiming_uniform, (2 / 360)**0.5, (6 / 360)**0.5),
    (partial(init.kaiming_uniform, a=5**0.5), (1 / 360 / 3)**0.5, 360**-0.5),
    (init.kaiming_normal, (2 / 360)**0.5, None),
    (partial(init.kaiming_normal, mode="fan_out", nonlinearity="linear"), 540**-0.5, None),
    (init.xavier_uniform, (2 / 900)**0.5, (6 / 900)**0.5),
    (partial(init.xavier_normal, gain=2), 2 * (2 / 900)**0.5, None),
    (partial(init.normal, std=0.01), 0.01, None),
    (partial(init.uniform, a=-2, b=2), 4 / 12**0.5, 2),
])
def test_spread(draw, deviation, bound):
    manual_seed(3)
    values = draw(SHAPE)
    assert values.shape == SHAPE and values.dtype == np.float32
    np.testing.assert_allclose(values.std(), deviation, rtol=0.02)
    assert abs(values.mean()) < 0.02 * deviation
    if bound is not None:
        assert 0.999 * bound < np.abs(values).max() <= bound * (1 + 1e-6)


def test_constants():
    assert not init.zeros((2, 3)).any() and init.ones(4).sum() == 4


def test_one_seed_fixes_everything():
    first = manual_seed(5)
    assert first is init.generator()
    a = Sequential(Conv2d(3, 4, 3), Linear(4, 5)).state_dict()
    manual_seed(5)
    b = Sequential(Conv2d(3, 4, 3), Linear(4, 5)).state_dict()
    assert all((a[name] == b[name]).all() for name in a)


@pytest.mark.parametrize(("nonlinearity", "a", "gain"), [
    ("linear", 0, 1), ("sigmoid", 0, 1), ("tanh", 0, 5 / 3), ("relu", 0, 2**0.5), ("leaky_relu", 1, 1)])
def test_gain(nonlinearity, a, gain):
    assert init.calculate_gain(nonlinearity, a) == pytest.approx(gain)


def test_apply():
    manual_seed(0)
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), Conv2d(4, 2, 1, bias=False))
    before = net.state_dict()
    objects = net.parameters()
    assert init.apply(net, partial(init.normal, std=0.01), init.zeros) is net
    assert net.parameters() == objects and 0.008 < net[0].weight.value.std() < 0.012
    assert not net[0].bias.value.any() and (net[1].weight.value == 1).all()
    assert init.apply(Linear(2, 3), init.ones, init.ones).bias.value.sum() == 3
    state = net.state_dict()
    with pytest.raises(ValueError, match=r"apply: the initial value of 0.weight must have shape \(4, 3, 3, 3\), got"):
        init.apply(net, lambda shape: np.zeros(2))
    assert all((net.state_dict()[name] == state[name]).all() for name in before)


def test_errors():
    for call, message in [
        (lambda: init.calculate_gain("swish"), "calculate_gain: nonlinearity must be 'linear', 'sigmoid', .* got 'swi"),
        (lambda: init.kaiming_normal((2, 2), mode="fan"), "kaiming_normal: mode must be 'fan_in' or 'fan_out', got 'f"),
        (lambda: init.xavier_normal((4,)), r"xavier_normal: shape must be that of a weight, .*, got \(4,\)"),
        (lambda: init.uniform((2,), 1, 0), "uniform: b must be at least a = 1, got 0"),
        (lambda: init.normal(np.zeros((2, 3))), "normal: shape must be a shape, .*: give shape=x.shape"),
        (lambda: manual_seed("five"), "manual_seed: seed must be an integer of at least 0, got 'five'"),
        (lambda: init.apply(Linear, init.ones), "apply: net must be a layer, got the class Linear: make an object"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            call()


@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (4, 6, 3, 3), (2, 2, 1, 5)], ids=str)
def test_partial_dirac_passes_channels_on(shape):
    init.manual_seed(0)
    value = init.partial_dirac(shape)
    same = min(shape[:2])
    expected = np.zeros((same, *shape[1:]), np.float32)
    for i in range(same):
        expected[i, i, shape[2] // 2, shape[3] // 2] = 1
    np.testing.assert_array_equal(value[:same], expected)
    assert value.dtype == np.float32 and (value[same:] != 0).all()
    with pytest.raises(ValueError, match=r"partial_dirac: shape must be \(K, C, R, S\), .* got \(4, 3\)"):
        init.partial_dirac((4, 3))


def test_seeds():
    for seed in (0, 3, np.int64(3), 2**70):
        first = init.manual_seed(seed).random()
        assert init.manual_seed(seed).random() == first
    assert init.manual_seed(None).random() != init.manual_seed(None).random()
    before = init.manual_seed(0).bit_generator.state
    for seed, error in [(-1, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError), ([1], TypeError)]:
        with pytest.raises(error, match="^manual_seed: seed must be an integer of at least 0, got "):
            init.manual_seed(seed)
    assert init.generator().bit_generator.state == before
