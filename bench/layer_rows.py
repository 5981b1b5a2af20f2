"""The rows of `layers`: what is timed one by one, as both libraries write it.

Layers are timed at the sizes of CIFAR-10 with a batch of 128 and at those of ImageNet with a batch of 8.
"""
from dataclasses import dataclass, field

import numpy as np

CIFAR, IMAGENET = (128, 64, 32, 32), (8, 64, 112, 112)


@dataclass(eq=False)
class Layer:
    """A layer as fastnet writes it and as PyTorch does, and its input: of a shape, or what `x` makes; of several arrays
    the gradient is that of the first."""

    ours: str
    theirs: str
    shape: tuple
    x: object = None
    differentiable: bool = True
    drawn: bool = False     # whether its numbers are random, so that nobody can judge them
    state: dict = field(default_factory=dict)
    dy: object = None       # what flows back, once it is known

    @property
    def name(self):
        return self.ours

    @property
    def at(self):
        return "x".join(map(str, self.shape))

    def __str__(self):
        return f"{self.ours} {self.at}"


@dataclass(eq=False)
class Loss:
    """A loss; `make` gives outputs and targets."""

    ours: str
    theirs: str
    make: object
    at: str

    @property
    def name(self):
        return self.ours

    def __str__(self):
        return f"{self.ours} {self.at}"


@dataclass(eq=False)
class Optimiser:
    """An optimiser of `parameters`, which have these shapes, and the ways in which PyTorch may write it."""

    ours: str
    theirs: tuple
    shapes: tuple = ((512, 4096), *[(64, 64, 3, 3)] * 4, *[(64,)] * 8)
    at: str = "2.2 million numbers"

    @property
    def name(self):
        return self.ours

    def __str__(self):
        return f"{self.ours} {self.at}"


def layers(*texts, shapes=(CIFAR, IMAGENET)):
    """A row for each text and shape, both libraries writing it alike; or for each pair of texts."""
    pairs = [text if isinstance(text, tuple) else (text, f"nn.{text}") for text in texts]
    return [Layer(ours, theirs, shape) for ours, theirs in pairs for shape in shapes]


def scores(n, c):
    def make():
        rng = np.random.default_rng(0)
        return rng.standard_normal((n, c), dtype=np.float32), rng.integers(0, c, n)
    return make


def pixels(n, c, h, w):
    """Scores of classes for each pixel, channels-last as a net gives them, and class numbers."""
    def make():
        rng = np.random.default_rng(0)
        return images(rng.standard_normal((n, c, h, w), dtype=np.float32)), rng.integers(0, c, (n, h, w))
    return make


