"""Direct convolution of images that are cut into strips: the same bits, by tables that do not grow with the image."""
import itertools

import numpy as np
import pytest

from fastnet import kernels
from fastnet.kernels import naive
from fastnet.kernels.cpu import runtime, simd
from fastnet.kernels.cpu.conv import direct_tables, passes
from fastnet.kernels.cpu.conv.geometry import Geometry
from fastnet.kernels.cpu.conv.stem import StemConvolution
from fastnet.kernels.cpu.runtime import results

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


@pytest.fixture(params=[False, True])
def broad(request, monkeypatch):
    """Whether register tiles may be three vectors wide, with AVX-512, and are a little quicker."""
    monkeypatch.setattr(direct_tables.simd, "HOST", "avx512" if request.param else "other")
    monkeypatch.setattr(direct_tables, "_BROAD", 0.94)
    results.forget()
    yield request.param
    results.forget()


# In vectors: the output channels, and whether three of them are taken at once where they may be.
WIDTHS = [(width, width in (2.5, 3, 5.5, 9)) for width in (0.5, 1, 1.5, 2, 2.5, 3, 4, 5.5, 9)]


@pytest.mark.parametrize("vectors, three", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_shape_of_tiles(broad, vectors, three, dtype):
    columns = int(vectors * simd.width(dtype))
    shape = direct_tables.shape_for(columns, np.dtype(dtype))
    if simd.SHAPE.vectors == 2:
        assert (shape.halves == 6) == (broad and three)
        assert shape.rows == (simd.ROWS * 2 // 3 if broad and three else simd.ROWS)
    if simd.ROWS == 12:
        assert direct_tables.rows_for(49, shape, 64) == (7 if broad and three else 10)
        assert direct_tables.rows_for(1000, shape, 64) == (8 if broad and three else 12)
        assert direct_tables.rows_for(1000, shape, 8192) == (8 if broad and three else 10), "pixels far apart"


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (3, 2), (9, 17)])
@pytest.mark.parametrize("vectors, groups, kernel, stride", [(3, 1, 1, 1), (2.5, 2, 3, 2), (5.5, 1, 3, 1)])
def test_wide_and_broad_tiles(broad, size, vectors, groups, kernel, stride):
    """Forward and backward, with all that may follow."""
    k, where = int(vectors * simd.width("float32")), ((stride, stride), 4 * (kernel // 2,), (1, 1), groups)
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, np.float32)
               for shape in ((3, k * groups, *size), (k * groups, k, kernel, kernel), k * groups))
    wanted = naive.conv2d_forward(x.astype("float64"), w, b, *where)
    dy = rng.standard_normal(wanted.shape, np.float32)
    with kernels.exact():
        y = cpu.conv2d_forward(x, w, b, *where, add=dy, activation=("relu", 0.0, 0.0))
        dx = cpu.conv2d_backward_input(dy, w, x.shape, *where)
    right, right_dx = np.maximum(wanted + dy, 0), naive.conv2d_backward_input(dy.astype("float64"), w, x.shape, *where)
    assert np.abs(y - right).max() < 1e-5 * np.abs(right).max()
    assert np.abs(dx - right_dx).max() < 1e-5 * np.abs(right_dx).max()
