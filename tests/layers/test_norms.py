"""What norms and the kinds of dropout do that the battery does not know of: states, statistics, what is drawn."""
import numpy as np
import pytest

import fastnet
from fastnet import kernels, layers
from fastnet.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Dropout1d,
    Dropout2d,
    GroupNorm,
    Identity,
    InstanceNorm2d,
    LayerNorm,
    LocalResponseNorm,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    StochasticDepth,
)

from .battery import arrays, build

SHAPE = (4, 3, 6, 5)


# What the state holds

TEXTS = [f"{name}(3, affine={affine}, track_running_stats={tracks}, bias={bias})"
         for name in ("BatchNorm1d", "BatchNorm2d", "InstanceNorm2d")
         for affine in (True, False) for tracks in (True, False) for bias in (True, False)]
TEXTS += ["GroupNorm(1, 3)", "GroupNorm(1, 3, bias=False)", "GroupNorm(1, 3, affine=False)", "LayerNorm((3, 2))",
          "LayerNorm(3, bias=False)", "LayerNorm(3, elementwise_affine=False)", "RMSNorm([3, 2])",
          "RMSNorm(3, elementwise_affine=False)", "LocalResponseNorm(3)"]


@pytest.mark.parametrize("text", TEXTS)
def test_states_are_those_of_pytorch(text):
    torch = pytest.importorskip("torch")
    ours, theirs = build(text), eval(text, dict(vars(torch.nn)))
    wanted = theirs.state_dict()
    assert list(ours.state_dict()) == list(wanted)
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, wanted[name].numpy())
        assert value.dtype == wanted[name].numpy().dtype
    assert ours.load_state_dict(wanted) == ([], [])
    for name in ("affine", "elementwise_affine", "track_running_stats"):
        assert getattr(ours, name, None) == getattr(theirs, name, None)


def test_what_a_norm_has_is_settled_when_it_is_made():
    for layer, name in [(BatchNorm2d(3), "affine"), (InstanceNorm2d(3), "track_running_stats"),
                        (LayerNorm(3), "elementwise_affine"), (GroupNorm(1, 3), "affine")]:
        with pytest.raises(AttributeError):
            setattr(layer, name, False)
    norm = BatchNorm2d(3, affine=False, track_running_stats=False)
    norm.num_features = 5       # nothing has that size yet
    assert norm(np.ones((2, 5, 2, 2), np.float32)).shape == (2, 5, 2, 2)


# Statistics

@pytest.mark.parametrize("backend", kernels.BACKENDS)
def test_instance_norm_tracks_what_pytorch_tracks(backend):
    """In passes that are recorded too; num_batches_tracked stands still."""
    torch = pytest.importorskip("torch")
    net = Sequential(InstanceNorm2d(3, momentum=0.3, track_running_stats=True)).to(backend)
    judge = torch.nn.Sequential(torch.nn.InstanceNorm2d(3, momentum=0.3, track_running_stats=True)).train()
    for i in range(5):
        x = arrays(SHAPE, seed=i) * (1 + i) + i
        net.forward(x, training=True)
        judge(torch.tensor(x))
        for name, value in judge.state_dict().items():
            np.testing.assert_allclose(net.state_dict()[name], value.numpy(), rtol=1e-5, atol=1e-6)
    assert net[0].num_batches_tracked == 0
    np.testing.assert_allclose(net(x), judge.eval()(torch.tensor(x)).numpy(), rtol=1e-5, atol=1e-5)


def test_update_bn_finds_the_means_over_batches_of_instance_norms_too():
    net, xs = Sequential(InstanceNorm2d(3, track_running_stats=True)), [arrays(SHAPE, seed=i) * (1 + i) for i in (0, 1)]
    fastnet.update_bn(net, xs)
    wanted = np.mean([x.mean((0, 2, 3)) for x in xs], 0)
    np.testing.assert_allclose(net[0].running_mean, wanted, rtol=1e-5, atol=1e-6)
    assert net[0].num_batches_tracked == 2 and net[0].momentum == 0.1