def images(x):
    """Images channels-last in memory, anything else as it is."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if x.ndim == 4 else x


def alike(*shape):
    """Numbers, and targets of the same shape between 0 and 1."""
    def make():
        rng = np.random.default_rng(0)
        return images(rng.standard_normal(shape, dtype=np.float32)), images(rng.random(shape, dtype=np.float32))
    return make


def pooled(n, c, h, w):
    """What is left of images of that shape after max-pooling, and places within them."""
    def make():
        rng = np.random.default_rng(0)
        x = rng.standard_normal((n, h // 2, w // 2, c), dtype=np.float32).transpose(0, 3, 1, 2)
        r, s = rng.integers(0, 2, (2, n, h // 2, w // 2, c)).transpose(0, 1, 4, 2, 3)
        return x, (2 * np.arange(h // 2)[:, None] + r) * w + 2 * np.arange(w // 2) + s
    return make


def pieces(n, c, h, w):
    """Two images of that shape."""
    def make():
        rng = np.random.default_rng(0)
        return tuple(images(rng.standard_normal((n, c, h, w), dtype=np.float32)) for _ in range(2))
    return make


def indices(count, *shape):
    """Integers below `count`."""
    return lambda: np.random.default_rng(0).integers(0, count, shape)


# Steps, sequences, numbers of a step; or the same with the sequences first.
SEQUENCES, BATCH_FIRST = (32, 64, 256), (64, 32, 256)

def shares(*shape):
    """Probabilities, and targets of the same shape between 0 and 1."""
    def make():
        x, target = alike(*shape)()
        return 1 / (1 + np.exp(-x)), target
    return make


def losses(make, *texts):
    """A row for each text, both libraries writing it alike, for few rows and for images."""
    return [Loss(text, f"nn.{text}", make(*shape), "x".join(map(str, shape)))
            for text in texts for shape in ((128, 10), IMAGENET)]


LAYERS = [
    *layers("ReLU()", "LeakyReLU()", "Hardtanh()", "ELU()", "SELU()", "SiLU()", "GELU()", "GELU(approximate='tanh')",
            "Mish()", "Hardswish()", "Hardsigmoid()", "Sigmoid()", "Tanh()", "Softplus()", "Softsign()"),
    *layers("LogSigmoid()", "CELU()", "Softshrink()", "Hardshrink()", "Tanhshrink()", "Threshold(0.1, 20)"),
    *layers("PReLU(64)", "PReLU()", "Softmax(dim=1)", "LogSoftmax(dim=1)", "ChannelShuffle(4)"),
    *layers("Linear(64, 64)", shapes=((128, 64), (128, 196, 64))),
    *layers(("Permute((0, 2, 3, 1))", "Moved(lambda x: x.permute(0, 2, 3, 1))"),
            ("Mean((2, 3))", "Function(lambda x: x.mean((2, 3)))"), ("Mean(1)", "Function(lambda x: x.mean(1))"),
            ("Parallel(Multiply(), Identity(), AdaptiveAvgPool2d(1))",
             "Function(lambda x: x * nn.functional.adaptive_avg_pool2d(x, 1))"),
            ("Parallel(Multiply(), Identity(), Mean(1, keepdim=True))",
             "Function(lambda x: x * x.mean(1, keepdim=True))")),
    *layers("BatchNorm2d(64)", "GroupNorm(8, 64)", "GroupNorm(32, 64)", "InstanceNorm2d(64, affine=True)",
            "LocalResponseNorm(5)"),
    *layers(*((f"Sequential(Conv2d(64, 64, 3, padding=1), {activation})",
               f"nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.{activation})")
              for activation in ("ReLU()", "Sigmoid()", "SiLU()", "GELU()", "Hardswish()", "Mish()", "Tanh()"))),
    *(Layer("Dropout2d()", "nn.Dropout2d()", shape, drawn=True) for shape in (CIFAR, IMAGENET)),
    *layers("LayerNorm((64, 32, 32))", shapes=(CIFAR,)),
    *layers("LayerNorm(512)", "RMSNorm(512)", shapes=((128, 64, 512),)),
    *layers("AvgPool2d(2)", "MaxPool2d(2)", "AdaptiveAvgPool2d(7)"),
    *layers("AvgPool2d(2)", shapes=((128, 64, 16, 16), (16, 256, 28, 28))),
    *layers("MaxPool2d(2)", shapes=((64, 64, 16, 16),)),
    *layers("AdaptiveAvgPool2d(1)", shapes=((128, 512, 7, 7), (16, 1280, 7, 7), (16, 512, 14, 14), (1, 512, 7, 7))),
    *layers("MaxPool2d(3, 2)", shapes=((16, 96, 55, 55), (1, 96, 55, 55))),
    *layers("MaxPool2d(3, 2, 1)", shapes=((16, 64, 112, 112), (1, 64, 112, 112))),
    *(Layer("Concat()", "Function(lambda *x: torch.cat(x, 1))", shape, x=pieces(*shape))
      for shape in ((16, 256, 28, 28), (128, 32, 16, 16))),
    *layers("ZeroPad2d(1)", "ReflectionPad2d(1)", "ReplicationPad2d(1)"),
    *layers("Upsample(scale_factor=2)", "Upsample(scale_factor=2, mode='bilinear')",
            "Upsample(scale_factor=2, mode='bilinear', align_corners=True)", "PixelShuffle(2)"),
    *layers("MaxPool2d(3, 2, 1)", "MaxPool2d(3, 2, 1, ceil_mode=True)", "MaxPool2d(3, 1, dilation=2)",
            "MaxPool2d(2, return_indices=True)", "AvgPool2d(3, 2, 1)", "AdaptiveMaxPool2d(7)"),
    *(Layer("MaxUnpool2d(2)", "nn.MaxUnpool2d(2)", shape, x=pooled(*shape)) for shape in (CIFAR, IMAGENET)),
    *layers("ConvTranspose2d(64, 32, 2, 2)", "ConvTranspose2d(64, 64, 3, 1, 1)", "ConvTranspose2d(64, 32, 4, 2, 1)",
            "ConvTranspose2d(64, 64, 3, 2, 1, 1, groups=4)", shapes=((128, 64, 16, 16), (8, 64, 56, 56))),
    *layers("RNN(256, 256)", "GRU(256, 256)", "LSTM(256, 256)", shapes=(SEQUENCES,)),
    *layers("LSTM(256, 256, 2, batch_first=True, bidirectional=True)", shapes=(BATCH_FIRST,)),
    Layer("Embedding(10000, 256)", "nn.Embedding(10000, 256)", (64, 32), indices(10_000, 64, 32), False),
]

LOSSES = [
    Loss("CrossEntropyLoss()", "nn.CrossEntropyLoss()", scores(128, 10), "128x10"),
    Loss("CrossEntropyLoss()", "nn.CrossEntropyLoss()", scores(128, 1000), "128x1000"),
    Loss("CrossEntropyLoss()", "nn.CrossEntropyLoss()", pixels(8, 21, 128, 128), "8x21x128x128"),
    Loss("NLLLoss()", "nn.NLLLoss()", scores(128, 10), "128x10"),
    Loss("NLLLoss()", "nn.NLLLoss()", scores(128, 1000), "128x1000"),
    *losses(alike, "MSELoss()", "L1Loss()", "SmoothL1Loss()", "HuberLoss()", "BCEWithLogitsLoss()"),
    *losses(shares, "BCELoss()"),
]

MANY = (((64,),) * 100 + ((64, 64),) * 100, "200 small parameters")


def optimisers(*texts, fused=False):
    """A row for each text, of few large parameters and of many small ones; PyTorch may go through them one by one, all
    at once, or in one kernel of its own."""
    ways = ["foreach=False", "foreach=True", *["fused=True"] * fused]
    return [Optimiser(text, tuple(f"torch.optim.{text[:-1]}, {way})" for way in ways), *more)
            for text in texts for more in ((), MANY)]


OPTIMISERS = [
    *optimisers("SGD(parameters, lr=0.001, momentum=0.9)", "Adam(parameters, lr=0.001)",
                "Adam(parameters, lr=0.001, amsgrad=True)", "AdamW(parameters, lr=0.001)",
                "Adagrad(parameters, lr=0.001)", fused=True),
    *optimisers("NAdam(parameters, lr=0.001)", "RMSprop(parameters, lr=0.001)",
                "RMSprop(parameters, lr=0.001, momentum=0.9, centered=True)"),
]
