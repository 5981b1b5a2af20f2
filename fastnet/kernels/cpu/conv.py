"""Convolution: checks, the choice of a path, and the packing that each path wants."""
import functools

import numpy as np

from fastnet.kernels import checks
from fastnet.kernels.cpu import depthwise, gather, packing, reduce, simd, spans, winograd, winograd_weight
from fastnet.kernels.cpu._jit import jit, launch
from fastnet.kernels.cpu.activation import sum_into
from fastnet.kernels.cpu.array import empty, empty_images, flat
from fastnet.kernels.precision import exactly

# Up to this many input channels a tap is too short a run of products; then whole rows of the kernel are one run.
FEW_CHANNELS = 12
# Fewer channels than this leave Winograd's transforms dearer than what its products save.
WINOGRAD_CHANNELS = 16
# For each kernel size, the numbers of outputs on a side that Winograd is accurate and quick for.
WINOGRAD_SIZES = {3: (4, 2), 5: (2,)}
# Reading a weight takes as long as this many products with it, and serves about so many outputs or tiles.
_READING, _ROWS_AT_A_TIME = 4, 48


def conv2d_forward(x, w, b=None, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False,
                   add=None):
    """y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, p stride + r dilation - top, q stride + s
    dilation - left]; see the naive backend for shapes and errors."""
    return conv2d_inference(x, conv2d_pack(w, b), stride, padding, dilation, groups, relu, add)


def conv2d_pack(w, b=None):
    """w and b for `conv2d_inference`, which adds the forms it needs to the result: they must not change meanwhile."""
    w = checks.floating(w, "w")
    return Packed(w, checks.operand(b, w.shape[:1], "b", like=w))


def conv2d_inference(x, packed, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, relu=False,
                     add=None):
    """conv2d_forward with weights from `conv2d_pack`."""
    checks.conv2d_packed(packed, Packed)
    x = checks.floating(x, "x")
    geometry = x.shape, packed.w.shape, x.dtype, stride, padding, dilation, groups
    try:
        algorithm = _forward_algorithm(*geometry, exactly.get())
    except TypeError:  # a list for a pair, say, which no cache can look up
        checks.conv2d_shape(x.shape, packed.w.shape, stride, padding, dilation, groups)
        algorithm = _forward_algorithm(*geometry[:3], tuple(stride), tuple(padding), tuple(dilation), groups,
                                       exactly.get())
    n, k, p, q = algorithm.y_shape
    y = empty((n, p, q, k), x.dtype)
    if add is not None:
        add = flat(checks.operand(add, algorithm.y_shape, "add", like=x))
    algorithm.run(flat(x), *packed.form(algorithm), y.reshape(-1), relu, add)
    return y.transpose(0, 3, 1, 2)


class Packed:
    """Weights, and the forms of them that algorithms have asked for."""

    def __init__(self, w, b):
        self.w, self.b, self._forms = w, b, {}

    def form(self, algorithm):
        """(weights, bias) as `algorithm` wants them."""
        form = self._forms.get(algorithm.form)
        if form is None:
            dtype = algorithm.dtype
            b = None if self.b is None else self.b.astype(dtype, copy=False)
            form = self._forms[algorithm.form] = algorithm.pack(self.w.astype(dtype, copy=False), b)
        return form


@functools.lru_cache(maxsize=1024)
def _forward_algorithm(x_shape, w_shape, dtype, stride, padding, dilation, groups, exactly):
    """What computes a forward pass of these shapes. `exactly` is not looked at here, but changes the choice below."""
    y_shape = checks.conv2d_shape(x_shape, w_shape, stride, padding, dilation, groups)
    if _is_depthwise(w_shape, groups):
        return Depthwise(x_shape, w_shape, y_shape, dtype, stride, padding, dilation)
    m = winograd_size(dtype, w_shape, y_shape[2:], stride, dilation, groups, x_shape[0])
    if m:
        return Winograd(m, x_shape, w_shape, y_shape, dtype, padding)
    return Direct(x_shape, w_shape, y_shape, dtype, stride, padding, dilation, groups)


