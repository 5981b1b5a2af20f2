"""The generator that weights are drawn from, and blocks within which they are drawn from another one, or not at all."""
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from math import inf, prod

import numpy as np

from fastnet import arguments
from fastnet.init.shapes import checked_shape

_generator = None
_skips = ContextVar("fastnet.init.skip", default=None)     # a list of how many numbers may still be made
_own = ContextVar("the generator of a block of `seeded`", default=None)


def manual_seed(seed):
    """Start the generator anew. What is built afterwards, weights and the seeds of Dropout, depends on `seed` alone.

    Returns the generator. Without a call, or for None, it starts from the operating system's entropy. `seed` is an
    integer of at least 0. Within a block of `seeded` it is that block's generator that starts anew.

    >>> rng = manual_seed(1)
    >>> first = fastnet.Linear(2, 3).weight.value
    >>> rng = manual_seed(1)
    >>> print((fastnet.Linear(2, 3).weight.value == first).all())
    True
    """
    global _generator
    if seed is not None:
        seed = arguments.integer(seed, "manual_seed: seed", 0)
    made = np.random.default_rng(seed)
    if _own.get() is None:
        _generator = made
    else:
        _own.set(made)
    return made


@contextmanager
def seeded(seed):
    """Within ``with seeded(0):`` this thread draws from a generator of its own, and nobody else's moves: nets that
    several threads make at once depend on their seeds alone. `seed` is an integer of at least 0.

    >>> with seeded(1):
    ...     first = fastnet.Linear(2, 3).weight.value
    >>> with seeded(1):
    ...     print((fastnet.Linear(2, 3).weight.value == first).all())
    True
    """
    before = _own.set(np.random.default_rng(arguments.integer(seed, "seeded: seed", 0)))
    try:
        yield
    finally:
        _own.reset(before)


def generator():
    """The generator that initialisers draw from, a `numpy.random.Generator`.

    >>> manual_seed(0) is generator()
    True
    """
    own = _own.get()
    if own is not None:
        return own
    return manual_seed(None) if _generator is None else _generator


@contextmanager
def skip(most=None):
    """Within ``with skip():`` this thread draws no weights: initialisers that would, give zeros. For a net whose
    weights are loaded next, or of which only the shapes matter; it is made at once, and takes memory only for what is
    written later. The generator stays where it was, but for the seed of each Dropout. With `most`, an integer,
    initialisers that would make more numbers than that, all together, raise ValueError.

    >>> with skip():
    ...     print(fastnet.Linear(2, 1).weight.value)
    [[0. 0.]]
    """
    most = inf if most is None else arguments.integer(most, "skip: most", 0)
    before = _skips.set([most])
    try:
        yield
    finally:
        _skips.reset(before)


def drawing(initialiser):
    """Decorate an initialiser that draws, so that `skip` can tell it not to. Its zeros are a single one, seen at every
    place: whoever keeps a weight copies it, see `arguments.converted`."""
    @wraps(initialiser)
    def draw(shape, *args, **kwargs):
        if _skips.get() is not None:
            return np.broadcast_to(np.zeros((), np.float32), counted(shape, initialiser.__name__))
        return initialiser(shape, *args, **kwargs)
    return draw


def counted(shape, who):
    """The shape of what is made; ValueError where `skip` allows no more."""
    shape, left = checked_shape(shape, who), _skips.get()
    if left is not None:
        left[0] -= prod(shape)
        if left[0] < 0:
            raise ValueError(f"{who}: shape must be such that there are no more numbers than may be, got {shape}")
    return shape
