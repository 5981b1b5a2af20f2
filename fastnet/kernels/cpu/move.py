"""What moves numbers and computes none: joining and cutting along an axis, other orders of axes, other shapes, other
dtypes."""
from math import prod
from typing import NamedTuple

import numpy as np

from fastnet.kernels import axes, checks, shapes
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.runtime import (
    Launch,
    empty,
    empty_images,
    flat,
    in_words,
    inlined,
    jit,
    kept,
    launch,
    like,
    named,
    readable,
)
from fastnet.kernels.cpu.turn import turn

# Numbers of a block, and pixels of an image whose channels are put side by side together.
_BLOCK, _PIXELS = 16_384, 64
# Channels of images up to which there are too few to move as vectors.
_FEW_CHANNELS = 8
# The axes of images, (N, C, H, W), as they lie in memory.
_IMAGES = 0, 2, 3, 1


class _Joint(NamedTuple):
    """Rows of `apart` numbers, and up to four arrays whose rows lie in them one after the other, from `start` on: so
    many numbers each, none where an array is absent. A block takes `height` rows."""

    rows: int
    height: int
    apart: int
    start: int
    first: int
    second: int
    third: int
    fourth: int


def concat(arrays, dim=1):
    """The arrays joined along axis `dim`; all other axes agree."""
    arrays = [np.asarray(array) for array in arrays]
    kind = shapes.concat(arrays, dim)
    first, dim = checks.floating(arrays[0], "arrays[0]"), axes.axis(dim, kind.shape)
    arrays, y = [checks.floating(array, f"arrays[{i}]", like=first) for i, array in enumerate(arrays)], _empty(*kind)
    for (join, _, plan), some in _joints(kind, [array.shape[dim] for array in arrays], dim, arrays):
        join(*some, flat(y), plan)
    return y


def split(x, sizes, dim=1):
    """x cut along axis `dim` into arrays of the given sizes, which add up to its length: the backward pass of
    concat."""
    x = checks.floating(x, "x")
    kinds, dim = shapes.split(x, sizes, dim), axes.axis(dim, x.shape)
    parts = [_empty(*kind) for kind in kinds]
    for (_, cut, plan), some in _joints(x, [kind.shape[dim] for kind in kinds], dim, parts):
        cut(*some, flat(x), plan)
    return parts


def _joints(whole, sizes, dim, arrays):
    """[((join, cut, plan), four flat arrays)] for arrays of these sizes along an axis of a whole one."""
    order = memory_order(len(whole.shape))
    inner = prod(whole.shape[axis] for axis in order[order.index(dim) + 1:])    # adjacent numbers of a column
    lengths = tuple([size * inner for size in sizes])
    found = _joined(np.dtype(whole.dtype), lengths, prod(whole.shape))
    few = [flat(array) for array in arrays]
    few += few[:1] * (-len(few) % 4)    # for those that are absent, of which nothing is read
    return [(joint, few[4 * i: 4 * i + 4]) for i, joint in enumerate(found)]


