"""The rules of what fits, as in `checks`, of what is like a convolution: the transposed one, and locally connected
layers."""
from fastnet import arguments
from fastnet.kernels import checks


def conv_transpose2d_shape(x_shape, w_shape, stride, padding, output_padding, dilation, groups):
    """(N, K, P, Q) from x (N, C, H, W) and w (C, K / groups, R, S): P = (H - 1) stride - top - bottom +
    dilation (R - 1) + 1 + output_padding, and Q alike. `output_padding` is a pair, each number below the stride or the
    dilation."""
    shape, whole = _transposed(x_shape, w_shape, stride, padding, output_padding, dilation, groups)
    *_, p, q = shape
    if min(p, q) < 1:
        raise ValueError(f"padding {tuple(padding)} (top, bottom, left, right) leaves nothing of the {whole[0]} x "
                         f"{whole[1]} pixels that these images become: use less padding or larger images")
    checks.image_size(p, q)
    return shape


def _transposed(x_shape, w_shape, stride, padding, output_padding, dilation, groups):
    """(that shape, the pixels before padding is taken away), even if padding leaves nothing."""
    n, c, *hw = checks.images(x_shape)
    if len(w_shape) != 4:
        raise ValueError(f"expected w of shape (C, K / groups, R, S), got w of shape {tuple(w_shape)}")
    if 0 in w_shape:
        raise ValueError(f"empty axis: got w of shape {tuple(w_shape)}; every axis needs at least one element")
    stride, padding, dilation, groups = checks.conv2d_where(stride, padding, dilation, groups)
    more = arguments.integers(output_padding, "output_padding", 2, 0)
    checks.channels(x_shape, w_shape[0])
    if c % groups:
        raise ValueError(f"{groups} groups do not divide the {c} input channels of w of shape {tuple(w_shape)}")
    output_padding_fits(more, stride, dilation)
    whole = [(length - 1) * step + gap * (r - 1) + 1 + extra
             for length, step, gap, r, extra in zip(hw, stride, dilation, w_shape[2:], more, strict=True)]
    return (n, w_shape[1] * groups, whole[0] - padding[0] - padding[1], whole[1] - padding[2] - padding[3]), whole


def output_padding_fits(output_padding, stride, dilation):
    """Refuse pixels behind the last one that any other number of input pixels would give as well."""
    if any(extra >= max(step, gap) for extra, step, gap in zip(output_padding, stride, dilation, strict=True)):
        raise ValueError(f"output_padding must be smaller than the stride or the dilation, got output_padding "
                         f"{output_padding} for stride {stride} and dilation {dilation}")


def conv_transpose2d_arriving(dy, x_shape, w_shape, stride, padding, dilation, groups):
    """Refuse a gradient dy that no output_padding makes the shape of the result of an x of that shape."""
    least, _ = _transposed(x_shape, w_shape, stride, padding, (0, 0), dilation, groups)
    more = [got - wanted for got, wanted in zip(dy.shape[2:], least[2:], strict=False)]
    if dy.shape[:2] != least[:2] or len(dy.shape) != 4 or not all(
            0 <= extra < max(step, gap) for extra, step, gap in zip(more, stride, dilation, strict=True)):
        checks.has_shape(dy, least, "dy")


def locally_connected2d_shape(x_shape, w_shape, stride, padding):
    """(N, K, P, Q) from x (N, C, H, W) and w (P, Q, R, S, C, K)."""
    if len(w_shape) != 6:
        raise ValueError(f"expected w of shape (P, Q, R, S, C, K), got w of shape {tuple(w_shape)}")
    p, q, r, s, c, k = w_shape
    shape = checks.conv2d_shape(x_shape, (k, c, r, s), stride, padding, (1, 1), 1)
    if shape[2:] != (p, q):
        raise ValueError(f"w of shape {tuple(w_shape)} has kernels for {p} x {q} places, and x of shape "
                         f"{tuple(x_shape)} makes {shape[2]} x {shape[3]} of them")
    return shape
