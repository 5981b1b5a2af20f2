"""What the primitives for windows mean, in plain NumPy; see `simd.python`.

Pixels are whole vectors, so many numbers from one line to the next. A tap is (line, column, channel, number): it meets
the pixel so many lines and columns from the window's place, and has filter `number`. Channels are in groups of `size`:
of a pixel, every lane of a group meets the group's lane `channel`.
"""
import numpy as np

from fastnet.kernels.cpu.simd.python import bound, finish, lanes, load, load_part, store_part


def make_windows(count, step, size, classes):
    """The sums of `count` windows that lie `step` pixels apart, for groups of `size` channels."""

    def windows(pixels, p0, next_line, which, filters, f0, v, y, y0, apart, m, n, epilogue):
        """y[y0 + i * apart + j] = v[j] + sum over the taps of classes[which] of pixel_i[j] * filter[j], and the steps
        of an Epilogue that need no function, for i < m and j < n. Pixels of all `count` windows are read."""
        for i in range(count):
            total = v
            for line, column, channel, number in classes[which]:
                factor = load(filters, f0 + number * lanes(filters))
                total = total + _pixel(pixels, p0 + line * next_line, i * step + column, channel, size) * factor
            at = y0 + i * apart
            if i < m and epilogue.level:
                added, output = (load_part(array, at, n) for array in (epilogue.add, epilogue.mask))
                store_part(y, at, finish(total, added, output, epilogue, True), n)
            elif i < m:
                store_part(y, at, bound(total, epilogue.bend), n)

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
