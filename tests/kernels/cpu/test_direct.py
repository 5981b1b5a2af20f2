"""Direct convolution of images that are cut into strips: the same bits, by tables that do not grow with the image."""
import itertools

import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels.cpu import runtime
from fastnet.kernels.cpu.conv import direct_tables, passes
from fastnet.kernels.cpu.conv.geometry import Geometry
from fastnet.kernels.cpu.conv.stem import StemConvolution

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
    for most in (direct_tables.MOST_ENTRIES, 0):
        monkeypatch.setattr(direct_tables, "MOST_ENTRIES", most)
        monkeypatch.setattr(direct_tables, "STRIP_PIXELS", 10)
        y_shape = kernels.shapes.conv2d_forward(x, w, None, *where).shape
        geometry = Geometry.of(x.shape, w.shape, y_shape, x.dtype, where)
        forward, backward = passes.DirectForward(geometry), passes.DirectBackwardInput(geometry)
        for convolve in (forward.convolve, backward.convolve):
            assert isinstance(convolve, StemConvolution) or (most > 0) == (len(convolve.strips) == 1)
        runtime.empty_cache()
        y = cpu.conv2d_forward(x, w, None, *where)
        found.append((y, cpu.conv2d_backward_input(y, w, x.shape, *where)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kernel, stride", [(3, 1), (7, 2), (1, 1), (1, 2)])
def test_tables_do_not_grow_with_the_image(kernel, stride):
    sizes = []
    for height in (600, 1200):
        x_shape, y_shape = (1, 3, height, 1000), (1, 4, *((size - 1) // stride + 1 for size in (height, 1000)))
        where = (stride, stride), 4 * (kernel // 2,), (1, 1), 1
        geometry = Geometry.of(x_shape, (4, 3, kernel, kernel), y_shape, np.float32, where)
        for made in (passes.DirectForward(geometry), passes.DirectBackwardInput(geometry)):
            sizes.append(made.convolve.tables.reads.nbytes + made.convolve.tables.writes.nbytes)
    assert sizes[:2] == sizes[2:] and max(sizes) < 4 << 20
