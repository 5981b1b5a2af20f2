"""What does not fit is refused before anything is computed, with a text that says what came and what was expected."""
import numpy as np
import pytest

from fastnet import kernels

X = np.zeros((2, 4, 6, 6), np.float32)
W = np.zeros((8, 4, 3, 3), np.float32)
WT = W.transpose(1, 0, 2, 3)
WL = np.zeros((4, 4, 3, 3, 4, 8), np.float32)
B = np.zeros(8, np.float32)
Y = np.zeros((2, 8, 4, 4), np.float32)
ROWS = np.zeros((5, 10), np.float32)
MATRIX = np.zeros((7, 10), np.float32)
C = np.ones(4, np.float32)
INDEX = np.zeros((2, 4, 3, 3), np.uint8)
POOLED = np.zeros((2, 4, 3, 3), np.float32)
PLACES = np.zeros((2, 4, 3, 3), np.int64)
BOXES = np.zeros((2, 5), np.float32)
ONE, NONE = (1, 1), (0, 0, 0, 0)
PLAIN = (ONE, NONE, ONE, 1)
STEPS = np.zeros((3, 2, 20), np.float32)    # three steps of two sequences, four gates of five units
SQUARE = np.zeros((20, 5), np.float32)
STATE = np.zeros((2, 5), np.float32)
KEPT = np.zeros((3, 2, 25), np.float32)
EMPTY = np.zeros((0, 4, 6, 6), np.float32)
PAIRS = np.ones((2, 2), np.float32)
COUNT = np.array(3)

BATCH = "empty batch: got {} of shape (0, 4, 6, 6); give at least one sample"
SHARE = "{} must be a finite number of at least 0 and at most 1, got {}"
REAL = "{} must hold real numbers, got an array of dtype {}"
PAIR = "{} must be 2 integers of at least 1, got {}"
PADDING = "padding must be 4 integers of at least 0, got {}"
MODE = "mode must be 'constant', 'reflect', 'replicate' or 'circular', got {}"
FRAME = ("padding of the kind '{}' must be {} on each side, got padding {} (top, bottom, left, right) for images of "
         "6 x 6 pixels")
IMAGES = "expected {0} of shape (N, C, H, W), got {0} of shape {1}"
SCORES = "expected {0} of shape (N, C), got {0} of shape {1}"
CLASSES = "expected {0} of shape (N, C) or (N, C, H, W), got {0} of shape {1}"
ALONE = "beta needs a gamma, got None: give one of ones"
SHAPE = "expected {0} of shape {1}, got {0} of shape {2}"
FUNCTION = ("function must be 'relu', 'leaky_relu', 'hardtanh', 'sigmoid', 'tanh', 'elu', 'selu', 'silu', 'gelu', "
            "'gelu_tanh', 'hardsigmoid', 'hardswish', 'mish', 'softplus', 'softsign', 'log_sigmoid', 'celu', "
            "'softshrink', 'hardshrink', 'tanhshrink' or 'threshold', got {}")
DIM = "{} must be from {} to {} for {} of shape {}, got {}"
MEETS = "expected b of shape {}, or with 1 in place of some of these lengths, got b of shape {}"
SLOPE = "{}: alpha must be a finite number of at least 0, got {}"
KEY = "key must be an integer or the uint64 array of two words that draw returned, got {}"
COVERS = ("a kernel that covers {} pixels does not fit into the padded input of {}: use a smaller kernel, more padding "
          "or larger images")

