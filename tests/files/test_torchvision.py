"""Weights of torchvision's nets come over by name, and go back: ResNet-18 and MobileNetV2 give PyTorch's logits."""
import numpy as np
import pytest

import fastnet
from fastnet import models
from tests import vision

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
nn = torch.nn
X = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)


def conv_norm(before, channels, size=3, stride=1, groups=1, act=None):
    layers = nn.Conv2d(before, channels, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(channels)
    return nn.Sequential(*layers, *([act()] if act else []))


class Basic(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(before, channels, 3, stride)
        self.conv2, self.bn2 = conv_norm(channels, channels)
        self.relu = nn.ReLU()
        self.downsample = conv_norm(before, channels, 1, stride) if stride > 1 else None

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, 64, 7, 2)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for i, (before, channels) in enumerate([(64, 64), (64, 128), (128, 256), (256, 512)]):
            blocks = Basic(before, channels, 1 + (i > 0)), Basic(channels, channels, 1)
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean((2, 3)))


class Inverted(nn.Module):
    """torchvision's InvertedResidual."""

    def __init__(self, before, channels, stride, expansion):
        super().__init__()
        inner = before * expansion
        expand = [conv_norm(before, inner, 1, act=nn.ReLU6)] if expansion > 1 else []
        self.conv = nn.Sequential(*expand, conv_norm(inner, inner, 3, stride, inner, nn.ReLU6),
                                  *conv_norm(inner, channels, 1))
        self.same = stride == 1 and before == channels

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        features, before = [conv_norm(3, 32, 3, 2, act=nn.ReLU6)], 32
        for expansion, channels, count, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                                   (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]:
            for i in range(count):
                features.append(Inverted(before, channels, 1 if i else stride, expansion))
                before = channels
        self.features = nn.Sequential(*features, conv_norm(320, 1280, 1, act=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


NETS = {"resnet18": ResNet18, "mobilenet_v2": MobileNetV2}


def judge(name, make=None):
    """The net in PyTorch, with statistics that make a difference."""
    torch.manual_seed(1)
    net = (make or NETS[name])(num_classes=5).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1), module.running_var.uniform_(0.5, 1.5)
    return net


def logits(net):
    with torch.no_grad():
        return net(torch.from_numpy(X)).numpy()


def ours(name):
    with fastnet.init.skip():
        return getattr(models, name)(5)


# The suffix, what stands before all names, and how that is left out.
WAYS = [(".pth", "", None), (".safetensors", "module.", None), (".safetensors", "", None), (".pth", "module.", None),
        (".pth", "backbone.", {"backbone.": ""}), (".pth", "_orig_mod.", lambda name: name)]


def slow_but_first(name, cases):
    """The cases of a net, of which the default tier has the first."""
    return [pytest.param(name, *case, marks=[pytest.mark.slow] * (i > 0)) for i, case in enumerate(cases)]


@pytest.mark.parametrize("name, suffix, wrap, rename", [*slow_but_first("resnet18", WAYS),
                                                        *slow_but_first("mobilenet_v2", WAYS[::-1])])
def test_weights_of_torchvision_give_its_logits(tmp_path, name, suffix, wrap, rename):
    theirs, net, path = judge(name), ours(name), tmp_path / f"net{suffix}"
    state = {wrap + key: value for key, value in theirs.state_dict().items()}
    torch.save(state, path) if suffix == ".pth" else safetensors.save_file(state, path)
    assert fastnet.load_weights(net, path, rename=rename) == ([], [])
    np.testing.assert_allclose(net(X), logits(theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, save", [
    *slow_but_first("resnet18", [(fastnet.save_weights,), (fastnet.save_model,)]),
    pytest.param("mobilenet_v2", fastnet.save_weights, marks=pytest.mark.slow)])
def test_a_net_that_was_trained_here_goes_to_pytorch(tmp_path, name, save):
    fastnet.manual_seed(0)
    net, theirs = getattr(models, name)(5), judge(name)
    optimizer, loss = fastnet.SGD(net.parameters(), 0.05), fastnet.CrossEntropyLoss()
    for _ in range(2):
        net.backward(loss(net.forward(X, training=True), np.arange(2))[1], need_dx=False)
        optimizer.step()
    save(net, tmp_path / "net.safetensors")
    theirs.load_state_dict(safetensors.load_file(tmp_path / "net.safetensors"))
    np.testing.assert_allclose(logits(theirs), net(X), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETS)
def test_with_torchvision_itself(tmp_path, name):
    theirs = judge(name, getattr(vision.torchvision().models, name))
    assert [*theirs.state_dict()] == [*judge(name).state_dict()]
    torch.save(theirs.state_dict(), tmp_path / "net.pth")
    net = ours(name)
    fastnet.load_weights(net, tmp_path / "net.pth")
    np.testing.assert_allclose(net(X), logits(theirs), rtol=1e-4, atol=1e-4)
