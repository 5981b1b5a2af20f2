"""Transposed convolution: the passes of a convolution in other roles, so it has no kernels of its own.

Let y be images that a convolution reads and x what it makes of them. Then the transposed convolution from x to y is
that convolution's gradient for its input, with a bias; its own gradient for the input is that convolution, and its
gradient for the weights is the same as there, with images and gradient exchanged:

    here                x, y, dy                there
    forward             y from x                backward_input      dx from dy
    backward_input      dx from dy              forward             y from x
    backward_weight     dw from dy and x        backward_weight     dw from x and dy

In particular a forward pass with a stride falls into stride x stride convolutions without one, each of which makes its
own pixels of y (`passes.DirectBackwardInput`): zeros between the pixels of x are never written, read or multiplied.
"""
from fastnet.kernels import checks, shapes
from fastnet.kernels.cpu import epilogue, sums
from fastnet.kernels.cpu.conv.ops import PackedWeights, find, fold, pack
from fastnet.kernels.cpu.runtime import empty_images, flat


def conv_transpose2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1),
                             groups=1, add=None, activation=None):
    """y[n, k, p stride + r dilation - top, q stride + s dilation - left] = b[k] + sum of x[n,c,p,q] w[c,k,r,s] over all
    that send something there."""
    packed = conv_transpose2d_pack(w, b)
    return conv_transpose2d_inference(x, packed, stride, padding, output_padding, dilation, groups, add, activation)


def conv_transpose2d_pack(w, b=None):
    """w and b for `conv_transpose2d_inference`, which adds the forms it needs to the result: they must not change
    meanwhile."""
    w = checks.floating(w, "w")
    return PackedWeights(w, checks.optional(b, "b", like=w))


def conv_transpose2d_pack_folded(w, gamma, beta, mean, var, eps, b=None, groups=1):
    """`conv_transpose2d_pack` of a transposed convolution and the batch norm behind it, see `conv2d_pack_folded`."""
    w = checks.floating(w, "w")
    c, k, _, _ = w.shape
    scale, b = fold(w, k * groups, gamma, beta, mean, var, eps, b)
    return PackedWeights(w, b, scale.reshape(groups, k).repeat(c // groups, axis=0)[:, :, None, None])


def conv_transpose2d_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1),
                               groups=1, add=None, activation=None):
    """conv_transpose2d_forward with weights from `conv_transpose2d_pack`."""
    checks.conv2d_packed(packed, PackedWeights)
    x, w = checks.floating(x, "x"), packed.w
    kind = shapes.conv_transpose2d_forward(x, w, packed.b, stride, padding, output_padding, dilation, groups)
    _, way = find("backward_input", kind.shape, w.shape, x.dtype, (stride, padding, dilation, groups), x.shape)
    add, _ = epilogue.checked(kind, add, activation)
    y = empty_images(*kind.shape, kind.dtype)
    way.run(flat(x), *packed.form(way, x.dtype), flat(y), epilogue.make(flat(y), add, activation))
    return y


def conv_transpose2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups, add=None, mask=None,
                                    masking=None):
    """dx: every pixel of x gathers what it has sent its number to."""
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    kind = shapes.conv_transpose2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups)
    _, way = find("forward", dy.shape, w.shape, dy.dtype, (stride, padding, dilation, groups), kind.shape)
    add, mask = epilogue.checked(kind, add, mask=mask, masking=masking)
    dx = empty_images(*kind.shape, kind.dtype)
    way.run(flat(dy), *pack(way, w), flat(dx), epilogue.make(flat(dx), add, None, mask, masking))
    return dx


def conv_transpose2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[c,k,r,s] = sum over n, p, q of x[n,c,p,q] times the number of dy that w[c,k,r,s] sent it to; db[k] = sum of dy
    (None without bias)."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    shapes.conv_transpose2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias)
    _, way = find("backward_weight", dy.shape, w_shape, dy.dtype, (stride, padding, dilation, groups), x.shape)
    numbers, k = flat(dy), dy.shape[1]
    dw, _ = way.run(numbers, flat(x), False)
    return dw, sums.column_sums(dy.size // k, k, k, dy.dtype, dy.dtype)(numbers) if bias else None
