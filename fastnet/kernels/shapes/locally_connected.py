"""Locally connected layers: convolutions whose kernel is another one at each place."""
from fastnet.kernels import checks, conv_checks
from fastnet.kernels.shapes.kind import Kind, arriving, fits


def locally_connected2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0)):
    """y[n,k,p,q] = b[k,p,q] + sum over c, r, s of x[n, c, p stride + r - top, q stride + s - left] w[p,q,r,s,c,k],
    pixels outside the image being zero.

    x (N, C, H, W), w (P, Q, R, S, C, K), b (K, P, Q), y (N, K, P, Q). The weights of a place are one matrix
    (R S C, K), whose rows stand in the order in which the numbers of channels-last images are met.
    Source: LeCun, Generalization and network design strategies, 1989, section 5.3.
    """
    checks.real(w, "w")
    shape = conv_checks.locally_connected2d_shape(x.shape, w.shape, stride, padding)
    if b is not None:
        fits(b, shape[1:], "b")
    return Kind(shape, checks.result_dtype(x, "x"))


def locally_connected2d_backward_input(dy, w, x_shape, stride, padding):
    """dx: every dy[n,k,p,q] sends dy w[p,q,r,s,:,k] back to the pixel that it was computed from.

    dy (N, K, P, Q), w (P, Q, R, S, C, K), x_shape (N, C, H, W), the shape of dx.
    """
    checks.real(w, "w")
    return Kind(tuple(x_shape), arriving(dy, conv_checks.locally_connected2d_shape(x_shape, w.shape, stride, padding)))


def locally_connected2d_backward_weight(dy, x, w_shape, stride, padding, bias=True):
    """dw[p,q,r,s,c,k] = sum over n of dy[n,k,p,q] times the number that w[p,q,r,s,c,k] met there; db = sum of dy.

    dy (N, K, P, Q), x (N, C, H, W), dw of w_shape (P, Q, R, S, C, K), db (K, P, Q) or None without bias.
    """
    checks.real(x, "x")
    shape = conv_checks.locally_connected2d_shape(x.shape, w_shape, stride, padding)
    dtype = arriving(dy, shape)
    return Kind(tuple(w_shape), dtype), Kind(shape[1:], dtype) if bias else None
