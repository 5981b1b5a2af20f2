"""What a net takes: bytes and receptive fields, against sums made by hand and against gradients."""
import numpy as np
import pytest

from fastnet import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Linear,
    LocallyConnected2d,
    MaxPool2d,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Upsample,
    ZeroPad2d,
    init,
    input_gradient,
    models,
    summary,
)


def row(name, path, **given):
    """A row of the summary of a model."""
    make = getattr(models, name)
    with init.skip():
        table = summary(make(**given), (1, *make.input_shape))
    return next(row for row in table.rows if row[0] == path)


@pytest.mark.parametrize("name, path, size", [
    ("alexnet", "features.12", 195), ("vgg16", "features.30", 212), ("resnet18", "layer4.1.conv2", 435),
    ("resnet50", "layer4.2.conv3", 427), ("mobilenet_v1", "features.26.0", 315), ("lenet5", "5", 16)])
def test_published_receptive_fields(name, path, size):
    """Araujo et al., Computing Receptive Fields of Convolutional Neural Networks (2019); they have 483 for a ResNet-50
    whose strides are in other places."""
    assert row(name, path)[6] == (size, size)


@pytest.mark.parametrize("layers", [
    [Conv2d(1, 2, 3), Conv2d(2, 1, 3), Conv2d(1, 1, 3)],
    [Conv2d(1, 2, (5, 3), stride=(2, 1), dilation=(1, 2)), AvgPool2d(3, 2), Conv2d(2, 1, (1, 2))],
    [Conv2d(1, 1, 3, stride=2), Residual(Sequential(Conv2d(1, 1, 3, padding=1), BatchNorm2d(1))), Conv2d(1, 1, 3)],
    [AvgPool2d(2), LocallyConnected2d(1, 1, 16, 3), ZeroPad2d(1), Conv2d(1, 1, 3)],
    [Parallel(Concat(), Conv2d(1, 1, 5, padding=2), Conv2d(1, 1, 1)), Conv2d(2, 1, 3)],
    [Conv2d(1, 1, 3, stride=2, padding=1), ConvTranspose2d(1, 1, 4, stride=2), Conv2d(1, 1, 3)],
    [AvgPool2d(4), Upsample(scale_factor=2, mode="bilinear"), Conv2d(1, 1, 3)],
    [AdaptiveAvgPool2d(8), Conv2d(1, 1, 3)],
])
def test_receptive_fields_are_where_gradients_are(layers):
    """The pixels whose gradient is not zero, for a number in the middle; of the upsampled, whose neighbours see other
    windows, the most of all."""
    init.manual_seed(0)
    net, x = Sequential(*layers), np.random.default_rng(0).random((1, 1, 32, 32)).astype(np.float32)
    init.apply(net, init.ones)
    found = []
    y = net(x)
    for p in (y.shape[2] // 2, y.shape[2] // 2 + 1):
        dy = np.zeros_like(y)
        dy[0, 0, p, p] = 1
        seen = np.argwhere(input_gradient(net, x, dy)[0, 0])
        found.append(seen.max(axis=0) - seen.min(axis=0) + 1)
    assert summary(net, x.shape).rows[-1][6] == tuple(np.max(found, axis=0))


def test_memory_of_a_row_of_layers():
    """float32 numbers of (2, 3, 8, 8), (2, 4, 8, 8), (2, 4, 4, 4) and (2, 5)."""
    net = Sequential(Conv2d(3, 4, 3, padding=1), ReLU(), Dropout(), AvgPool2d(2), Flatten(), Linear(64, 5))
    table = summary(net, (2, 3, 8, 8))
    x, images, pooled, y = 4 * 384, 4 * 512, 4 * 128, 4 * 10
    assert [row[5] for row in table.rows] == [images, images, images, pooled, pooled, y]
    assert table.inference_memory == x + images    # the ReLU within the convolution
    # x for the filters, a key for the dropout, the ReLU's y, and the rows for the linear layer
    assert table.training_memory == x + images + pooled
    assert summary(net.astype("float64"), (2, 3, 8, 8)).inference_memory == 2 * (x + images)


def test_a_shortcut_is_kept():
    """While the body's two convolutions are computed, its input lives on."""
    plain = Sequential(*[Conv2d(4, 4, 3, padding=1) for _ in range(3)])
    around = Sequential(Conv2d(4, 4, 3, padding=1), Residual(Sequential(*[Conv2d(4, 4, 3, padding=1)
                                                                          for _ in range(2)])))
    one = 4 * 4 * 64
    assert summary(plain, (1, 4, 8, 8)).inference_memory == 2 * one
    assert summary(around, (1, 4, 8, 8)).inference_memory == 3 * one


def test_nothing_to_train_on():
    """A norm of single numbers: the summary says why there is no training."""
    net = Sequential(Conv2d(3, 4, 8), BatchNorm2d(4))
    table = summary(net, (1, 3, 8, 8))
    assert 'BatchNorm2d "1": ' in table.training_memory
    assert str(table).splitlines()[-1] == (f"activations: inference needs {192 * 4 + 16} B at a time, no training: "
                                           f"{table.training_memory}")


def test_what_is_no_image_sees_nothing():
    assert [row[6] for row in summary(Sequential(Linear(3, 4), ReLU()), (2, 3)).rows] == [None, None]
    net = Sequential(MaxPool2d(2), AdaptiveAvgPool2d(1), Flatten(), Linear(3, 2))
    assert [row[6] for row in summary(net, (1, 3, 4, 4)).rows] == [(2, 2)] + [(np.inf, np.inf)] * 3
    several = Sequential(Parallel(Add(), Linear(3, 3), Linear(3, 3)))
    assert {row[6] for row in summary(several, (2, 3)).rows} == {None}
