"""PyTorch's and torchvision's nets: their state loads by name, and gives their outputs."""
import numpy as np
import pytest

from fastnet import init, models
from tests import vision

torch = pytest.importorskip("torch")
nn = torch.nn
pytestmark = pytest.mark.slow

NAMES = ["alexnet", "densenet121", "efficientnet_b0", "fcn_resnet50", "googlenet", "mobilenet_v2", "resnet18",
         "resnet34", "resnet50", "resnext50_32x4d", "squeezenet1_0", "squeezenet1_1", "vgg11", "vgg16_bn"]
OPTIONS = {"googlenet": {"aux_logits": False, "init_weights": False}, "fcn_resnet50": {"weights_backbone": None}}


class UNet(nn.Module):
    """U-Net, its layers called as fastnet's."""

    def __init__(self, in_channels, num_classes, width, norm):
        super().__init__()
        before, channels = in_channels, [width * 2**level for level in range(5)]
        for level in range(4):
            setattr(self, f"encode{level + 1}", self.twice(before, channels[level], norm))
            before = channels[level]
        self.bottom = self.twice(before, channels[4], norm)
        for level in range(4):
            setattr(self, f"up{level + 1}", nn.ConvTranspose2d(channels[level + 1], channels[level], 2, 2))
            setattr(self, f"decode{level + 1}", self.twice(2 * channels[level], channels[level], norm))
        self.scores = nn.Conv2d(width, num_classes, 1)

    @staticmethod
    def twice(before, channels, norm):
        layers = []
        for given in (before, channels):
            layers += [nn.Conv2d(given, channels, 3, padding=1, bias=not norm),
                       *([nn.BatchNorm2d(channels)] if norm else []), nn.ReLU()]
        return nn.Sequential(*layers)

    def forward(self, x):
        kept = []
        for level in (1, 2, 3, 4):
            kept.append(getattr(self, f"encode{level}")(x))
            x = nn.functional.max_pool2d(kept[-1], 2)
        x = self.bottom(x)
        for level in (4, 3, 2, 1):
            x = torch.cat([kept.pop(), getattr(self, f"up{level}")(x)], 1)
            x = getattr(self, f"decode{level}")(x)
        return self.scores(x)


def agree(net, judge, x):
    """The same outputs from the judge's weights, to 1e-4 of the largest."""
    generator = torch.Generator().manual_seed(1)
    for module in judge.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    judge.eval()
    assert net.load_state_dict(judge.state_dict()) == ([], [])
    with torch.no_grad():
        wanted = judge(torch.from_numpy(x))
    wanted = (wanted["out"] if isinstance(wanted, dict) else wanted).numpy()
    assert abs(wanted).max() > 0 and abs(net(x) - wanted).max() <= 1e-4 * max(1, abs(wanted).max())


@pytest.mark.parametrize("name", NAMES)
def test_torchvision(name):
    judges = vision.torchvision().models
    torch.manual_seed(0)
    home = judges.segmentation if name == "fcn_resnet50" else judges
    judge = getattr(home, name)(weights=None, **OPTIONS.get(name, {}))
    with init.skip():
        net = getattr(models, name)()
    agree(net, judge, np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32))


@pytest.mark.parametrize("norm", [False, True])
def test_unet(norm):
    torch.manual_seed(0)
    with init.skip():
        net = models.unet(num_classes=3, in_channels=2, width=0.25, batch_norm=norm)
    agree(net, UNet(2, 3, 16, norm), np.random.default_rng(0).standard_normal((2, 2, 48, 32), np.float32))
    with init.skip():
        net = models.unet(batch_norm=norm)
    with torch.device("meta"):
        judge = UNet(1, 2, 64, norm)
    assert {name: parameter.shape for name, parameter in net.named_parameters()} == {
        name: tuple(parameter.shape) for name, parameter in judge.named_parameters()}
