"""Initialisers: their spread, their seed, and how they are applied to a net."""
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest

from fastnet import BatchNorm2d, Conv2d, Embedding, LayerScale, Linear, PReLU, Sequential, init, manual_seed
from fastnet.parameter import Parameter

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
    (partial(init.trunc_normal, std=0.5, a=-1, b=1), 0.5 * 0.8796, 1),      # the variance is 1 - 2 * 2 phi(2) / 0.9545
    (partial(init.trunc_normal, a=-0.1, b=0.1), 0.1 / 3**0.5, 0.1),
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
    np.testing.assert_array_equal(init.constant((2, 3), -1.5), np.full((2, 3), -1.5, np.float32), strict=True)
    np.testing.assert_array_equal(init.eye((2, 3)), np.array([[1, 0, 0], [0, 1, 0]], np.float32), strict=True)


@pytest.mark.parametrize("mean, std, a, b", [
    (0, 1, -2, 2), (0.5, 2, -1, 4), (0, 1, -0.3, 0.1), (0, 1, 1.5, 1.6), (0, 1, 2, 9), (3, 1, -5, 1), (0, 1, -50, 60)])
def test_truncated_normal_numbers_have_their_distribution(mean, std, a, b):
    """Judged by Kolmogorov's distance: 1.63 / sqrt(n) is exceeded once in a hundred times."""
    manual_seed(1)
    values = np.sort(init.trunc_normal((200, 100), mean, std, a, b).ravel().astype(float))
    assert a <= values[0] and values[-1] <= b
    cdf = NormalDist(mean, std).cdf
    expected = (np.array([cdf(value) for value in values]) - cdf(a)) / (cdf(b) - cdf(a))
    assert np.abs(expected - (np.arange(values.size) + 0.5) / values.size).max() < 1.63 / values.size**0.5


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 3, 2, 2), (20, 2, 3, 3), (1, 4), (4, 1)], ids=str)
@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_orthogonal(shape, gain):
    manual_seed(0)
    value = init.orthogonal(shape, gain)
    assert value.shape == shape and value.dtype == np.float32 and value.flags.c_contiguous
    rows = value.reshape(shape[0], -1).astype(float)
    square = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    np.testing.assert_allclose(square, gain**2 * np.eye(len(square)), atol=1e-6)


def test_orthogonal_matrices_are_evenly_distributed():
    """QR alone would prefer some: the mean of the diagonal would be -0.5."""
    manual_seed(0)
    diagonals = [np.diagonal(init.orthogonal((3, 3))) for _ in range(2000)]
    assert np.abs(np.mean(diagonals, axis=0)).max() < 0.04


@pytest.mark.parametrize("shape, groups", [((4, 6, 3), 1), ((6, 4, 3, 3), 1), ((6, 2, 3, 2), 3), ((4, 3, 1, 5), 2),
                                           ((4, 2, 3, 4, 5), 2), ((2, 2, 2, 2), 1)], ids=str)
def test_dirac_is_that_of_torch(shape, groups):
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    np.testing.assert_array_equal(init.dirac(shape, groups), expected, strict=True)


@pytest.mark.parametrize("sparsity, zeros", [(0.0, 0), (0.1, 1), (0.33, 4), (1.0, 10)])
def test_sparse(sparsity, zeros):
    manual_seed(0)
    value = init.sparse((10, 400), sparsity, std=0.5)
    assert value.dtype == np.float32 and ((value == 0).sum(0) == zeros).all()
    if 0 < zeros < 10:
        assert ((value == 0).mean(1) > 0.5 * zeros / 10).all()      # in every row
        assert 0.48 < value[value != 0].std() < 0.52


@pytest.mark.parametrize("name, options", [
    ("xavier_uniform", {"gain": 2.0}), ("xavier_normal", {}), ("kaiming_uniform", {"a": 5**0.5}),
    ("kaiming_normal", {"mode": "fan_out", "nonlinearity": "relu"}), ("kaiming_uniform", {"nonlinearity": "selu"}),
    ("kaiming_normal", {"a": 0.2, "mode": "fan_out"}), ("orthogonal", {"gain": 3.0}), ("uniform", {"a": -3, "b": 1}),
    ("normal", {"mean": 2, "std": 0.1}), ("trunc_normal", {"mean": 0.5, "std": 2, "a": -1, "b": 3})], ids=str)
@pytest.mark.parametrize("shape", [(60, 50), (64, 8, 3, 3)], ids=["linear", "convolution of groups"])
def test_mean_and_deviation_are_those_of_torch(name, options, shape):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0), manual_seed(0)
    theirs = getattr(torch.nn.init, f"{name}_")(torch.empty(shape), **options)
    ours = getattr(init, name)(shape, **options)
    np.testing.assert_allclose(ours.std(), theirs.std().item(), rtol=0.06)
    np.testing.assert_allclose(ours.mean(), theirs.mean().item(), atol=6 * ours.std() / ours.size**0.5)
    np.testing.assert_allclose(np.abs(ours - ours.mean()).max(), (theirs - theirs.mean()).abs().max().item(), rtol=0.3)


