"""Element-wise operations, and joining and cutting along the channels: one pass over memory each."""
from math import prod

import numpy as np

from fastnet.kernels import checks, counter
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime.array import empty, empty_images, flat, like
from fastnet.kernels.cpu.runtime.jit import inlined, jit, launch

# Elements of a block.
_BLOCK = 16_384
# How many operations of `launch` an exponential function is worth.
_EXPONENTIAL = 4
_FIRST, _SECOND = map(np.uint64, counter.MULTIPLIERS)
_WORD = np.uint64(0xFFFFFFFF)


def relu_forward(x):
    """y = max(x, 0) for an x of any shape; NaN stays NaN."""
    return _forward(_relu, x, 1)


def relu_backward(dy, y):
    """dx = dy where y > 0, else 0; y is the output of relu_forward."""
    return _backward(_relu_backward, dy, y, "y", 1)


def silu_forward(x):
    """y = x / (1 + exp(-x)) for an x of any shape."""
    return _forward(_silu, x, _EXPONENTIAL)


def silu_backward(dy, x):
    """dx = dy s (1 + x (1 - s)) with s = 1 / (1 + exp(-x))."""
    return _backward(_silu_backward, dy, x, "x", _EXPONENTIAL)


def _forward(kernel, x, cost):
    """y from each element of x, which costs so many operations of `launch`."""
    x = checks.floating(x, "x")
    checks.not_empty(x.shape)
    y = like(x)
    launch(kernel, _blocks(x), flat(x), flat(y), work=cost * x.size)
    return y


def _backward(kernel, dy, kept, name, cost):
    """dx from each element of dy and of x or y, whichever the forward pass kept."""
    dy = checks.floating(dy, "dy")
    checks.not_empty(dy.shape, "dy")
    kept = checks.operand(kept, dy.shape, name, like=dy)
    dx = like(dy)
    launch(kernel, _blocks(dy), flat(dy), flat(kept), flat(dx), work=cost * dy.size)
    return dx


def dropout(x, p, key):
    """y = x / (1 - p) where the random number of that element, see `counter`, is at least p, else 0."""
    x = checks.floating(x, "x")
    checks.not_empty(x.shape)
    p = checks.probability(p)
    y = like(x)
    low, high = map(np.uint64, counter.key_words(key))
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    launch(_dropout, _blocks(x), flat(x), flat(y), low, high, np.uint64(counter.threshold(p)), scale, work=8 * x.size)
    return y


def add(a, b, relu=False, mask=None):
    """a + b for two arrays of one shape, any."""
    a = checks.floating(a, "a")
    checks.not_empty(a.shape, "a")
    b = checks.operand(b, a.shape, "b", like=a)
    mask = checks.operand(mask, a.shape, "mask", like=a)
    y = like(a)
    sum_into(flat(a), flat(b), flat(y), relu, None if mask is None else flat(mask))
    return y


def sum_into(a, b, y, relu=False, mask=None):
    """`add` for flat arrays; y may be one of them."""
    launch(_add, _blocks(a), a, b, y, bool(relu), y if mask is None else mask, mask is not None, work=a.size)


def concat(arrays):
    """The arrays joined along axis 1; all other axes agree."""
    arrays = [np.asarray(array) for array in arrays]
    shape = checks.concat_shape([array.shape for array in arrays])
    first = checks.floating(arrays[0], "arrays[0]")
    y = empty_images(*shape, dtype=first.dtype) if len(shape) == 4 else empty(shape, first.dtype)
    start = 0
    for i, array in enumerate(arrays):
        array = checks.floating(array, f"arrays[{i}]", like=first)
        _move_columns(array, 0, y, start, array.shape[1])
        start += array.shape[1]
    return y


def split(x, sizes):
    """x cut along axis 1 into arrays of the given sizes, which add up to its length: the backward pass of concat."""
    x = checks.floating(x, "x")
    sizes = checks.split_sizes(x.shape, sizes)
    parts, start = [], 0
    for size in sizes:
        parts.append(like(x[:, start: start + size]))
        _move_columns(x, start, parts[-1], 0, size)
        start += size
    return parts


