"""Direct convolution by implicit GEMM: a register tile reads its rows through a table of offsets.

One kernel serves the forward pass and the gradient for the input, with any stride, padding, dilation and groups. A
*point* is a place of the output, a *tap* a place of the kernel. The table holds, for each tile of ``ROWS`` points and
each tap, where in the image each point's channels start, or -1 outside of the image; there the tile reads zeros. So no
im2col buffer is filled, and borders cost nothing extra (Dukhan, "The Indirect Convolution Algorithm", 2019).
"""
import functools
from math import prod

import numpy as np

from fastnet.kernels.cpu import simd, spans
from fastnet.kernels.cpu._jit import Launch, jit
from fastnet.kernels.cpu.packing import panel_width

# Tiles that share one pass over the packed filters, and so the filters' trip from L2 to the registers; fewer of them
# where a batch is so small that there would be fewer blocks than that.
_TILES_PER_BLOCK = 8
_BLOCKS = 8
# Bytes of images that a cache may not hold.
_LARGE = 8 << 20


class Convolution:
    """A convolution from images `source` (H, W, C) to images `target` (P, Q, K), all worked out but the numbers.

    Point (u, v) of the `grid` reads the `length` numbers from pixel ``(u, v) * step + origin`` on, for each of the
    taps' `origins`, and is written to pixel ``(u, v) * place + offset``. The offsets in the tables `reads` (tiles,
    taps, ROWS) and `writes` (tiles, ROWS) start at the first of a group of images: as many as make tiles come out
    nearly even.
    """

    def __init__(self, batch, source, target, grid, step, origins, place, offset, length, groups, dtype):
        table = _table(batch, source, target, grid, step, origins, place, offset)
        self.reads, self.writes, tiles, points, images = table
        in_channels, out_channels = source[2] // groups, target[2] // groups
        panel = panel_width(out_channels, dtype)
        panels, image_groups = groups * -(-out_channels // panel), -(-batch // images)
        parts = min(panels, -(-_BLOCKS // (image_groups * -(-tiles // _TILES_PER_BLOCK))))
        per_block = max(1, min(_TILES_PER_BLOCK, tiles * image_groups * parts // _BLOCKS))
        blocks = image_groups * -(-tiles // per_block) * parts
        self.launch = Launch(_kernel(simd.tiles_for(out_channels, dtype)), blocks,
                             work=batch * points * target[2] * (len(origins) * length + 1))
        self.zeros = np.zeros(length, dtype)
        shape = (tiles, len(origins), points, images, batch, prod(source), prod(target), length, in_channels,
                 out_channels, groups, per_block, parts,
                 batch * (prod(source) + prod(target)) * dtype.itemsize > _LARGE)
        self.shapes = {flags: np.array([*shape, *flags]) for flags in np.ndindex(2, 2, 2)}

    def __call__(self, x, w, bias, y, relu=False, mask=None, add=None):
        """Fill y; x, y, mask and add are flat and channels-last, w and bias packed by `packing`."""
        adding, masked = add is not None, mask is not None
        self.launch(x, w, bias, self.zeros, add if adding else y, mask if masked else y, y, self.reads, self.writes,
                    self.shapes[bool(relu), adding, masked])


def _table(batch, source, target, grid, step, origins, place, offset):
    """(reads, writes, tiles, points of an image, images of a group)."""
    (h, w, c), (_, q, k), (rows, columns) = source, target, grid
    points = rows * columns
    images = next((i for i in (1, 2, 3, 4) if -(-points * i // simd.ROWS) * simd.ROWS <= 1.04 * points * i), 4)
    images = min(images, batch)
    tiles = -(-points * images // simd.ROWS)
    number = np.arange(tiles * simd.ROWS)
    real = number < points * images
    image, u, v = number // points, number % points // columns, number % columns
    reads = np.empty((tiles, len(origins), simd.ROWS), np.int64)
    for tap, (dy, dx) in enumerate(origins):
        y, x = u * step[0] + dy, v * step[1] + dx
        inside = real & (0 <= y) & (y < h) & (0 <= x) & (x < w)
        reads[:, tap] = np.where(inside, ((image * h + y) * w + x) * c, -1).reshape(tiles, simd.ROWS)
    pixel = (image * target[0] + u * place[0] + offset[0]) * q + v * place[1] + offset[1]
    return reads.reshape(-1), np.where(real, pixel * k, 0), tiles, points, images


@functools.cache
def _kernel(tiles_):
    tile, halves = tiles_.tile, tiles_.halves

    def gather(block, slot, x, w, bias, zeros, add, mask, y, reads, writes, shape):
        """Compute the points of one block, some tiles of one group of images, for some panels of output channels."""
        tiles, taps, points, images, batch, image_x, image_y, length, in_channels, out_channels, groups = shape[:11]
        per_block, parts, large, relu, adding, masked = shape[11:17]
        panel = halves * simd.lanes(w) // 2
        panels = (out_channels + panel - 1) // panel
        tile_parts = (tiles + per_block - 1) // per_block
        part, block = block % parts, block // parts
        first = block // tile_parts * images
        start = block % tile_parts * per_block
        stop = min(start + per_block, tiles)
        last_point = points * min(images, batch - first)
        stop = min(stop, (last_point + simd.ROWS - 1) // simd.ROWS)
        from_panel, to_panel = part * groups * panels // parts, (part + 1) * groups * panels // parts
        # What the next block reads and writes is fetched, a little before each tile.
        line, calls = simd.lanes(x), max(1, (stop - start) * (to_panel - from_panel))
        after = first * points + stop * simd.ROWS
        ahead = min(after + (stop - start) * simd.ROWS, batch * points) if large else after
        x_at, x_end = after * image_x // points, ahead * image_x // points
        y_at, y_end = after * image_y // points, ahead * image_y // points
        x_step, y_step = ((x_end - x_at) // calls // line + 1) * line, ((y_end - y_at) // calls // line + 1) * line
        for number in range(from_panel, to_panel):
            group, p = number // panels, number % panels
            here, n = group * out_channels + p * panel, out_channels - p * panel
            for t in range(start, stop):
                spans.fetch(x, x_at, min(x_at + x_step, x_end))
                spans.fetch(y, y_at, min(y_at + y_step, y_end))
                x_at, y_at = x_at + x_step, y_at + y_step
                m = min(last_point - t * simd.ROWS, simd.ROWS)
                tile(x, first * image_x + group * in_channels, reads, t * taps * simd.ROWS, zeros, taps, length, 1,
                     w, number * taps * length * panel, bias, number * panel,
                     y, first * image_y + here, writes, t * simd.ROWS, m, n,
                     relu and not adding)
            if adding or masked:
                for point in range(start * simd.ROWS, min(stop * simd.ROWS, last_point)):
                    spans.finish(y, first * image_y + writes[point] + here, min(n, panel), add, adding,
                                 relu and adding, mask, masked)

    gather.__qualname__ = f"gather_{halves}"
    return jit(gather)