@pytest.mark.parametrize("make", [lambda: BatchNorm2d(3, track_running_stats=False), lambda: InstanceNorm2d(3)])
def test_without_running_statistics_inference_is_training(make):
    norm, x = make(), arrays(SHAPE)
    y = norm.forward(x, training=True)
    np.testing.assert_array_equal(norm(x), y)
    norm.frozen = True
    np.testing.assert_array_equal(norm.forward(x, training=True), y)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-6)


def test_sequences_are_normalised_as_images_of_one_column():
    x = arrays((4, 3, 7))
    for one, other in [(BatchNorm1d(3), BatchNorm2d(3)), (GroupNorm(3, 3), GroupNorm(3, 3)),
                       (LocalResponseNorm(2), LocalResponseNorm(2))]:
        wanted = other.forward(x[..., None], training=True)[..., 0]
        np.testing.assert_array_equal(one.forward(x, training=True), wanted)
        np.testing.assert_array_equal(one.backward(x), other.backward(x[..., None])[..., 0])


def test_the_last_axes_of_images():
    """Whatever lies together in memory, each norm sees the axes that it names."""
    x = arrays(SHAPE) + 1
    for axes in (1, 2, 3):
        wanted = x - x.mean(tuple(range(-axes, 0)), keepdims=True)
        y = LayerNorm(SHAPE[4 - axes:], eps=1e-12)(x)
        np.testing.assert_allclose(y, wanted / wanted.std(tuple(range(-axes, 0)), keepdims=True), rtol=1e-4, atol=1e-4)
        y = RMSNorm(SHAPE[4 - axes:], eps=1e-12)(x)
        root = np.sqrt(np.square(x).mean(tuple(range(-axes, 0)), keepdims=True))
        np.testing.assert_allclose(y, x / root, rtol=1e-4, atol=1e-4)


def test_the_least_eps_is_that_of_the_dtype():
    x = np.full((2, 4), 1e-5, np.float32)
    np.testing.assert_allclose(RMSNorm(4)(x), x / np.sqrt(1e-10 + np.finfo(np.float32).eps), rtol=1e-5)
    np.testing.assert_allclose(RMSNorm(4).astype("float64")(x), 1, rtol=1e-5)


# What is drawn

def test_channels_are_dropped_whole():
    fastnet.manual_seed(3)
    x = np.random.default_rng(0).random((20, 30, 3, 4)).astype(np.float32) + 1
    layer = Dropout2d(0.25)
    y = layer.forward(x, training=True)
    kept = (y != 0).all((2, 3))
    assert (kept | (y == 0).all((2, 3))).all() and 0.7 < kept.mean() < 0.8
    np.testing.assert_array_equal(y[kept], x[kept] * np.float32(1 / 0.75))
    np.testing.assert_array_equal(layer.backward(x), y)
    np.testing.assert_array_equal(layer(x), x)
    fastnet.manual_seed(3)
    sequences = x.reshape(20, 30, 12)
    np.testing.assert_array_equal(Dropout1d(0.25).forward(sequences, training=True), y.reshape(20, 30, 12))


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_samples_or_batches_are_dropped_whole(mode):
    fastnet.manual_seed(0)
    layer, x = StochasticDepth(0.4, mode), np.random.default_rng(0).random((50, 2, 3, 2)).astype(np.float32) + 1
    found = []
    for _ in range(40):
        y = layer.forward(x, training=True)
        kept = (y != 0).all((1, 2, 3))
        assert (kept | (y == 0).all((1, 2, 3))).all()
        np.testing.assert_array_equal(y[kept], x[kept] * np.float32(1 / 0.6))
        np.testing.assert_array_equal(layer.backward(x), y)
        assert mode == "row" or kept.all() or not kept.any()
        found.append(kept.mean())
    assert 0.4 < np.mean(found) < 0.8 and len(set(found)) > 1
    assert (set(found) <= {0, 1}) == (mode == "batch")
    layer.p = 1
    assert not layer.forward(x, training=True).any() and not layer.backward(x).any()
    layer.p = 0
    np.testing.assert_array_equal(layer.forward(x, training=True), x)


