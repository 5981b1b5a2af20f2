"""What a random configuration of a layer is, and the numbers that many of them need."""
from typing import NamedTuple


class Config(NamedTuple):
    """A layer as it is written, the shape of its input, and how PyTorch writes it: None where in the same words, ""
    where PyTorch has no such thing."""

    text: str
    shape: tuple
    judge: str | None = None


def one(rng, *choices):
    """One of the choices."""
    return choices[rng.integers(len(choices))]


def some(rng, low, high):
    """An integer from low to high."""
    return int(rng.integers(low, high + 1))


def pair(rng, low, high):
    """An integer, or two of them in a tuple."""
    return one(rng, some(rng, low, high), (some(rng, low, high), some(rng, low, high)))


def images(rng, channels, low=1, high=12):
    """The shape of a few images of that many channels."""
    return some(rng, 1, 3), channels, some(rng, low, high), some(rng, low, high)


def shape(rng, channels):
    """The shape of a few rows or images of that many channels."""
    return one(rng, (some(rng, 2, 5), channels), images(rng, channels, 2))


def written(name, *args, **options):
    """The call in words: Conv2d(3, 4, stride=2)."""
    words = [*map(repr, args), *(f"{key}={value!r}" for key, value in options.items())]
    return f"{name}({', '.join(words)})"