def test_one_seed_fixes_everything():
    first = manual_seed(5)
    assert first is init.generator()
    a = Sequential(Conv2d(3, 4, 3), Linear(4, 5)).state_dict()
    draws = partial(init.sparse, sparsity=0.3), init.orthogonal, init.trunc_normal
    drawn = [draw((5, 7)) for draw in draws]
    manual_seed(5)
    b = Sequential(Conv2d(3, 4, 3), Linear(4, 5)).state_dict()
    assert all((a[name] == b[name]).all() for name in a)
    for draw, first in zip(draws, drawn, strict=True):
        np.testing.assert_array_equal(draw((5, 7)), first)


@pytest.mark.parametrize(("nonlinearity", "a", "gain"), [
    ("linear", 0, 1), ("sigmoid", 0, 1), ("tanh", 0, 5 / 3), ("relu", 0, 2**0.5), ("leaky_relu", 1, 1),
    ("selu", 0, 0.75)])
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
        (lambda: init.trunc_normal((2,), a=1, b=1), "trunc_normal: b must be above a = 1, got 1"),
        (lambda: init.trunc_normal((2,), 5), r"trunc_normal: mean must be within two std of \[-2, 2\], got 5 and"),
        (lambda: init.eye((2,)), r"eye: shape must be that of a matrix, \(K, C\) without zeros, got \(2,\)"),
        (lambda: init.sparse((2, 2, 2), 0.5), "sparse: shape must be that of a matrix"),
        (lambda: init.sparse((2, 2), 1.5), "sparse: sparsity must be .* at least 0 and at most 1, got 1.5"),
        (lambda: init.orthogonal((2,)), "orthogonal: shape must be that of a weight"),
        (lambda: init.dirac((4, 4)), r"dirac: shape must be that of a convolution, .* got \(4, 4\)"),
        (lambda: init.dirac((4, 4, 3), 3), r"dirac: groups must divide the 4 filters of shape \(4, 4, 3\), got 3"),
        (lambda: init.normal(Parameter(np.zeros((2, 3)))), r"parameter.value = init.normal\(parameter"),
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


def test_skip_draws_nothing():
    """Zeros instead of what would be drawn, in this thread alone; what is not drawn stays, errors too."""
    init.manual_seed(3)
    state = init.generator().bit_generator.state
    with init.skip():
        net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), Linear(5, 6))
        assert not Embedding(3, 2, padding_idx=1).weight.value.any()
        for make in (init.normal, init.orthogonal, init.kaiming_normal, init.xavier_uniform, init.trunc_normal,
                     partial(init.sparse, sparsity=0.5)):
            assert not make((4, 3)).any() and make((4, 3)).shape == (4, 3)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(init.constant, (2,), 3.0).result().tolist() == [3.0, 3.0]
        with init.skip():
            pass
        init.apply(net, init.kaiming_normal)
        with pytest.raises(ValueError, match="^normal: shape must be"):
            init.normal((-1,))
    assert init.generator().bit_generator.state == state
    assert {name: bool(value.any()) for name, value in net.state_dict().items()} == {
        "0.weight": False, "0.bias": False, "1.weight": True, "1.bias": False, "1.running_mean": False,
        "1.running_var": True, "1.num_batches_tracked": False, "2.weight": False, "2.bias": False}
    assert all(parameter.value.flags.carray for parameter in net.parameters())
    assert init.normal((3,)).any()


def test_skip_is_of_one_thread():
    with init.skip(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(init.normal, (3,)).result().any()
    with pytest.raises(KeyError), init.skip():
        raise KeyError
    assert init.normal((3,)).any()


def test_seeded_blocks_have_generators_of_their_own():
    manual_seed(1)
    expected = init.normal(4)
    manual_seed(1)
    with init.seeded(5):
        first, inner = init.normal(4), init.generator()
        with init.seeded(6):
            second = init.normal(4)
        assert init.generator() is inner
        manual_seed(5)      # the block's, not everybody's
        np.testing.assert_array_equal(init.normal(4), first)
    np.testing.assert_array_equal(init.normal(4), expected)

    def draw(seed):
        with init.seeded(seed):
            return init.normal(4)

    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(draw, [5, 6] * 20))
    assert all(np.array_equal(one, (first, second)[i % 2]) for i, one in enumerate(drawn))
    with pytest.raises(ValueError, match="seeded: seed must be an integer of at least 0, got -1"):
        draw(-1)


@pytest.mark.parametrize("make", [
    lambda: init.constant((2,), 1e300), lambda: init.normal((2, 2), std=1e300), lambda: init.uniform((2,), b=1e300),
    lambda: init.orthogonal((2, 2), gain=1e300), lambda: init.xavier_normal((2, 2), gain=1e300),
    lambda: init.trunc_normal((2, 2), std=1e300), lambda: PReLU(init=1e300), lambda: LayerScale(2, 1e300)])
def test_numbers_beyond_single_precision_are_refused(make):
    with pytest.raises(ValueError, match=r"must be a finite number .*1e\+30, got 1e\+300"):
        make()
