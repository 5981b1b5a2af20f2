"""Pooling."""
from .config import Config, images, one, pair, some, written


def _windows(rng):
    """kernel_size, stride, padding and ceil_mode that fit together."""
    kernel_size = pair(rng, 2, 4)
    least = kernel_size if isinstance(kernel_size, int) else min(kernel_size)
    return {"kernel_size": kernel_size, "stride": one(rng, None, pair(rng, 1, 4)), "padding": some(rng, 0, least // 2),
            "ceil_mode": one(rng, True, False)}


def _max(rng):
    options = _windows(rng) | {"dilation": one(rng, 1, 1, pair(rng, 1, 3))}
    return Config(written("MaxPool2d", **options), images(rng, some(rng, 1, 20), 10, 16))


def _average(rng):
    options = _windows(rng) | {"count_include_pad": one(rng, True, False)}
    if rng.random() < 0.3:
        options["divisor_override"] = some(rng, 1, 9)
    return Config(written("AvgPool2d", **options), images(rng, some(rng, 1, 20), 4))


def _adaptive(rng):
    size = one(rng, pair(rng, 1, 8), (None, some(rng, 1, 8)), (some(rng, 1, 8), None), (None, None))
    return Config(written("AdaptiveMaxPool2d", size), images(rng, some(rng, 1, 20)))


DRAWS = {
    "MaxPool2d": _max,
    "AvgPool2d": _average,
    "AdaptiveMaxPool2d": _adaptive,
}
