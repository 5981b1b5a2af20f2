"""Direct convolution of images that are cut into strips: the same bits, by tables that do not grow with the image."""
import itertools

import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels.cpu.conv import gather, ops, passes

cpu = kernels.load("cpu")
PADDINGS = [(0, 0, 0, 0), (2, 1, 0, 3)]
STRIDES, DILATIONS = [(1, 1), (2, 1), (3, 2)], [(1, 1), (2, 1)]
CASES = [case for case in itertools.product((1, 8), (1, 3, 4), STRIDES, PADDINGS, DILATIONS, (1, 2))
         if case[0] % case[-1] == 0]


@pytest.mark.parametrize("channels, kernel, stride, padding, dilation, groups", CASES)
def test_strips_give_the_same_bits(monkeypatch, channels, kernel, stride, padding, dilation, groups):
    rng, where = np.random.default_rng(0), (stride, padding, dilation, groups)
    x = rng.standard_normal((2, 13, 27, channels)).astype(np.float32).transpose(0, 3, 1, 2)
    w = rng.standard_normal((4, channels // groups, kernel, kernel)).astype(np.float32)
    found = []
    for most in (gather._MOST_ENTRIES, 0):
        monkeypatch.setattr(gather, "_MOST_ENTRIES", most)
        monkeypatch.setattr(gather, "_STRIP_POINTS", 10)
        geometry = passes.Geometry(x.shape, w.shape, kernels.shapes.conv2d_forward(x, w, None, *where).shape, x.dtype,
                                   *where)
        forward, backward = passes.DirectForward(geometry), passes.DirectBackwardInput(geometry)
        for convolve in (forward.convolve, backward.convolve):
            assert (most > 0) == (convolve.shape[-1] == 1)
        ops._algorithm.cache_clear()
        y = cpu.conv2d_forward(x, w, None, *where)
        found.append((y, cpu.conv2d_backward_input(y, w, x.shape, *where)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kernel, stride", [(3, 1), (7, 2), (1, 1), (1, 2)])
def test_tables_do_not_grow_with_the_image(kernel, stride):
    sizes = []
    for height in (600, 1200):
        x_shape, y_shape = (1, 3, height, 1000), (1, 4, *((size - 1) // stride + 1 for size in (height, 1000)))
        geometry = passes.Geometry(x_shape, (4, 3, kernel, kernel), y_shape, np.dtype(np.float32), (stride, stride),
                                   4 * (kernel // 2,), (1, 1), 1)
        for made in (passes.DirectForward(geometry), passes.DirectBackwardInput(geometry)):
            sizes.append(made.convolve.reads.nbytes + made.convolve.writes.nbytes)
    assert sizes[:2] == sizes[2:] and max(sizes) < 4 << 20
