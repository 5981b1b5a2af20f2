"""What fits where windows are slid over images, or images are cut into them: the rules that all poolings share.

As in `checks`, each function takes shapes or arguments, returns what follows from them, and raises ValueError, or
TypeError for another kind of thing. Those that look at numbers say so.
"""
import numpy as np

from fastnet import arguments
from fastnet.kernels import checks, copies

UINT32 = np.dtype(np.uint32)
# Whole numbers up to here are exact as float32, in which indices may come.
_EXACT = 2**24
# Rows of samples that a bin may have at most, and what coordinates of boxes stay below.
MOST_SAMPLES = 1000
FAR = 2.0**30


def pool2d_shape(x_shape, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """(N, C, P, Q) from x (N, C, H, W), P and Q as in `checks.count_windows`. The padding is smaller than what the
    kernel covers, and every window holds a pixel of the image."""
    n, c, h, width = checks.images(x_shape)
    kernel_size = arguments.integers(kernel_size, "kernel_size", 2, 1)
    stride = arguments.integers(stride, "stride", 2, 1)
    padding = arguments.integers(padding, "padding", 4, 0)
    dilation = arguments.integers(dilation, "dilation", 2, 1)
    ceil_mode = arguments.flag(ceil_mode, "ceil_mode")
    top, bottom, left, right = padding
    reach = covered(kernel_size, dilation)
    if max(top, bottom) >= reach[0] or max(left, right) >= reach[1]:
        wide = "" if dilation == (1, 1) else f" and dilation {dilation}"
        raise ValueError(f"padding must be smaller than the kernel on each side, got padding {padding} (top, bottom, "
                         f"left, right) for kernel_size {kernel_size}{wide}")
    p, q = checks.count_windows((h, width), reach, stride, padding, ceil_mode)
    if dilation != (1, 1):
        for axis in zip((h, width), (p, q), kernel_size, stride, (top, left), dilation, strict=True):
            _all_meet(*axis)
    return n, c, p, q


def covered(kernel_size, dilation):
    """How many pixels a kernel covers along each axis, from its first to its last."""
    return tuple([d * (r - 1) + 1 for d, r in zip(dilation, kernel_size, strict=True)])


def _all_meet(pixels, windows, kernel, step, before, dilation):
    """Refuse windows along an axis one of which meets no pixel of the image."""
    for window in range(windows):
        start = window * step - before
        tap = max(0, -(start // dilation))     # the first one that is not in front of the image
        if tap >= kernel or start + tap * dilation >= pixels:
            raise ValueError(f"with dilation {dilation} and padding {before} in front, window {window} meets none of "
                             f"the {pixels} pixels: use less padding, a smaller dilation or larger images")


def adaptive(length, count):
    """[(first, last + 1)] of the pixels along an axis of `length` that each of `count` windows holds: from
    floor(i length / count) to ceil((i + 1) length / count)."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def widest(length, count):
    """How many pixels the widest of these windows holds."""
    return max(stop - first for first, stop in adaptive(length, count))


def adaptive_shape(x_shape, output_size):
    """(N, C, P, Q) from x (N, C, H, W) and output_size (P, Q)."""
    n, c, _, _ = checks.images(x_shape)
    p, q = arguments.integers(output_size, "output_size", 2, 1)
    if p * q > arguments.LARGEST:
        raise ValueError(f"output_size must be at most {arguments.LARGEST} pixels, got {(p, q)}")
    return n, c, p, q


# Places of the largest pixels

def pool_index_dtype(kernel_size):
    """The dtype of max-pool's index r S + s; its largest value means that no gradient passes."""
    size = kernel_size[0] * kernel_size[1]
    if size <= 254:
        return np.uint8
    if size <= 65534:
        return np.uint16
    raise ValueError(f"max-pool windows hold at most 65534 pixels, got kernel_size {tuple(kernel_size)} of {size}")


def pool_index(index, shape, kernel_size, giver="maxpool2d_forward"):
    """Refuse an index that cannot have come from `giver` with this kernel."""
    _index(index, shape, np.dtype(pool_index_dtype(kernel_size)), giver)


def region_index(index, shape):
    """Refuse an index that cannot have come from roi_pool_forward."""
    _index(index, shape, UINT32, "roi_pool_forward")


def _index(index, shape, dtype, giver):
    if getattr(index, "dtype", None) != dtype:
        raise TypeError(f"index must be the {dtype} array that {giver} returned, got {checks.kind_of(index)}")
    checks.has_shape(index, shape, "index")


def indices_fit(indices, shape, pixels):
    """Refuse what cannot be the places h W + w within images of that many pixels, whatever the numbers are."""
    checks.real(indices, "indices")
    checks.has_shape(indices, shape, "indices")
    if indices.dtype.kind == "f" and indices.dtype.itemsize < 8 and pixels > _EXACT:
        raise ValueError(f"indices of dtype {indices.dtype} cannot tell {pixels} pixels apart: give integers, or let "
                         "the pooling that found them stand in the same net")


def unpooled_shape(x_shape, indices, output_size):
    """(N, C, H, W) from x (N, C, P, Q), indices of that shape and output_size (H, W)."""
    n, c, p, q = checks.images(x_shape)
    h, w = arguments.integers(output_size, "output_size", 2, 1)
    if h * w > arguments.LARGEST:
        raise ValueError(f"output_size must be at most {arguments.LARGEST} pixels, got {(h, w)}")
    indices_fit(indices, (n, c, p, q), h * w)
    return n, c, h, w


def places(indices):
    """Indices as a kernel reads them: int64, or float32 or float64 where they came in a floating-point dtype."""
    return copies.converted(indices, np.int64) if indices.dtype.kind in "iub" else checks.floating(indices, "indices")


def refuse_outside(indices, output_size):
    """The error for indices of which one, by its number, is no place in an image of output_size."""
    h, w = output_size
    wrong = int(np.argmin((indices >= 0) & (indices < h * w) & (indices == np.floor(indices))))
    at = tuple(map(int, np.unravel_index(wrong, indices.shape)))
    raise ValueError(f"indices[{', '.join(map(str, at))}] is {indices[at]}, which is no place in images of {h} x {w} "
                     f"pixels, whose places are 0 to {h * w - 1}: give the size of what was pooled as output_size")


# Regions

def regions_shape(x_shape, boxes, output_size):
    """(M, C, P, Q) from x (N, C, H, W), boxes (M, 5) and output_size (P, Q)."""
    _, c, h, w = checks.images(x_shape)
    checks.real(boxes, "boxes")
    if len(boxes.shape) != 2 or boxes.shape[1] != 5 or not boxes.shape[0]:
        raise ValueError("expected boxes of shape (M, 5), rows of (image number, x1, y1, x2, y2), got boxes of shape "
                         f"{tuple(boxes.shape)}")
    p, q = arguments.integers(output_size, "output_size", 2, 1)
    if h * w > _EXACT or p * q > arguments.LARGEST:
        raise ValueError(f"images may have {_EXACT} pixels here and regions {arguments.LARGEST}, got {h} x {w} and "
                         f"{p} x {q}")
    return boxes.shape[0], c, p, q


def boxes_within(boxes, images):
    """Refuse boxes, by their numbers, that lie in none of so many images or nowhere."""
    numbers, places_ = boxes[:, 0], boxes[:, 1:]
    good = (numbers >= 0) & (numbers < images) & (numbers == np.floor(numbers))
    if not good.all():
        wrong = int(np.argmin(good))
        raise ValueError(f"box {wrong} is in image {numbers[wrong]:g}, but the images are numbered 0 to {images - 1}")
    far = ~(np.abs(places_) < FAR).all(axis=1)
    if far.any():
        wrong = int(np.argmax(far))
        raise ValueError(f"box {wrong} must have finite coordinates below {FAR:.3g}, got {places_[wrong].tolist()}")