def _move_columns(x, x_start, y, y_start, count):
    """y[:, y_start: y_start + count] = x[:, x_start: x_start + count], columns being what lies along axis 1."""
    inner = prod(x.shape[2:]) if x.ndim != 4 else 1  # numbers of a column that lie side by side
    x_row, y_row = x.shape[1] * inner, y.shape[1] * inner
    rows = x.size // x_row
    lines = max(1, _BLOCK // (count * inner))
    launch(_copy_columns, -(-rows // lines), flat(x), x_start * inner, x_row, flat(y), y_start * inner, y_row,
           count * inner, rows, lines, work=rows * count * inner)


def flatten(x):
    """x (N, C, H, W) as rows (N, C H W), each in that order."""
    x = checks.floating(x, "x")
    n, c, h, w = checks.images(x.shape)
    y = empty((n, c * h * w), x.dtype)
    launch(_turn_images, n, flat(x), y.reshape(-1), h * w, c, work=x.size)
    return y


def unflatten(y, shape):
    """Images of that shape (N, C, H, W) from rows (N, C H W): the way back from `flatten`."""
    y = checks.floating(y, "y")
    n, c, h, w = checks.images(shape)
    checks.has_shape(y, (n, c * h * w), "y")
    x = empty_images(n, c, h, w, y.dtype)
    launch(_turn_images, n, flat(y), flat(x), c, h * w, work=y.size)
    return x


def _blocks(x):
    return -(-x.size // _BLOCK)


@jit
def _copy_columns(block, slot, x, x_start, x_row, y, y_start, y_row, count, rows, lines):
    for row in range(block * lines, min((block + 1) * lines, rows)):
        source, target = x_start + row * x_row, y_start + row * y_row
        for i in range(0, count, simd.lanes(x)):
            simd.store_part(y, target + i, simd.load_part(x, source + i, count - i), count - i)


@jit
def _turn_images(block, slot, x, y, rows, columns):
    """y = x^T for the matrix (rows, columns) that image `block` is."""
    start, lanes = block * rows * columns, simd.lanes(x)
    for i in range(0, rows, lanes):
        for j in range(0, columns, lanes):
            if i + lanes <= rows and j + lanes <= columns:
                simd.turn(x, start + i * columns + j, columns, lanes, lanes, y, start + j * rows + i, rows)
            else:
                for row in range(i, min(i + lanes, rows)):
                    for column in range(j, min(j + lanes, columns)):
                        y[start + column * rows + row] = x[start + row * columns + column]


@jit
def _relu(block, slot, x, y):
    stop = min((block + 1) * _BLOCK, x.size)
    for i in range(block * _BLOCK, stop, simd.lanes(x)):
        simd.store_part(y, i, simd.relu(simd.load_part(x, i, stop - i)), stop - i)


@jit
def _relu_backward(block, slot, dy, y, dx):
    stop = min((block + 1) * _BLOCK, dy.size)
    for i in range(block * _BLOCK, stop, simd.lanes(dy)):
        n = stop - i
        simd.store_part(dx, i, simd.positive(simd.load_part(dy, i, n), simd.load_part(y, i, n)), n)


@inlined
def silu_of(v, x):
    """v / (1 + exp(-v)) of a vector of numbers like those of the array x."""
    return v / (simd.full(x, 1) + simd.exp(simd.full(x, 0) - v))


@inlined
def silu_slope(v, x):
    """The derivative of `silu_of` at v."""
    one = simd.full(x, 1)
    share = one / (one + simd.exp(simd.full(x, 0) - v))
    return share * simd.fma(v, one - share, one)


@jit
def _silu(block, slot, x, y):
    stop = min((block + 1) * _BLOCK, x.size)
    for i in range(block * _BLOCK, stop, simd.lanes(x)):
        simd.store_part(y, i, silu_of(simd.load_part(x, i, stop - i), x), stop - i)


@jit
def _silu_backward(block, slot, dy, x, dx):
    stop = min((block + 1) * _BLOCK, dy.size)
    for i in range(block * _BLOCK, stop, simd.lanes(dy)):
        n = stop - i
        slope = silu_slope(simd.load_part(x, i, n), x)
        simd.store_part(dx, i, simd.load_part(dy, i, n) * slope, n)


@jit
def _mix(h):
    """The permutation of 32-bit words that `counter` describes, in 64-bit arithmetic that never wraps around."""
    h = ((h ^ (h >> np.uint64(16))) * _FIRST) & _WORD
    h = ((h ^ (h >> np.uint64(15))) * _SECOND) & _WORD
    return h ^ (h >> np.uint64(16))


@jit
def _dropout(block, slot, x, y, low, high, threshold, scale):
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, x.size)):
        place = np.uint64(i)
        h = _mix((place & _WORD) ^ low)
        h = _mix(h ^ (place >> np.uint64(32)) ^ high)
        y[i] = (x[i] if (h >> np.uint64(8)) >= threshold else 0) * scale


@jit
def _add(block, slot, a, b, y, relu, mask, masked):
    stop = min((block + 1) * _BLOCK, a.size)
    for i in range(block * _BLOCK, stop, simd.lanes(a)):
        n = stop - i
        v = simd.load_part(a, i, n) + simd.load_part(b, i, n)
        if relu:
            v = simd.relu(v)
        if masked:
            v = simd.positive(v, simd.load_part(mask, i, n))
        simd.store_part(y, i, v, n)
