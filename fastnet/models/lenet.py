"""LeNet-5, with ReLU and max-pooling, for colour images."""
from fastnet.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from fastnet.models.blocks import model


@model(3, 32, 32)
def lenet5(num_classes=10, in_channels=3):
    """Two 5x5 convolutions without padding, of 6 and 16 channels, each pooled, and hidden layers of 120 and 84:
    62 thousand parameters, x (N, 3, 32, 32).
    LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998), section II.B.

    >>> lenet5.input_shape
    (3, 32, 32)
    """
    return Sequential(
        Conv2d(in_channels, 6, 5), ReLU(),
        MaxPool2d(2),
        Conv2d(6, 16, 5), ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(16 * 5 * 5, 120), ReLU(),
        Linear(120, 84), ReLU(),
        Linear(84, num_classes),
    )
