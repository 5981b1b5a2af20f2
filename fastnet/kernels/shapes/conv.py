"""Convolutions."""
from fastnet.kernels import checks, conv_checks
from fastnet.kernels.shapes.kind import Kind, arriving, fits


def conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):
    """y[n,k,p,q] = b[k] + sum over c, r, s of x[n, c, p stride + r dilation - top, q stride + s dilation - left]
    w[k,c,r,s], pixels outside the image being zero (the cross-correlation of deep learning).

    x (N, C, H, W), w (K, C / groups, R, S), b (K,), y (N, K, P, Q). Output channel k sees the input channels of its
    own group alone. Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    checks.real(w, "w")
    shape = checks.conv2d_shape(x.shape, w.shape, stride, padding, dilation, groups)
    if b is not None:
        fits(b, shape[1:2], "b")
    return Kind(shape, checks.result_dtype(x, "x"))


def conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups):
    """dx: every dy[n,k,p,q] sends dy w[k,:,r,s] back to the pixel that it was computed from.

    dy (N, K, P, Q), w (K, C / groups, R, S), x_shape (N, C, H, W), the shape of dx.
    """
    checks.real(w, "w")
    return Kind(tuple(x_shape), arriving(dy, checks.conv2d_shape(x_shape, w.shape, stride, padding, dilation, groups)))


def conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[k,c,r,s] = sum over n, p, q of dy[n,k,p,q] times the pixel that w[k,c,r,s] met there; db[k] = sum of dy.

    dy (N, K, P, Q), x (N, C, H, W), dw of w_shape (K, C / groups, R, S), db (K,) or None without bias.
    """
    checks.real(x, "x")
    dtype = arriving(dy, checks.conv2d_shape(x.shape, w_shape, stride, padding, dilation, groups))
    return Kind(tuple(w_shape), dtype), Kind((w_shape[0],), dtype) if bias else None


def conv_transpose2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1),
                             groups=1):
    """y[n, k, i, j] = b[k] + sum of x[n,c,p,q] w[c,k,r,s] over all c, p, q, r, s with i = p stride + r dilation -
    top and j = q stride + s dilation - left: each pixel of x sends the kernel, times its number, to where a convolution
    of y would have read it from. It is that convolution's gradient for its input, x being the gradient that arrives.

    x (N, C, H, W), w (C, K / groups, R, S), b (K,), y (N, K, P, Q) with P = (H - 1) stride - top - bottom +
    dilation (R - 1) + 1 + output_padding, and Q alike; output_padding is a pair, each number smaller than the stride or
    the dilation. Source: Dumoulin and Visin, 2016, section 4.
    """
    checks.real(w, "w")
    shape = conv_checks.conv_transpose2d_shape(x.shape, w.shape, stride, padding, output_padding, dilation, groups)
    if b is not None:
        fits(b, shape[1:2], "b")
    return Kind(shape, checks.result_dtype(x, "x"))


def conv_transpose2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups):
    """dx = conv2d_forward of dy, without a bias, as far as x_shape reaches.

    dy (N, K, P, Q), w (C, K / groups, R, S), x_shape (N, C, H, W), the shape of dx.
    """
    checks.real(w, "w")
    conv_checks.conv_transpose2d_arriving(dy, x_shape, w.shape, stride, padding, dilation, groups)
    return Kind(tuple(x_shape), checks.result_dtype(dy, "dy"))


def conv_transpose2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[c,k,r,s] = sum over n, p, q of x[n,c,p,q] times the number of dy that w[c,k,r,s] sent it to; db = sum of dy.

    dy (N, K, P, Q), x (N, C, H, W), dw of w_shape (C, K / groups, R, S), db (K,) or None without bias.
    """
    checks.real(x, "x")
    conv_checks.conv_transpose2d_arriving(dy, x.shape, w_shape, stride, padding, dilation, groups)
    dtype = checks.result_dtype(dy, "dy")
    return Kind(tuple(w_shape), dtype), Kind((w_shape[1] * groups,), dtype) if bias else None
