"""The models written out in PyTorch: the same names, weights, logits and gradients."""
import numpy as np
import pytest

from fastnet import models

from ..layers.test_torch import compare

torch = pytest.importorskip("torch")
nn = torch.nn


def small_convnet():
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 512), nn.ReLU(), nn.Linear(512, 10))


def lenet5():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def conv_norm(before, channels, kernel_size=3, stride=1):
    padding = kernel_size // 2
    return nn.Conv2d(before, channels, kernel_size, stride, padding, bias=False), nn.BatchNorm2d(channels)


def vgg_small():
    layers = []
    for before, channels in ((3, 64), (64, 128), (128, 256)):
        layers += [*conv_norm(before, channels), nn.ReLU(), *conv_norm(channels, channels), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4096, 10))


def quick_convnet():
    layers = [*conv_norm(3, 16), nn.ReLU()]
    for before, channels in ((16, 48), (48, 96), (96, 192)):
        conv, norm = conv_norm(before, channels)
        layers += [conv, nn.MaxPool2d(2), norm, nn.ReLU(), *conv_norm(channels, channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(192, 10))


class Block(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.body = nn.Sequential(*conv_norm(before, channels, 3, stride), nn.ReLU(), *conv_norm(channels, channels))
        if before != channels:
            self.shortcut = nn.Sequential(*conv_norm(before, channels, 1, stride))

    def forward(self, x):
        return self.body(x) + (self.shortcut(x) if hasattr(self, "shortcut") else x)


def resnet20():
    layers = [*conv_norm(3, 16), nn.ReLU()]
    for before, channels, stride in [(16, 16, 1)] * 3 + [(16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2),
                                                         (64, 64, 1), (64, 64, 1)]:
        layers += [Block(before, channels, stride), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize("judge", [small_convnet, lenet5, vgg_small, resnet20, quick_convnet],
                         ids=lambda judge: judge.__name__)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-2), ("float64", 1e-9)])
def test_model(judge, dtype, tolerance):
    """In float32 a pooling or a ReLU near a tie may decide the other way after a rounding, hence its wide tolerance."""
    torch.manual_seed(2)
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(dtype)
    compare(getattr(models, judge.__name__)(), judge(), x, tolerance)
