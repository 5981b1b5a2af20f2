"""Numbers that can be worked out by hand, and what becomes of NaN, infinity and ties."""
import decimal

import numpy as np
import pytest

from fastnet.kernels import checks, counter, load
from fastnet.kernels.activations import ACTIVATIONS

from .judge import assert_same

naive = load("naive")
NAN, INF = np.nan, np.inf
NOWHERE = 255


def image(rows):
    return np.array(rows, np.float32)[None, None]


@pytest.mark.parametrize("padding, wanted", [("valid", [6]), ("same", [3, 6, 5]), ("full", [1, 3, 6, 5, 3])])
def test_convolution_of_123(ops, padding, wanted):
    x, w = image([[1, 2, 3]]), image([[1, 1, 1]])
    pads = checks.resolve_padding(padding, (1, 3), (1, 1), (1, 1), (1, 3))
    assert ops.conv2d_forward(x, w, padding=pads).tolist() == [[[wanted]]]


def test_convolution_does_not_flip_the_kernel(ops):
    assert ops.conv2d_forward(image([[1, 2, 3]]), image([[1, 10]])).tolist() == [[[[21, 32]]]]


def test_transposed_convolution_spreads_the_kernel(ops):
    """With a stride its copies lie apart, and add up where they overlap."""
    x, w = image([[1, 2, 3]]), image([[1, 10, 100]])
    for stride, padding, wanted in [((1, 1), (0, 0, 0, 0), [1, 12, 123, 230, 300]),
                                    ((1, 1), (0, 0, 1, 1), [12, 123, 230]),
                                    ((1, 2), (0, 0, 0, 0), [1, 10, 102, 20, 203, 30, 300])]:
        assert ops.conv_transpose2d_forward(x, w, None, stride, padding).tolist() == [[[wanted]]]
    y = ops.conv_transpose2d_forward(x, w[..., :1], np.array([0.5]), (1, 3), output_padding=(0, 2))
    assert y.tolist() == [[[[1.5, 0.5, 0.5, 2.5, 0.5, 0.5, 3.5, 0.5, 0.5]]]]


def test_locally_connected_has_a_kernel_for_each_place(ops):
    x, w = image([[1, 2, 3]]), np.array([[1, 10], [100, 1000]], np.float32).reshape(1, 2, 1, 2, 1, 1)
    b = np.array([[[0, 5]]], np.float32)
    assert ops.locally_connected2d_forward(x, w, b).tolist() == [[[[21, 3205]]]]
    dx = ops.locally_connected2d_backward_input(image([[1, 2]]), w, x.shape, (1, 1), (0, 0, 0, 0))
    assert dx.tolist() == [[[[1, 210, 2000]]]]


def test_conv_spreads_nan_to_its_windows_alone(ops):
    y = ops.conv2d_forward(image([[1, 1, 1, 1, NAN]]), image([[1, 1]]))
    assert_same(y, image([[2, 2, 2, NAN]]))
    assert_same(ops.conv2d_forward(image([[1, -3, INF]]), image([[1, 1]])), image([[-2, INF]]))


def test_squared_length_of_a_product(ops):
    w, x = np.array([[0.1, 0.5], [-0.3, 0.8]]), np.array([[0.2, 0.4]])
    q = ops.linear_forward(x, w)
    np.testing.assert_allclose(q, [[0.22, 0.26]], rtol=1e-14)
    assert np.sum(q * q) == pytest.approx(0.116)
    np.testing.assert_allclose(ops.linear_backward_weight(2 * q, x)[0], [[0.088, 0.176], [0.104, 0.208]], rtol=1e-14)
    np.testing.assert_allclose(ops.linear_backward_input(2 * q, w), [[-0.112, 0.636]], rtol=1e-14)


def test_sum_times_number(ops):
    """f = (x + y) z at (-2, 5, -4)."""
    x, y, z = (np.array([[value]], np.float32) for value in (-2, 5, -4))
    total = ops.add(x, y)
    assert ops.linear_forward(total, z).item() == -12
    assert ops.linear_backward_input(np.ones_like(x), z).item() == -4
    assert ops.linear_backward_weight(np.ones_like(x), total, bias=False)[0].item() == 3


def test_max_pool(ops):
    x = image([[1, 3, 2, 4], [5, 6, 7, 8], [9, 2, 3, 1], [4, 0, 1, 5]])
    y, index = ops.maxpool2d_forward(x, (2, 2), (2, 2))
    assert y.tolist() == [[[[6, 8], [9, 5]]]]
    assert_same(index, image([[3, 3], [0, 3]]).astype(np.uint8))
    dx = ops.maxpool2d_backward(image([[1, 2], [3, 4]]), index, x.shape, (2, 2), (2, 2), (0, 0, 0, 0))
    assert dx.tolist() == [[[[0, 0, 0, 0], [0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 4]]]]


