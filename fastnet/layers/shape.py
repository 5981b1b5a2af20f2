"""Layers that move numbers and change none, and the mean over axes.

Numbers are counted off in the order of the axes, as in NumPy and PyTorch, however they lie in memory: images, which are
channels-last there, are copied where another shape wants their numbers in a row.
"""
from math import prod

from fastnet import arguments
from fastnet.kernels import axes, checks
from fastnet.layers.base import Layer, keywords
from fastnet.layers.formula import formula, named_errors


def reshaped(ops, x, shape):
    """The numbers of x in another shape, in the order of the axes."""
    if tuple(x.shape) == shape:
        return x
    if _turns(x.shape):
        x = ops.flatten(x)
    if not _turns(shape):
        return x.reshape(shape)
    rows = (shape[0], prod(shape[1:]))
    return ops.unflatten(x if tuple(x.shape) == rows else x.reshape(rows), shape)


def to_images(ops, x):
    """x (N, C, ...) as images (N, C, L, 1), whose channels lie side by side in memory; (N, C) and images stay."""
    if x.ndim in (2, 4):
        return x
    n, c, *rest = x.shape
    return reshaped(ops, x, (n, c, prod(rest), 1))


def _turns(shape):
    """Whether numbers of that shape are in another order in memory than that of the axes: those of images, of several
    channels and pixels."""
    return len(shape) == 4 and shape[1] != 1 and shape[2:] != (1, 1)


class Identity(Layer):
    """y = x: the very same array, where it has the dtype and the memory layout of the kernels. It serves where a layer
    is wanted and nothing is to be done; x may be a tuple or dictionary of arrays.

    >>> Identity()(np.float32([-1, 2]))
    array([-1.,  2.], dtype=float32)
    """

    traceable = takes_several = True

    @formula
    def forward(self, x, training=False):
        if training:
            self.saved = ()
        return x

    @formula
    def backward(self, dy, need_dx=True):
        self.take_saved()
        return dy if need_dx else None


class _Reshaping(Layer):
    """A layer that is another shape; a subclass tells which, as `shape_of` x's."""

    @formula
    def forward(self, x, training=False):
        checks.not_empty(x.shape)
        y = reshaped(self.ops, x, self.shape_of(tuple(x.shape)))
        if training:
            self.saved = (tuple(x.shape),)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        return reshaped(self.ops, dy, x_shape) if need_dx else None


class Flatten(_Reshaping):
    """x (N, C, H, W), or any other shape, becomes y (N, C H W), in that order, as in PyTorch; with other arguments the
    axes from start_dim to end_dim become one.

    Since images are channels-last in memory this copies them, except where they are single pixels.

    >>> Flatten()(np.float32([[[1, 2], [3, 4]]]))
    array([[1., 2., 3., 4.]], dtype=float32)
    """

    traceable, options = True, ("start_dim", "end_dim")

    @named_errors
    def __init__(self, start_dim=1, end_dim=-1):
        self.set_options(start_dim=start_dim, end_dim=end_dim)

    def check(self, start_dim, end_dim):
        return {"start_dim": axes.given(start_dim, "start_dim"), "end_dim": axes.given(end_dim, "end_dim")}

    def shape_of(self, x_shape):
        if len(x_shape) < 2:
            raise ValueError(f"expected x with a batch axis and others, got x of shape {x_shape}")
        first, last = (axes.axis(dim, x_shape, what=what) for dim, what in
                       ((self.start_dim, "start_dim"), (self.end_dim, "end_dim")))
        if first > last:
            raise ValueError(f"start_dim must not come behind end_dim, got {self.start_dim} and {self.end_dim} for x "
                             f"of shape {x_shape}")
        return (*x_shape[:first], prod(x_shape[first: last + 1]), *x_shape[last + 1:])

    def arguments(self):
        return keywords(start_dim=(self.start_dim, 1), end_dim=(self.end_dim, -1))[2:]


