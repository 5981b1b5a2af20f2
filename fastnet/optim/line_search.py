"""A line search for the strong Wolfe conditions: how far to go in a direction that leads downhill.

A step is long enough and not too long where, with c1 = 1e-4 and c2 = 0.9,
value <= start.value + c1 step start.slope  and  |slope| <= c2 |start.slope|.
Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, with equation 3.59 for where to look next.
"""
from math import isfinite, sqrt
from typing import NamedTuple

import numpy as np

_LOWER, _FLATTER = 1e-4, 0.9
_MOST = 25      # evaluations


class Point(NamedTuple):
    """A place on the way: how many steps from the start, the value there and its derivative by the step."""

    step: float
    value: float
    slope: float
    weights: np.ndarray
    gradient: np.ndarray


def strong_wolfe(along, start, step, shortest):
    """The `Point` to go to, which ``along(step)`` gave: one that fulfils the conditions, or the lowest that was found
    in 25 evaluations, or between places that lie closer together than `shortest`; `start` itself where that is all."""
    before, limit = start, _MOST
    for used in range(limit):
        point = along(step)
        if _too_high(point, start) or used and point.value >= before.value:
            return _zoom(along, start, before, point, limit - used - 1, shortest)
        if abs(point.slope) <= -_FLATTER * start.slope:
            return point
        if point.slope >= 0:
            return _zoom(along, start, point, before, limit - used - 1, shortest)
        step = _lowest(before, point, point.step + 0.5 * (point.step - before.step), 10 * point.step)
        before = point
    return before


def _zoom(along, start, low, high, left, shortest):
    """Between two places, of which `low` is the lower one and the slope there leads towards `high`."""
    for _ in range(left):
        width = high.step - low.step
        if abs(width) <= shortest:
            break
        point = along(_lowest(low, high, *sorted((low.step + 0.1 * width, high.step - 0.1 * width))))
        if _too_high(point, start) or point.value >= low.value:
            high = point
            continue
        if abs(point.slope) <= -_FLATTER * start.slope:
            return point
        if point.slope * width >= 0:
            high = low
        low = point
    return low


def _too_high(point, start):
    """Whether it does not fulfil the first condition, or is no number at all."""
    return not (isfinite(point.slope) and point.value <= start.value + _LOWER * point.step * start.slope)


def _lowest(a, b, least, most):
    """Where the cubic polynomial through two points, with their slopes, is lowest, brought into the bounds; half-way
    between these where it has no such place."""
    half = (least + most) / 2
    if not isfinite(b.value - a.value + b.slope - a.slope):
        return half
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < float("inf"):
        return half
    d2 = sqrt(square) if b.step > a.step else -sqrt(square)
    below = b.slope - a.slope + 2 * d2
    if not below:
        return half
    return min(max(b.step - (b.step - a.step) * (b.slope + d2 - d1) / below, least), most)
