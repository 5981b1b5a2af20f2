"""What the primitives for windows mean, in plain NumPy; see `simd.python`.

A tap is (line, column, channel, number): it meets the pixel so many lines and columns from the window's place, and has
filter `number`. Channels are in groups of `size`: of a pixel, every lane of a group meets the group's lane `channel`.
"""
import numpy as np

from fastnet.kernels.cpu.simd.python import bent, lanes, load, load_part, store, store_part


def make_windows(count, step, size, classes):
    """The sums of `count` windows that lie `step` pixels apart, for groups of `size` channels."""

    def windows(x, x0, pixel, line, top, height, left, width, which, filters, f0, bias, b0, y, y0, apart, m, n,
                memory, zeros, spare, bend, now):
        """y[y0 + i * apart + j] = bias[b0 + j] + sum over the taps of classes[which] of pixel_i[j] * filter[j], for
        i < m and j < n, n at least a vector. If `now`, that after the activation `bend`.

        The pixel at line 0 and column 0 would begin at x[x0]; others are `pixel` and `line` further on. These are line
        `top` and column `left` of an image of height x width pixels; pixels outside of it are read from
        memory[zeros :], where n zeros are. From filters[f0] on there are those of all classes for a vector of channels,
        then for the next, at the end for the last n channels. What is in memory[spare : spare + n] afterwards means
        nothing.
        """
        def vector(line_number, column, channel, j):
            inside = 0 <= top + line_number < height and 0 <= left + column < width
            v = load(x, x0 + line_number * line + column * pixel + j) if inside else load(memory, zeros + j)
            return v[np.arange(len(v)) // size * size + channel]

        total_taps = sum(map(len, classes))
        for begin in range(0, n, lanes(x)):
            j = min(begin, n - lanes(x))    # the last vector may take some channels again
            for i in range(min(m, count)):
                total = load(bias, b0 + j)
                for line_number, column, channel, number in classes[which]:
                    factor = load(filters, f0 + begin * total_taps + number * lanes(x))
                    total = total + vector(line_number, i * step + column, channel, j) * factor
                store(y, y0 + i * apart + j, bent(total, bend) if now else total)

    return windows


def make_window_products(count, step, size, classes):
    """The gradient for some filters from windows `step` pixels apart, `count` of them at a time."""

    def products(which, pixels, p0, next_row, next_line, dy, g0, g_row, apart, rows, columns, dw, to, dw_row, n):
        """dw[to + number * dw_row + j] += sum over i < rows and k < columns of pixel_ik[j] * dy[g0 + i * g_row +
        k * apart + j] for each tap of classes[which] and j < n; all lanes of dy are read."""
        for line, column, channel, number in classes[which]:
            total = np.zeros(lanes(dw), dw.dtype)
            for i in range(rows):
                for k in range(columns):
                    pixel = _pixel(pixels, p0 + i * next_row + line * next_line, k * step + column, channel, size)
                    total = total + pixel * load(dy, g0 + i * g_row + k * apart)
            at = to + number * dw_row
            store_part(dw, at, load_part(dw, at, n) + total, n)

    return products


def _pixel(pixels, line, column, channel, size):
    v = load(pixels, line + column * lanes(pixels))
    return v[np.arange(len(v)) // size * size + channel]
