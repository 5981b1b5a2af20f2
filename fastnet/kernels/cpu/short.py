"""Images of bfloat16 numbers, as they go from one convolution to the next where processors multiply those.

A *short* image holds words of two numbers, those of channels 2 c and 2 c + 1 in word c: so it is an array of float32
with half as many channels as it stands for, and takes half as long to write and to read. `shortening` says which images
of a net become short, and none is ever seen outside of it. Convolutions read and write them, see `conv.amx`, and
concatenation need not know; here is what else can.
"""
import numpy as np

from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu.pool_windows import Window, sliding
from fastnet.kernels.cpu.runtime import Launch, empty_images, entry, flat, inlined, jit, kept, launch

# Numbers of a block that does nothing but round them, or the other way round; a multiple of what vectors hold.
_BLOCK = 1 << 14


def doubled(shape):
    """The shape of the images of numbers that short ones of this shape stand for."""
    n, c, h, w = shape
    return n, 2 * c, h, w


def halved(shape):
    """The other way round. ValueError for an odd number of channels."""
    n, c, h, w = shape
    if c % 2:
        raise ValueError(f"images of words have an even number of channels, these have {c}")
    return n, c // 2, h, w


def shorten(x):
    """Short images of images, each number rounded to nearest."""
    x = checks.floating(x, "x")
    y = empty_images(*halved(x.shape), np.float32)
    launch(_shorten, -(-x.size // _BLOCK), flat(x), flat(y), work=x.size)
    return y


def lengthen(x):
    """The images that short ones stand for."""
    y = empty_images(*doubled(x.shape), np.float32)
    launch(_lengthen, -(-y.size // _BLOCK), flat(x), flat(y), work=y.size)
    return y


@jit
def _shorten(block, slot, x, y):
    lanes, far = simd.lanes(x), spans.is_far(y)
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, x.size), 2 * lanes):
        left = x.size - i
        first, second = simd.load_part(x, i, left), simd.load_part(x, i + lanes, left - lanes)
        simd.store_short(y, i, first, second, left, far)


@jit
def _lengthen(block, slot, x, y):
    for i in range(block * _BLOCK, min((block + 1) * _BLOCK, y.size), simd.lanes(y)):
        simd.store_part(y, i, simd.load_short(x, i, y.size - i), y.size - i)


def maxpool2d_short(x, kernel_size, stride, padding=(0, 0, 0, 0), dilation=(1, 1), ceil_mode=False, relu=False):
    """y of `maxpool2d_forward`, from and to short images."""
    options = *map(tuple, (kernel_size, stride, padding, dilation)), ceil_mode
    y_shape, windows, pool = _max_pool(x.shape, *options)
    y = empty_images(*y_shape, np.float32)
    pool(flat(x), flat(y), windows, 0.0 if relu else -np.inf)
    return y


@kept
def _max_pool(x_shape, kernel_size, stride, padding, dilation, ceil_mode):
    """(shape of y in words, the windows, what launches the kernel)."""
    kind = shapes.Kind(x_shape, np.dtype(np.float32))
    y, _ = shapes.maxpool2d_forward(kind, kernel_size, stride, padding, dilation, ceil_mode)
    windows = sliding(x_shape, y.shape, kernel_size, stride, padding, dilation)
    return y.shape, windows, Launch(_max, x_shape[0] * windows.down.windows, np.prod(x_shape, dtype=int) // 2)


@jit
def _max(block, slot, x, y, windows, least):
    """A row of y."""
    c, down, across = windows.channels, windows.down, windows.across
    image, row = block // down.windows, block % down.windows
    line = entry(Window, down.table, row)
    top = image * down.pixels + line.start + line.first * down.dilation
    rows, step_down, step_across = line.stop - line.first, down.dilation * across.pixels * c, across.dilation * c
    for column in range(across.windows):
        place = entry(Window, across.table, column)
        first = (top * across.pixels + place.start) * c + place.first * step_across
        to, columns = (block * across.windows + column) * c, place.stop - place.first
        for i in range(0, c, simd.lanes(x)):
            low = high = simd.full(x, least)
            for r in range(rows):
                for s in range(columns):
                    words = simd.load_part(x, first + r * step_down + s * step_across + i, c - i)
                    low, high = _larger(simd.low(words), low), _larger(simd.high(words), high)
            simd.store_part(y, to + i, simd.pair(low, high), c - i)


@inlined
def _larger(v, w):
    """The larger ones of two vectors' numbers; NaN where there is one."""
    return simd.pick(v, w, v, w)