@pytest.mark.parametrize("make", [lambda: Dropout2d(0.5), lambda: StochasticDepth(0.5, "row")])
def test_frozen_ones_pass_everything(make):
    net, x = Sequential(Conv2d(3, 3, 1), make()), arrays(SHAPE)
    free = net.forward(x, training=True)
    assert (free == 0).any()
    fastnet.freeze(net, "1")
    for _ in range(4):
        np.testing.assert_array_equal(net.forward(x, training=True), net(x))
        net.backward(x)
    np.testing.assert_array_equal(fastnet.input_gradient(net, x, x), fastnet.input_gradient(net[0], x, x))
    fastnet.unfreeze(net, "1")
    assert (net.forward(x, training=True) == 0).any()


def test_what_drops_nothing_is_left_out():
    """With p = 0 nothing is launched and no number is drawn, until p is another."""
    branch = StochasticDepth(0, "row")
    net, x = Sequential(Residual(Sequential(Conv2d(3, 3, 1), BatchNorm2d(3), branch)), Dropout(0)), arrays(SHAPE)
    nodes = [node for node in net.program(SHAPE, training=True).after.nodes if not node.backward]
    assert [node.op for node in nodes] == ["conv2d_forward", "batchnorm_forward", "batchnorm_track"]
    drawn = branch.generator.bit_generator.state
    whole = net.forward(x, training=True)
    net.backward(x)
    assert branch.generator.bit_generator.state == drawn
    branch.p = 1
    np.testing.assert_array_equal(net.forward(x, training=True), x)
    branch.p = 0
    np.testing.assert_array_equal(net.forward(x, training=True), whole)


# What is joined

@pytest.mark.parametrize("training", [False, True])
def test_activations_and_sums_are_part_of_norms_and_dropouts(training):
    net = Sequential(Conv2d(3, 4, 1), GroupNorm(2, 4), ReLU(), Conv2d(4, 4, 1), LayerNorm((4, 6, 5)), ReLU(),
                     Residual(Sequential(Conv2d(4, 4, 1), InstanceNorm2d(4))), ReLU(),
                     Residual(Sequential(Conv2d(4, 4, 1), StochasticDepth(0.5, "row"))))
    nodes = [node for node in net.program(SHAPE, training).after.nodes if not node.backward]
    wanted = ['Conv2d "0"', 'GroupNorm "1" + ReLU "2"', 'Conv2d "3"', 'LayerNorm "4" + ReLU "5"', 'Conv2d "6.body.0"',
              'InstanceNorm2d "6.body.1" + Add in Residual "6" + ReLU "7"', 'Conv2d "8.body.0"']
    last = 'StochasticDepth "8.body.1"' if training else 'Conv2d "8.body.0"'
    wanted[-1:] = [*['Conv2d "8.body.0"'] * training, f'{last} + Add in Residual "8"']
    assert [" + ".join(node.layers) for node in nodes] == wanted


@pytest.mark.parametrize("options", [{"affine": False}, {"bias": False}])
def test_batch_norm_without_weights_is_part_of_the_convolution(options):
    net, x = Sequential(Conv2d(3, 4, 1), BatchNorm2d(4, **options), ReLU()), arrays(SHAPE)
    net[1].running_mean, net[1].running_var = np.linspace([-1, 0.5], [1, 2], 4, dtype=np.float32).T.copy()
    assert [node.op for node in net.program(SHAPE).after.nodes] == ["conv2d_inference"]
    with fastnet.plainly():
        wanted = net(x)
    for _ in range(3):
        np.testing.assert_allclose(net(x), wanted, rtol=2e-5, atol=2e-5)


def test_norms_of_other_layers_are_no_layers_of_a_batch():
    """A net of theirs does not depend on what else is in the batch."""
    x = arrays((6, 4, 5, 5))
    net = Sequential(GroupNorm(2, 4), layers.SiLU(), InstanceNorm2d(4), LayerNorm((4, 5, 5)), RMSNorm(5), Identity())
    whole = net.forward(x, training=True)
    np.testing.assert_array_equal(whole[2:3], net.forward(x[2:3], training=True))
