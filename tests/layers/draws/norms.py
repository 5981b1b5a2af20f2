"""Normalisation, of four numbers at least: the gradient of fewer may be rounding alone."""
from .config import Config, images, one, shape, some, written


def _options(rng):
    return {"eps": one(rng, 1e-5, 1e-3), "momentum": one(rng, 0.1, 0.5, None), "affine": one(rng, True, True, False),
            "track_running_stats": one(rng, True, True, False), "bias": one(rng, True, True, False)}


def _images(rng):
    channels = some(rng, 1, 20)
    return Config(written("BatchNorm2d", channels, **_options(rng)), images(rng, channels, 2))


def _rows(rng):
    channels = some(rng, 1, 20)
    x = one(rng, (some(rng, 4, 9), channels), (some(rng, 2, 4), channels, some(rng, 2, 9)))
    return Config(written("BatchNorm1d", channels, **_options(rng)), x)


def _instances(rng):
    channels, options = some(rng, 1, 40), _options(rng)
    options["momentum"] = options["momentum"] or 0.1
    return Config(written("InstanceNorm2d", channels, **options), images(rng, channels, 2))


def _groups(rng):
    groups = some(rng, 1, 6)
    channels = groups * some(rng, 4, 12)
    options = {"eps": one(rng, 1e-5, 1e-3), "affine": one(rng, True, True, False), "bias": one(rng, True, True, False)}
    x = one(rng, images(rng, channels, 2), shape(rng, channels), (some(rng, 1, 3), channels, some(rng, 2, 9)))
    return Config(written("GroupNorm", groups, channels, **options), x)


def _last_axes(rng):
    """(normalized_shape, shape) for some of the axes of an array."""
    x = one(rng, (some(rng, 1, 9), some(rng, 4, 40)), (some(rng, 1, 4), some(rng, 1, 5), some(rng, 4, 70)),
            images(rng, some(rng, 1, 20), 4), (2, 3, 2, 3, some(rng, 4, 6)))
    axes = some(rng, 1, len(x) - 1)
    return x[len(x) - axes:] if axes > 1 or rng.random() < 0.5 else x[-1], x


def _layer_norm(rng):
    normalized, x = _last_axes(rng)
    options = {"eps": one(rng, 1e-5, 1e-3), "elementwise_affine": one(rng, True, True, False),
               "bias": one(rng, True, True, False)}
    return Config(written("LayerNorm", normalized, **options), x)


def _root_of_squares(rng):
    normalized, x = _last_axes(rng)
    options = {"eps": one(rng, None, 1e-3), "elementwise_affine": one(rng, True, True, False)}
    return Config(written("RMSNorm", normalized, **options), x)


def _local(rng):
    options = {"alpha": round(float(rng.uniform(0, 2)), 3), "beta": one(rng, 0.75, 0.5, 1.0, 0.9),
               "k": round(float(rng.uniform(0.5, 2)), 3)}
    x = one(rng, images(rng, some(rng, 1, 40)), (some(rng, 1, 3), some(rng, 1, 9), some(rng, 1, 9)))
    return Config(written("LocalResponseNorm", some(rng, 1, 9), **options), x)


def _scale(rng):
    channels = some(rng, 1, 20)
    x = one(rng, images(rng, channels), (some(rng, 1, 5), channels), (some(rng, 1, 3), some(rng, 1, 5), channels))
    return Config(written("LayerScale", channels, round(float(rng.uniform(-1, 1)), 3)), x, "")


DRAWS = {"BatchNorm2d": _images, "BatchNorm1d": _rows, "InstanceNorm2d": _instances, "GroupNorm": _groups,
         "LayerScale": _scale, "LayerNorm": _layer_norm, "RMSNorm": _root_of_squares, "LocalResponseNorm": _local}
