"""Poolings that give or take several arrays: places of the largest pixels, and boxes."""
import copy

import numpy as np
import pytest

from fastnet import input_gradient, layers, plainly
from fastnet.layers import (
    AdaptiveMaxPool2d,
    Container,
    Conv2d,
    Graph,
    MaxPool2d,
    MaxUnpool2d,
    ReLU,
    RoIAlign,
    RoIPool,
    Sequential,
)

from .battery import arrays

SHAPE = (3, 5, 9, 8)
BACKENDS = ["cpu", "naive"]


class UpAndDown(Container):
    """A small net of an encoder and a decoder."""

    def __init__(self, *pool):
        self.conv, self.act, self.pool = Conv2d(5, 4, 3, padding=1), ReLU(), MaxPool2d(*pool, return_indices=True)
        self.middle, self.up = Conv2d(4, 4, 1), MaxUnpool2d(*pool, output_size=SHAPE[2:])

    def compose(self, x, training):
        y, indices = self.pool(self.act(self.conv(x)))
        return self.up((self.middle(y), indices))


@pytest.mark.parametrize("text", [
    "MaxPool2d(2, return_indices=True)", "MaxPool2d(3, 2, 1, return_indices=True)",
    "MaxPool2d((2, 3), 2, 1, (3, 2), return_indices=True, ceil_mode=True)",
    "AdaptiveMaxPool2d((4, None), return_indices=True)", "AdaptiveMaxPool2d(1, return_indices=True)"])
def test_indices_are_pytorchs(text):
    """Alone and in a net; those of a ReLU before, too, where several zeros are the largest."""
    torch = pytest.importorskip("torch")
    judge = eval(text, vars(torch.nn))
    for relu in (False, True):
        net, wanted = eval(text, vars(layers)), torch.nn.Sequential(*[torch.nn.ReLU()] * relu, judge)
        net = Sequential(ReLU(), net) if relu else net
        for seed in range(4):   # plainly, recorded, replayed
            x = arrays(SHAPE, seed=seed)
            tensor = torch.tensor(x, requires_grad=True)
            other, places = wanted(tensor)
            y, indices = net.forward(x, training=True)
            assert indices.dtype == np.int64
            np.testing.assert_array_equal(indices, places.numpy())
            np.testing.assert_array_equal(y, other.detach().numpy())
            dy = arrays(y.shape, seed=9)
            other.backward(torch.tensor(dy))
            np.testing.assert_allclose(net.backward((dy, None)), tensor.grad.numpy(), rtol=1e-5, atol=1e-6)
            for mine, theirs in zip(net(x), (y, indices), strict=True):
                np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_arrives(backend):
    """Where nobody used the largest pixels, no gradient flows."""
    layer = MaxPool2d(2, return_indices=True).to(backend)
    layer.forward(arrays(SHAPE), training=True)
    dx = layer.backward((None, None))
    assert dx.shape == SHAPE and not dx.any()


@pytest.mark.parametrize("seed", range(6))
def test_unpooling_is_pytorchs(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    kernel, stride = rng.integers(2, 4, 2).tolist(), rng.integers(1, 4, 2).tolist()
    padding = rng.integers(0, 2, 2).tolist()
    x = arrays((2, int(rng.integers(1, 20)), 11, 12), seed=seed)
    pool = torch.nn.MaxPool2d(kernel, stride, padding, return_indices=True)
    pooled, places = pool(torch.tensor(x))
    pooled.requires_grad_()
    wanted = torch.nn.MaxUnpool2d(kernel, stride, padding)(pooled, places, output_size=(11, 12))
    layer = MaxUnpool2d(kernel, stride, padding, output_size=(11, 12))
    dy = arrays(tuple(wanted.shape), seed=9)
    wanted.backward(torch.tensor(dy))
    for _ in range(3):
        y = layer.forward((pooled.detach().numpy(), places.numpy()), training=True)
        np.testing.assert_array_equal(y, wanted.detach().numpy())
        dx, none = layer.backward(dy)
        np.testing.assert_array_equal(dx, pooled.grad.numpy())
        assert none is None


def test_unpooled_size_is_pytorchs():
    torch = pytest.importorskip("torch")
    for options in ({"kernel_size": 2}, {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0)}):
        x, places = arrays((1, 2, 4, 3)), np.arange(12).reshape(1, 1, 4, 3).repeat(2, 1)
        wanted = torch.nn.MaxUnpool2d(**options)(torch.tensor(x), torch.tensor(places))
        assert MaxUnpool2d(**options).output_shape([x.shape, x.shape]) == tuple(wanted.shape)
        np.testing.assert_array_equal(MaxUnpool2d(**options)((x, places)), wanted.numpy())


