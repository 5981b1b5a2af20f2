"""Other pixels for an image: padded, enlarged, averaged.

Rows and columns are treated alike and apart from each other, so formulas are written for rows: y[p] is a row of y, x[h]
one of x, and `before` and `after` are what a padding, four integers (top, bottom, left, right), adds to that axis.
"""
from fastnet import arguments
from fastnet.kernels import checks
from fastnet.kernels.shapes.kind import Kind, arriving


def pad2d_forward(x, padding, mode="constant", value=0.0):
    """A margin around each image: y[p] = x[p - before] wherever that row exists, and outside of the image

        "constant"      y = value
        "reflect"       the row as far within the border row as this one is beyond it: 2 1 | 0 1 2
        "replicate"     the border row: 0 0 | 0 1 2
        "circular"      the rows from the other border on: 1 2 | 0 1 2

    x (N, C, H, W), y (N, C, H + top + bottom, W + left + right). A margin that reflects is smaller than the image on
    each side, a circular one at most as large. A negative padding, which "constant" alone has, takes rows away.
    """
    arguments.number(value, "value")
    return Kind(_padded(x.shape, padding, mode), checks.result_dtype(x, "x"))


def pad2d_backward(dy, x_shape, padding, mode="constant"):
    """dx: every pixel of dy is added to the pixel that its place was filled from, if that was one. dy as y of
    `pad2d_forward`, x_shape (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), arriving(dy, _padded(x_shape, padding, mode)))


def upsample2d_forward(x, size, mode="nearest", align_corners=False, steps=None):
    """Images of `size` (P, Q), larger or smaller. `steps` are two numbers, how many rows and columns of x lie between
    two of y, about: H / P and W / Q where they are not given.

        "nearest"       y[p] = x[floor(p step)], computed in float32 as PyTorch does; the step is H / P where P = H or
                        P = 2 H, whatever was given
        "bilinear"      y[p] = (1 - a) x[h] + a x[h + 1], where h + a = max(0, (p + 1/2) step - 1/2), h whole and
                        0 <= a < 1; with align_corners h + a = p (H - 1) / (P - 1), or 0 where P = 1

    A row behind the last is the last, and one of weight 0 is not looked at. x (N, C, H, W), y (N, C, P, Q).
    """
    _interpolation(mode, align_corners, steps)
    return Kind(_resized(x.shape, size, "size"), checks.result_dtype(x, "x"))


def upsample2d_backward(dy, x_shape, mode="nearest", align_corners=False, steps=None):
    """dx: every pixel of dy is shared out among the pixels that it was made of, by their weights. dy (N, C, P, Q),
    x_shape (N, C, H, W), the shape of dx."""
    _interpolation(mode, align_corners, steps)
    return _back(dy, x_shape)


def adaptive_avgpool2d_forward(x, output_size):
    """y[p] is the mean of the rows x[floor(p H / P) : ceil((p + 1) H / P)], which may overlap. x (N, C, H, W),
    output_size (P, Q), y (N, C, P, Q)."""
    return Kind(_resized(x.shape, output_size, "output_size"), checks.result_dtype(x, "x"))


def adaptive_avgpool2d_backward(dy, x_shape):
    """dx: every pixel of dy is shared out equally among those that it is the mean of. dy (N, C, P, Q), x_shape
    (N, C, H, W), the shape of dx."""
    return _back(dy, x_shape)


def bed_of_nails_forward(x, scale_factor):
    """y[p r, q s] = x[p, q] for scale_factor (r, s), and 0 between them. x (N, C, H, W), y (N, C, H r, W s)."""
    return Kind(_nailed(x.shape, scale_factor), checks.result_dtype(x, "x"))


def bed_of_nails_backward(dy, x_shape, scale_factor):
    """dx[p, q] = dy[p r, q s]. dy (N, C, H r, W s), x_shape (N, C, H, W), the shape of dx."""
    return Kind(tuple(x_shape), arriving(dy, _nailed(x_shape, scale_factor)))


def _padded(x_shape, padding, mode):
    n, c, h, w = checks.images(x_shape)
    top, bottom, left, right = checks.padding2d(padding, mode)
    p, q = (_extended(length, before, after, mode, padding, (h, w))
            for length, before, after in ((h, top, bottom), (w, left, right)))
    checks.image_size(p, q)
    return n, c, p, q


def _extended(length, before, after, mode, padding, hw):
    """How long an axis becomes."""
    most = {"reflect": length - 1, "circular": length}.get(mode)
    if most is not None and max(before, after) > most:
        less = "smaller than the image" if mode == "reflect" else "at most as large as the image"
        raise ValueError(f"padding of the kind {mode!r} must be {less} on each side, got padding {tuple(padding)} "
                         f"(top, bottom, left, right) for images of {hw[0]} x {hw[1]} pixels")
    if max(0, -before) + max(0, -after) >= length:
        raise ValueError(f"padding {tuple(padding)} (top, bottom, left, right) takes all away of images of {hw[0]} x "
                         f"{hw[1]} pixels: take away less, or use larger images")
    return length + before + after


def _interpolation(mode, align_corners, steps):
    arguments.choice(mode, ("nearest", "bilinear"), "mode")
    arguments.flag(align_corners, "align_corners")
    if steps is not None:
        arguments.numbers(steps, "steps", 2, above=0)


def _resized(x_shape, size, name):
    n, c, _, _ = checks.images(x_shape)
    p, q = arguments.integers(size, name, 2, 1)
    checks.image_size(p, q)
    return n, c, p, q


def _back(dy, x_shape):
    n, c, _, _ = checks.images(x_shape)
    p, q = checks.images(dy.shape, "dy")[2:]
    return Kind(tuple(x_shape), arriving(dy, (n, c, p, q)))


def _nailed(x_shape, scale_factor):
    n, c, h, w = checks.images(x_shape)
    down, across = arguments.integers(scale_factor, "scale_factor", 2, 1)
    checks.image_size(h * down, w * across)
    return n, c, h * down, w * across
