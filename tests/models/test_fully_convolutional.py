"""Classifiers as nets for images of any size."""
import numpy as np
import pytest

from fastnet import (
    Add,
    BatchNorm1d,
    Conv2d,
    Dropout,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool2d,
    Parallel,
    PReLU,
    ReLU,
    Sequential,
    Softmax,
    freeze,
    fully_convolutional,
    manual_seed,
    models,
)


def images(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name, given, side", [
    ("lenet5", {}, 32), ("small_convnet", {}, 32), ("vgg11", {"width": 0.05}, 7 * 32),
    ("alexnet", {"width": 0.05}, 223), ("resnet18", {"width": 0.1}, 64), ("squeezenet1_1", {"width": 0.2}, 33)])
def test_the_same_numbers(name, given, side):
    net = getattr(models, name)(num_classes=5, **given)
    made, x = fully_convolutional(net, (1, 3, side, side)), images(2, 3, side, side)
    y = made(x)
    assert y.shape == (2, 5, 1, 1)
    np.testing.assert_allclose(y[:, :, 0, 0], net(x), rtol=1e-4, atol=1e-5)
    assert sorted(made.state_dict()) == sorted(net.state_dict())


def test_a_map_of_larger_images():
    """Without padding each number is what the net gives of the window there."""
    manual_seed(0)
    net = models.lenet5()
    x = images(1, 3, 40, 44)
    y = fully_convolutional(net, (1, 3, 32, 32))(x)
    assert y.shape == (1, 10, 3, 4)
    for p in range(3):
        for q in range(4):
            np.testing.assert_allclose(y[:, :, p, q], net(np.ascontiguousarray(x[:, :, 4*p:4*p + 32, 4*q:4*q + 32])),
                                       rtol=1e-4, atol=1e-5)


def test_layers_behind_the_flatten():
    net = Sequential({"body": Sequential(Conv2d(2, 3, 3), MaxPool2d(2)), "rows": Sequential(
        Flatten(), Dropout(), Linear(3 * 2 * 3, 6, bias=False), BatchNorm1d(6), PReLU(6), Linear(6, 4), Softmax())})
    net.astype("float64").to("naive")
    freeze(net, "rows.3")
    net["rows.3"].running_mean = np.arange(6.0)
    made, x = fully_convolutional(net, (1, 2, 6, 8)), images(3, 2, 6, 8).astype("float64")
    np.testing.assert_allclose(made(x)[:, :, 0, 0], net(x), rtol=1e-12)
    assert made.backend == made["rows.2"].backend == "naive" and made.dtype == "float64"
    assert made["rows.2"].bias is None and made["rows.3"].frozen and not made["rows.3"].weight.requires_grad
    made["rows.5"].weight.value[...] = 0
    assert net["rows.5"].weight.value.all()


@pytest.mark.parametrize("net, shape, error, message", [
    (Linear(2, 3), (1, 2), TypeError, "net must be a Sequential"),
    (Sequential(Linear(2, 3)), (1, 2), ValueError, r"input_shape must be that of images, .*, got \(1, 2\)"),
    (Sequential(Conv2d(2, 3, 3)), (1, 2, 5, 5), ValueError, r"net must have a Flatten"),
    (Sequential(Conv2d(2, 3, 3), Flatten()), (1, 2, 5, 5), ValueError, r"net must have a Flatten, and a Linear behind"),
    (Sequential(Flatten(), LayerNorm(8)), (1, 2, 2, 2), ValueError, 'LayerNorm "1" stands behind the Flatten'),
    (Sequential(Flatten(), BatchNorm1d(8)), (1, 2, 2, 2), ValueError, 'BatchNorm1d "1" stands behind the Flatten'),
    (Sequential(Flatten(), Parallel(Add(), ReLU())), (1, 2, 2, 2), ValueError, 'Parallel "1" stands behind'),
    (models.vgg11(width=0.05), (1, 3, 256, 256), ValueError, 'AdaptiveAvgPool2d "avgpool" makes windows of several'),
    (models.vgg11(width=0.05), 3, TypeError, "input_shape must be a shape"),
])
def test_refused(net, shape, error, message):
    with pytest.raises(error, match=f"^fully_convolutional: {message}"):
        fully_convolutional(net, shape)