def test_max_unpool(ops):
    x = image([[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])
    where = (2, 2), (2, 2), (0, 0, 0, 0)
    indices = ops.maxpool2d_indices(ops.maxpool2d_forward(x, *where)[1], x.shape, *where)
    assert indices.tolist() == [[[[5, 2], [12, 15]]]] and indices.dtype == np.int64
    y = ops.maxunpool2d_forward(image([[1, 2], [3, 4]]), indices, (4, 4))
    assert y.tolist() == [[[[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]]]
    assert ops.maxunpool2d_backward(x, indices).tolist() == [[[[5, 6], [7, 8]]]]
    # Of several numbers for one place the last stays.
    again = np.zeros_like(indices)
    assert ops.maxunpool2d_forward(image([[1, 2], [3, 4]]), again, (1, 2)).tolist() == [[[[4, 0]]]]
    assert ops.maxunpool2d_backward(image([[9, 8]]), again).tolist() == [[[[9, 9], [9, 9]]]]


@pytest.mark.parametrize("wrong", [-1, 16, 2**40, 2.5, 12 + 1e-9, NAN])
def test_places_outside_are_refused(ops, wrong):
    x, places = image([[1, 2], [3, 4]]), image([[5, 2], [12, 15]]).astype(type(wrong))
    places[0, 0, 1, 0] = wrong
    with pytest.raises(ValueError, match=r"^indices\[0, 0, 1, 0\] is .*, which is no place in images of 4 x 4 pixels"):
        ops.maxunpool2d_forward(x, places, (4, 4))


def test_indices_of_no_gradient(ops):
    """Where an index says that no pixel won."""
    index = np.array([[[[0, NOWHERE]]]], np.uint8)
    assert ops.maxpool2d_indices(index, (1, 1, 2, 4), (2, 2), (2, 2), (0, 0, 0, 0)).tolist() == [[[[0, -1]]]]


def test_regions(ops):
    """A box around the whole image: one of two corners, counted in; NaN wins, and what is outside is 0."""
    x = image([[1, 3, 2, 4], [5, 6, 7, 8], [9, 2, NAN, 1], [4, 0, 1, 5]])
    y, index = ops.roi_pool_forward(x, np.array([[0, 0, 0, 3, 3], [0, 4, 0, 9, 9]], np.float32), (2, 2))
    assert_same(y, np.array([[[[6, 8], [9, NAN]]], [[[0, 0], [0, 0]]]], np.float32))
    assert index.tolist() == [[[[5, 7], [8, 10]]], [[[16, 16], [16, 16]]]]
    assert ops.roi_pool_backward(np.ones_like(y), index, np.zeros((2, 5), np.float32), x.shape).sum() == 4
    # Between four pixels; at the edge; a pixel beyond it still counts as the edge, and further out all is 0.
    x = image([[0, 4], [8, 12]])
    boxes = np.array([[0, 0, 0, 1, 1], [0, -1, -1, 0, 0], [0, 1.4, 1.4, 2.4, 2.4], [0, 1.6, 1.6, 2.6, 2.6]], np.float32)
    assert ops.roi_align_forward(x, boxes, (1, 1), 1.0, 1).ravel().tolist() == [6, 0, 12, 0]
    assert ops.roi_align_forward(x, boxes[:1], (1, 1), 1.0, 1, aligned=True).item() == 0


def test_boxes_outside_are_refused(ops):
    x, good = np.ones((2, 3, 4, 4), np.float32), np.array([[1, 0, 0, 2, 2], [0, 0, 0, 2, 2]], np.float32)
    for place, wrong, words in [((1, 0), 2, "box 1 is in image 2, but the images are numbered 0 to 1"),
                                ((0, 0), -1, "box 0 is in image -1, but"), ((0, 0), 0.5, "box 0 is in image 0.5, but"),
                                ((1, 0), NAN, "box 1 is in image nan, but"),
                                ((1, 3), INF, "box 1 must have finite coordinates below 1.07e"),
                                ((0, 1), NAN, "box 0 must have finite coordinates below 1.07e")]:
        boxes = good.copy()
        boxes[place] = wrong
        for call, *rest in ((ops.roi_pool_forward, (2, 2)), (ops.roi_align_forward, (2, 2)),
                            (ops.roi_align_backward, x.shape)):
            with pytest.raises(ValueError, match="^" + words):
                call(x, boxes, *rest)


@pytest.mark.parametrize("row, y, place", [
    ([7, 7, 7], 7, 0),
    ([1, 7, 7], 7, 1),
    ([1, NAN, 9], NAN, 1),
    ([NAN, NAN, INF], NAN, 0),
    ([-INF, -INF, -INF], -INF, 0),
    ([-INF, -5, -INF], -5, 1),
    ([-1, 0, -2], 0, 1),
])
@pytest.mark.parametrize("channels", [1, 3, 17])
def test_winner_of_a_window(ops, row, y, place, channels):
    x = np.repeat(image([row]), channels, 1)
    found, index = ops.maxpool2d_forward(x, (1, 3), (1, 1))
    assert_same(found, np.full((1, channels, 1, 1), y, np.float32))
    assert_same(index, np.full((1, channels, 1, 1), place, np.uint8))
    dx = ops.maxpool2d_backward(np.ones_like(found), index, x.shape, (1, 3), (1, 1), (0, 0, 0, 0))
    assert_same(dx, np.repeat(image([[float(s == place) for s in range(3)]]), channels, 1))
    dx = ops.maxpool2d_backward(np.ones_like(found), np.full_like(index, NOWHERE), x.shape, (1, 3), (1, 1), (0,) * 4)
    assert_same(dx, np.zeros_like(x))


def test_padding_never_wins(ops):
    y, index = ops.maxpool2d_forward(image([[-7, -9], [-8, -6]]), (2, 2), (2, 2), (1, 1, 1, 1))
    assert y.tolist() == [[[[-7, -9], [-8, -6]]]]
    assert index.tolist() == [[[[3, 2], [1, 0]]]]
    y, index = ops.maxpool2d_forward(image([[-INF]]), (2, 2), (1, 1), (1, 0, 1, 0))
    assert y.item() == -INF and index.item() == 3


@pytest.mark.parametrize("kernel_size, dtype", [((2, 127), np.uint8), ((15, 17), np.uint16), ((256, 255), np.uint16)])
def test_index_of_large_windows(ops, kernel_size, dtype):
    x = np.zeros((1, 1, *kernel_size), np.float32)
    x[..., -1, -1] = 1
    y, index = ops.maxpool2d_forward(x, kernel_size, (1, 1))
    assert index.dtype == dtype and index.item() == kernel_size[0] * kernel_size[1] - 1
    assert_same(ops.maxpool2d_backward(y, index, x.shape, kernel_size, (1, 1), (0, 0, 0, 0)), x)


def test_average_pool(ops):
    x = image([[1, 3, 2, 4], [5, 7, 6, 8]])
    assert ops.avgpool2d_forward(x, (2, 2), (2, 2)).tolist() == [[[[4, 5]]]]
    corner = ((2, 2), (2, 2), (1, 1, 1, 1))
    assert ops.avgpool2d_forward(image([[8]]), *corner).tolist() == [[[[2]]]]
    assert ops.avgpool2d_forward(image([[8]]), *corner, count_include_pad=False).tolist() == [[[[8]]]]
    assert ops.avgpool2d_backward(image([[8]]), (1, 1, 1, 1), *corner).tolist() == [[[[2]]]]
    assert ops.avgpool2d_backward(image([[8]]), (1, 1, 1, 1), *corner, count_include_pad=False).item() == 8
    assert ops.global_avgpool_forward(x).tolist() == [[[[4.5]]]]
    assert ops.global_avgpool_backward(image([[16]]), x.shape).tolist() == [[[[2] * 4] * 2]]


def test_upsampling(ops):
    x = image([[1, 2], [3, 4]])
    assert ops.upsample2d_forward(x, (4, 4)).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]
    assert ops.bed_of_nails_forward(x, (2, 2)).tolist() == [[[[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4]]]
    dy = image(np.arange(16).reshape(4, 4))
    assert ops.upsample2d_backward(dy, x.shape).tolist() == [[[[10, 18], [42, 50]]]]
    assert ops.bed_of_nails_backward(dy, x.shape, (2, 2)).tolist() == [[[[0, 2], [8, 10]]]]
    assert ops.upsample2d_forward(image([[1, 2, 4]]), (1, 5), "bilinear", True).tolist() == [[[[1, 1.5, 2, 3, 4]]]]
    assert ops.upsample2d_forward(image([[1, 5]]), (1, 4), "bilinear").tolist() == [[[[1, 2, 4, 5]]]]
    assert ops.upsample2d_backward(image([[1, 2, 4, 8]]), (1, 1, 1, 2), "bilinear").tolist() == [[[[3.5, 11.5]]]]


def test_neighbours_of_weight_zero_do_not_spread(ops):
    """Infinity times zero would be NaN."""
    assert_same(ops.upsample2d_forward(image([[1, INF, 3]]), (1, 5), "bilinear", True), image([[1, INF, INF, INF, 3]]))
    assert_same(ops.upsample2d_forward(image([[1, NAN]]), (1, 4), "bilinear"), image([[1, NAN, NAN, NAN]]))
    assert_same(ops.upsample2d_backward(image([[1, 1, INF]]), (1, 1, 1, 2), "bilinear", True), image([[1.5, INF]]))
    assert_same(ops.adaptive_avgpool2d_forward(image([[1, 1, NAN, 1]]), (1, 2)), image([[1, NAN]]))
    assert_same(ops.pad2d_backward(image([[NAN, 1, 2, INF]]), (1, 1, 1, 2), (0, 0, 1, 1)), image([[1, 2]]))


@pytest.mark.parametrize("mode, wanted", [("constant", [9, 9, 1, 2, 3, 9]), ("reflect", [3, 2, 1, 2, 3, 2]),
                                          ("replicate", [1, 1, 1, 2, 3, 3]), ("circular", [2, 3, 1, 2, 3, 1])])
def test_margins(ops, mode, wanted):
    x = image([[1, 2, 3]])
    y = ops.pad2d_forward(x, (0, 0, 2, 1), mode, 9)
    assert y.tolist() == [[[wanted]]]
    dx = ops.pad2d_backward(np.ones_like(y), x.shape, (0, 0, 2, 1), mode)
    assert dx.tolist() == [[[[wanted.count(value) for value in (1, 2, 3)]]]]
    assert ops.pad2d_forward(x, (2, 0, 0, 0), "constant", 7).tolist() == [[[[7] * 3, [7] * 3, [1, 2, 3]]]]
    assert ops.pad2d_forward(x, (0, 0, -1, 1)).tolist() == [[[[2, 3, 0]]]]


def test_means_of_parts(ops):
    x = image([[1, 2, 3, 4, 5], [11, 12, 13, 14, 15]])
    assert ops.adaptive_avgpool2d_forward(x, (1, 2)).tolist() == [[[[7, 9]]]]
    assert ops.adaptive_avgpool2d_forward(x, (2, 5)).tolist() == x.tolist()
    assert ops.adaptive_avgpool2d_backward(image([[6, 12]]), x.shape).tolist() == [[[[1, 1, 3, 2, 2]] * 2]]


def test_channels_become_pixels(ops):
    x = np.arange(8.0).reshape(1, 8, 1, 1)
    y = ops.pixel_shuffle(x, 2)
    assert y.tolist() == [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]
    assert_same(ops.pixel_unshuffle(y, 2), x)


def test_batch_norm(ops):
    x = np.array([[1.0, 10], [3, 10]])
    y, mean, var = ops.batchnorm_forward(x, np.array([2.0, 1]), np.array([0.0, 5]), 3.0)
    assert (mean.tolist(), var.tolist()) == ([2, 10], [1, 0])
    assert y.tolist() == [[-1, 5], [1, 5]]
    gamma, mean, var = np.array([2.0, 1]), np.zeros(2), np.ones(2)
    y = ops.batchnorm_inference(x, gamma, np.array([0.0, -5.5]), mean, var, 3.0)
    assert y.tolist() == [[1, -0.5], [3, -0.5]]
    dx, dgamma, dbeta = ops.batchnorm_inference_backward(np.array([[1.0, 4], [2, 8]]), x, gamma, mean, var, 3.0)
    assert (dx.tolist(), dgamma.tolist(), dbeta.tolist()) == ([[1, 2], [2, 4]], [3.5, 60], [3, 12])


def test_norms_of_samples(ops):
    x = np.array([[[[1, 3], [1, 3]], [[10, 10], [10, 14]], [[7, 7], [7, 7]], [[5, 5], [5, 5]]]], np.float32)
    y, mean, var = ops.groupnorm_forward(x, None, None, 4, 3.0)
    assert (mean.tolist(), var.tolist()) == ([[2, 11, 7, 5]], [[1, 3, 0, 0]])
    assert y[:, [0, 2]].tolist() == [[[[-0.5, 0.5], [-0.5, 0.5]], [[0, 0], [0, 0]]]]
    y, mean, var = ops.groupnorm_forward(x[:, 2:], np.array([1.0, 2]), np.array([0.0, 7]), 1, 3.0)
    assert (mean.tolist(), var.tolist(), y[0, :, 0, 0].tolist()) == ([[6]], [[1]], [0.5, 6])
    rows = np.array([[1.0, 3], [5, 5]])
    y, mean, var = ops.layernorm_forward(rows, np.array([2.0, 4]), np.array([1.0, 0]), 1, 3.0)
    assert (mean.tolist(), var.tolist(), y.tolist()) == ([2, 5], [1, 0], [[0, 2], [1, 0]])
    y, mean, var = ops.layernorm_forward(np.array([[1.0, 7], [0, 0]]), np.array([2.0, 4]), None, 1, 11.0, False)
    assert (mean.tolist(), var.tolist()) == ([0, 0], [25, 0])
    np.testing.assert_allclose(y, [[1 / 3, 14 / 3], [0, 0]], rtol=1e-12)


def test_local_response_norm(ops):
    """The windows of an even size reach further back than forth."""
    x = np.array([1.0, 2, 3]).reshape(1, 3, 1, 1)
    y = ops.local_response_norm_forward(x, 2, 2.0, 1.0, 3.0)
    np.testing.assert_allclose(y.ravel(), [1 / 4, 2 / 8, 3 / 16], rtol=1e-12)
    y = ops.local_response_norm_forward(x, 3, 3.0, 0.5, 2.0)
    np.testing.assert_allclose(y.ravel(), [1 / 7**0.5, 2 / 4, 3 / 15**0.5], rtol=1e-12)
    assert np.isnan(ops.local_response_norm_forward(0 * x, 3, 1.0, 0.75, 0.0)).all()


@pytest.mark.parametrize("shift", [0, 1000, -30_000])
def test_norms_of_samples_survive_a_large_mean(ops, shift):
    x = (np.random.default_rng(0).standard_normal((3, 6, 40, 50)) + shift).astype(np.float32)
    wanted = x.astype(np.float64)
    _, mean, var = ops.groupnorm_forward(x, None, None, 2, 1e-5)
    grouped = wanted.reshape(3, 2, -1)
    np.testing.assert_allclose(mean, grouped.mean(2), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(var, grouped.var(2), rtol=1e-4)
    y, mean, var = ops.layernorm_forward(x, None, None, 3, 1e-5)
    np.testing.assert_allclose(mean, wanted.mean((1, 2, 3)), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(var, wanted.var((1, 2, 3)), rtol=1e-4)
    if ops is not naive:    # which rounds its sums
        constant = np.full((3, 6, 40, 50), shift + 0.1, np.float32)
        for found in (ops.layernorm_forward(constant, None, None, 3, 1e-5),
                      ops.groupnorm_forward(constant, None, None, 2, 1e-5)):
            assert not found[0].any() and not found[2].any()


def test_channels_and_samples_are_dropped_whole(ops):
    """The numbers are those that dropout draws for an array with an element for each of them."""
    x = 1 + np.random.default_rng(0).random((5, 7, 3, 4)).astype(np.float32)
    for axes in range(3):
        few = ops.dropout(np.ones(x.shape[:axes], np.float32), 0.4, 11)
        for array in (x, x.reshape(5, 7, 12)):
            y = ops.dropout(array, 0.4, 11, axes)
            assert_same(y, array * few.reshape(few.shape + (1,) * (array.ndim - axes)))
    kept, y = ops.dropout(np.ones((5, 7)), 0.5, 1) > 0, ops.dropout(np.full_like(x, NAN), 0.5, 1, 2)
    assert np.isnan(y[kept]).all() and not y[~kept].any() and 0 < kept.sum() < kept.size


def test_running_statistics(ops):
    old = np.array([4.0, 8]), np.array([1.0, 2]), np.array(7)
    new = ops.batchnorm_track(*old, np.array([0.0, 4]), np.array([3.0, 6]), 3, 0.25)
    assert [array.tolist() for array in new] == [[3, 7], [1.875, 3.75], 8]
    assert new[2].dtype == np.int64 and new[2].shape == ()
    new = ops.batchnorm_track(*old, np.array([0.0, 16]), np.array([2.0, 4]), 3)     # the mean of eight batches
    assert [array.tolist() for array in new] == [[3.5, 9], [1.25, 2.5], 8]


def test_variance_survives_a_large_mean(ops):
    x = (np.random.default_rng(0).standard_normal((64, 3, 8, 8)) + 1000).astype(np.float32)
    _, mean, var = ops.batchnorm_forward(x, np.ones(3), np.zeros(3), 1e-5)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(var, x.var(axis=(0, 2, 3), dtype=np.float64), rtol=1e-3)


# function, alpha, beta: x, y and dy / dx at kinks and far out
SLOPES = {
    ("relu", 0, 0): ([-INF, -1, -0.0, 0, 2, INF, NAN], [0, 0, 0, 0, 2, INF, NAN], [0, 0, 0, 0, 1, 1, 1]),
    ("leaky_relu", 0.25, 0): ([-INF, -4, 0, 2, INF, NAN], [-INF, -1, 0, 2, INF, NAN], [0.25, 0.25, 0.25, 1, 1, 0.25]),
    ("hardtanh", -1, 2): ([-INF, -2, -1, 0, 2, 3, INF], [-1, -1, -1, 0, 2, 2, 2], [0, 0, 0, 1, 0, 0, 0]),
    ("hardtanh", 0, 6): ([-1, 0, 3, 6, 7, INF], [0, 0, 3, 6, 6, 6], [0, 0, 1, 0, 0, 0]),
    ("sigmoid", 0, 0): ([-INF, -1e4, 0, 1, 1e4, INF, NAN], [0, 0, 0.5, 0.7310586, 1, 1, NAN],
                        [0, 0, 0.25, 0.1966119, 0, 0, NAN]),
    ("tanh", 0, 0): ([-INF, -1e4, 0, 1, 1e4, INF, NAN], [-1, -1, 0, 0.7615942, 1, 1, NAN],
                     [0, 0, 1, 0.4199743, 0, 0, NAN]),
    ("elu", 0.5, 0): ([-INF, -1e4, -1, 0, 2, INF, NAN], [-0.5, -0.5, -0.3160603, 0, 2, INF, NAN],
                      [0, 0, 0.1839397, 0.5, 1, 1, NAN]),
    ("silu", 0, 0): ([-1e4, -30, -1, 0, 1, 30, 1e4], [0, -2.8072870e-12, -0.2689414, 0, 0.7310586, 30, 1e4],
                     [0, -2.7137107e-12, 0.0723295, 0.5, 0.9276705, 1, 1]),
    ("gelu", 0, 0): ([-1e4, -1, 0, 1, 30, 1e4], [0, -0.1586553, 0, 0.8413447, 30, 1e4],
                     [0, -0.0833155, 0.5, 1.0833155, 1, 1]),
    ("gelu_tanh", 0, 0): ([-1e4, -1, 0, 1, 30, 1e4], [0, -0.1588080, 0, 0.8411920, 30, 1e4],
                          [0, -0.0829641, 0.5, 1.0829641, 1, 1]),
    ("hardswish", 0, 0): ([-1e4, -4, -3, -1, 0, 3, 4, 1e30, INF], [0, 0, 0, -1 / 3, 0, 3, 4, 1e30, INF],
                          [0, 0, 0, 1 / 6, 0.5, 1, 1, 1, 1]),
    ("mish", 0, 0): ([-1e4, -1, 0, 1, 30, 1e4], [0, -0.3034015, 0, 0.8650984, 30, 1e4],
                     [0, 0.0592168, 0.6, 1.0490363, 1, 1]),
    ("selu", 0, 0): ([-INF, -1e4, -1, 0, 1, 30, INF, NAN], [-1.7580993, -1.7580993, -1.1113307, 0, 1.050701, 31.5210296,
                                                            INF, NAN],
                     [0, 0, 0.6467686, 1.7580993, 1.050701, 1.050701, 1.050701, NAN]),
    ("hardsigmoid", 0, 0): ([-INF, -4, -3, 0, 1.5, 3, 4, INF, NAN], [0, 0, 0, 0.5, 0.75, 1, 1, 1, NAN],
                            [0, 0, 0, 1 / 6, 1 / 6, 0, 0, 0, 1 / 6]),
    ("softplus", 1, 20): ([-INF, -1e4, -1, 0, 1, 20.5, 1e4, INF, NAN],
                          [0, 0, 0.3132617, 0.6931472, 1.3132617, 20.5, 1e4, INF, NAN],
                          [0, 0, 0.2689414, 0.5, 0.7310586, 1, 1, 1, NAN]),
    ("softplus", 2, 3): ([-1, 0, 1, 2], [0.0634640, 0.3465736, 1.0634640, 2], [0.1192029, 0.5, 0.8807971, 1]),
    ("log_sigmoid", 0, 0): ([-INF, -1e4, -1, 0, 1, 1e4, INF, NAN],
                            [-INF, -1e4, -1.3132617, -0.6931472, -0.3132617, 0, 0, NAN],
                            [1, 1, 0.7310586, 0.5, 0.2689414, 0, 0, NAN]),
    ("celu", 2, 0): ([-INF, -1e4, -1, 0, 2, INF, NAN], [-2, -2, -0.7869387, 0, 2, INF, NAN],
                     [0, 0, 0.6065307, 1, 1, 1, NAN]),
    ("softshrink", 0.5, 0): ([-INF, -2, -0.5, 0, 0.5, 0.75, INF, NAN], [-INF, -1.5, 0, 0, 0, 0.25, INF, NAN],
                             [1, 1, 0, 0, 0, 1, 1, 1]),
    ("hardshrink", 0.5, 0): ([-INF, -2, -0.5, 0, 0.5, 0.75, INF, NAN], [-INF, -2, 0, 0, 0, 0.75, INF, NAN],
                             [1, 1, 0, 0, 0, 1, 1, 1]),
    ("tanhshrink", 0, 0): ([-INF, -1e4, -1, 0, 2, INF, NAN], [-INF, -9999, -0.2384058, 0, 1.0359724, INF, NAN],
                           [1, 1, 0.5800257, 0, 0.9293511, 1, NAN]),
    ("threshold", 1, -3): ([-INF, 0, 1, 1.5, INF, NAN], [-3, -3, -3, 1.5, INF, NAN], [0, 0, 0, 1, 1, 1]),
    ("softsign", 0, 0): ([-INF, -1e4, -1, 0, 3, INF, NAN], [NAN, -0.9999000, -0.5, 0, 0.75, NAN, NAN],
                         [0, 9.998e-9, 0.25, 1, 0.0625, 0, NAN]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function, alpha, beta", SLOPES, ids=str)
def test_activations(ops, function, alpha, beta, dtype):
    x, y, slope = (np.array(numbers, dtype) for numbers in SLOPES[function, alpha, beta])
    found = ops.activation_forward(x, function, alpha, beta)
    np.testing.assert_allclose(found, y, rtol=2e-5, atol=1e-15)
    kept = x if ACTIVATIONS[function].reads == "x" else found
    np.testing.assert_allclose(ops.activation_backward(0 * slope + 1, kept, function, alpha, beta)[np.isfinite(slope)],
                               slope[np.isfinite(slope)], rtol=2e-4, atol=1e-15)


def _tanhshrink(x):
    """x - tanh(x) to fifty digits, as a float."""
    with decimal.localcontext() as context:
        context.prec = 50
        x = decimal.Decimal(float(x))
        low, high = (-x).exp(), x.exp()
        return float(x - (high - low) / (high + low))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_tanh_leaves_keeps_its_digits(ops, dtype):
    """Where x and tanh(x) are nearly the same, and at the border of the two ways."""
    x = np.array([1e-9, 1e-3, 0.03, 0.1, 0.5, 0.9, 0.9999, 1, 1.0001, 1.5, 3], dtype)
    x = np.concatenate([x, -x])
    wanted = np.array([_tanhshrink(one) for one in x])
    np.testing.assert_allclose(ops.activation_forward(x, "tanhshrink"), wanted, rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_nan_stays_nan(ops, function):
    x = np.array([1, NAN, 2, NAN] * 5)
    for dtype in ("float32", "float64"):
        y = ops.activation_forward(x.astype(dtype), function, 0.5, 0.75)
        assert_same(np.isnan(y), np.isnan(x))
        dx = ops.activation_backward(x.astype(dtype), np.full(20, 0.625), function, 0.5, 0.75)
        assert_same(np.isnan(dx[1::2]), np.isnan(x[1::2]))
        unknown = np.full(20, NAN, dtype)       # as x or as y, whichever the derivative reads
        dx = ops.activation_backward(np.ones(20, dtype), unknown, function, 0.5, 0.75)
        assert_same(dx, naive.activation_backward(np.ones(20, dtype), unknown, function, 0.5, 0.75))
        assert not (dx == 0).any()


@pytest.mark.parametrize("function", ACTIVATIONS)
def test_no_gradient_becomes_0_where_nan_was(ops, function):
    for dtype in ("float32", "float64"):
        kept = np.resize(np.array([0.5, NAN], dtype), 20)
        dx = ops.activation_backward(np.ones(20, dtype), kept, function, 0.5, 0.75)
        assert (dx[1::2] != 0).all()


def test_nan_wins_its_window_and_gets_the_gradient(ops):
    x = np.full((1, 3, 4, 4), -1.0)
    x[0, :, 1, 2] = NAN
    y, index = ops.maxpool2d_forward(x, (2, 2), (2, 2))
    relu = ops.activation_forward(y, "relu")
    dx = ops.maxpool2d_backward(ops.activation_backward(y * 0 + 1, relu, "relu"), index, x.shape, (2, 2), (2, 2),
                                (0, 0, 0, 0))
    assert_same(np.isnan(relu), np.isnan(y))
    assert_same(dx != 0, np.isnan(x))


@pytest.mark.parametrize("function, alpha, beta", [("relu", 0, 0), ("hardtanh", -1, 1), ("hardswish", 0, 0),
                                                   ("threshold", 0, 7)])
def test_no_gradient_where_a_function_is_constant(ops, function, alpha, beta):
    dy, kept = np.array([INF, NAN, -INF, 1]), np.array([-5.0, -5, -5, 0.5])
    kept = kept if ACTIVATIONS[function].reads == "x" else kept.clip(-1, 1)
    dx = ops.activation_backward(dy, kept, function, alpha, beta)
    assert dx[:3].tolist() == [0, 0, 0] and dx[3] > 0


@pytest.mark.parametrize("function, wanted", [
    ("gelu", [-7.619853024160527e-23, -5.507248237212467e-88]),
    ("sigmoid", [4.5397868702434395e-05, 2.061153618190204e-09]),
    ("silu", [-4.5397868702434395e-04, -4.122307236380408e-08]),
])
def test_the_judge_knows_small_numbers(function, wanted):
    """naive has all digits far below zero too, where 1 + erf has none."""
    y = naive.activation_forward(np.array([-10.0, -20]), function)
    np.testing.assert_allclose(y, wanted, rtol=1e-10)


@pytest.mark.parametrize("function", ["softshrink", "hardshrink"])
def test_what_is_shrunk_to_0_passes_no_gradient(ops, function):
    y = ops.activation_forward(np.array([0.25, -0.5, 0, 2]), function, 0.5)
    dx = ops.activation_backward(np.array([INF, NAN, -INF, 3]), y, function, 0.5)
    assert dx.tolist() == [0, 0, 0, 3]


def test_products_with_numbers_of_channels_and_pixels(ops):
    """Squeeze-and-excitation, by hand."""
    a = np.arange(8.0).reshape(1, 2, 2, 2)
    b = np.array([2.0, -1]).reshape(1, 2, 1, 1)
    assert ops.multiply(a, b).tolist() == [[[[0, 2], [4, 6]], [[-4, -5], [-6, -7]]]]
    assert ops.multiply_backward(a * 0 + 1, a, b.shape).tolist() == [[[[6]], [[22]]]]
    assert ops.multiply(a, a[:, :1] * 0 + 3).tolist() == (3 * a).tolist()
    assert ops.multiply_backward(a * 0 + 1, a, (1, 1, 2, 2)).tolist() == [[[[4, 6], [8, 10]]]]


def test_parametric_relu(ops):
    x, w = np.array([[-2.0, 0, 3], [NAN, -4, -1]]), np.array([0.5, 2, -1])
    assert_same(ops.prelu_forward(x, w), np.array([[-1.0, 0, 3], [NAN, -8, 1]]))
    dx, dw = ops.prelu_backward(np.array([[1.0, 2, 3], [4, 5, 6]]), np.nan_to_num(x, nan=-7), w)
    assert dx.tolist() == [[0.5, 4, 3], [2, 10, -6]] and dw.tolist() == [-30, -20, -6]
    dx, dw = ops.prelu_backward(np.ones((2, 3)), x, w)
    assert dx[1, 0] == 0.5 and np.isnan(dw[0]) and dw[1:].tolist() == [-4, -1]     # as PyTorch: NaN is not above 0
    assert ops.prelu_backward(np.ones(2), np.array([-3.0, 5]), np.array([0.25]))[1].tolist() == [-3]


def test_means_and_their_way_back(ops):
    x = np.arange(6.0).reshape(2, 3)
    assert ops.mean(x, (0,)).tolist() == [[1.5, 2.5, 3.5]] and ops.mean(x, (-1, 0)).tolist() == [[2.5]]
    assert ops.mean_backward(np.array([[6.0], [3]]), (2, 3), (1,)).tolist() == [[2] * 3, [1] * 3]


def test_axes_in_another_order(ops):
    x = np.arange(6.0).reshape(1, 2, 3)
    assert ops.permute(x, (2, 0, 1)).tolist() == [[[0, 3]], [[1, 4]], [[2, 5]]]
    assert ops.channel_shuffle(np.arange(6.0).reshape(1, 6), 2).tolist() == [[0, 3, 1, 4, 2, 5]]
    assert_same(ops.zeros(np.ones(3, np.float16), (2, 1)), np.zeros((2, 1), np.float32))


def test_softmax(ops):
    np.testing.assert_allclose(ops.softmax_forward(np.array([[3.2, 5.1, -1.7]])), [[0.130, 0.869, 0.001]], atol=5e-4)
    np.testing.assert_allclose(ops.softmax_forward(np.array([[1.0, -2, 0]])), [[0.7, 0.04, 0.26]], atol=1e-2)
    loss, gradient = ops.softmax_cross_entropy(np.array([[3.2, 5.1, -1.7]]), [0])
    assert loss == pytest.approx(2.04, abs=5e-3)
    np.testing.assert_allclose(gradient, [[0.130 - 1, 0.869, 0.001]], atol=5e-4)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
def test_loss_of_equal_scores_is_the_logarithm_of_their_number(ops, label_smoothing):
    loss, _ = ops.softmax_cross_entropy(np.full((4, 10), 1e30, np.float32), [0, 3, 9, 9], label_smoothing)
    assert loss == pytest.approx(np.log(10), rel=1e-6)


def test_softmax_of_extremes(ops):
    x = np.array([[0, -INF, 0], [1e38, 0, -1e38], [NAN, 0, 1], [-INF, -INF, -INF], [INF, 0, 0]], np.float32)
    y = ops.softmax_forward(x)
    np.testing.assert_allclose(y[:2], [[0.5, 0, 0.5], [1, 0, 0]])
    assert np.isnan(y[2:]).all()
    y = ops.log_softmax_forward(x)
    np.testing.assert_allclose(y[0], [np.log(0.5), -INF, np.log(0.5)], rtol=1e-6)
    assert np.isnan(y[2:]).all()
    loss, gradient = ops.softmax_cross_entropy(x[:1], [2])
    assert loss == pytest.approx(np.log(2))
    np.testing.assert_allclose(gradient, [[0.5, 0, -0.5]])
    assert ops.softmax_cross_entropy(x[:1], [1])[0] == INF
    assert np.isnan(ops.softmax_cross_entropy(x[2:3], [1])[0])


def test_random_numbers_of_dropout_never_change():
    assert counter.key_words(0) == (0x7B1DCDAF, 0xE220A839)  # SplitMix64's first number for the seed 0
    assert counter.key_words(-1) == counter.key_words(2**64 - 1) != counter.key_words(1)


def test_dropout_draws_what_it_always_drew(ops):
    kept = ops.dropout(np.ones((1, 40), np.float32), 0.5, 1)[0]
    assert "".join("01"[int(value > 0)] for value in kept) == "0001111000001001100000000011000110101010"
    assert set(kept.tolist()) == {0.0, 2.0}


def test_draws(ops):
    generator, integers = np.random.default_rng(3), np.random.default_rng(3).integers(2**63, size=3)
    keys = [ops.draw(generator) for _ in range(3)]
    assert keys[0].tolist() == [4087143510, 3292997381]
    for key, integer in zip(keys, integers.tolist(), strict=True):
        assert_same(key, np.array(counter.key_words(integer), np.uint64))
        x = np.arange(1.0, 100)
        assert_same(ops.dropout(x, 0.5, key), ops.dropout(x, 0.5, integer))
        assert_same(ops.dropout(x, 0.5, np.array(integer)), ops.dropout(x, 0.5, integer))


def test_dropout_depends_on_key_and_place_alone(ops):
    x = np.ones((2, 17, 5, 3), np.float32)
    y = ops.dropout(x, 0.5, 9)
    assert_same(ops.dropout(np.ascontiguousarray(x), 0.5, 9), y)
    assert_same(y.transpose(0, 2, 3, 1).ravel(), ops.dropout(np.ones(x.size, np.float32), 0.5, 9))
    assert_same(ops.dropout(x.astype(np.float64), 0.5, 9), y.astype(np.float64))
    assert (ops.dropout(x, 0.5, 10) != y).any()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_keeps_its_share(ops, p):
    y = ops.dropout(np.ones(100_000, np.float32), p, 3)
    kept = y > 0
    assert abs(kept.mean() - (1 - p)) <= 4 * np.sqrt(p * (1 - p) / y.size)
    if p < 1:
        assert_same(y[kept], np.full(kept.sum(), 1 / (1 - p), np.float32))


def test_neighbouring_keys_and_places_have_nothing_in_common(ops):
    ones = np.ones(100_000, np.float32)
    masks = [ops.dropout(ones, 0.5, key) - 1 for key in (*range(4), 2**32, 2**63)]
    masks += [np.roll(masks[0], 1), np.roll(masks[0], 64)]
    correlation = np.corrcoef(masks) - np.eye(len(masks))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(ones.size)


def test_dropped_infinity_is_zero(ops):
    y = ops.dropout(np.full(100, INF, np.float32), 0.5, 0)
    assert set(y.tolist()) == {0.0, INF}


def test_concat_and_split_undo_each_other(ops):
    parts = [np.arange(24.0).reshape(2, 3, 2, 2), np.arange(8.0).reshape(2, 1, 2, 2)]
    joined = ops.concat(parts)
    assert joined[1].tolist() == [*parts[0][1].tolist(), *parts[1][1].tolist()]
    for part, back in zip(parts, ops.split(joined, (3, 1)), strict=True):
        assert_same(back, part)


def test_one_step_of_sgd(ops):
    value, velocity = np.array([1.0, 2]), np.array([NAN, NAN])
    ops.sgd_update(value, np.array([0.5, -1]), velocity, 0.5, momentum=0.5, weight_decay=0.5, first=True)
    assert (velocity.tolist(), value.tolist()) == ([1, 0], [0.5, 2])
    ops.sgd_update(value, np.array([0.75, 1]), velocity, 0.5, momentum=0.5, dampening=0.5, nesterov=True)
    assert (velocity.tolist(), value.tolist()) == ([0.875, 0.5], [-0.09375, 1.375])


def test_one_step_of_adam(ops):
    value, m, v = np.array([1.0]), np.array([0.0]), np.array([0.0])
    ops.adam_update(value, np.array([-4.0]), m, v, 1, 0.5, 0.75, 0.5, 0.0)
    assert (m.item(), v.item(), value.item()) == (-1, 8, 1.5)
    ops.adam_update(value, np.array([0.0]), m, v, 1, 0.5, 0.75, 0.5, 0.0, weight_decay=0.5, decoupled=True)
    assert (m.item(), v.item()) == (-0.75, 4)
    assert value.item() == pytest.approx(1.5 * 0.75 + 0.5 * 3 / np.sqrt(8))


def test_scale_multiplies_the_gradient_and_not_the_decay(ops):
    value, velocity = np.array([1.0, 2]), np.array([1.0, -1])
    ops.sgd_update(value, np.array([2.0, -4]), velocity, 0.5, momentum=0.5, weight_decay=0.5, scale=0.25)
    assert (velocity.tolist(), value.tolist()) == ([1.5, -0.5], [0.25, 2.25])
    ops.sgd_update(value, np.array([2.0, -4]), None, 0.5, weight_decay=1.0, scale=0.25)
    assert value.tolist() == [-0.125, 1.625]
    value, m, v = np.array([1.0]), np.array([0.0]), np.array([0.0])
    ops.adam_update(value, np.array([-16.0]), m, v, 1, 0.5, 0.75, 0.5, 0.0, scale=0.25)
    assert (m.item(), v.item(), value.item()) == (-1, 8, 1.5)


def test_sum_of_squares(ops):
    arrays = [np.array([[1.0, -2], [3, 0]]), np.array(4), np.zeros((0, 3)), np.array([0.5], np.float32)]
    assert ops.sum_of_squares(arrays) == 30.25
    assert ops.sum_of_squares([]) == ops.sum_of_squares([np.zeros(0)]) == 0
    assert ops.sum_of_squares([np.full(40_001, 2, np.float32)] * 2) == 8 * 40_001
    assert ops.sum_of_squares([np.full(4, 2e38, np.float32)]) == 16 * float(np.float32(1e38)) ** 2


@pytest.mark.parametrize("size", [1, 20_000])
def test_sum_of_squares_of_numbers_that_are_not_finite(ops, size):
    numbers = np.ones(size)
    for wrong, wanted in ((-INF, INF), (1e200, INF), (NAN, NAN)):
        numbers[-1] = wrong
        assert_same(ops.sum_of_squares([np.ones(3), numbers]), wanted)
    assert_same(ops.sum_of_squares([np.array([INF]), numbers]), NAN)


def test_one_step_of_amsgrad(ops):
    """NaN is larger than anything, as in PyTorch."""
    value, m, v, largest = np.ones(3), np.zeros(3), np.array([4.0, 16, 4]), np.array([8.0, 2, NAN])
    ops.adam_update(value, np.zeros(3), m, v, 1, 0.5, 0.75, 0.5, 0.0, largest=largest)
    assert v.tolist() == [2, 8, 2]
    assert_same(largest, np.array([8, 8, NAN]))
    assert_same(value, np.array([1, 1, NAN]))
    ops.adam_update(value, np.array([-4.0, 4, 4]), m, v, 1, 0.5, 0.75, 0.5, 0.0, largest=largest)
    assert_same(largest, np.array([9, 12, NAN]))
    np.testing.assert_allclose(value[:2], [1 + 2 / 18**0.5, 1 - 2 / 24**0.5], rtol=1e-15)


def test_one_step_of_nadam(ops):
    value, m, v = np.array([1.0]), np.array([0.0]), np.array([0.0])
    ops.nadam_update(value, np.array([-4.0]), m, v, 1, 0.5, 0.75, 0.5, 0.0, 0.5, 0.25, 0.5)
    assert (m.item(), v.item()) == (-1, 8)      # and sqrt(v / (1 - 0.5)) = 4
    assert value.item() == pytest.approx(1 + 0.5 * (0.5 * 4 / 0.5 + 0.25 * 1 / (1 - 0.125)) / 4)


def test_one_step_of_rmsprop(ops):
    value, square, mean, velocity = np.array([1.0]), np.array([4.0]), np.array([0.0]), np.array([2.0])
    ops.rmsprop_update(value, np.array([2.0]), square, None, None, 0.5, 0.5, 2.0)
    assert (square.item(), value.item()) == (4, 0.75)
    ops.rmsprop_update(value, np.array([2.0]), square, None, velocity, 0.5, 0.5, 2.0, momentum=0.25)
    assert (velocity.item(), value.item()) == (1, 0.25)
    ops.rmsprop_update(value, np.array([-6.0]), square, mean, None, 0.5, 0.5, 1.0, weight_decay=8)
    assert (square.item(), mean.item()) == (10, -2)
    assert value.item() == pytest.approx(0.25 + 0.5 * 4 / (6**0.5 + 1))


def test_one_step_of_adagrad(ops):
    value, total = np.array([1.0]), np.array([5.0])
    ops.adagrad_update(value, np.array([-4.0]), total, 0.5, 1.0, weight_decay=2.0)
    assert (total.item(), value.item()) == (9, 1.25)


def test_updates_of_many_arrays_are_those_of_each(ops):
    """Of any shapes, empty ones included, in one call or one by one, to the last bit."""
    rng = np.random.default_rng(0)
    shapes = [(3,), (), (40_001,), (0, 4), (5, 7), (16_384,), (16_385,)]

    def arrays():
        return [np.array(rng.standard_normal(shape) ** 2, np.float32) for shape in shapes]

    for call, count in ((lambda *a: ops.sgd_update(*a, 0.1, 0.9), 3),
                        (lambda *a: ops.adam_update(*a[:4], 2, 0.1, 0.9, 0.99, 1e-8, largest=a[4]), 5),
                        (lambda *a: ops.nadam_update(*a, 2, 0.1, 0.9, 0.99, 1e-8, 0.8, 0.9, 0.7), 4),
                        (lambda *a: ops.rmsprop_update(*a, 0.1, 0.9, 1.0, momentum=0.5), 5),
                        (lambda *a: ops.adagrad_update(*a, 0.1, 1e-8), 3)):
        together = [arrays() for _ in range(count)]
        apart = [[array.copy() for array in column] for column in together]
        call(*together)
        for row in zip(*apart, strict=True):
            call(*row)
        for ours, theirs in zip(together, apart, strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert_same(a, b)
    ops.sgd_update([], [], None, 0.1)


@pytest.mark.parametrize("order", ["C", "F"])
def test_updates_of_arrays_in_any_layout(ops, order):
    grad = np.arange(6.0).reshape(2, 3)
    grad.flags.writeable = False
    for momentum, wanted in ((0.5, 1 - 0.5 * (grad + 0.5)), (0.0, 1 - 0.5 * grad)):
        value, velocity = (np.ones((2, 6), order=order)[:, ::2] for _ in range(2))
        ops.sgd_update(value, grad, velocity, 0.5, momentum)
        assert_same(value, wanted)
        assert_same(velocity, grad + 0.5 if momentum else np.ones((2, 3)))