class Winograd:
    """Stride 1, in tiles of m x m outputs; see `winograd`."""

    def __init__(self, m, x_shape, w_shape, y_shape, dtype, padding):
        self.y_shape, self.dtype, self.m, self.form = y_shape, dtype, m, (dtype, m)
        source, target = _last(x_shape), _last(y_shape)
        self.convolve = winograd.convolution(m, w_shape[2], x_shape[0], source, target, (padding[0], padding[2]), dtype)

    def pack(self, w, b):
        return winograd.turn(np.ascontiguousarray(w), self.m), winograd.pad_bias(b, w.shape[0], w.dtype)

    def run(self, x, w, b, y, relu, add):
        self.convolve(x, w, b, y, relu, add=add)


class Direct:
    """Register tiles that read their rows through a table; see `gather`.

    Where the channels are few, the rows of the kernel are the taps: in a padded image the pixels under such a row lie
    side by side, so that one run of products covers them.
    """

    def __init__(self, x_shape, w_shape, y_shape, dtype, stride, padding, dilation, groups):
        _, length, r, s = w_shape
        self.y_shape, self.dtype, self.groups, self.form = y_shape, dtype, groups, (dtype, "direct")
        self.batch, self.source, self.padding = x_shape[0], _last(x_shape), None
        source, taps = self.source, _taps((r, s), padding, dilation)
        if groups == 1 and length <= FEW_CHANNELS and s > 1 and dilation[1] == 1:
            self.padding = padding
            source, length = _padded(source, padding), s * length
            taps = tuple((i * dilation[0], 0) for i in range(r))
        self.convolve = gather.convolution(x_shape[0], source, _last(y_shape), y_shape[2:], stride, taps, (1, 1),
                                           (0, 0), length, groups, dtype)

    def pack(self, w, b):
        w = np.ascontiguousarray(w)
        layout = packing.Layout(w, self.groups)
        return packing.pack(w, layout, range(layout.size)), packing.pack_bias(b, self.groups)

    def run(self, x, w, b, y, relu, add):
        if self.padding is not None:
            x, _ = _pad(x, self.batch, self.source, self.padding)
        self.convolve(x, w, b, y, relu, add=add)


class Depthwise:
    """One filter a channel; see `depthwise`."""

    def __init__(self, x_shape, w_shape, y_shape, dtype, stride, padding, dilation):
        self.y_shape, self.dtype, self.form = y_shape, dtype, (dtype, "depthwise")
        self.geometry = x_shape[0], _last(x_shape), _last(y_shape), stride, _taps(w_shape[2:], padding, dilation)

    def pack(self, w, b):
        return depthwise.pack(w), np.zeros(w.shape[0], w.dtype) if b is None else np.ascontiguousarray(b)

    def run(self, x, w, b, y, relu, add):
        depthwise.forward(x, w, b, y, *self.geometry, relu and add is None)
        if add is not None:
            sum_into(y, add, y, relu)