# operation: what is wrong: (arguments, options, message)
TABLE = {
    "conv2d_forward": {
        "rank": ((X[0], W), {}, IMAGES.format("x", "(4, 6, 6)")),
        "weight rank": ((X, W[0]), {}, "expected w of shape (K, C / groups, R, S), got w of shape (4, 3, 3)"),
        "channels": ((X[:, :3], W), {}, "expected 4 input channels, got x of shape (2, 3, 6, 6)"),
        "bias": ((X, W, B[:7]), {}, SHAPE.format("b", "(8,)", "(7,)")),
        "empty batch": ((EMPTY, W), {}, BATCH.format("x")),
        "empty axis": ((X[:, :, :0], W), {}, "empty axis: got x of shape (2, 4, 0, 6); every axis needs at least one "
                       "element"),
        "empty weight": ((X, W[:0]), {}, "empty axis: got w of shape (0, 4, 3, 3); every axis needs at least one "
                         "element"),
        "complex": ((X.astype(complex), W), {}, REAL.format("x", "complex128")),
        "text": ((X, W.astype(str)), {}, REAL.format("w", W.astype(str).dtype)),
        "objects": ((X.astype(object), W), {}, REAL.format("x", "object")),
        "dates": ((X.astype("M8[s]"), W), {}, REAL.format("x", "datetime64[s]")),
        "stride zero": ((X, W), {"stride": (1, 0)}, PAIR.format("stride", "(1, 0)")),
        "stride not a pair": ((X, W), {"stride": 2}, PAIR.format("stride", "2")),
        "stride not whole": ((X, W), {"stride": (1.5, 1)}, PAIR.format("stride", "(1.5, 1)")),
        "dilation zero": ((X, W), {"dilation": (0, 1)}, PAIR.format("dilation", "(0, 1)")),
        "padding negative": ((X, W), {"padding": (1, 1, -1, 1)}, PADDING.format("(1, 1, -1, 1)")),
        "padding a pair": ((X, W), {"padding": (1, 1)}, PADDING.format("(1, 1)")),
        "kernel too large": ((X[:, :, :2], W), {}, COVERS.format("3 x 3", "2 x 6")),
        "kernel too wide": ((X, W), {"dilation": (1, 4), "padding": (0, 0, 1, 1)}, COVERS.format("3 x 9", "6 x 8")),
        "groups zero": ((X, W), {"groups": 0}, "groups must be an integer of at least 1, got 0"),
        "channels-last": ((X.transpose(0, 2, 3, 1), W), {}, "expected 4 input channels, got x of shape (2, 6, 6, 4); "
                          "channels-last images become (N, C, H, W) by x.transpose(0, 3, 1, 2)"),
        "groups and channels": ((X, W), {"groups": 2}, "expected 8 input channels, got x of shape (2, 4, 6, 6)"),
        "groups do not divide": ((X, W[:7, :2]), {"groups": 2},
                                 "2 groups do not divide the 7 output channels of w of shape (7, 2, 3, 3)"),
    },
    "conv_transpose2d_forward": {
        "rank": ((X[0], WT), {}, IMAGES.format("x", "(4, 6, 6)")),
        "weight rank": ((X, WT[0]), {}, "expected w of shape (C, K / groups, R, S), got w of shape (8, 3, 3)"),
        "channels": ((X[:, :3], WT), {}, "expected 4 input channels, got x of shape (2, 3, 6, 6)"),
        "bias": ((X, WT, B[:7]), {}, SHAPE.format("b", "(8,)", "(7,)")),
        "bias of groups": ((X, WT, B), {"groups": 2}, SHAPE.format("b", "(16,)", "(8,)")),
        "empty batch": ((EMPTY, WT), {}, BATCH.format("x")),
        "empty weight": ((X, WT[:, :0]), {}, "empty axis: got w of shape (4, 0, 3, 3); every axis needs at least one "
                         "element"),
        "complex": ((X, WT + 1j), {}, REAL.format("w", (WT + 1j).dtype)),
        "stride zero": ((X, WT), {"stride": (1, 0)}, PAIR.format("stride", "(1, 0)")),
        "groups do not divide": ((X, WT), {"groups": 3},
                                 "3 groups do not divide the 4 input channels of w of shape (4, 8, 3, 3)"),
        "output_padding": ((X, WT), {"stride": (2, 1), "output_padding": (2, 0)},
                           "output_padding must be smaller than the stride or the dilation, got output_padding (2, 0) "
                           "for stride (2, 1) and dilation (1, 1)"),
        "output_padding negative": ((X, WT), {"output_padding": (0, -1)},
                                    "output_padding must be 2 integers of at least 0, got (0, -1)"),
        "padding": ((X, WT), {"padding": (4, 4, 0, 0)},
                    "padding (4, 4, 0, 0) (top, bottom, left, right) leaves nothing of the 8 x 8 pixels that these "
                    "images become: use less padding or larger images"),
    },
    "conv_transpose2d_backward_input": {
        "dy": ((Y, WT, X.shape, *PLAIN), {}, SHAPE.format("dy", "(2, 8, 8, 8)", "(2, 8, 4, 4)")),
        "dy of a stride": ((Y, WT, (2, 4, 2, 1), (2, 2), NONE, ONE, 1), {},
                           SHAPE.format("dy", "(2, 8, 5, 3)", "(2, 8, 4, 4)")),
        "dy's rank": ((Y[0], WT, X.shape, *PLAIN), {}, SHAPE.format("dy", "(2, 8, 8, 8)", "(8, 4, 4)")),
        "channels": ((Y, WT, (2, 5, 6, 6), *PLAIN), {}, "expected 4 input channels, got x of shape (2, 5, 6, 6)"),
        "complex": ((Y, WT + 1j, (2, 4, 2, 2), *PLAIN), {}, REAL.format("w", (WT + 1j).dtype)),
    },
    "conv_transpose2d_backward_weight": {
        "dy": ((Y, X, WT.shape, *PLAIN), {}, SHAPE.format("dy", "(2, 8, 8, 8)", "(2, 8, 4, 4)")),
        "w_shape": ((Y, X, (4, 8, 3), *PLAIN), {}, "expected w of shape (C, K / groups, R, S), got w of shape "
                    "(4, 8, 3)"),
        "complex": ((Y, X + 1j, WT.shape, *PLAIN), {}, REAL.format("x", (X + 1j).dtype)),
    },
    "locally_connected2d_forward": {
        "rank": ((X[0], WL), {}, IMAGES.format("x", "(4, 6, 6)")),
        "weight rank": ((X, W), {}, "expected w of shape (P, Q, R, S, C, K), got w of shape (8, 4, 3, 3)"),
        "channels": ((X[:, :3], WL), {}, "expected 4 input channels, got x of shape (2, 3, 6, 6)"),
        "places": ((X[:, :, :5], WL), {}, "w of shape (4, 4, 3, 3, 4, 8) has kernels for 4 x 4 places, and x of shape "
                   "(2, 4, 5, 6) makes 3 x 4 of them"),
        "bias": ((X, WL, B), {}, SHAPE.format("b", "(8, 4, 4)", "(8,)")),
        "empty batch": ((EMPTY, WL), {}, BATCH.format("x")),
        "stride zero": ((X, WL), {"stride": (1, 0)}, PAIR.format("stride", "(1, 0)")),
        "padding": ((X, WL), {"padding": (0, 0, 0, -1)}, PADDING.format("(0, 0, 0, -1)")),
        "complex": ((X, WL + 1j), {}, REAL.format("w", (WL + 1j).dtype)),
    },
    "locally_connected2d_backward_input": {
        "dy": ((Y[:, :, 1:], WL, X.shape, ONE, NONE), {}, SHAPE.format("dy", "(2, 8, 4, 4)", "(2, 8, 3, 4)")),
        "complex": ((Y, WL + 1j, X.shape, ONE, NONE), {}, REAL.format("w", (WL + 1j).dtype)),
    },
    "locally_connected2d_backward_weight": {
        "dy": ((Y[1:], X, WL.shape, ONE, NONE), {}, SHAPE.format("dy", "(2, 8, 4, 4)", "(1, 8, 4, 4)")),
        "w_shape": ((Y, X, W.shape, ONE, NONE), {}, "expected w of shape (P, Q, R, S, C, K), got w of shape "
                    "(8, 4, 3, 3)"),
    },
    "conv2d_algorithm": {
        "direction": (("back", "f4", X.shape, W.shape, *PLAIN), {},
                      "direction must be 'forward', 'backward_input' or 'backward_weight', got 'back'"),
        "channels": (("forward", "f4", (2, 3, 6, 6), W.shape, *PLAIN), {},
                     "expected 4 input channels, got x of shape (2, 3, 6, 6)"),
    },
    "conv2d_backward_input": {
        "dy": ((Y[:, :, 1:], W, X.shape, *PLAIN), {}, SHAPE.format("dy", "(2, 8, 4, 4)", "(2, 8, 3, 4)")),
        "channels": ((Y, W, (2, 5, 6, 6), *PLAIN), {}, "expected 4 input channels, got x of shape (2, 5, 6, 6)"),
        "rank": ((Y, W, (2, 4, 6), *PLAIN), {}, IMAGES.format("x", "(2, 4, 6)")),
        "padding": ((Y, W, X.shape, ONE, (0, 0, 0, -1), ONE, 1), {}, PADDING.format("(0, 0, 0, -1)")),
        "complex": ((Y, W + 1j, X.shape, *PLAIN), {}, REAL.format("w", (W + 1j).dtype)),
    },
    "conv2d_backward_weight": {
        "dy": ((Y[:, 1:], X, W.shape, *PLAIN), {}, SHAPE.format("dy", "(2, 8, 4, 4)", "(2, 7, 4, 4)")),
        "batch": ((Y, X[:1], W.shape, *PLAIN), {}, SHAPE.format("dy", "(1, 8, 4, 4)", "(2, 8, 4, 4)")),
        "empty batch": ((Y, EMPTY, W.shape, *PLAIN), {}, BATCH.format("x")),
        "weight rank": ((Y, X, (8, 4, 3), *PLAIN), {}, "expected w of shape (K, C / groups, R, S), got w of shape "
                        "(8, 4, 3)"),
        "stride": ((Y, X, W.shape, (0, 1), NONE, ONE, 1), {}, PAIR.format("stride", "(0, 1)")),
    },
    "linear_forward": {
        "rank": ((X, MATRIX), {}, SCORES.format("x", "(2, 4, 6, 6)")),
        "weight rank": ((ROWS, B), {}, "expected w of shape (K, C), got w of shape (8,)"),
        "features": ((ROWS[:, :9], MATRIX), {}, "expected 10 input features, got x of shape (5, 9)"),
        "bias": ((ROWS, MATRIX, B), {}, SHAPE.format("b", "(7,)", "(8,)")),
        "empty batch": ((ROWS[:0], MATRIX), {}, "empty batch: got x of shape (0, 10); give at least one sample"),
        "empty weight": ((ROWS, MATRIX[:0]), {}, "empty axis: got w of shape (0, 10); every axis needs at least one "
                         "element"),
    },
    "linear_backward_input": {
        "features": ((ROWS, MATRIX), {}, "expected w of shape (10, C), got w of shape (7, 10)"),
        "rank": ((B, MATRIX), {}, SCORES.format("dy", "(8,)")),
    },
    "linear_backward_weight": {
        "batch": ((ROWS[1:], ROWS), {}, "dy and x must have the same batch size, got dy of shape (4, 10) and x of "
                  "shape (5, 10)"),
        "rank": ((ROWS, B), {}, SCORES.format("x", "(8,)")),
    },
    "maxpool2d_forward": {
        "rank": ((ROWS, (2, 2), (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "empty batch": ((EMPTY, (2, 2), (2, 2)), {}, BATCH.format("x")),
        "kernel zero": ((X, (0, 2), (2, 2)), {}, PAIR.format("kernel_size", "(0, 2)")),
        "stride zero": ((X, (2, 2), (2, 0)), {}, PAIR.format("stride", "(2, 0)")),
        "padding negative": ((X, (2, 2), (2, 2), (0, 0, 0, -1)), {}, PADDING.format("(0, 0, 0, -1)")),
        "padding as wide as the kernel": ((X, (3, 2), (2, 2), (2, 2, 2, 0)), {},
                                          "padding must be smaller than the kernel on each side, got padding "
                                          "(2, 2, 2, 0) (top, bottom, left, right) for kernel_size (3, 2)"),
        "padding as wide as what is covered": (
            (X, (2, 2), (2, 2), (3, 0, 0, 0), (2, 3)), {}, "padding must be smaller than the kernel on each side, got "
            "padding (3, 0, 0, 0) (top, bottom, left, right) for kernel_size (2, 2) and dilation (2, 3)"),
        "a window between the pixels": (
            (X[:, :, :2], (2, 1), (1, 1), (1, 1, 0, 0), (3, 1)), {}, "with dilation 3 and padding 1 in front, window 0 "
            "meets none of the 2 pixels: use less padding, a smaller dilation or larger images"),
        "dilation zero": ((X, (2, 2), (2, 2), NONE, (0, 1)), {}, PAIR.format("dilation", "(0, 1)")),
        "ceil_mode": ((X, (2, 2), (2, 2), NONE, ONE, 1), {}, "ceil_mode must be True or False, got 1"),
        "beyond the image": ((X, (9, 2), (2, 1), NONE, ONE, True), {}, COVERS.format("9 x 2", "6 x 6")),
        "kernel too large": ((X, (7, 2), (1, 1)), {}, COVERS.format("7 x 2", "6 x 6")),
        "kernel beyond 16 bits": ((np.zeros((1, 1, 256, 256), np.float32), (256, 256), (1, 1)), {},
                                  "max-pool windows hold at most 65534 pixels, got kernel_size (256, 256) of 65536"),
        "complex": ((X + 1j, (2, 2), (2, 2)), {}, REAL.format("x", (X + 1j).dtype)),
    },
    "maxpool2d_backward": {
        "dy": ((POOLED[1:], INDEX, X.shape, (2, 2), (2, 2), NONE), {},
               SHAPE.format("dy", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
        "index shape": ((POOLED, INDEX[1:], X.shape, (2, 2), (2, 2), NONE), {},
                        SHAPE.format("index", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
        "index dtype": ((POOLED, INDEX.astype(int), X.shape, (2, 2), (2, 2), NONE), {},
                        "index must be the uint8 array that maxpool2d_forward returned, got an array of dtype int64"),
        "index missing": ((POOLED, None, X.shape, (2, 2), (2, 2), NONE), {},
                          "index must be the uint8 array that maxpool2d_forward returned, got NoneType"),
    },
    "maxpool2d_indices": {
        "index dtype": ((PLACES, X.shape, (2, 2), (2, 2), NONE), {},
                        "index must be the uint8 array that maxpool2d_forward returned, got an array of dtype int64"),
        "index shape": ((INDEX[1:], X.shape, (2, 2), (2, 2), NONE), {},
                        SHAPE.format("index", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
    },
    "adaptive_maxpool2d_forward": {
        "rank": ((ROWS, (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "size zero": ((X, (0, 2)), {}, PAIR.format("output_size", "(0, 2)")),
        "size beyond all memory": ((X, (2**20, 2**20)), {},
                                   "output_size must be at most 2147483647 pixels, got (1048576, 1048576)"),
        "windows beyond 16 bits": ((np.zeros((1, 1, 256, 256), np.float32), (1, 1)), {},
                                   "max-pool windows hold at most 65534 pixels, got kernel_size (256, 256) of 65536"),
    },
    "adaptive_maxpool2d_backward": {
        "dy": ((POOLED, INDEX, X.shape, (3, 2)), {}, SHAPE.format("dy", "(2, 4, 3, 2)", "(2, 4, 3, 3)")),
        "index dtype": ((POOLED, PLACES, X.shape, (3, 3)), {}, "index must be the uint8 array that "
                        "adaptive_maxpool2d_forward returned, got an array of dtype int64"),
    },
    "adaptive_maxpool2d_indices": {
        "index shape": ((INDEX[1:], X.shape, (3, 3)), {}, SHAPE.format("index", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
    },
    "maxunpool2d_forward": {
        "rank": ((ROWS, ROWS, (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "indices": ((POOLED, PLACES[1:], (6, 6)), {}, SHAPE.format("indices", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
        "complex": ((POOLED, PLACES + 1j, (6, 6)), {}, REAL.format("indices", "complex128")),
        "size": ((POOLED, PLACES, (6, 0)), {}, PAIR.format("output_size", "(6, 0)")),
        "size beyond all memory": ((POOLED, PLACES, (2**20, 2**20)), {},
                                   "output_size must be at most 2147483647 pixels, got (1048576, 1048576)"),
        "beyond float32": ((POOLED, POOLED, (5000, 5000)), {},
                           "indices of dtype float32 cannot tell 25000000 pixels apart: give integers, or let the "
                           "pooling that found them stand in the same net"),
        "outside": ((POOLED, PLACES + 36, (6, 6)), {}, "indices[0, 0, 0, 0] is 36, which is no place in images of 6 x "
                    "6 pixels, whose places are 0 to 35: give the size of what was pooled as output_size"),
    },
    "maxunpool2d_backward": {
        "indices": ((X, PLACES[1:]), {}, SHAPE.format("indices", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
    },
    "roi_pool_forward": {
        "rank": ((ROWS, BOXES, (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "boxes": ((X, BOXES[:, :4], (2, 2)), {}, "expected boxes of shape (M, 5), rows of (image number, x1, y1, x2, "
                  "y2), got boxes of shape (2, 4)"),
        "no boxes": ((X, BOXES[:0], (2, 2)), {}, "expected boxes of shape (M, 5), rows of (image number, x1, y1, x2, "
                     "y2), got boxes of shape (0, 5)"),
        "size zero": ((X, BOXES, (0, 2)), {}, PAIR.format("output_size", "(0, 2)")),
        "scale": ((X, BOXES, (2, 2), 0.0), {}, "spatial_scale must be a finite number above 0, got 0.0"),
        "no such image": ((X, BOXES + 2, (2, 2)), {}, "box 0 is in image 2, but the images are numbered 0 to 1"),
    },
    "roi_pool_backward": {
        "index dtype": ((POOLED[:, :, :2, :2], INDEX[:, :, :2, :2], BOXES, X.shape), {}, "index must be the uint32 "
                        "array that roi_pool_forward returned, got an array of dtype uint8"),
    },
    "roi_align_forward": {
        "ratio": ((X, BOXES, (2, 2), 1.0, -2), {},
                  "sampling_ratio must be an integer of at least -1 and at most 1000, got -2"),
        "aligned": ((X, BOXES, (2, 2), 1.0, 2, 1), {}, "aligned must be True or False, got 1"),
    },
    "roi_align_backward": {
        "dy": ((POOLED[:1], BOXES, X.shape), {}, SHAPE.format("dy", "(2, 4, 3, 3)", "(1, 4, 3, 3)")),
    },
    "avgpool2d_forward": {
        "rank": ((ROWS, (2, 2), (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "stride zero": ((X, (2, 2), (2, 0)), {}, PAIR.format("stride", "(2, 0)")),
        "kernel too large": ((X, (7, 2), (1, 1)), {}, COVERS.format("7 x 2", "6 x 6")),
        "divisor": ((X, (2, 2), (1, 1)), {"divisor_override": 0},
                    "divisor_override must be an integer of at least 1, got 0"),
        "counting": ((X, (2, 2), (1, 1), NONE, 1), {}, "count_include_pad must be True or False, got 1"),
    },
    "avgpool2d_backward": {
        "dy": ((X, X.shape, (2, 2), (2, 2), NONE), {}, SHAPE.format("dy", "(2, 4, 3, 3)", "(2, 4, 6, 6)")),
    },
    "global_avgpool_forward": {
        "rank": ((ROWS,), {}, IMAGES.format("x", "(5, 10)")),
        "empty batch": ((EMPTY,), {}, BATCH.format("x")),
    },
    "global_avgpool_backward": {
        "dy": ((X, X.shape), {}, SHAPE.format("dy", "(2, 4, 1, 1)", "(2, 4, 6, 6)")),
        "rank": ((X[:, :, :1, :1], (2, 4)), {}, IMAGES.format("x", "(2, 4)")),
    },
    "pad2d_forward": {
        "rank": ((ROWS, NONE), {}, IMAGES.format("x", "(5, 10)")),
        "empty batch": ((EMPTY, NONE), {}, BATCH.format("x")),
        "mode": ((X, NONE, "edge"), {}, MODE.format("'edge'")),
        "padding a pair": ((X, (1, 1)), {}, "padding must be 4 integers, got (1, 1)"),
        "negative and reflected": ((X, (1, 1, -1, 1), "reflect"), {}, PADDING.format("(1, 1, -1, 1)")),
        "reflected too far": ((X, (0, 6, 0, 0), "reflect"), {}, FRAME.format("reflect", "smaller than the image",
                                                                               "(0, 6, 0, 0)")),
        "round too far": ((X, (0, 0, 7, 0), "circular"), {}, FRAME.format("circular", "at most as large as the image",
                                                                          "(0, 0, 7, 0)")),
        "nothing left": ((X, (-3, -3, 0, 0)), {}, "padding (-3, -3, 0, 0) (top, bottom, left, right) takes all away of "
                         "images of 6 x 6 pixels: take away less, or use larger images"),
        "value": ((X, NONE, "constant", np.nan), {}, "value must be a finite number, got nan"),
        "too large": ((X, (2**20, 0, 2**20, 0)), {}, "each image would become one of 1048582 x 1048582 pixels, and at "
                      "most 2147483647 are allowed"),
        "complex": ((X + 1j, NONE), {}, REAL.format("x", (X + 1j).dtype)),
    },
    "pad2d_backward": {
        "dy": ((X, X.shape, (1, 0, 0, 0)), {}, SHAPE.format("dy", "(2, 4, 7, 6)", "(2, 4, 6, 6)")),
        "mode": ((X, X.shape, NONE, "edge"), {}, MODE.format("'edge'")),
    },
    "upsample2d_forward": {
        "rank": ((ROWS, (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "size zero": ((X, (2, 0)), {}, PAIR.format("size", "(2, 0)")),
        "mode": ((X, (2, 2), "cubic"), {}, "mode must be 'nearest' or 'bilinear', got 'cubic'"),
        "steps": ((X, (2, 2)), {"steps": (1, 0)}, "steps must be a finite number above 0, got 0"),
        "one step": ((X, (2, 2)), {"steps": (1.5,)}, "steps must be 2 finite numbers above 0, got (1.5,)"),
        "too large": ((X, (2**16, 2**16)), {}, "each image would become one of 65536 x 65536 pixels, and at most "
                      "2147483647 are allowed"),
    },
    "upsample2d_backward": {
        "dy": ((X[1:], X.shape), {}, SHAPE.format("dy", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "dy rank": ((ROWS, X.shape), {}, IMAGES.format("dy", "(5, 10)")),
        "mode": ((X, X.shape, "cubic"), {}, "mode must be 'nearest' or 'bilinear', got 'cubic'"),
    },
    "adaptive_avgpool2d_forward": {
        "rank": ((ROWS, (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
        "size zero": ((X, (0, 2)), {}, PAIR.format("output_size", "(0, 2)")),
    },
    "adaptive_avgpool2d_backward": {
        "dy": ((X[:, 1:], X.shape), {}, SHAPE.format("dy", "(2, 4, 6, 6)", "(2, 3, 6, 6)")),
    },
    "bed_of_nails_forward": {
        "factor zero": ((X, (0, 2)), {}, PAIR.format("scale_factor", "(0, 2)")),
        "rank": ((ROWS, (2, 2)), {}, IMAGES.format("x", "(5, 10)")),
    },
    "bed_of_nails_backward": {
        "dy": ((X, X.shape, (2, 1)), {}, SHAPE.format("dy", "(2, 4, 12, 6)", "(2, 4, 6, 6)")),
    },
    "pixel_shuffle": {
        "channels": ((X, 3), {}, "upscale_factor 3 needs channels in multiples of 9, got x of shape (2, 4, 6, 6)"),
        "factor zero": ((X, 0), {}, "upscale_factor must be an integer of at least 1, got 0"),
    },
    "pixel_unshuffle": {
        "sides": ((X, 4), {}, "downscale_factor 4 needs height and width in multiples of it, got x of shape "
                  "(2, 4, 6, 6)"),
        "rank": ((ROWS, 1), {}, IMAGES.format("x", "(5, 10)")),
    },
    "batchnorm_forward": {
        "rank": ((X[0], C, C, 1e-5), {}, "expected x of shape (N, C) or (N, C, H, W), got x of shape (4, 6, 6)"),
        "gamma": ((X, C[:3], C, 1e-5), {}, SHAPE.format("gamma", "(4,)", "(3,)")),
        "beta": ((X, C, ROWS, 1e-5), {}, SHAPE.format("beta", "(4,)", "(5, 10)")),
        "beta alone": ((X, None, C, 1e-5), {}, ALONE),
        "eps": ((X, C, C, 0.0), {}, "eps must be a finite number above 0, got 0.0"),
        "empty batch": ((EMPTY, C, C, 1e-5), {}, BATCH.format("x")),
        "one value": ((X[:1, :, :1, :1], C, C, 1e-5), {},
                      "expected more than 1 value per channel when training, got x of shape (1, 4, 1, 1)"),
        "one row": ((X[:1, :, 0, 0], C, C, 1e-5), {},
                    "expected more than 1 value per channel when training, got x of shape (1, 4)"),
    },
    "groupnorm_forward": {
        "rank": ((X[0], C, C, 2, 1e-5), {}, "expected x of shape (N, C) or (N, C, H, W), got x of shape (4, 6, 6)"),
        "groups": ((X, C, C, 3, 1e-5), {}, "3 groups do not divide the 4 channels of x of shape (2, 4, 6, 6)"),
        "no groups": ((X, C, C, 0, 1e-5), {}, "groups must be an integer of at least 1, got 0"),
        "gamma": ((X, C[1:], None, 2, 1e-5), {}, SHAPE.format("gamma", "(4,)", "(3,)")),
        "beta alone": ((X, None, C, 2, 1e-5), {}, ALONE),
        "eps": ((X, C, C, 2, -1.0), {}, "eps must be a finite number above 0, got -1.0"),
        "empty batch": ((EMPTY, C, C, 2, 1e-5), {}, BATCH.format("x")),
    },
    "groupnorm_backward": {
        "dy": ((X[1:], X, C, PAIRS, PAIRS, 1e-5), {}, SHAPE.format("dy", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "mean": ((X, X, C, C, PAIRS, 1e-5), {}, "expected mean of shape (2, groups), got mean of shape (4,)"),
        "groups": ((X, X, C, ROWS[:2, :3], PAIRS, 1e-5), {},
                   "expected mean of shape (2, groups), got mean of shape (2, 3)"),
        "var": ((X, X, C, PAIRS, PAIRS[1:], 1e-5), {}, SHAPE.format("var", "(2, 2)", "(1, 2)")),
        "gamma": ((X, X, C[1:], PAIRS, PAIRS, 1e-5), {}, SHAPE.format("gamma", "(4,)", "(3,)")),
        "complex": ((X, X + 1j, C, PAIRS, PAIRS, 1e-5), {}, REAL.format("x", (X + 1j).dtype)),
    },
    "layernorm_forward": {
        "rank": ((X[None], None, None, 1, 1e-5), {}, "expected x of 2 to 4 axes, got x of shape (1, 2, 4, 6, 6)"),
        "axes of images": ((X, None, None, 1, 1e-5), {},
                           "expected axes to be 3 for images, got 1 for x of shape (2, 4, 6, 6)"),
        "all axes": ((ROWS, None, None, 2, 1e-5), {}, "expected axes to be below 2, got 2 for x of shape (5, 10)"),
        "no axes": ((ROWS, None, None, 0, 1e-5), {}, "axes must be an integer of at least 1, got 0"),
        "gamma": ((X, C, None, 3, 1e-5), {}, SHAPE.format("gamma", "(4, 6, 6)", "(4,)")),
        "beta": ((ROWS, ROWS[0], C, 1, 1e-5), {}, SHAPE.format("beta", "(10,)", "(4,)")),
        "beta alone": ((ROWS, None, ROWS[0], 1, 1e-5), {}, ALONE),
        "eps": ((ROWS, None, None, 1, 0), {}, "eps must be a finite number above 0, got 0"),
        "centred": ((ROWS, None, None, 1, 1e-5, None), {}, "centred must be True or False, got None"),
        "empty batch": ((EMPTY, None, None, 3, 1e-5), {}, BATCH.format("x")),
    },
    "layernorm_backward": {
        "dy": ((ROWS[1:], ROWS, None, ROWS[:, 0], ROWS[:, 0], 1e-5), {}, SHAPE.format("dy", "(5, 10)", "(4, 10)")),
        "mean": ((ROWS, ROWS, None, ROWS[0], ROWS[:, 0], 1e-5), {}, SHAPE.format("mean", "(5,)", "(10,)")),
        "mean of images": ((X, X, None, PAIRS, PAIRS, 1e-5), {}, SHAPE.format("mean", "(2,)", "(2, 2)")),
        "var": ((ROWS, ROWS, None, ROWS[:, 0], ROWS[0], 1e-5), {}, SHAPE.format("var", "(5,)", "(10,)")),
        "gamma": ((ROWS, ROWS, C, ROWS[:, 0], ROWS[:, 0], 1e-5), {}, SHAPE.format("gamma", "(10,)", "(4,)")),
    },
    "local_response_norm_forward": {
        "rank": ((ROWS, 5, 1e-4, 0.75, 1.0), {}, IMAGES.format("x", "(5, 10)")),
        "size": ((X, 0, 1e-4, 0.75, 1.0), {}, "size must be an integer of at least 1, got 0"),
        "alpha": ((X, 5, np.inf, 0.75, 1.0), {}, "alpha must be a finite number, got inf"),
        "k": ((X, 5, 1e-4, 0.75, np.nan), {}, "k must be a finite number, got nan"),
    },
    "local_response_norm_backward": {
        "x": ((X, X[1:], 5, 1e-4, 0.75, 1.0), {}, SHAPE.format("x", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "rank": ((ROWS, ROWS, 5, 1e-4, 0.75, 1.0), {}, IMAGES.format("dy", "(5, 10)")),
        "beta": ((X, X, 5, 1e-4, -np.inf, 1.0), {}, "beta must be a finite number, got -inf"),
    },
    "batchnorm_backward": {
        "dy": ((X[1:], X, C, C, C, 1e-5), {}, SHAPE.format("dy", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "mean": ((X, X, C, C[1:], C, 1e-5), {}, SHAPE.format("mean", "(4,)", "(3,)")),
        "var": ((X, X, C, C, C[1:], 1e-5), {}, SHAPE.format("var", "(4,)", "(3,)")),
    },
    "batchnorm_inference": {
        "rank": ((C, C, C, C, C, 1e-5), {}, "expected x of shape (N, C) or (N, C, H, W), got x of shape (4,)"),
        "var": ((X, C, C, C, C[1:], 1e-5), {}, SHAPE.format("var", "(4,)", "(3,)")),
        "eps": ((X, C, C, C, C, np.nan), {}, "eps must be a finite number above 0, got nan"),
    },
    "batchnorm_inference_backward": {
        "rank": ((C, C, C, C, C, 1e-5), {}, "expected x of shape (N, C) or (N, C, H, W), got x of shape (4,)"),
        "dy": ((X[1:], X, C, C, C, 1e-5), {}, SHAPE.format("dy", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "gamma": ((X, X, C[1:], C, C, 1e-5), {}, SHAPE.format("gamma", "(4,)", "(3,)")),
        "complex": ((X, X, C, C + 1j, C, 1e-5), {}, REAL.format("mean", (C + 1j).dtype)),
        "eps": ((X, X, C, C, C, -1), {}, "eps must be a finite number above 0, got -1"),
    },
    "batchnorm_track": {
        "rank": ((X, C, COUNT, C, C, 2, 0.1), {}, SHAPE.format("running_mean", "(C,)", "(2, 4, 6, 6)")),
        "running_var": ((C, C[1:], COUNT, C, C, 2, 0.1), {}, SHAPE.format("running_var", "(4,)", "(3,)")),
        "mean": ((C, C, COUNT, C[1:], C, 2, 0.1), {}, SHAPE.format("mean", "(4,)", "(3,)")),
        "var": ((C, C, COUNT, C, C[1:], 2, 0.1), {}, SHAPE.format("var", "(4,)", "(3,)")),
        "complex": ((C, C, COUNT, C, C + 1j, 2, 0.1), {}, REAL.format("var", (C + 1j).dtype)),
        "counts": ((C, C, C, C, C, 2, 0.1), {}, SHAPE.format("num_batches_tracked", "()", "(4,)")),
        "counted halves": ((C, C, COUNT + 0.5, C, C, 2, 0.1), {},
                           "num_batches_tracked must be an integer, got an array of dtype float64"),
        "mean of samples": ((C, C, COUNT, ROWS, ROWS, 2, 0.1), {}, SHAPE.format("mean", "(5, 4)", "(5, 10)")),
        "var of samples": ((C, C, COUNT, ROWS[:, :4], C, 2, 0.1), {}, SHAPE.format("var", "(5, 4)", "(4,)")),
        "momentum": ((C, C, COUNT, C, C, 2, 1.5), {}, SHARE.format("momentum", 1.5)),
        "count": ((C, C, COUNT, C, C, 1, 0.1), {}, "expected more than 1 value per channel when training, got a count "
                  "of 1"),
        "count not whole": ((C, C, COUNT, C, C, 2.5, 0.1), {}, "count must be an integer of at least 1, got 2.5"),
    },
    "activation_forward": {
        "function": ((X, "swish"), {}, FUNCTION.format("'swish'")),
        "no function": ((X, None), {}, FUNCTION.format("None")),
        "empty batch": ((EMPTY, "relu"), {}, BATCH.format("x")),
        "complex": ((X + 1j, "silu"), {}, REAL.format("x", (X + 1j).dtype)),
        "falling": ((X, "leaky_relu", -0.1), {}, SLOPE.format("leaky_relu", "-0.1")),
        "falling elu": ((X, "elu", -1), {}, SLOPE.format("elu", "-1")),
        "infinite elu": ((X, "elu", np.inf), {}, SLOPE.format("elu", "inf")),
        "no slope": ((X, "leaky_relu", np.nan), {}, SLOPE.format("leaky_relu", "nan")),
        "flat celu": ((X, "celu", 0), {}, "celu: alpha must be a finite number above zero, got 0"),
        "threshold": ((X, "threshold", 0, np.inf), {},
                      "threshold: alpha and beta must be finite numbers, got 0 and inf"),
        "bounds": ((X, "hardtanh", 2, 1.5), {}, "hardtanh: the least number, alpha, must not be above beta, got "
                   "2 and 1.5"),
    },
    "activation_backward": {
        "y": ((X, X[1:], "relu"), {}, SHAPE.format("y", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "x": ((X, X[1:], "silu"), {}, SHAPE.format("x", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "function": ((X, X, "swish"), {}, FUNCTION.format("'swish'")),
        "empty batch": ((EMPTY, EMPTY, "relu"), {}, BATCH.format("dy")),
        "complex": ((X, X + 1j, "gelu"), {}, REAL.format("x", (X + 1j).dtype)),
        "bounds": ((X, X, "hardtanh", np.nan, 1.5), {}, "hardtanh: the least number, alpha, must not be "
                   "above beta, got nan and 1.5"),
    },
    "dropout": {
        "p too large": ((X, 1.5, 0), {}, SHARE.format("p", 1.5)),
        "p not a number": ((X, float("nan"), 0), {}, SHARE.format("p", "nan")),
        "empty batch": ((EMPTY, 0.5, 0), {}, BATCH.format("x")),
        "key not whole": ((X, 0.5, 0.5), {}, KEY.format("float")),
        "axes": ((X, 0.5, 1, 3), {}, "axes must be an integer of at least 0 and at most 2, got 3"),
        "axes of a vector": ((C, 0.5, 1, 2), {}, "expected x with 2 axes at least, got x of shape (4,)"),
        "three words": ((X, 0.5, np.zeros(3, np.uint64)), {}, KEY.format("an array of dtype uint64")),
        "words of another dtype": ((X, 0.5, np.zeros(2)), {}, KEY.format("an array of dtype float64")),
    },
    "draw": {
        "a seed": ((3,), {}, "draw needs a numpy.random.Generator, got int"),
        "the old kind": ((np.random.RandomState(0),), {}, "draw needs a numpy.random.Generator, got RandomState"),
    },
    "add": {
        "shapes": ((X, X[1:]), {}, SHAPE.format("b", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "empty batch": ((EMPTY, EMPTY), {}, BATCH.format("a")),
    },
    "concat": {
        "nothing": (([],), {}, "concat needs at least one array, got none"),
        "one axis": (([C, C],), {}, DIM.format("dim", -1, 0, "x", "(4,)", 1)),
        "axis": (([X, X], 4), {}, DIM.format("dim", -4, 3, "x", "(2, 4, 6, 6)", 4)),
        "no axis": (([X, X], 1.5), {}, "dim must be an integer, got 1.5"),
        "other lines": (([X, X[:, 1:]], 2), {},
                        "concat needs shapes that differ in axis 2 only, got (2, 4, 6, 6) and (2, 3, 6, 6)"),
        "other axes": (([X, X[:, :, 1:]],), {},
                       "concat needs shapes that differ in axis 1 only, got (2, 4, 6, 6) and (2, 4, 5, 6)"),
        "empty batch": (([EMPTY, EMPTY],), {}, BATCH.format("x")),
        "complex": (([X, X + 1j],), {}, REAL.format("arrays[1]", (X + 1j).dtype)),
    },
    "split": {
        "sum": ((X, (1, 2)), {}, "sizes (1, 2) add up to 3, but axis 1 of x of shape (2, 4, 6, 6) has length 4"),
        "zero": ((X, (4, 0)), {}, "sizes must be 2 integers of at least 1, got (4, 0)"),
        "one axis": ((C, (4,)), {}, DIM.format("dim", -1, 0, "x", "(4,)", 1)),
        "lines": ((X, (4, 3), 2), {}, "sizes (4, 3) add up to 7, but axis 2 of x of shape (2, 4, 6, 6) has length 6"),
    },
    "permute": {
        "too few": ((X, (0, 1, 2)), {},
                    "dims must name each of the 4 axes of x of shape (2, 4, 6, 6) once, got (0, 1, 2)"),
        "twice": ((X, (0, 1, 2, -2)), {},
                  "dims must be axes, each once, got (0, 1, 2, -2) for x of shape (2, 4, 6, 6)"),
        "axis": ((ROWS, (0, 3)), {}, DIM.format("dims", -2, 1, "x", "(5, 10)", 3)),
        "no tuple": ((ROWS, 1), {}, "dims must be a tuple of axes, got 1"),
        "empty batch": ((EMPTY, (0, 1, 2, 3)), {}, BATCH.format("x")),
    },
    "channel_shuffle": {
        "groups": ((X, 3), {}, "3 groups do not divide the 4 channels of x of shape (2, 4, 6, 6)"),
        "no groups": ((X, 0), {}, "groups must be an integer of at least 1, got 0"),
        "rank": ((C, 2), {}, "expected x with channels along axis 1, got x of shape (4,)"),
        "complex": ((X + 1j, 2), {}, REAL.format("x", (X + 1j).dtype)),
    },
    "zeros": {
        "shape": ((X, (2, -1)), {}, "shape must be a shape, a tuple of integers of at least 0, got (2, -1)"),
        "empty": ((X, (2, 0)), {}, "empty axis: got zeros of shape (2, 0); every axis needs at least one element"),
        "complex": ((X + 1j, (2,)), {}, REAL.format("like", (X + 1j).dtype)),
    },
    "multiply": {
        "shapes": ((X, X[1:, 1:]), {}, MEETS.format("(2, 4, 6, 6)", "(1, 3, 6, 6)")),
        "rank": ((X, C), {}, MEETS.format("(2, 4, 6, 6)", "(4,)")),
        "the larger one": ((X[:1], X), {}, MEETS.format("(1, 4, 6, 6)", "(2, 4, 6, 6)")),
        "empty batch": ((EMPTY, EMPTY), {}, BATCH.format("a")),
        "complex": ((X, X + 1j), {}, REAL.format("b", (X + 1j).dtype)),
    },
    "multiply_backward": {
        "a": ((X, X[1:], X.shape), {}, SHAPE.format("a", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "b": ((X, X, (2, 3, 1, 1)), {}, MEETS.format("(2, 4, 6, 6)", "(2, 3, 1, 1)")),
        "empty batch": ((EMPTY, EMPTY, EMPTY.shape), {}, BATCH.format("dy")),
    },
    "prelu_forward": {
        "slopes": ((X, C[1:]), {},
                   "expected w of shape (1,) or (4,) for x of shape (2, 4, 6, 6), got w of shape (3,)"),
        "matrix": ((X, ROWS), {},
                   "expected w of shape (1,) or (4,) for x of shape (2, 4, 6, 6), got w of shape (5, 10)"),
        "no channels": ((C, C), {}, "expected w of shape (1,) for x of shape (4,), got w of shape (4,)"),
        "empty batch": ((EMPTY, C), {}, BATCH.format("x")),
        "complex": ((X, C + 1j), {}, REAL.format("w", (C + 1j).dtype)),
    },
    "prelu_backward": {
        "x": ((X, X[1:], C), {}, SHAPE.format("x", "(2, 4, 6, 6)", "(1, 4, 6, 6)")),
        "slopes": ((X, X, C[1:]), {},
                   "expected w of shape (1,) or (4,) for x of shape (2, 4, 6, 6), got w of shape (3,)"),
    },
    "mean": {
        "axis": ((X, (1, 4)), {}, DIM.format("dims", -4, 3, "x", "(2, 4, 6, 6)", 4)),
        "twice": ((X, (1, -3)), {}, "dims must be axes, each once, got (1, -3) for x of shape (2, 4, 6, 6)"),
        "none": ((X, ()), {}, "dims must be axes, each once, got ()"),
        "number": ((X, 1), {}, "dims must be a tuple of axes, got 1"),
        "empty batch": ((EMPTY, (1,)), {}, BATCH.format("x")),
        "complex": ((X + 1j, (1,)), {}, REAL.format("x", (X + 1j).dtype)),
    },
    "mean_backward": {
        "dy": ((X, X.shape, (1,)), {}, SHAPE.format("dy", "(2, 1, 6, 6)", "(2, 4, 6, 6)")),
        "empty batch": ((EMPTY, EMPTY.shape, (1,)), {}, BATCH.format("x")),
    },
    "flatten": {
        "rank": ((ROWS,), {}, "expected x of shape (N, C, H, W), got x of shape (5, 10)"),
        "empty batch": ((EMPTY,), {}, BATCH.format("x")),
    },
    "unflatten": {
        "size": ((ROWS, (5, 2, 2, 2)), {}, "expected y of shape (5, 8), got y of shape (5, 10)"),
        "rank": ((ROWS, (5, 10)), {}, "expected x of shape (N, C, H, W), got x of shape (5, 10)"),
    },
    "convert": {
        "complex": ((X + 1j, "float32"), {}, REAL.format("x", (X + 1j).dtype)),
        "to integers": ((X, "int32"), {}, "dtype must be float32 or float64, got int32"),
        "to halves": ((X, np.float16), {}, "dtype must be float32 or float64, got float16"),
        "to big-endian": ((X, ">f4"), {}, "dtype must be float32 or float64, got >f4"),
        "empty batch": ((EMPTY, "float32"), {}, BATCH.format("x")),
    },
    "softmax_forward": {"axis": ((X, 4), {}, DIM.format("dim", -4, 3, "x", "(2, 4, 6, 6)", 4)),
                        "number": ((np.array(1.0),), {}, "expected x with axes, got x of shape ()")},
    "softmax_backward": {"y": ((ROWS, ROWS[1:]), {}, SHAPE.format("y", "(5, 10)", "(4, 10)"))},
    "log_softmax_forward": {"empty batch": ((ROWS[:0],), {}, "empty batch: got x of shape (0, 10); give at least one "
                                            "sample")},
    "log_softmax_backward": {"rank": ((C, C), {}, DIM.format("dim", -1, 0, "dy", "(4,)", 1))},
    "softmax_cross_entropy": {
        "rank": ((X[0], [0, 1]), {}, CLASSES.format("logits", "(4, 6, 6)")),
        "too large": ((ROWS, [0, 1, 10, 3, 4]), {}, "label 10 at position 2 is out of range: 10 classes are numbered "
                      "0 to 9"),
        "negative": ((ROWS, [0, 1, 2, 3, -1]), {}, "label -1 at position 4 is out of range: 10 classes are numbered "
                     "0 to 9"),
        "pixel": ((POOLED[..., 0], np.full((2, 3), 4)), {}, CLASSES.format("logits", "(2, 4, 3)")),
        "floats": ((ROWS, np.zeros(5)), {}, "labels must be integers, got an array of dtype float64"),
        "count": ((ROWS, [0, 1]), {}, "expected 5 labels in an array of shape (5,), got shape (2,)"),
        "one-hot": ((ROWS, ROWS.astype(int)), {}, "expected 5 labels in an array of shape (5,), got shape (5, 10)"),
        "pixels": ((X, [0, 1]), {}, "expected 72 labels in an array of shape (2, 6, 6), got shape (2,)"),
        "smoothing": ((ROWS, [0] * 5, -0.1), {}, SHARE.format("label_smoothing", -0.1)),
        "weight": ((ROWS, [0] * 5), {"weight": C}, SHAPE.format("weight", "(10,)", "(4,)")),
        "samples": ((ROWS, [0] * 5), {"sample_weight": C}, SHAPE.format("sample_weight", "(5,)", "(4,)")),
        "ignored": ((ROWS, [0] * 5), {"ignore_index": 0.5}, "ignore_index must be an integer of at least "
                    "-9223372036854775808 and at most 9223372036854775807, got 0.5"),
        "gamma": ((ROWS, [0] * 5, 0.1), {"gamma": 2}, "gamma goes with label_smoothing 0, got gamma 2 and "
                  "label_smoothing 0.1"),
        "scale": ((ROWS, [0] * 5), {"scale": np.inf}, "scale must be a finite number, got inf"),
        "empty batch": ((ROWS[:0], []), {}, "empty batch: got logits of shape (0, 10); give at least one sample"),
    },
    "recurrent_forward": {
        "rank": ((STEPS[0], SQUARE, "lstm"), {}, "expected z of shape (T, N, 20), got z of shape (2, 20)"),
        "gates": ((STEPS, SQUARE, "gru"), {}, "expected w of shape (3 H, H), got w of shape (20, 5)"),
        "units": ((STEPS, np.eye(3), "rnn_tanh", None, None, None, False, True), {},
                  "expected z of shape (N, T, 3), got z of shape (3, 2, 20)"),
        "square": ((STEPS, SQUARE, "rnn_relu"), {}, "expected w of shape (H, H), got w of shape (20, 5)"),
        "cell": ((STEPS, SQUARE, "rnn"), {}, "cell must be 'rnn_tanh', 'rnn_relu', 'gru' or 'lstm', got 'rnn'"),
        "bias": ((STEPS, SQUARE, "lstm", C), {}, SHAPE.format("b", "(20,)", "(4,)")),
        "state": ((STEPS, SQUARE, "lstm", None, STATE[1:]), {}, SHAPE.format("h", "(2, 5)", "(1, 5)")),
        "state with the batch first": ((STEPS, SQUARE, "lstm", None, STATE, None, False, True), {},
                                       SHAPE.format("h", "(3, 5)", "(2, 5)")),
        "second state": ((np.zeros((3, 2, 5)), np.zeros((5, 5)), "rnn_tanh", None, None, STATE), {},
                         "c belongs to the cell 'lstm' alone"),
        "empty batch": ((STEPS[:0], SQUARE, "lstm"), {}, "empty batch: got z of shape (0, 2, 20); give at least one "
                        "sample"),
        "complex": ((STEPS + 1j, SQUARE, "lstm"), {}, REAL.format("z", (STEPS + 1j).dtype)),
    },
    "recurrent_inference": {
        "second state": ((STEPS, SQUARE, "lstm", None, None, STATE[:, 1:]), {}, SHAPE.format("c", "(2, 5)", "(2, 4)")),
    },
    "recurrent_backward": {
        "kept": ((STEPS, SQUARE, "lstm"), {}, "expected kept of shape (T, N, 25), got kept of shape (3, 2, 20)"),
        "dy": ((KEPT, SQUARE, "lstm", STEPS), {}, SHAPE.format("dy", "(3, 2, 5)", "(3, 2, 20)")),
        "dh": ((KEPT, SQUARE, "lstm", None, STATE[1:]), {}, SHAPE.format("dh", "(2, 5)", "(1, 5)")),
        "dc": ((KEPT, SQUARE, "lstm", None, None, STATE[1:]), {}, SHAPE.format("dc", "(2, 5)", "(1, 5)")),
        "no second state": ((KEPT, SQUARE[:15], "gru", None, None, STATE), {}, "dc belongs to the cell 'lstm' alone"),
    },
    "embedding_forward": {
        "rank": ((C, COUNT.reshape(1)), {}, "expected w of shape (V, D), got w of shape (4,)"),
        "floats": ((ROWS, C), {}, "indices must be integers, got an array of dtype float32"),
        "matrix": ((ROWS, np.zeros((2, 2), int)), {}, "expected indices of shape (R,), got shape (2, 2)"),
        "nothing": ((ROWS, np.zeros(0, int)), {}, "empty batch: got x of shape (0,); give at least one sample"),
        "too large": ((ROWS, np.array([4, 0, 5])), {}, "index 5 is out of range: there are 5 rows, numbered 0 to 4"),
        "negative": ((ROWS, np.array([0, -1])), {}, "index -1 is out of range: there are 5 rows, numbered 0 to 4"),
        "huge": ((ROWS, np.array([0, 2**64 - 1], np.uint64)), {}, "index 18446744073709551615 is out of range: there "
                 "are 5 rows, numbered 0 to 4"),
    },
    "embedding_backward": {
        "count": ((ROWS, np.zeros(4, int), 3), {}, "expected dy of shape (4, D), got dy of shape (5, 10)"),
        "too large": ((ROWS, np.array([4, 0, 5, 1, 1]), 5), {}, "index 5 is out of range: there are 5 rows, numbered 0 "
                      "to 4"),
        "padding": ((ROWS, np.zeros(5, int), 3, 3), {}, "padding_idx must be an integer of at least 0 and at most 2, "
                    "got 3"),
    },
    "soft_cross_entropy": {
        "rank": ((C, C), {}, CLASSES.format("logits", "(4,)")),
        "targets": ((ROWS, ROWS[1:]), {}, SHAPE.format("targets", "(5, 10)", "(4, 10)")),
        "complex": ((ROWS, ROWS + 1j), {}, REAL.format("targets", (ROWS + 1j).dtype)),
        "smoothing": ((ROWS, ROWS, 1.5), {}, SHARE.format("label_smoothing", 1.5)),
    },
    "nll_loss": {
        "rank": ((B, [0] * 8), {}, CLASSES.format("x", "(8,)")),
        "too large": ((ROWS, [0, 1, 10, 3, 4]), {"ignore_index": -1}, "label 10 at position 2 is out of range: 10 "
                      "classes are numbered 0 to 9"),
        "weight": ((ROWS, [0] * 5), {"weight": C}, SHAPE.format("weight", "(10,)", "(4,)")),
    },
    "margin_loss": {
        "p": ((ROWS, [0] * 5, 3), {}, "p must be an integer of at least 1 and at most 2, got 3"),
        "margin": ((ROWS, [0] * 5, 1, np.nan), {}, "margin must be a finite number, got nan"),
        "count": ((ROWS, [0, 1]), {}, "expected 5 labels in an array of shape (5,), got shape (2,)"),
    },
    "epsilon_softmax_loss": {
        "cost": ((ROWS, [0] * 5, ROWS), {}, SHAPE.format("cost", "(10, 10)", "(5, 10)")),
        "epsilon": ((ROWS, [0] * 5, MATRIX.T @ MATRIX, 0), {}, "epsilon must be a finite number above 0, got 0"),
    },
    "pointwise_loss": {
        "target": ((ROWS, ROWS[1:], "squared"), {}, SHAPE.format("target", "(5, 10)", "(4, 10)")),
        "weight": ((ROWS, ROWS, "squared"), {"weight": C}, SHAPE.format("weight", "(5, 10)", "(4,)")),
        "function": ((ROWS, ROWS, "cubed"), {}, "function must be 'squared', 'absolute', 'huber', 'binary', "
                     "'binary_with_logits', 'kl', 'kl_log', 'hinge', 'squared_hinge', 'soft_margin', 'focal', "
                     "'poisson' or 'poisson_rate', got 'cubed'"),
        "huber": ((ROWS, ROWS, "huber", 0), {}, "huber: alpha must be above 0, got alpha 0 and beta 0.0"),
        "focal": ((ROWS, ROWS, "focal", 0.5, -1), {}, "focal: alpha must lie between 0 and 1 and beta be at least 0, "
                  "got alpha 0.5 and beta -1"),
        "empty batch": ((EMPTY, EMPTY, "squared"), {}, BATCH.format("x")),
    },
    "weight_penalty": {
        "grad": ((C, C[1:]), {}, SHAPE.format("grad", "(4,)", "(3,)")),
        "l1": ((C, C, -1), {}, "l1 must be a finite number of at least 0, got -1"),
        "l2": ((C, C, 0, np.inf), {}, "l2 must be a finite number of at least 0, got inf"),
    },
    "clip_rows": {
        "rank": ((X, 1), {}, SCORES.format("x", "(2, 4, 6, 6)")),
        "limit": ((ROWS, 0), {}, "limit must be a finite number above 0, got 0"),
    },
    "sgd_update": {
        "grad": ((C.copy(), C[1:], None, 0.1), {}, SHAPE.format("grad", "(4,)", "(3,)")),
        "no velocity": ((C.copy(), C, None, 0.1, 0.9), {}, "momentum 0.9 needs a velocity, got None"),
        "velocity": ((C.copy(), C, C[1:].copy(), 0.1, 0.9), {}, SHAPE.format("velocity", "(4,)", "(3,)")),
        "integers": ((C.astype(int), C, None, 0.1), {}, "value is updated in place and must be a float32 or float64 "
                     "array, got an array of dtype int64"),
        "a number": ((1.0, C, None, 0.1), {}, "value is updated in place and must be a float32 or float64 array, got "
                     "float"),
        "numbers": (([1.0], [C], None, 0.1), {}, "value[0] is updated in place and must be a float32 or float64 array, "
                    "got float"),
        "list and array": (([C.copy()], C, None, 0.1), {}, "grad must be a list of 1 arrays, as value is, got an array "
                           "of dtype float32"),
        "fewer": (([C.copy()] * 2, [C], None, 0.1), {}, "grad must be a list of 2 arrays, as value is, got a list of "
                  "1"),
        "two dtypes": (([C.copy(), C.astype(float)], [C, C], None, 0.1), {}, "value[1] must have the dtype float32 "
                       "of value[0], got float64"),
        "one of several": (([C.copy(), C.copy()], [C, C[1:]], None, 0.1), {}, SHAPE.format("grad[1]", "(4,)", "(3,)")),
        "no array": ((C.copy(), [1.0], None, 0.1), {}, "grad must be an array, got list"),
        "read-only": ((np.broadcast_to(C, 4), C, None, 0.1), {}, "value is updated in place, but the array is "
                      "read-only"),
        "velocity dtype": ((C.copy(), C, C.astype(float), 0.1, 0.9), {}, "velocity must have the dtype float32 of "
                           "value, got float64"),
    },
    "adam_update": {
        "grad": ((C.copy(), C[1:], C.copy(), C.copy(), 1, 0.1, 0.9, 0.99, 1e-8), {},
                 SHAPE.format("grad", "(4,)", "(3,)")),
        "m": ((C.copy(), C, C[1:].copy(), C.copy(), 1, 0.1, 0.9, 0.99, 1e-8), {}, SHAPE.format("m", "(4,)", "(3,)")),
        "step": ((C.copy(), C, C.copy(), C.copy(), 0, 0.1, 0.9, 0.99, 1e-8), {},
                 "step must be an integer of at least 1, got 0"),
        "largest": ((C.copy(), C, C.copy(), C.copy(), 1, 0.1, 0.9, 0.99, 1e-8), {"largest": C[1:].copy()},
                    SHAPE.format("largest", "(4,)", "(3,)")),
    },
    "nadam_update": {
        "v": ((C.copy(), C, C.copy(), C[1:].copy(), 1, 0.1, 0.9, 0.99, 1e-8, 0.5, 0.5, 0.5), {},
              SHAPE.format("v", "(4,)", "(3,)")),
        "step": ((C.copy(), C, C.copy(), C.copy(), 0, 0.1, 0.9, 0.99, 1e-8, 0.5, 0.5, 0.5), {},
                 "step must be an integer of at least 1, got 0"),
    },
    "rmsprop_update": {
        "no velocity": ((C.copy(), C, C.copy(), None, None, 0.1, 0.9, 1e-8), {"momentum": 0.5},
                        "momentum 0.5 needs a velocity, got None"),
        "mean": ((C.copy(), C, C.copy(), C[1:].copy(), None, 0.1, 0.9, 1e-8), {}, SHAPE.format("mean", "(4,)", "(3,)")),
    },
    "adagrad_update": {
        "total": ((C.copy(), C, C[1:].copy(), 0.1, 1e-8), {}, SHAPE.format("total", "(4,)", "(3,)")),
    },
    "nearest_rows": {
        "rank": ((X, ROWS, 1), {}, SCORES.format("x", "(2, 4, 6, 6)")),
        "columns": ((ROWS, MATRIX[:, :4], 1), {}, "expected rows of 10 numbers, as many as x has, got rows of shape "
                    "(7, 4)"),
        "complex": ((ROWS, MATRIX + 1j, 1), {}, REAL.format("rows", (MATRIX + 1j).dtype)),
        "too many": ((ROWS, MATRIX, 8), {}, "k, of 7 rows, must be an integer of at least 1 and at most 7, got 8"),
        "metric": ((ROWS, MATRIX, 1, "cosine"), {}, "metric must be 'l1' or 'l2', got 'cosine'"),
    },
    "hog": {
        "rank": ((ROWS,), {}, IMAGES.format("x", "(5, 10)")),
        "complex": ((X + 1j, 9, (2, 2)), {}, REAL.format("x", (X + 1j).dtype)),
        "orientations": ((X, 0), {}, "orientations must be an integer of at least 1 and at most 360, got 0"),
        "cell": ((X, 9, (0, 2)), {}, PAIR.format("pixels_per_cell", "(0, 2)")),
        "too large": ((X, 9, (2, 4), (3, 3)), {}, "a block of 3 x 3 cells covers 6 x 12 pixels, more than images of "
                      "6 x 6: use fewer or smaller cells, or larger images"),
        "norm": ((X, 9, (2, 2), (1, 1), "L3"), {}, "block_norm must be 'L1', 'L1-sqrt', 'L2' or 'L2-Hys', got 'L3'"),
    },
    "hue_histogram": {
        "channels": ((X,), {}, "expected x of 3 channels, red, green and blue, got x of shape (2, 4, 6, 6)"),
        "bins": ((X[:, :3], 0), {}, "bins must be an integer of at least 1 and at most 360, got 0"),
    },
    "sum_of_squares": {"complex": (([X, X + 1j],), {}, REAL.format("arrays[1]", (X + 1j).dtype))},
}
ROWS_OF_TABLE = [pytest.param(operation, *row, id=f"{operation}-{what}")
                 for operation, rows in TABLE.items() for what, row in rows.items()]


def wanted_error(message):
    """TypeError where something is of the wrong kind, ValueError for all else."""
    wrong_kind = "array of dtype" in message and "a list of" not in message
    wrong_kind |= " the dtype " in message or message.startswith(("key", "draw"))
    wrong_kind |= message.endswith(("got list", "got float", "threshold', got None", "NoneType", "got 2", "got 2.5",
                                    "(1.5, 1)", "False, got None", "False, got 1", "got 0.5"))
    wrong_kind |= message in ("dim must be an integer, got 1.5", "dims must be a tuple of axes, got 1")
    return TypeError if wrong_kind else ValueError


@pytest.mark.parametrize("operation, arguments, options, message", ROWS_OF_TABLE)
def test_refused_with_the_exact_words(ops, operation, arguments, options, message):
    arrays = [argument for argument in arguments if isinstance(argument, np.ndarray)]
    before = [array.copy() for array in arrays]
    with pytest.raises((ValueError, TypeError)) as error:
        getattr(ops, operation)(*arguments, **options)
    assert str(error.value) == message
    assert type(error.value) is wanted_error(message)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_every_operation_refuses_something():
    assert set(TABLE) == {*kernels.OPS, "conv2d_algorithm"}