class Unflatten(_Reshaping):
    """Axis `dim` becomes several of the lengths `unflattened_size`, a tuple; one of them may be -1, and is then what is
    left. ValueError where they do not make up the length of the axis.

    >>> Unflatten(1, (2, -1))(np.float32([[1, 2, 3, 4]]))
    array([[[1., 2.],
            [3., 4.]]], dtype=float32)
    """

    traceable, options = True, ("dim", "unflattened_size")

    @named_errors
    def __init__(self, dim, unflattened_size):
        self.set_options(dim=dim, unflattened_size=unflattened_size)

    def check(self, dim, unflattened_size):
        what = "a tuple of integers of at least 1, one of which may be -1"
        sizes = arguments.integers(unflattened_size, "unflattened_size", least=-1, what=what)
        if not sizes or 0 in sizes or sizes.count(-1) > 1:
            raise ValueError(f"unflattened_size must be {what}, got {arguments.shown(unflattened_size)}")
        return {"dim": axes.given(dim), "unflattened_size": sizes}

    def shape_of(self, x_shape):
        dim, known = axes.axis(self.dim, x_shape), prod(size for size in self.unflattened_size if size > 0)
        sizes = tuple(x_shape[dim] // known if size == -1 else size for size in self.unflattened_size)
        if prod(sizes) != x_shape[dim]:
            raise ValueError(f"unflattened_size {self.unflattened_size} does not make up axis {dim} of x of shape "
                             f"{x_shape}, which has length {x_shape[dim]}")
        return (*x_shape[:dim], *sizes, *x_shape[dim + 1:])

    def arguments(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Permute(Layer):
    """y = x.transpose(dims): axis i of y is axis dims[i] of x, the batch's too, as in torchvision.ops.Permute.

    The numbers are moved in memory, so that what comes next finds them as it expects; of PyTorch's view nothing is
    moved, until something else does it. ValueError where dims does not name each axis of x once.

    >>> Permute((1, 0))(np.float32([[1, 2], [3, 4]]))
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """

    traceable, options = True, ("dims",)

    @named_errors
    def __init__(self, dims):
        self.set_options(dims=dims)

    def check(self, dims):
        return {"dims": axes.several_given(dims)}

    @formula
    def forward(self, x, training=False):
        dims = axes.permutation(self.dims, x.shape)
        y = self.ops.permute(x, dims)
        if training:
            self.saved = (tuple(dims.index(axis) for axis in range(len(dims))),)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        back, = self.take_saved()
        return self.ops.permute(dy, back) if need_dx else None

    def arguments(self):
        return f"dims={self.dims}"


class ChannelShuffle(Layer):
    """The C channels, axis 1, as a matrix of `groups` rows of C / groups, transposed: of each group in turn one
    channel. ValueError where groups does not divide C. Zhang et al., ShuffleNet (2018), figure 1.

    >>> ChannelShuffle(2)(np.float32([[1, 2, 10, 20]]))
    array([[ 1., 10.,  2., 20.]], dtype=float32)
    """

    traceable, options = True, ("groups",)

    @named_errors
    def __init__(self, groups):
        self.set_options(groups=groups)

    def check(self, groups):
        return {"groups": arguments.size(groups, "groups")}

    @formula
    def forward(self, x, training=False):
        y = self.ops.channel_shuffle(x, self.groups)
        if training:
            self.saved = (x.shape[1] // self.groups,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        groups, = self.take_saved()
        return self.ops.channel_shuffle(dy, groups) if need_dx else None

    def arguments(self):
        return f"groups={self.groups}"


class Chunk(Layer):
    """A tuple: x cut along axis `dim` into `chunks` parts of one length, the last one shorter where it does not come
    out even, and fewer parts where the axis is too short for so many, as in torch.chunk. None in dy stands for a part
    that nobody used.

    >>> Chunk(2)(np.float32([[1, 2, 3]]))
    (array([[1., 2.]], dtype=float32), array([[3.]], dtype=float32))
    """

    traceable = gives_several = True
    options = ("chunks", "dim")

    @named_errors
    def __init__(self, chunks, dim=1):
        self.set_options(chunks=chunks, dim=dim)

    def check(self, chunks, dim):
        return {"chunks": arguments.size(chunks, "chunks"), "dim": axes.given(dim)}

    @formula
    def forward(self, x, training=False):
        checks.not_empty(x.shape)
        dim = axes.axis(self.dim, x.shape)
        length = x.shape[dim]
        size = -(-length // self.chunks)
        y = tuple(self.ops.split(x, [min(size, length - start) for start in range(0, length, size)], dim))
        if training:
            self.saved = ([tuple(part.shape) for part in y], dim)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        shapes, dim = self.take_saved()
        given = next((part for part in dy if part is not None), None)
        if not need_dx or given is None:
            return None
        return self.ops.concat([self.ops.zeros(given, shape) if part is None else part
                                for part, shape in zip(dy, shapes, strict=True)], dim)

    def arguments(self):
        return f"{self.chunks}" + keywords(dim=(self.dim, 1))


class Mean(Layer):
    """The mean over one axis or several, as torch.mean(x, dim, keepdim): their places are left out, or have length 1
    with keepdim.

    >>> Mean(1)(np.float32([[1, 3], [10, 30]]))
    array([ 2., 20.], dtype=float32)
    """

    traceable, options = True, ("dim", "keepdim")

    @named_errors
    def __init__(self, dim, keepdim=False):
        self.set_options(dim=dim, keepdim=keepdim)

    def check(self, dim, keepdim):
        dim = axes.several_given(dim, "dim") if isinstance(dim, (tuple, list)) else axes.given(dim)
        return {"dim": dim, "keepdim": arguments.flag(keepdim, "keepdim")}

    @formula
    def forward(self, x, training=False):
        dims = axes.axes(self.dim if isinstance(self.dim, tuple) else (self.dim,), x.shape)
        y = self.ops.mean(x, dims)
        if training:
            self.saved = (tuple(x.shape), dims)
        left = tuple(length for axis, length in enumerate(x.shape) if axis not in dims)
        return y if self.keepdim else reshaped(self.ops, y, left)

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, dims = self.take_saved()
        if not need_dx:
            return None
        dy = reshaped(self.ops, dy, axes.without(x_shape, dims))
        return self.ops.mean_backward(dy, x_shape, dims)

    def arguments(self):
        return f"dim={self.dim}" + keywords(keepdim=(self.keepdim, False))