@pytest.mark.parametrize("pool", [(2,), (3, 2, 1)], ids=str)
def test_up_and_down(pool):
    """Fused, recorded and plain are the same to the last bit, and naive is close; with and without overlap."""
    net = UpAndDown(*pool)
    plain, naive = copy.deepcopy(net), copy.deepcopy(net).to("naive")
    for seed in range(4):
        x, dy = arrays(SHAPE, seed=seed), arrays((3, 4, 9, 8), seed=9)
        found = [net(x), net.forward(x, training=True), net.backward(dy), net.conv.weight.grad]
        with plainly():
            wanted = [plain(x), plain.forward(x, training=True), plain.backward(dy), plain.conv.weight.grad]
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        wanted = [naive(x), naive.forward(x, training=True), naive.backward(dy), naive.conv.weight.grad]
        for mine, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=2e-5, atol=2e-5)
    assert "maxpool2d_indices" in str(net.program(SHAPE))


def test_places_of_a_halved_convolution():
    """At inference the fused form gives no index, and after a ReLU none that tells all: neither is fused then."""
    for layer in (MaxPool2d(2, return_indices=True), AdaptiveMaxPool2d(2, return_indices=True)):
        for before in ([Conv2d(5, 4, 3, padding=1)], [ReLU()], [Conv2d(5, 4, 3, padding=1), ReLU()]):
            net = Sequential(*copy.deepcopy(before), copy.deepcopy(layer))
            for seed in range(3):
                x = arrays(SHAPE, seed=seed) - 1
                with plainly():
                    wanted = net(x)
                for result in (net(x), net.forward(x, training=True)):
                    for mine, theirs in zip(result, wanted, strict=True):
                        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


BOXES = np.array([[2, 0.3, 1.2, 6.7, 5.1], [0, -3, -2.2, 4.4, 3.3], [2, 2, 2, 12, 12]])


@pytest.mark.parametrize("layer", [RoIPool((2, 3), 0.5), RoIAlign(2, 0.8), RoIAlign((3, 1), 1.0, 2, True)], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regions_in_nets(layer, dtype):
    """Alone and within a Graph, with boxes of either dtype: the same, and no gradient for boxes."""
    net = Graph({"conv": (Conv2d(5, 4, 3, padding=1), "image"), "regions": (layer, ["conv", "boxes"])},
                inputs=("image", "boxes"))
    plain = copy.deepcopy(net)
    for seed in range(4):
        given = {"image": arrays(SHAPE, seed=seed), "boxes": BOXES.astype(dtype)}
        y = net.forward(given, training=True)
        dx = net.backward(np.ones_like(y))
        with plainly():
            np.testing.assert_array_equal(plain.forward(given, training=True), y)
            np.testing.assert_array_equal(plain.backward(np.ones_like(y))["image"], dx["image"])
        assert dx["boxes"] is None and dx["image"].shape == SHAPE
        np.testing.assert_array_equal(net(given), y)
        alone = layer((plain.nodes["conv"][0](given["image"]), given["boxes"].astype("float32")))
        np.testing.assert_array_equal(alone, y)     # in a net boxes take its dtype
    assert input_gradient(net, given, np.ones_like(y))["boxes"] is None
    assert net.output_shape({"image": SHAPE, "boxes": (3, 5)}) == y.shape


@pytest.mark.parametrize("layer", [RoIPool(2), RoIAlign(2)], ids=repr)
def test_a_layer_alone_refuses_boxes_outside(layer):
    x = arrays(SHAPE)
    before = dict(vars(layer))
    with pytest.raises(ValueError, match=f"^{type(layer).__name__}: box 1 is in image 3, but the images are numbered"):
        layer.forward((x, np.array([[0, 1, 1, 4, 4], [3, 1, 1, 4, 4]])), training=True)
    assert {name: value for name, value in vars(layer).items() if value is not None} == \
        {name: value for name, value in before.items() if value is not None}


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(("layer", "x", "text"), [
    (MaxUnpool2d(2), ones(1, 1, 2, 2), "expected a tuple of arrays as x, got one array"),
    (MaxUnpool2d(2), (ones(1, 1, 2, 2),) * 3, "expected a tuple (x, indices) as x, got 3 array"),
    (MaxUnpool2d(2), (ones(1, 1, 2, 2), ones(1, 1, 2, 3)), "expected indices of shape (1, 1, 2, 2), got indices of "),
    (MaxUnpool2d(2), (ones(1, 1, 2, 2), ones(1, 1, 2, 2) - 2), "indices[0, 0, 0, 0] is -1.0, which is no place in "),
    (MaxUnpool2d(2, output_size=6), (ones(1, 1, 2, 2),) * 2, "x of shape (1, 1, 2, 2) becomes images of about 4 x 4 "),
    (RoIPool(2), (ones(1, 1, 2, 2), ones(3, 4)), "expected boxes of shape (M, 5), rows of (image number, x1, y1, "),
    (RoIPool(2), (ones(1, 1, 2, 2), ones(3, 5)), "box 0 is in image 1, but the images are numbered 0 to 0"),
    (RoIAlign(2), (ones(1, 1, 2, 2),), "expected a tuple (x, boxes) as x, got 1 array"),
], ids=str)
def test_wrong_inputs(layer, x, text):
    for run in (lambda: layer.forward(x, training=True), lambda: layer(x)):
        with pytest.raises((TypeError, ValueError)) as caught:
            run()
        assert str(caught.value).startswith(f"{type(layer).__name__}: {text}")
    assert layer.saved is None
