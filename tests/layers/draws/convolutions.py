"""Convolutions and products."""
from .config import Config, images, one, pair, some, written


def _conv2d(rng):
    groups = one(rng, 1, 1, 1, 2, 3)
    channels, kernels = groups * some(rng, 1, 9), groups * some(rng, 1, 9)
    kernel_size, dilation = pair(rng, 1, 4), one(rng, 1, 1, 2, (1, 2))
    padding = one(rng, 0, pair(rng, 0, 3), "valid", "same")
    stride = 1 if padding == "same" else pair(rng, 1, 3)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups,
               "bias": one(rng, True, False),
               "padding_mode": one(rng, "zeros", "zeros", "reflect", "replicate", "circular")}
    return Config(written("Conv2d", channels, kernels, kernel_size, **options), images(rng, channels, 8, 14))


def _linear(rng):
    c, k = some(rng, 1, 40), some(rng, 1, 40)
    between = [some(rng, 1, 4) for _ in range(some(rng, 0, 3))]
    return Config(written("Linear", c, k, bias=one(rng, True, False)), (some(rng, 1, 9), *between, c))


DRAWS = {"Conv2d": _conv2d, "Linear": _linear}
