"""Convolutions."""
from fastnet.kernels import checks
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
