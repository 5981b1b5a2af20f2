"""Sums over many numbers keep float32's accuracy, and their bits do not depend on the number of threads.

One table of every operation that adds up: what it is called with, and how far from float64 it may be, relative to the
largest value, for numbers that are all equal, that are all positive, and of either sign. Equal ones are the hardest:
added one by one they are all rounded the same way.
"""
from collections import namedtuple

import numba
import numpy as np
import pytest
from numba import config

from fastnet.kernels import exact, load

BACKENDS = ["naive", "cpu"]
# What sums alone may be wrong by, weights' gradients, and those by Winograd's transforms.
SUM, WEIGHT, WINOGRAD = 2e-6, 1e-5, 2e-5
# Sums over features: the tile adds up 256 of them in float32, and how NumPy's products do it is up to BLAS.
FEATURES, BLAS = 5e-6, 1e-4

Row = namedtuple("Row", "name run bound naive", defaults=[0])


def images(draw, *shape):
    n, c, h, w = shape
    return draw(n, h, w, c).transpose(0, 3, 1, 2)


def weights(name, x_shape, w_shape, bound, padding=0, stride=1, groups=1, precision=None):
    """The gradients of a convolution's weights and biases."""
    def run(ops, draw, cast):
        extent = [(x_shape[2 + i] + 2 * padding - w_shape[2 + i]) // stride + 1 for i in range(2)]
        x, dy = images(draw, *x_shape), images(draw, x_shape[0], w_shape[0], *extent)
        return ops.conv2d_backward_weight(cast(dy), cast(x), w_shape, (stride,) * 2, (padding,) * 4, (1, 1), groups)
    return Row(name, run if precision is None else precision()(run), bound)


def transposed(name, x_shape, w_shape, bound, stride=1, groups=1):
    """The gradients of a transposed convolution's weights and biases."""
    def run(ops, draw, cast):
        extent = [(x_shape[2 + i] - 1) * stride + w_shape[2 + i] for i in range(2)]
        x, dy = images(draw, *x_shape), images(draw, x_shape[0], w_shape[1] * groups, *extent)
        return ops.conv_transpose2d_backward_weight(cast(dy), cast(x), w_shape, (stride,) * 2, (0,) * 4, (1, 1), groups)
    return Row(name, run, bound)


def local(name, x_shape, w_shape):
    """The gradients of weights and biases, which run over the samples."""
    def run(ops, draw, cast):
        x, dy = images(draw, *x_shape), images(draw, x_shape[0], w_shape[5], *w_shape[:2])
        return ops.locally_connected2d_backward_weight(cast(dy), cast(x), w_shape, (1, 1), (0, 0, 0, 0))
    return Row(name, run, SUM)


def pool(name, x_shape, kernel, stride, include=True):
    """Averages of windows, and their way back."""
    def run(ops, draw, cast):
        windows = kernel, stride, (0, 0, 0, 0), include
        y = ops.avgpool2d_forward(cast(images(draw, *x_shape)), *windows)
        return y, ops.avgpool2d_backward(cast(images(draw, *y.shape)), x_shape, *windows)
    return Row(name, run, SUM)


def largest(name, x_shape, kernel):
    """The way back through windows that overlap, one pixel having won all that cover it."""
    def run(ops, draw, cast):
        x = np.zeros(x_shape, np.float32)
        x[:, :, x_shape[2] // 2, x_shape[3] // 2] = 1
        y, index = ops.maxpool2d_forward(cast(x), kernel, (1, 1))
        return [ops.maxpool2d_backward(cast(images(draw, *y.shape)), index, x_shape, kernel, (1, 1), (0, 0, 0, 0))]
    return Row(name, run, SUM)


def regions(name, x_shape, count, **options):
    """Many boxes that all lie on the same pixels, and their way back."""
    def run(ops, draw, cast):
        boxes = np.tile(np.array([[0, 0, 0, x_shape[3], x_shape[2]]], np.float32), (count, 1))
        y = ops.roi_align_forward(cast(images(draw, *x_shape)), boxes, (2, 2), **options)
        return y, ops.roi_align_backward(cast(images(draw, *y.shape)), boxes, x_shape, **options)
    return Row(name, run, SUM)


def whole_image(name, x_shape):
    return Row(name, lambda ops, draw, cast: [ops.global_avgpool_forward(cast(images(draw, *x_shape)))], SUM)


def adaptive(name, x_shape, output_size):
    """Means over windows that cover the image, and their way back."""
    def run(ops, draw, cast):
        y = ops.adaptive_avgpool2d_forward(cast(images(draw, *x_shape)), output_size)
        return y, ops.adaptive_avgpool2d_backward(cast(images(draw, *y.shape)), x_shape)
    return Row(name, run, SUM)


def upsampled(name, x_shape, size, mode):
    """The way back to a few pixels that many were made of."""
    def run(ops, draw, cast):
        return [ops.upsample2d_backward(cast(images(draw, *x_shape[:2], *size)), x_shape, mode)]
    return Row(name, run, SUM)


def repeated(name, x_shape, padding):
    """The way back to the pixels at the corners, which fill most of the margin."""
    def run(ops, draw, cast):
        n, c, h, w = x_shape
        dy = images(draw, n, c, h + 2 * padding, w + 2 * padding)
        return [ops.pad2d_backward(cast(dy), x_shape, (padding,) * 4, "replicate")]
    return Row(name, run, SUM)


def linear(name, n, c, k, bound=WEIGHT):
    def run(ops, draw, cast):
        x, w, dy = cast(draw(n, c)), cast(draw(k, c)), cast(draw(n, k))
        return [ops.linear_forward(x, w), ops.linear_backward_input(dy, w), *ops.linear_backward_weight(dy, x)]
    return Row(name, run, bound, naive=BLAS)


def norm(name, *shape):
    """Statistics, and the sums of both ways back; x has other numbers than dy, or it would have no variance."""
    def run(ops, draw, cast):
        make = images if len(shape) == 4 else lambda draw, *shape: draw(*shape)
        dy, gamma = cast(make(draw, *shape)), cast(np.full(shape[1], np.float32(1.5)))
        x = cast(make(lambda *s: np.random.default_rng(7).random(s, np.float32) + np.float32(3), *shape))
        _, mean, var = ops.batchnorm_forward(x, gamma, gamma, 1e-5)
        given = cast(np.full(shape[1], np.float32(2))), gamma   # mean and variance that are the same in both dtypes
        return [mean, var, *ops.batchnorm_backward(dy, x, gamma, *given, 1e-5)[1:],
                *ops.batchnorm_inference_backward(dy, x, gamma, *given, 1e-5)[1:]]
    return Row(name, run, SUM)


def of_samples(name, x_shape, statistics, forward, backward):
    """The same of norms whose statistics, of that shape, are a sample's own; `forward` and `backward` get the
    operations and their operands."""
    def run(ops, draw, cast):
        make = images if len(x_shape) == 4 else lambda draw, *shape: draw(*shape)
        dy = cast(make(draw, *x_shape))
        x = cast(make(lambda *s: np.random.default_rng(7).random(s, np.float32) + np.float32(3), *x_shape))
        given = cast(np.full(statistics, np.float32(2)))
        return [*forward(ops, x)[1:], *(array for array in backward(ops, dy, x, given)[1:] if array is not None)]
    return Row(name, run, SUM)


def group_norm(name, groups, *shape):
    gamma = np.full(shape[1], np.float32(1.5))
    return of_samples(name, shape, (shape[0], groups),
                      lambda ops, x: ops.groupnorm_forward(x, None, None, groups, 1e-5),
                      lambda ops, dy, x, given: ops.groupnorm_backward(dy, x, gamma, given, given, 1e-5))


def layer_norm(name, axes, centred, *shape):
    """Without the mean where that is 0."""
    gamma = np.full(shape[len(shape) - axes:], np.float32(1.5))
    return of_samples(name, shape, shape[:len(shape) - axes],
                      lambda ops, x: ops.layernorm_forward(x, None, None, axes, 1e-5, centred)[not centred:],
                      lambda ops, dy, x, given: ops.layernorm_backward(dy, x, gamma, given, given, 1e-5, centred))


def local_norm(name, size, *shape):
    return Row(name, lambda ops, draw, cast: [
        ops.local_response_norm_forward(cast(images(draw, *shape)), size, 1.0, 0.75, 1.0)], SUM)


def scores(name, n, c):
    """Outputs that are no probabilities for the ways back, or what is added up would cancel."""
    def run(ops, draw, cast):
        x, dy, half = cast(draw(n, c)), cast(draw(n, c)), cast(np.full((n, c), np.float32(0.5)))
        return [ops.softmax_forward(x), ops.log_softmax_forward(x), *ops.softmax_cross_entropy(x, np.arange(n), 0.1),
                ops.softmax_backward(dy, half), ops.log_softmax_backward(dy, -half)]
    return Row(name, run, SUM)


def means(name, x_shape, *dims):
    """Sums over axes: a mean, and the gradients of what a smaller array was multiplied with."""
    def run(ops, draw, cast):
        make = images if len(x_shape) == 4 else lambda draw, *shape: draw(*shape)
        x, one = cast(make(draw, *x_shape)), cast(np.full(x_shape, np.float32(0.5)))
        y = ops.mean(x, dims)
        return [y, ops.multiply_backward(one, x, y.shape)]
    return Row(name, run, SUM)


def slopes(name, count, *x_shape):
    """The gradients of slopes: all of x is below 0."""
    def run(ops, draw, cast):
        x, dy = cast(-np.abs(images(draw, *x_shape))), cast(np.full(x_shape, np.float32(0.5)))
        return ops.prelu_backward(dy, x, cast(np.full(count, np.float32(0.25))))[1:]
    return Row(name, run, SUM)


def along(name, shape, dim):
    """Softmax along another axis than the last one in memory."""
    def run(ops, draw, cast):
        x, dy, half = cast(images(draw, *shape)), cast(images(draw, *shape)), cast(np.full(shape, np.float32(0.5)))
        return [ops.softmax_forward(x, dim), ops.log_softmax_forward(x, dim), ops.softmax_backward(dy, half, dim),
                ops.log_softmax_backward(dy, -half, dim)]
    return Row(name, run, SUM)


def squares(name, *sizes):
    return Row(name, lambda ops, draw, cast: [np.array(ops.sum_of_squares([cast(draw(n)) for n in sizes]))], SUM)


def table(name, rows, count, columns):
    """The gradient of a table whose rows are asked for again and again."""
    def run(ops, draw, cast):
        return [ops.embedding_backward(cast(draw(count, columns)), np.arange(count) % rows, rows)]
    return Row(name, run, SUM)


def losses(name, n, c, *pixels):
    """Values, which are sums over all rows; the sums over a row are as those of `scores`."""
    def run(ops, draw, cast):
        x = cast(images(draw, n, c, *pixels) if pixels else draw(n, c))
        labels, weight, half = np.zeros((n, *pixels), int), np.full(c, 0.5), np.full_like(x, 0.5)
        return [np.array(value) for value, _ in (
            ops.softmax_cross_entropy(x, labels, 0.1, weight, scale=1), ops.soft_cross_entropy(x, half, scale=1),
            ops.nll_loss(x + 9, labels, scale=1), ops.margin_loss(x, labels, margin=20, scale=1),
            ops.epsilon_softmax_loss(x, labels, np.ones((5, 5)), scale=1))]
    return Row(name, run, SUM)


def numbers(name, size):
    """The value of a loss of numbers, and of the penalty of weights."""
    def run(ops, draw, cast):
        x, nothing = cast(draw(size)), cast(np.zeros(size, np.float32))
        values = [ops.pointwise_loss(x, nothing, "squared", scale=1)[0], ops.weight_penalty(x, nothing, 1, 0)[0],
                  ops.weight_penalty(x, nothing, 0, 1)[0]]
        rows = ops.clip_rows(x.reshape(1, -1), 1)
        return [*map(np.array, values), rows]
    return Row(name, run, SUM)


ROWS = [
    weights("1x1", (1, 16, 128, 200), (8, 16, 1, 1), WEIGHT),
    weights("1x1, a wide image", (1, 5, 2, 9000), (33, 5, 1, 1), WEIGHT),
    weights("3x3, few channels", (1, 3, 128, 150), (16, 3, 3, 3), WEIGHT, padding=1),
    weights("3x3, stride 2", (2, 16, 160, 150), (17, 16, 3, 3), WEIGHT, padding=1, stride=2),
    weights("3x3, groups", (1, 8, 130, 140), (8, 4, 3, 3), WEIGHT, padding=1, groups=2),
    weights("3x3, groups of 3 channels", (1, 6, 130, 140), (6, 3, 3, 3), WEIGHT, padding=1, groups=2),
    weights("3x3, exact", (1, 16, 120, 150), (16, 16, 3, 3), WEIGHT, padding=1, precision=exact),
    weights("depthwise", (1, 20, 130, 150), (20, 1, 3, 3), WEIGHT, padding=1, groups=20),
    weights("depthwise, a wide image", (1, 5, 2, 9000), (5, 1, 1, 3), WEIGHT, groups=5),
    weights("Winograd", (1, 16, 200, 250), (16, 16, 3, 3), WINOGRAD, padding=1),
    weights("Winograd, many channels", (1, 96, 64, 80), (80, 96, 3, 3), WINOGRAD, padding=1),
    weights("Winograd, 5x5", (1, 16, 120, 120), (16, 16, 5, 5), WINOGRAD, padding=2),
    transposed("transposed, stride 2", (2, 16, 80, 75), (16, 17, 2, 2), WEIGHT, stride=2),
    transposed("transposed, Winograd", (1, 16, 200, 250), (16, 16, 3, 3), WINOGRAD),
    transposed("transposed, depthwise", (1, 20, 60, 75), (20, 1, 3, 3), WEIGHT, stride=2, groups=20),
    local("locally connected", (120, 3, 4, 3), (2, 2, 3, 2, 3, 5)),
    local("locally connected, many samples", (20_000, 3, 2, 3), (2, 2, 1, 2, 3, 5)),
    pool("windows of 2 x 2", (2, 5, 9, 8), (2, 2), (2, 2)),
    pool("windows of 80 x 90", (1, 5, 160, 180), (80, 90), (80, 90), include=False),
    pool("windows of 70 x 70, overlapping", (1, 3, 100, 90), (70, 70), (1, 1)),
    largest("windows of 66 x 66, one pixel winning", (1, 3, 131, 131), (66, 66)),
    whole_image("whole image", (2, 33, 150, 200)),
    adaptive("means of 5 x 6", (2, 17, 32, 40), (7, 7)),
    adaptive("means of 100 x 2 and of 31 x 33", (1, 5, 200, 66), (2, 33)),
    adaptive("means of 80 x 90", (1, 19, 160, 180), (2, 2)),
    upsampled("nearest, 60 x 70 pixels of one", (1, 19, 2, 3), (120, 210), "nearest"),
    upsampled("bilinear, 30 x 33 pixels of one", (2, 5, 2, 3), (60, 99), "bilinear"),
    upsampled("bilinear, 150 x 200 pixels of one", (2, 5, 2, 1), (300, 200), "bilinear"),
    repeated("a margin of 100 pixels", (1, 5, 2, 3), 100),
    regions("regions of many pixels", (1, 19, 150, 170), 2),
    regions("many regions", (1, 19, 3, 4), 300, sampling_ratio=2),
    linear("many samples", 20_000, 20, 9),
    linear("many features", 17, 9000, 35, FEATURES),
    linear("many features, few samples", 3, 30_000, 9, SUM),
    linear("many outputs", 6, 20, 9000, FEATURES),
    norm("batch norm of one channel", 2, 1, 200, 150),
    norm("batch norm of many channels", 40, 70, 20, 20),
    norm("batch norm of vectors", 20_000, 9),
    group_norm("group norm", 2, 3, 8, 150, 160),
    group_norm("group norm of many channels", 6, 2, 198, 40, 50),
    group_norm("group norm of many samples", 2, 20_000, 6),
    layer_norm("layer norm", 1, True, 3, 40_000),
    layer_norm("layer norm of many rows", 1, True, 20_000, 9),
    layer_norm("layer norm of images", 3, True, 40, 5, 60, 70),
    layer_norm("root of the mean square", 1, False, 3000, 70),
    local_norm("local response norm", 301, 2, 700, 4, 3),
    scores("scores", 3, 40_000),
    losses("losses", 20_000, 5),
    losses("losses of pixels", 2, 5, 150, 160),
    numbers("losses of numbers", 100_003),
    squares("squares", 100_000, 30),
    means("means of images", (2, 33, 150, 200), 2, 3),
    means("means of channels", (1, 40_000, 3, 2), 1),
    means("means of everything", (3, 5, 150, 120), 0, 1, 2, 3),
    means("means over the batch", (20_000, 9), 0),
    means("means of long rows", (3, 200_000), 1),
    means("means of lines", (2, 5, 9000, 3), 2),
    means("means of the outermost and the innermost", (300, 7, 20, 30), 0, 1),
    slopes("one slope", 1, 2, 5, 100, 120),
    slopes("slopes of channels", 5, 2, 5, 150, 120),
    along("softmax of lines", (2, 3, 20_000, 2), 2),
    table("rows of a table", 3, 100_000, 17),
]
LARGE = [
    weights("1x1", (1, 16, 1024, 1024), (16, 16, 1, 1), WEIGHT),
    weights("3x3, few channels", (1, 3, 1024, 1024), (16, 3, 3, 3), WEIGHT, padding=1),
    weights("depthwise", (1, 16, 1024, 1024), (16, 1, 3, 3), WEIGHT, padding=1, groups=16),
    weights("Winograd", (1, 16, 1024, 1024), (16, 16, 3, 3), WINOGRAD, padding=1),
    weights("Winograd, 4 images", (4, 16, 1024, 1024), (16, 16, 3, 3), WINOGRAD, padding=1),
    weights("Winograd, many channels", (4, 64, 256, 256), (128, 64, 3, 3), WINOGRAD, padding=1),
    weights("Winograd, 5x5", (1, 16, 512, 512), (16, 16, 5, 5), WINOGRAD, padding=2),
    pool("windows of 500 x 500", (1, 3, 1000, 1000), (500, 500), (500, 500)),
    whole_image("whole image", (1, 16, 1024, 1024)),
    linear("many samples", 1_000_000, 9, 5),
    linear("many features", 17, 1_000_000, 3, FEATURES),
    norm("batch norm of one channel", 1, 1, 2048, 2048),
    norm("batch norm of 16 channels", 4, 16, 512, 512),
    norm("batch norm of vectors", 1_000_000, 3),
    group_norm("group norm", 4, 2, 16, 512, 512),
    layer_norm("layer norm", 1, True, 2, 1_000_000),
    layer_norm("layer norm of many rows", 1, True, 1_000_000, 3),
    scores("scores", 2, 1_000_000),
    means("means of images", (1, 3, 2048, 2048), 2, 3),
    means("means of everything", (4, 16, 512, 512), 0, 1, 2, 3),
    means("means over the batch", (1_000_000, 3), 0),
    slopes("slopes", 16, 4, 16, 512, 512),
    losses("losses of pixels", 4, 5, 512, 512),
    numbers("losses of numbers", 3_000_001),
]
KINDS = {
    "equal": lambda rng, shape: np.full(shape, np.float32(1.3371)),
    "also equal": lambda rng, shape: np.full(shape, np.float32(0.1)),
    "positive": lambda rng, shape: rng.random(shape, np.float32),
    "of either sign": lambda rng, shape: rng.standard_normal(shape, np.float32),
}


def outcome(row, backend, kind, dtype):
    rng = np.random.default_rng(0)
    found = row.run(load(backend), lambda *shape: KINDS[kind](rng, shape), lambda array: array.astype(dtype))
    return [np.asarray(array) for array in found if np.size(array)]


def assert_accurate(row, backend, kind):
    for place, (got, wanted) in enumerate(zip(outcome(row, backend, kind, np.float32),
                                              outcome(row, backend, kind, np.float64), strict=True)):
        error = np.abs(got - wanted).max() / np.abs(wanted).max()
        assert error <= (max(row.bound, row.naive) if backend == "naive" else row.bound), f"result {place}: {error}"


def each(rows):
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


@each(ROWS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.skipif(config.DISABLE_JIT, reason="it would take hours, and NumPy adds up otherwise")
def test_sums_are_accurate(row, backend):
    for kind in KINDS if backend == "cpu" else ["equal"]:
        assert_accurate(row, backend, kind)


@pytest.mark.skipif(config.DISABLE_JIT, reason="NumPy adds up otherwise")
def test_sums_along_wide_images_are_accurate():
    """One row of an image is longer than what is added up in float32."""
    rows = [row for row in ROWS if row.name.endswith("a wide image")]
    assert len(rows) > 1
    for row in rows:
        assert_accurate(row, "cpu", "also equal")


@each(LARGE)
@pytest.mark.slow
@pytest.mark.skipif(config.DISABLE_JIT, reason="it would take hours, and NumPy adds up otherwise")
def test_they_are_over_a_million_numbers(row):
    for kind in KINDS:
        assert_accurate(row, "cpu", kind)


@each(ROWS)
@pytest.mark.skipif(config.DISABLE_JIT or config.NUMBA_NUM_THREADS < 2, reason="there is one thread")
def test_bits_do_not_depend_on_threads(row):
    before, found = numba.get_num_threads(), []
    try:
        for threads in {1, 2, min(3, config.NUMBA_NUM_THREADS)}:
            numba.set_num_threads(threads)
            found.append(outcome(row, "cpu", "of either sign", np.float32))
    finally:
        numba.set_num_threads(before)
    for others in found[1:]:
        for ours, theirs in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("count", [1, 15, 63, 64, 65, 20_001])
def test_sums_along_memory_are_rounded_once(count):
    x = np.random.default_rng(count).standard_normal((3, count), np.float32)
    wanted = x.astype(np.float64).mean(1, keepdims=True)
    np.testing.assert_array_equal(load("cpu").mean(x, (1,)), wanted.astype(np.float32))
