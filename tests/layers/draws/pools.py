"""Pooling."""
from .config import Config, images, one, pair, some, written


def _windows(rng):
    """kernel_size, stride and padding that fit together."""
    kernel_size = pair(rng, 2, 4)
    least = kernel_size if isinstance(kernel_size, int) else min(kernel_size)
    return {"kernel_size": kernel_size, "stride": one(rng, None, pair(rng, 1, 4)), "padding": some(rng, 0, least // 2)}


def _max(rng):
    return Config(written("MaxPool2d", **_windows(rng)), images(rng, some(rng, 1, 20), 4))


def _average(rng):
    options = _windows(rng) | {"count_include_pad": one(rng, True, False)}
    return Config(written("AvgPool2d", **options), images(rng, some(rng, 1, 20), 4))


DRAWS = {
    "MaxPool2d": _max,
    "AvgPool2d": _average,
    "AdaptiveMaxPool2d": lambda rng: Config("AdaptiveMaxPool2d(1)", images(rng, some(rng, 1, 20))),
}