def conv2d_backward_input(dy, w, x_shape, stride, padding, dilation, groups, mask=None, add=None):
    """dx: every dy[n, k, p, q] sends dy w[k, :, r, s] back to the pixel that it was computed from.

    With a stride the pixels fall into stride x stride classes, each reached by taps of its own: each class is one
    convolution of dy without a stride, and no product with a zero is computed.
    """
    dy = checks.floating(dy, "dy")
    w = checks.floating(w, "w", like=dy)
    shape = checks.conv2d_shape(x_shape, w.shape, stride, padding, dilation, groups)
    checks.has_shape(dy, shape, "dy")
    mask = checks.operand(mask, tuple(x_shape), "mask", like=dy)
    add = checks.operand(add, tuple(x_shape), "add", like=dy)
    n, c, h, width = x_shape
    k, _, r, s = w.shape
    dx = empty_images(n, c, h, width, dy.dtype)
    source, target = (*shape[2:], shape[1]), (h, width, c)
    flat_mask, flat_add = (None if array is None else flat(array) for array in (mask, add))
    flat_dy, w = flat(dy), np.ascontiguousarray(w)
    if _is_depthwise(w.shape, groups):
        taps = _taps(w.shape[2:], padding, dilation)
        depthwise.backward_input(flat_dy, depthwise.pack(w), flat(dx), n, source, target, stride, taps,
                                 flat_mask if add is None else None)
        if add is not None:
            sum_into(flat(dx), flat_add, flat(dx), mask=flat_mask)
        return dx
    m = winograd_size(dy.dtype, (c, k, r, s), (h, width), stride, dilation, groups, n)
    if m:
        filters = winograd.turn(w, m, backward=True)
        convolve = winograd.convolution(m, r, n, source, target, (r - 1 - padding[0], s - 1 - padding[2]), dy.dtype)
        convolve(flat_dy, filters, winograd.pad_bias(None, c, dy.dtype), flat(dx), mask=flat_mask,
                 add=flat_add)
        return dx
    layout = packing.Layout(w, groups, backward=True)
    for offset in np.ndindex(*stride):
        grid = tuple(-(-(extent - o) // step) for extent, o, step in zip((h, width), offset, stride, strict=True))
        if 0 not in grid:
            taps, origins = _class_of_taps(w.shape[2:], offset, stride, padding, dilation)
            convolve = gather.convolution(n, source, target, grid, (1, 1), origins, tuple(stride), offset,
                                          w.shape[0] // groups, groups, dy.dtype)
            convolve(flat_dy, packing.pack(w, layout, taps), None, flat(dx), mask=flat_mask, add=flat_add)
    return dx


def conv2d_backward_weight(dy, x, w_shape, stride, padding, dilation, groups, bias=True):
    """dw[k, c, r, s] = sum over n, p, q of dy[n, k, p, q] times the pixel that w[k, c, r, s] met there; db = sum of dy
    (None without bias). Paths: `reduce`, `depthwise`."""
    dy = checks.floating(dy, "dy")
    x = checks.floating(x, "x", like=dy)
    w_shape = tuple(w_shape)
    n, k, p, q = checks.conv2d_shape(x.shape, w_shape, stride, padding, dilation, groups)
    checks.has_shape(dy, (n, k, p, q), "dy")
    c, h, width = x.shape[1:]
    _, in_channels, r, s = w_shape
    source, target = (h, width, c), (p, q, k)
    taps = _taps((r, s), padding, dilation)
    if _is_depthwise(w_shape, groups):
        dw, db = depthwise.backward_weight(flat(x), flat(dy), n, source, target, stride, taps)
        return np.ascontiguousarray(dw.reshape(r, s, 1, k).transpose(3, 2, 0, 1)), db if bias else None
    m = winograd_size(x.dtype, w_shape, (p, q), stride, dilation, groups)
    if m:
        dw, db = winograd_weight.weight_gradient(flat(x), flat(dy), m, r, n, source, target, (padding[0], padding[2]))
        return dw, db if bias else None
    offsets = None
    flat_x = flat(x)
    if groups == 1 and c <= FEW_CHANNELS and r * s > 1:
        flat_x, source = _pad(flat_x, n, source, padding)
        taps = ((0, 0),)
        offsets = tuple(((i * dilation[0] * source[1] + j * dilation[1]) * c + channel)
                        for i in range(r) for j in range(s) for channel in range(c))
    dw, db = reduce.weight_gradient(flat_x, flat(dy), n, source, target, tuple(stride), taps, groups, offsets)
    dw = dw.reshape(groups, r, s, in_channels, k // groups).transpose(0, 4, 3, 1, 2)
    return np.ascontiguousarray(dw).reshape(w_shape), db if bias else None


def winograd_size(dtype, w_shape, outputs, stride, dilation, groups, batch=None):
    """The m of the Winograd form F(m x m, r x r) to use, or None where direct is better."""
    return _winograd_choice(dtype, w_shape, outputs, tuple(stride), tuple(dilation), groups, batch, exactly.get())[0]


def conv2d_algorithm(direction, dtype, x_shape, w_shape, stride, padding, dilation, groups):
    """(name, reason): what computes the "forward", "backward_input" or "backward_weight" direction, and why."""
    checks.conv2d_direction(direction)
    outputs = checks.conv2d_shape(x_shape, w_shape, stride, padding, dilation, groups)[2:]
    if _is_depthwise(w_shape, groups):
        return "depthwise", "each channel has a filter of its own"
    k, c, r, s = w_shape
    batch = None if direction == "backward_weight" else x_shape[0]
    if direction == "backward_input":  # the same convolution, from K channels to C
        w_shape, outputs = (c, k, r, s), x_shape[2:]
    m, reason = _winograd_choice(np.dtype(dtype), w_shape, outputs, tuple(stride), tuple(dilation), groups, batch,
                                 exactly.get())
    return f"Winograd F({m}x{m}, {r}x{s})" if m else "direct", reason


@functools.lru_cache(maxsize=1024)
def _winograd_choice(dtype, w_shape, outputs, stride, dilation, groups, batch, exactly):
    """(m, reason), m being None where Winograd is not possible or would cost more than direct convolution.

    It wants float32 and enough channels to fill vectors. The cost is that of the products for one pair of channels.
    They are made in whole register tiles, and reading a weight costs as much as some products: both matter where a
    small `batch` has few outputs. None stands for a batch so large that they do not, or for sums over all outputs.
    """
    k, c, r, s = w_shape
    obstacles = {
        "exact() is on": exactly,
        f"{dtype} numbers": dtype != np.float32,
        f"{groups} groups": groups != 1,
        f"{r}x{s} kernel": r != s or r not in WINOGRAD_SIZES,
        f"stride {stride}": stride != (1, 1),
        f"dilation {dilation}": dilation != (1, 1),
        f"fewer than {WINOGRAD_CHANNELS} channels": min(k, c) < WINOGRAD_CHANNELS,
    }
    for obstacle, is_there in obstacles.items():
        if is_there:
            return None, obstacle

    def cost(points, rows, height):
        if batch is None:
            return points * rows
        return points * (-(-batch * rows // height) * height + _READING * -(-batch * rows // _ROWS_AT_A_TIME))

    short, pixels = simd.tiles_for(k, dtype).short_rows, outputs[0] * outputs[1]
    tiles = {m: -(-outputs[0] // m) * -(-outputs[1] // m) for m in WINOGRAD_SIZES[r]}
    costs = {m: cost((m + r - 1) ** 2, tiles[m], short) for m in tiles}
    best = min(costs, key=costs.get)
    if 1.3 * costs[best] >= cost(r * s, pixels, simd.ROWS):
        return None, f"Winograd on {outputs[0]}x{outputs[1]} outputs would save too few multiplications"
    return best, f"{pixels * r * s / (tiles[best] * (best + r - 1) ** 2):.1f} times fewer multiplications"


def _is_depthwise(w_shape, groups):
    return groups > 1 and w_shape[0] == groups and w_shape[1] == 1


def _taps(kernel, padding, dilation):
    """The pixel, relative to a window's place, that each kernel element meets."""
    return tuple((i * dilation[0] - padding[0], j * dilation[1] - padding[2])
                 for i in range(kernel[0]) for j in range(kernel[1]))


def _class_of_taps(kernel, offset, stride, padding, dilation):
    """The taps through which pixels (u, v) stride + offset received values, as flat kernel indices, and for each the
    place of dy, relative to (u, v), that it leads to."""
    taps, origins = [], []
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            y, x = offset[0] + padding[0] - i * dilation[0], offset[1] + padding[2] - j * dilation[1]
            if y % stride[0] == 0 and x % stride[1] == 0:
                taps.append(i * kernel[1] + j)
                origins.append((y // stride[0], x // stride[1]))
    return tuple(taps), tuple(origins)


def _last(shape):
    """(H, W, C) of images of that shape."""
    return (*shape[2:], shape[1])


def _padded(source, padding):
    """(H, W, C) with the padding counted in."""
    return source[0] + padding[0] + padding[1], source[1] + padding[2] + padding[3], source[2]


@jit
def _pad_kernel(block, slot, x, padded, h, w, c, top, left, height, width):
    """Copy image `block` into the middle of a larger one of zeros."""
    row, start = width * c, block * height * width * c
    spans.clear(padded, start, start + top * row)
    for y in range(h):
        source, target = (block * h + y) * w * c, start + (y + top) * row
        spans.clear(padded, target, target + left * c)
        for i in range(0, w * c, simd.lanes(x)):
            simd.store_part(padded, target + left * c + i, simd.load_part(x, source + i, w * c - i), w * c - i)
        spans.clear(padded, target + (left + w) * c, target + row)
    spans.clear(padded, start + (top + h) * row, start + height * row)


def _pad(x, n, source, padding):
    """(flat x with its zeros written out, its (H, W, C))."""
    if not any(padding):
        return x, source
    height, width, c = larger = _padded(source, padding)
    padded = empty(n * height * width * c, x.dtype)
    launch(_pad_kernel, n, x, padded, *source, padding[0], padding[2], height, width, work=padded.size)
    return padded, larger
