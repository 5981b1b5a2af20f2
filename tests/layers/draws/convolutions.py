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


def _conv1d(rng):
    groups = one(rng, 1, 1, 1, 2, 3)
    channels, kernels = groups * some(rng, 1, 9), groups * some(rng, 1, 9)
    padding = one(rng, 0, some(rng, 0, 3), "valid", "same")
    options = {"stride": 1 if padding == "same" else some(rng, 1, 3), "padding": padding, "dilation": some(rng, 1, 2),
               "groups": groups, "bias": one(rng, True, False),
               "padding_mode": one(rng, "zeros", "zeros", "reflect", "replicate", "circular")}
    return Config(written("Conv1d", channels, kernels, some(rng, 1, 4), **options),
                  (some(rng, 1, 3), channels, some(rng, 8, 20)))


def _conv_transpose2d(rng):
    groups = one(rng, 1, 1, 1, 2, 3)
    channels, kernels = groups * some(rng, 1, 9), groups * some(rng, 1, 9)
    stride, dilation = pair(rng, 1, 3), pair(rng, 1, 2)
    more = tuple(some(rng, 0, max(both) - 1) for both in zip(_both(stride), _both(dilation), strict=True))
    options = {"stride": stride, "padding": pair(rng, 0, 2), "output_padding": more, "groups": groups,
               "bias": one(rng, True, False), "dilation": dilation}
    return Config(written("ConvTranspose2d", channels, kernels, pair(rng, 1, 4), **options),
                  images(rng, channels, 5, 9))


def _both(value):
    return value if isinstance(value, tuple) else (value, value)


def _locally_connected2d(rng):
    channels, kernels, hw = some(rng, 1, 3), some(rng, 1, 3), (some(rng, 4, 6), some(rng, 4, 6))
    padding = one(rng, 0, pair(rng, 0, 2), "valid", "same", "full", (1, 0, 2, 1))
    options = {"stride": pair(rng, 1, 3), "padding": padding, "bias": one(rng, True, False)}
    return Config(written("LocallyConnected2d", channels, kernels, hw, pair(rng, 1, 3), **options),
                  (some(rng, 1, 2), channels, *hw), judge="")


def _linear(rng):
    c, k = some(rng, 1, 40), some(rng, 1, 40)
    between = [some(rng, 1, 4) for _ in range(some(rng, 0, 3))]
    return Config(written("Linear", c, k, bias=one(rng, True, False)), (some(rng, 1, 9), *between, c))


DRAWS = {"Conv1d": _conv1d, "Conv2d": _conv2d, "ConvTranspose2d": _conv_transpose2d, "Linear": _linear,
         "LocallyConnected2d": _locally_connected2d}
