"""What the primitives for windows mean, in plain NumPy; see `simd.python`.

A tap is (line, column, channel, number): it meets the pixel so many lines and columns from the window's place, and has
filter `number`. Channels are in groups of `size`: of a pixel, every lane of a group meets the group's lane `channel`.

The pixel at line 0 and column 0 would begin at x[x0]; others are `pixel` and `line` numbers further on. These are line
`top` and column `left` of an image of height x width pixels; pixels outside of it are read from memory[zeros :], where
n zeros are. Channels are taken a vector at a time, n in all, at least a vector: the last one has the last of them, some
of which the one before may have had. Filters, and their gradients, lie side by side for each of these vectors.
"""
import numpy as np

from fastnet.kernels.cpu.simd.python import bent, lanes, load, store


def make_windows(count, step, size, classes):
    """The sums of `count` windows that lie `step` pixels apart, for groups of `size` channels."""
    every = sum(map(len, classes))

    def windows(x, x0, pixel, line, top, height, left, width, which, filters, f0, bias, b0, y, y0, apart, m, n,
                memory, zeros, spare, bend, now):
        """y[y0 + i * apart + j] = bias[b0 + j] + sum over the taps of classes[which] of pixel_i[j] * filter[j], for
        i < m and j < n. If `now`, that after the activation `bend`. The first vector's filters begin at filters[f0].
        What is in memory[spare : spare + n] afterwards means nothing."""
        at = _places(x, x0, pixel, line, top, height, left, width, memory, zeros)
        for k, j in enumerate(_vectors(x, n)):
            for i in range(min(m, count)):
                total = load(bias, b0 + j)
                for row, column, channel, number in classes[which]:
                    factor = load(filters, f0 + (k * every + number) * lanes(x))
                    total = total + _pixel(at(row, i * step + column), j, channel, size) * factor
                store(y, y0 + i * apart + j, bent(total, bend) if now else total)

    return windows


def make_window_products(count, step, size, classes):
    """What `count` windows that lie `step` pixels apart give to the gradient for the filters of some taps."""
    every = sum(map(len, classes))

    def products(x, x0, pixel, line, top, height, left, width, which, dy, g0, apart, sums, to, n, memory, zeros):
        """sums[to + number * lanes + j] += sum over i < count of pixel_i[j] * dy[g0 + i * apart + j] for each tap of
        classes[which] and the first vector of channels, and behind all numbers the same for the next."""
        at = _places(x, x0, pixel, line, top, height, left, width, memory, zeros)
        for k, j in enumerate(_vectors(x, n)):
            for row, column, channel, number in classes[which]:
                total = np.zeros(lanes(x), x.dtype)
                for i in range(count):
                    total = total + _pixel(at(row, i * step + column), j, channel, size) * load(dy, g0 + i * apart + j)
                place = to + (k * every + number) * lanes(x)
                store(sums, place, load(sums, place) + total)

    return products


def _vectors(x, n):
    """Where the vectors of n channels begin."""
    return [min(j, n - lanes(x)) for j in range(0, n, lanes(x))]


def _places(x, x0, pixel, line, top, height, left, width, memory, zeros):
    """The function that tells, as (array, place), where the pixel at a line and a column is read."""
    def at(row, column):
        if 0 <= top + row < height and 0 <= left + column < width:
            return x, x0 + row * line + column * pixel
        return memory, zeros
    return at


def _pixel(place, j, channel, size):
    array, start = place
    v = load(array, start + j)
    return v[np.arange(len(v)) // size * size + channel]
