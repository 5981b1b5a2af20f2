"""Memory that will be needed next is brought into the cache while something else is computed.

It is asked for in small portions, one between every two products: many requests at once would only queue, and the
products would wait behind them.
"""
from typing import NamedTuple

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import inlined, jit


class Ahead(NamedTuple):
    """What is still to be asked for: the numbers of an array from `start` up to `stop`, `portion` at a time."""

    start: int
    stop: int
    portion: int


@jit
def ahead(x, start, stop, times):
    """To be asked for in so many portions of whole vectors."""
    vector = simd.lanes(x)
    return Ahead(start, stop, ((stop - start) // times // vector + 1) * vector)


@inlined
def fetch_portion(x, wanted):
    """Ask for the next portion; what is left to be asked for."""
    stop = min(wanted.start + wanted.portion, wanted.stop)
    spans.fetch(x, wanted.start, stop)
    return Ahead(stop, wanted.stop, wanted.portion)
