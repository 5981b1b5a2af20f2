"""Network in network: a small net of 1x1 convolutions at each place, and no fully connected layer."""
from fastnet import init
from fastnet.layers import AdaptiveAvgPool2d, AvgPool2d, Conv2d, Dropout, Flatten, MaxPool2d, ReLU, Sequential
from fastnet.models.blocks import model, scaled, start


@model(3, 32, 32)
def nin(num_classes=10, in_channels=3, width=1.0, dropout=0.5):
    """Network in network for CIFAR-10: 966,986 parameters, x (N, 3, 32, 32), any other size of at least 4 too. `width`
    multiplies all channels.

    Lin et al., Network in Network (2014), section 4.2; channels as in their published definition of the net, from which
    it differs in that no ReLU stands behind the scores. Poolings round up. torchvision has no such net. Weights start
    as He et al. (2015) advise, biases at zero.

    >>> nin.input_shape
    (3, 32, 32)
    """
    a, b, c = (scaled(channels, width) for channels in (192, 160, 96))
    return start(Sequential(
        Conv2d(in_channels, a, 5, padding=2), ReLU(), Conv2d(a, b, 1), ReLU(), Conv2d(b, c, 1), ReLU(),
        MaxPool2d(3, 2, ceil_mode=True), Dropout(dropout),
        Conv2d(c, a, 5, padding=2), ReLU(), Conv2d(a, a, 1), ReLU(), Conv2d(a, a, 1), ReLU(),
        AvgPool2d(3, 2, ceil_mode=True), Dropout(dropout),
        Conv2d(a, a, 3, padding=1), ReLU(), Conv2d(a, a, 1), ReLU(), Conv2d(a, num_classes, 1),
        AdaptiveAvgPool2d(1), Flatten(),
    ), init.kaiming_normal)
