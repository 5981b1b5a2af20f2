"""What moves numbers, and means."""
from .config import Config, shape, some, written


def _few(rng, least=1, most=4):
    """A small shape of some axes."""
    return tuple(some(rng, 1, 4) for _ in range(some(rng, least, most)))


def _flatten(rng):
    x_shape = (some(rng, 1, 3), *_few(rng))
    start = some(rng, 0, len(x_shape) - 1)
    end = some(rng, start, len(x_shape) - 1)
    return Config(written("Flatten", start, end - len(x_shape) if rng.random() < 0.5 else end), x_shape)


def _unflatten(rng):
    sizes, x_shape = _few(rng), [some(rng, 1, 4) for _ in range(some(rng, 1, 4))]
    dim, left = some(rng, 0, len(x_shape) - 1), some(rng, 0, len(sizes) - 1)
    x_shape[dim] = 1
    for size in sizes:
        x_shape[dim] *= size
    given = tuple(-1 if place == left and rng.random() < 0.5 else size for place, size in enumerate(sizes))
    return Config(written("Unflatten", dim, given), tuple(x_shape))


def _permute(rng):
    x_shape = _few(rng)
    return Config(written("Permute", tuple(rng.permutation(len(x_shape)).tolist())), x_shape, "")


def _shuffle(rng):
    groups = some(rng, 1, 5)
    return Config(written("ChannelShuffle", groups), (some(rng, 1, 3), groups * some(rng, 1, 5), *_few(rng, 2, 2)))


def _chunk(rng):
    x_shape = _few(rng)
    return Config(written("Chunk", some(rng, 1, 5), dim=some(rng, -len(x_shape), len(x_shape) - 1)), x_shape, "")


def _mean(rng):
    x_shape = _few(rng, 2)
    dims = tuple(rng.permutation(len(x_shape))[:some(rng, 1, len(x_shape) - 1)].tolist())
    return Config(written("Mean", dims[0] if rng.random() < 0.3 else dims, keepdim=bool(rng.integers(2))), x_shape, "")


DRAWS = {
    "Flatten": _flatten,
    "Unflatten": _unflatten,
    "Permute": _permute,
    "ChannelShuffle": _shuffle,
    "Chunk": _chunk,
    "Mean": _mean,
    "Identity": lambda rng: Config("Identity()", shape(rng, some(rng, 1, 20))),
}
