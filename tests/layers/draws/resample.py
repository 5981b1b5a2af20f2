"""Other pixels for an image."""
from .config import Config, images, one, some, written


def _pad(name, least, most, *options):
    """`most` says how large a padding may be for a side of so many pixels."""
    def draw(rng):
        shape = images(rng, some(rng, 1, 20), 3, 9)
        height, width = shape[2:]
        sides = tuple(some(rng, least, most(length)) for length in (width, width, height, height))
        padding = one(rng, sides, some(rng, 0, min(most(height), most(width))))
        return Config(written(name, padding, *(option(rng) for option in options)), shape)
    return draw


def _factor(rng):
    return one(rng, 1, 2, 3, 1.5, 0.7, 2.3, (2, 1.7), (0.6, 3))


def _upsample(rng):
    options = one(rng, {"size": one(rng, some(rng, 1, 20), (some(rng, 1, 20), some(rng, 1, 20)))},
                  {"scale_factor": _factor(rng)}, {"scale_factor": _factor(rng), "recompute_scale_factor": True})
    options |= one(rng, {}, {"mode": "bilinear", "align_corners": one(rng, True, False)})
    return Config(written("Upsample", **options), images(rng, some(rng, 1, 20), 2))


def _whole(name):
    """Those whose factors are whole numbers."""
    return lambda rng: Config(written(name, scale_factor=some(rng, 1, 4)), images(rng, some(rng, 1, 20), 1, 7))


def _shuffle(rng):
    r = some(rng, 1, 4)
    return Config(written("PixelShuffle", r), images(rng, some(rng, 1, 5) * r**2, 1, 5))


def _unshuffle(rng):
    r, (n, c, h, w) = some(rng, 1, 4), images(rng, some(rng, 1, 9), 1, 5)
    return Config(written("PixelUnshuffle", r), (n, c, h * r, w * r))


def _adaptive(rng):
    sizes = [one(rng, None, some(rng, 1, 12)) for _ in range(2)]
    return Config(written("AdaptiveAvgPool2d", one(rng, some(rng, 1, 12), tuple(sizes))), images(rng, some(rng, 1, 20)))


DRAWS = {
    "ZeroPad2d": _pad("ZeroPad2d", -1, lambda length: 5),
    "ConstantPad2d": _pad("ConstantPad2d", -1, lambda length: 5, lambda rng: one(rng, 0.5, -3)),
    "ReflectionPad2d": _pad("ReflectionPad2d", 0, lambda length: length - 1),
    "ReplicationPad2d": _pad("ReplicationPad2d", 0, lambda length: 12),
    "CircularPad2d": _pad("CircularPad2d", 0, lambda length: length),
    "Upsample": _upsample,
    "UpsamplingNearest2d": _whole("UpsamplingNearest2d"),
    "UpsamplingBilinear2d": _whole("UpsamplingBilinear2d"),
    "BedOfNails": lambda rng: Config(written("BedOfNails", one(rng, 2, (1, 3), (3, 2))), images(rng, 3, 1, 5), ""),
    "PixelShuffle": _shuffle,
    "PixelUnshuffle": _unshuffle,
    "AdaptiveAvgPool2d": _adaptive,
}
