"""Convolution (the cross-correlation of deep learning): one matrix product for each offset of the kernel."""
from typing import NamedTuple

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.naive.array import channels_last, masked, offsets, pad, plus, rectify, unpad
from fastnet.kernels.naive.pool import maxpool2d_forward


def conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False,
                   add=None):
    """y[n,k,p,q] = b[k] + sum over c, r, s of x[n, c, p stride + r dilation - top, q stride + s dilation - left]
    w[k,c,r,s], pixels outside the image being zero.

    x (N, C, H, W), w (K, C / groups, R, S), b (K,), y (N, K, P, Q). Output channel k sees the input channels of its
    own group alone. ValueError where shapes or arguments do not fit. Source: Dumoulin and Visin, A guide to
    convolution arithmetic for deep learning, 2016.
    """
    x = checks.floating(x, "x")
    w = checks.floating(w, "w", like=x)
    shape = checks.conv2d_shape(x.shape, w.shape, stride, padding, dilation, groups)
    b = checks.operand(b, shape[1:2], "b", like=x)
    add = checks.operand(add, shape, "add", like=x)
    grouped_x, grouped_w = _grouped(pad(x, padding), groups), _grouped_weight(w, groups)
    y = np.zeros((shape[0], groups, shape[1] // groups, *shape[2:]), x.dtype)
    for r, s, window in offsets(w.shape[2:], stride, dilation, shape[2:]):
        y += _product(grouped_x[window], grouped_w[..., r, s])
    y = y.reshape(shape)
    if b is not None:
        y += b[:, None, None]
    return channels_last(rectify(plus(y, add), relu))


class Packed(NamedTuple):
    """Weights as they are."""

    w: np.ndarray
    b: np.ndarray


def conv2d_pack(w, b=None):
    """w and b as they are."""
    w = checks.floating(w, "w")
    return Packed(w, checks.operand(b, w.shape[:1], "b", like=w))


def conv2d_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False,
                     add=None):
    """conv2d_forward with the weights that `conv2d_pack` was given."""
    checks.conv2d_packed(packed, Packed)
    return conv2d_forward(x, *packed, stride, padding, dilation, groups, relu, add)


def conv2d_maxpool_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False):
    """(y, index) of conv2d_forward and then maxpool2d_forward with windows of 2 x 2, two apart."""
    y = conv2d_forward(x, w, b, stride, padding, dilation, groups)
    return maxpool2d_forward(y, (2, 2), (2, 2), (0, 0, 0, 0), relu)


def conv2d_maxpool_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False):
    """y of conv2d_maxpool_forward with the weights that `conv2d_pack` was given."""
    checks.conv2d_packed(packed, Packed)
    return conv2d_maxpool_forward(x, *packed, stride, padding, dilation, groups, relu)[0]


def conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups):
    """The same for all directions and shapes."""
    checks.conv2d_direction(direction)
    checks.conv2d_shape(x_shape, w_shape, stride, padding, dilation, groups)
    return "matrix product for each kernel offset", "plain NumPy"


def conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups, mask=None, add=None):
    """dx: every dy[n,k,p,q] sends dy w[k,:,r,s] back to the pixel that it was computed from.

    dy (N, K, P, Q), w (K, C / groups, R, S), x_shape, mask and add (N, C, H, W).
    """
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    shape = checks.conv2d_shape(x_shape, w.shape, stride, padding, dilation, groups)
    checks.has_shape(dy, shape, "dy")
    mask = checks.operand(mask, tuple(x_shape), "mask", like=dy)
    add = checks.operand(add, tuple(x_shape), "add", like=dy)
    n, c, height, width = x_shape
    top, bottom, left, right = padding
    grouped_dy, grouped_w = _grouped(dy, groups), _grouped_weight(w, groups)
    dx = np.zeros((n, groups, c // groups, height + top + bottom, width + left + right), dy.dtype)
    for r, s, window in offsets(w.shape[2:], stride, dilation, shape[2:]):
        dx[window] += _product(grouped_dy, grouped_w[..., r, s].swapaxes(1, 2))
    return channels_last(masked(plus(unpad(dx, padding).reshape(x_shape), add), mask))


def conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[k,c,r,s] = sum over n, p, q of dy[n,k,p,q] times the pixel that w[k,c,r,s] met there; db[k] = sum of dy.

    dy (N, K, P, Q), x (N, C, H, W), dw of w_shape (K, C / groups, R, S), db (K,) or None without bias.
    """
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shape = checks.conv2d_shape(x.shape, w_shape, stride, padding, dilation, groups)
    checks.has_shape(dy, shape, "dy")
    k, c, *kernel_size = w_shape
    grouped_x = _grouped(pad(x, padding), groups)
    columns = _columns(_grouped(dy, groups))
    dw = np.empty((groups, k // groups, c, *kernel_size), dy.dtype)
    for r, s, window in offsets(kernel_size, stride, dilation, shape[2:]):
        dw[..., r, s] = columns.swapaxes(1, 2) @ _columns(grouped_x[window])
    return dw.reshape(w_shape), dy.sum(axis=(0, 2, 3)) if bias else None


def _grouped(x, groups):
    """(N, C, H, W) as (N, groups, C / groups, H, W)."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _grouped_weight(w, groups):
    """(K, C / groups, R, S) as (groups, K / groups, C / groups, R, S)."""
    return w.reshape(groups, w.shape[0] // groups, *w.shape[1:])


def _columns(x):
    """(N, groups, C, P, Q) as the matrices (groups, N P Q, C): one row a pixel."""
    n, groups, c, p, q = x.shape
    return x.transpose(1, 0, 3, 4, 2).reshape(groups, n * p * q, c)


def _product(x, w):
    """x (N, groups, C, P, Q) and w (groups, K, C) to (N, groups, K, P, Q): a matrix product at every pixel."""
    n, groups, _, p, q = x.shape
    y = _columns(x) @ w.swapaxes(1, 2)
    return y.reshape(groups, n, p, q, w.shape[1]).transpose(1, 0, 4, 2, 3)