@kept
def _joined(dtype, lengths, size):
    """[(join, cut, plan)] for each four arrays whose rows have these lengths, in an array of that size."""
    apart, found = sum(lengths), []
    for i in range(0, len(lengths), 4):
        some = lengths[i: i + 4]
        rows, height = size // apart, max(1, _BLOCK // sum(some))
        plan = in_words(_Joint(rows, height, apart, sum(lengths[:i]), *some, *[0] * (4 - len(some))))
        launches = (Launch(kernel, -(-rows // height), rows * sum(some)) for kernel in (_join, _cut))
        found.append((*launches, plan))
    return found


def _empty(shape, dtype):
    return empty_images(*shape, dtype=dtype) if len(shape) == 4 else empty(shape, dtype)


def memory_order(ndim):
    """The axes of an array as they lie in memory."""
    return _IMAGES if ndim == 4 else tuple(range(ndim))


def permute(x, dims):
    """y = x.transpose(dims)."""
    x = checks.floating(x, "x")
    kind, dims = shapes.permute(x, dims), axes.permutation(dims, x.shape)
    order, y = memory_order(x.ndim), _empty(*kind)
    turn(tuple(x.shape[axis] for axis in order), tuple(order.index(dims[axis]) for axis in order),
         x.dtype)(flat(x), flat(y))
    return y


def channel_shuffle(x, groups):
    """y[:, j groups + i] = x[:, i C / groups + j]."""
    x = checks.floating(x, "x")
    shapes.channel_shuffle(x, groups)
    y, (n, c, *rest) = like(x), x.shape
    outer, inner = (x.size // c, 1) if x.ndim == 4 else (n, prod(rest))
    turn((outer, groups, c // groups, inner), (0, 2, 1, 3), x.dtype)(flat(x), flat(y))
    return y


def zeros(like, shape):
    """Zeros of that shape, in the dtype in which `like` is computed with."""
    y = _empty(*shapes.zeros(like, shape))
    launch(_clear, -(-y.size // _BLOCK), flat(y), work=y.size)
    return y


def flatten(x):
    """x (N, C, H, W) as a matrix (N, C H W), a row an image. A row has its numbers in the order C, H, W, so images,
    which lie channels-last, are transposed."""
    x = checks.floating(x, "x")
    y = empty(*shapes.flatten(x))
    n, c, h, w = x.shape
    launch(turn_images, n, flat(x), y.reshape(-1), h * w, c, work=x.size)
    return y


def unflatten(y, shape):
    """Images of that shape (N, C, H, W) from rows (N, C H W): the way back from `flatten`."""
    y = checks.floating(y, "y")
    n, c, h, w = shapes.unflatten(y, shape).shape
    x = empty_images(n, c, h, w, y.dtype)
    launch(turn_images, n, flat(y), flat(x), c, h * w, work=y.size)
    return x


def convert(x, dtype):
    """The numbers of x, of any real dtype, shape and layout, as a new array of float32 or float64."""
    x = np.asarray(x)
    shape, dtype = shapes.convert(x, dtype)
    y = empty_images(*shape, dtype) if x.ndim == 4 else empty(shape, dtype)
    source, turned = readable(x, dtype)
    if turned:
        n, c, h, w = shape
        if source.dtype == dtype and c > _FEW_CHANNELS:     # then whole vectors move
            turn((n, c, h * w), (0, 2, 1), dtype)(source, flat(y))
        else:
            launch(_convert_images, n * -(-h * w // _PIXELS), source, flat(y), c, h * w, work=x.size)
    else:
        launch(_convert, -(-x.size // _BLOCK), source, flat(y), work=x.size)
    return y


def ordered(x):
    """`flat` of a float32 or float64 array that may be large: images in another order are turned by all threads."""
    if x.ndim == 4 and x.flags.c_contiguous and not x.transpose(0, 2, 3, 1).flags.c_contiguous:
        x = convert(x, x.dtype)
    return flat(x)


@jit
def _clear(block, slot, y):
    spans.clear(y, block * _BLOCK, min((block + 1) * _BLOCK, y.size))


@jit
def _convert(block, slot, x, y):
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, x.size)):
        y[np.uint64(i)] = x[np.uint64(i)]   # a place that cannot be negative, so that the compiler makes vectors


@jit
def _convert_images(block, slot, x, y, c, pixels):
    """Some pixels of an image whose channels lie one behind the other."""
    groups = (pixels + _PIXELS - 1) // _PIXELS
    image, first = block // groups, block % groups * _PIXELS
    start, count = image * c * pixels, min(_PIXELS, pixels - first)
    for channel in range(c):
        source, target = start + channel * pixels + first, start + first * c + channel
        for i in range(count):
            y[np.uint64(target + i * c)] = x[np.uint64(source + i)]


@jit
def _join(block, slot, a, b, c, d, y, numbers):
    """Some rows of y, from the first to the last number."""
    plan, far = named(_Joint, numbers), spans.is_far(y)
    for row in range(block * plan.height, min((block + 1) * plan.height, plan.rows)):
        at = row * plan.apart + plan.start
        at = _copy(a, row * plan.first, y, at, plan.first, at, far)
        at = _copy(b, row * plan.second, y, at, plan.second, at, far)
        at = _copy(c, row * plan.third, y, at, plan.third, at, far)
        _copy(d, row * plan.fourth, y, at, plan.fourth, at, far)


@jit
def _cut(block, slot, a, b, c, d, x, numbers):
    """The way back: some rows of each of four arrays."""
    plan, far = named(_Joint, numbers), spans.is_far(x)
    for row in range(block * plan.height, min((block + 1) * plan.height, plan.rows)):
        at = row * plan.apart + plan.start
        at = _copy(x, at, a, row * plan.first, plan.first, at, far)
        at = _copy(x, at, b, row * plan.second, plan.second, at, far)
        at = _copy(x, at, c, row * plan.third, plan.third, at, far)
        _copy(x, at, d, row * plan.fourth, plan.fourth, at, far)


@inlined
def _copy(x, source, y, to, count, at, far):
    """y[to : to + count] = x[source : source + count]; returns where in the whole array that ends, from `at` on."""
    for i in range(0, count, simd.lanes(x)):
        spans.put(y, to + i, simd.load_part(x, source + i, count - i), count - i, far)
    return at + count


@jit
def turn_images(block, slot, x, y, rows, columns):
    """y = x^T for the matrix (rows, columns) that image `block` is."""
    start, lanes = block * rows * columns, simd.lanes(x)
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            if i + lanes <= rows and j + lanes <= columns:
                simd.transpose(x, start + i * columns + j, columns, lanes, lanes, y, start + j * rows + i, rows)
            else:
                for row in range(i, min(i + lanes, rows)):
                    for column in range(j, min(j + lanes, columns)):
                        y[start + column * rows + row] = x[start + row * columns + column]


def pixel_shuffle(x, upscale_factor):
    """y[n, c, h r + i, w r + j] = x[n, c r^2 + i r + j, h, w]."""
    x = checks.floating(x, "x")
    y = empty_images(*shapes.pixel_shuffle(x, upscale_factor).shape, x.dtype)
    (n, _, h, w), c, r = x.shape, y.shape[1], int(upscale_factor)
    launch(_unfold, n * h, flat(x), flat(y), _places(c, w, r), w, c * r, work=x.size)
    return y


def pixel_unshuffle(x, downscale_factor):
    """y[n, c r^2 + i r + j, h, w] = x[n, c, h r + i, w r + j]."""
    x = checks.floating(x, "x")
    y = empty_images(*shapes.pixel_unshuffle(x, downscale_factor).shape, x.dtype)
    (n, _, h, w), c, r = y.shape, x.shape[1], int(downscale_factor)
    launch(_fold, n * h, flat(x), flat(y), _places(c, w, r), w, c * r, work=x.size)
    return y


@kept
def _places(c, w, r):
    """Where the c r^2 channels of the first of w pixels lie when they have become pixels: those of r rows of w r
    pixels of c channels, counted from the first on. For the next pixel they lie c r numbers further on."""
    channel, i, j = np.ogrid[:c, :r, :r]
    return ((i * w * r + j) * c + channel).reshape(-1)


@jit
def _unfold(block, slot, x, y, places, pixels, apart):
    """A row of x becomes some of y. Unsigned places spare Numba the question whether they are negative."""
    size = places.size
    for pixel in range(pixels):
        source, target = (block * pixels + pixel) * size, block * pixels * size + pixel * apart
        for k in range(size):
            y[np.uint64(target + places[k])] = x[np.uint64(source + k)]


@jit
def _fold(block, slot, x, y, places, pixels, apart):
    """Some rows of x become one of y."""
    size = places.size
    for pixel in range(pixels):
        source, target = block * pixels * size + pixel * apart, (block * pixels + pixel) * size
        for k in range(size):
            y[np.uint64(target + k)] = x[np.uint64(source + places[k])]
