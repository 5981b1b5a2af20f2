"""Normalisation."""
from .config import Config, images, one, some, written


def _options(rng):
    return {"eps": one(rng, 1e-5, 1e-3), "momentum": one(rng, 0.1, 0.5, None)}


def _images(rng):
    channels = some(rng, 1, 20)
    return Config(written("BatchNorm2d", channels, **_options(rng)), images(rng, channels, 2))


def _rows(rng):
    channels = some(rng, 1, 20)
    return Config(written("BatchNorm1d", channels, **_options(rng)), (some(rng, 4, 9), channels))


DRAWS = {"BatchNorm2d": _images, "BatchNorm1d": _rows}
