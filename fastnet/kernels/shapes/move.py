"""What only moves numbers: joining and cutting along an axis, other orders of axes, other shapes, other dtypes."""
from math import prod

from fastnet import arguments
from fastnet.kernels import axes, checks
from fastnet.kernels.shapes.kind import Kind, arriving


def concat(arrays, dim=1):
    """The arrays joined along axis `dim`; all other axes agree."""
    shape = axes.concat_shape([array.shape for array in arrays], dim)
    for i, array in enumerate(arrays):
        checks.real(array, f"arrays[{i}]")
    return Kind(shape, checks.result_dtype(arrays[0], "arrays[0]"))


def split(x, sizes, dim=1):
    """A list: x cut along axis `dim` into arrays of the given sizes, which add up to its length. The backward of
    concat."""
    dtype, shape = checks.result_dtype(x, "x"), x.shape
    sizes, dim = axes.split_sizes(shape, sizes, dim), axes.axis(dim, shape)
    return [Kind((*shape[:dim], size, *shape[dim + 1:]), dtype) for size in sizes]


def permute(x, dims):
    """y = x.transpose(dims): axis i of y is axis dims[i] of x. x has any shape."""
    checks.not_empty(x.shape)
    dims = axes.permutation(dims, x.shape)
    return Kind(tuple(x.shape[dim] for dim in dims), checks.result_dtype(x, "x"))


def channel_shuffle(x, groups):
    """y[:, j groups + i] = x[:, i C / groups + j], C being the length of axis 1: of each of the `groups` in turn one
    channel. The way back is channel_shuffle(dy, C / groups). Source: Zhang et al., ShuffleNet, 2018, figure 1."""
    checks.not_empty(x.shape)
    axes.shuffled(x.shape, groups)
    return Kind(x.shape, checks.result_dtype(x, "x"))


def zeros(like, shape):
    """Zeros of that shape, in the dtype in which `like` is computed with: the gradient of what nobody used."""
    shape = arguments.shape(shape)
    checks.not_empty(shape, "zeros")
    return Kind(shape, checks.result_dtype(like, "like"))


def flatten(x):
    """x (N, C, H, W) as rows (N, C H W), each in that order."""
    n, *image = checks.images(x.shape)
    return Kind((n, prod(image)), checks.result_dtype(x, "x"))


def unflatten(y, shape):
    """Images of that shape (N, C, H, W) from rows (N, C H W): the way back from `flatten`."""
    n, *image = checks.images(shape)
    return Kind(tuple(shape), arriving(y, (n, prod(image)), "y"))


def convert(x, dtype):
    """The numbers of x, of any real dtype, shape and layout, in float32 or float64: a new array. Too large a number
    becomes infinite. ValueError for another dtype."""
    checks.real(x, "x")
    checks.not_empty(x.shape)
    return Kind(x.shape, arguments.dtype(dtype))


def pixel_shuffle(x, upscale_factor):
    """Channels become pixels: y[n, c, h r + i, w r + j] = x[n, c r^2 + i r + j, h, w], r being the upscale_factor.

    x (N, C r^2, H, W), y (N, C, H r, W r). Source: Shi et al., Real-Time Single Image and Video Super-Resolution Using
    an Efficient Sub-Pixel Convolutional Neural Network, 2016, equation 4.
    """
    n, c, h, w = checks.images(x.shape)
    r = arguments.size(upscale_factor, "upscale_factor")
    if c % r**2:
        raise ValueError(f"upscale_factor {r} needs channels in multiples of {r**2}, got x of shape {tuple(x.shape)}")
    return Kind((n, c // r**2, h * r, w * r), checks.result_dtype(x, "x"))


def pixel_unshuffle(x, downscale_factor):
    """The way back from `pixel_shuffle`: y[n, c r^2 + i r + j, h, w] = x[n, c, h r + i, w r + j], r being the
    downscale_factor. x (N, C, H r, W r), y (N, C r^2, H, W)."""
    n, c, h, w = checks.images(x.shape)
    r = arguments.size(downscale_factor, "downscale_factor")
    if h % r or w % r:
        raise ValueError(f"downscale_factor {r} needs height and width in multiples of it, got x of shape "
                         f"{tuple(x.shape)}")
    return Kind((n, c * r**2, h // r, w // r), checks.result_dtype(x, "x"))
