"""A small convolutional net for CIFAR-10."""
from functools import partial

from fastnet import arguments, init
from fastnet.layers import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential


def small_convnet(num_classes=10):
    """Two 3x3 convolutions of 32 channels, two of 64, a pooling after each two, a hidden layer of 512: 2.2 million
    parameters, x (N, 3, 32, 32). Weights before a ReLU start as He et al. (2015) advise, the last ones normal with
    deviation 0.01, so that the first loss is near ln num_classes; biases start at zero."""
    num_classes = arguments.integer(num_classes, "small_convnet: num_classes", 1)
    features = Sequential(
        Conv2d(3, 32, 3, padding=1), ReLU(),
        Conv2d(32, 32, 3, padding=1), ReLU(),
        MaxPool2d(2),
        Conv2d(32, 64, 3, padding=1), ReLU(),
        Conv2d(64, 64, 3, padding=1), ReLU(),
        MaxPool2d(2),
        Flatten(),
        Linear(64 * 8 * 8, 512), ReLU(),
    )
    init.apply(features, init.kaiming_normal, init.zeros)
    classifier = Linear(512, num_classes)
    init.apply(classifier, partial(init.normal, std=0.01), init.zeros)
    return Sequential(*features.layers, classifier)
