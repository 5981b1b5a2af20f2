"""Shapes that nobody thought of: naive and compiled agree to the last bit on random ones."""
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnet import kernels
from fastnet.kernels import exact

from . import cases
from .judge import assert_close, assert_same

naive = kernels.load("naive")
small = st.integers(1, 3)


def pairs(strategy):
    return st.tuples(strategy, strategy)


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 16]))
    channels = draw(st.integers(1, 20 if groups < 16 else 2))
    outputs = draw(st.integers(1, 20 if groups < 16 else 2))
    kernel, dilation = draw(pairs(st.integers(1, 5))), draw(pairs(small))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    reach = [d * (r - 1) + 1 - before - after for r, d, before, after
             in zip(kernel, dilation, padding[::2], padding[1::2], strict=True)]
    height, width = (max(1, least) + draw(st.integers(0, 9)) for least in reach)
    return cases.conv("random", (draw(small), channels * groups, height, width), (outputs * groups, channels, *kernel),
                      draw(pairs(small)), padding, dilation, groups, draw(st.booleans()))


@st.composite
def pools(draw):
    kernel = draw(pairs(st.integers(1, 5)))
    padding = tuple(draw(st.integers(0, kernel[axis] - 1)) for axis in (0, 0, 1, 1))
    least = [kernel[axis] - padding[2 * axis] - padding[2 * axis + 1] for axis in (0, 1)]
    height, width = (max(1, length) + draw(st.integers(0, 9)) for length in least)
    op, options = draw(st.sampled_from(["maxpool2d_forward", "avgpool2d_forward"])), {"ceil_mode": draw(st.booleans())}
    if op == "avgpool2d_forward":
        options |= {"count_include_pad": draw(st.booleans()), "divisor_override": draw(st.sampled_from([None, 3]))}
    elif padding == (0, 0, 0, 0):   # with it a window may lie between the pixels
        options["dilation"] = draw(pairs(small))
        height, width = (length + 2 * (size - 1) for length, size in zip((height, width), kernel, strict=True))
    return cases.pool(op, "random", (draw(small), draw(st.integers(1, 40)), height, width), kernel,
                      draw(pairs(st.integers(1, 4))), padding, **options)


@st.composite
def transposed(draw):
    groups, kernel, dilation, stride = draw(st.sampled_from([1, 1, 2, 3])), *(
        draw(pairs(st.integers(1, most))) for most in (5, 3, 3))
    channels, outputs = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    more = tuple(draw(st.integers(0, max(step, gap) - 1)) for step, gap in zip(stride, dilation, strict=True))
    hw = draw(pairs(st.integers(1, 7)))
    room = [(length - 1) * step + gap * (r - 1) + extra
            for length, step, gap, r, extra in zip(hw, stride, dilation, kernel, more, strict=True)]
    padding = []
    for most in room:
        padding.append(draw(st.integers(0, min(3, most))))
        padding.append(draw(st.integers(0, min(3, most - padding[-1]))))
    return cases.transposed("random", (draw(small), channels * groups, *hw), (channels * groups, outputs, *kernel),
                            stride, tuple(padding), more, dilation, groups, draw(st.booleans()))


@st.composite
def local(draw):
    kernel, stride = draw(pairs(st.integers(1, 4))), draw(pairs(small))
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    hw = [max(1, r - before - after) + draw(st.integers(0, 5))
          for r, before, after in zip(kernel, padding[::2], padding[1::2], strict=True)]
    places = [(length + before + after - r) // step + 1 for length, r, step, before, after
              in zip(hw, kernel, stride, padding[::2], padding[1::2], strict=True)]
    channels, outputs, n = draw(st.integers(1, 20)), draw(st.integers(1, 20)), draw(st.sampled_from([1, 2, 13, 140]))
    return cases.local("random", (n, channels, *hw), (*places, *kernel, channels, outputs), stride, padding,
                       draw(st.booleans()))


def compare(case, ops):
    arrays = cases.operands(case, cases.integers, np.float32)
    wanted = cases.forward(naive, case, arrays)
    dys = [cases.integers(np.random.default_rng(1), y.shape).astype(np.float32)
           for y in cases.differentiable(case, wanted)]
    with exact():
        outcomes = [cases.forward(module, case, arrays)
                    + (cases.gradients(module, case, arrays, wanted, dys) if dys else []) for module in (ops, naive)]
    for ours, theirs in zip(*outcomes, strict=True):
        if theirs is None:
            assert ours is None
        elif case.op == "avgpool2d_forward":
            assert_close(ours, theirs)
        else:
            assert_same(ours, theirs)


@pytest.mark.parametrize("backend", kernels.BACKENDS[1:])
@given(case=convolutions())
def test_convolutions(backend, case):
    compare(case, kernels.load(backend))


@pytest.mark.parametrize("backend", kernels.BACKENDS[1:])
@given(case=transposed())
def test_transposed_convolutions(backend, case):
    compare(case, kernels.load(backend))


@pytest.mark.parametrize("backend", kernels.BACKENDS[1:])
@given(case=local())
def test_locally_connected(backend, case):
    compare(case, kernels.load(backend))


@pytest.mark.parametrize("backend", kernels.BACKENDS[1:])
@given(case=pools())
def test_pools(backend, case):
    compare(case, kernels.load(backend))


@given(case=convolutions())
def test_convolution_is_its_own_definition(case):
    """The formula of conv2d_forward, one product at a time, at a random output."""
    x, w, b = cases.operands(case, cases.integers, np.float64)
    stride, (top, _, left, _), dilation, groups = cases.geometry(case)
    y = cases.forward(naive, case, [x, w, b])[0]
    n, k, p, q = (np.random.default_rng(2).integers(size) for size in y.shape)
    first = k // (w.shape[0] // groups) * w.shape[1]
    total = 0 if b is None else b[k]
    for c, r, s in np.ndindex(*w.shape[1:]):
        row, column = p * stride[0] + r * dilation[0] - top, q * stride[1] + s * dilation[1] - left
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            total += x[n, first + c, row, column] * w[k, c, r, s]
    assert y[n, k, p, q] == total
