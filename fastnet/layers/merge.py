"""What joins several arrays: sums, products, one behind the other."""
from fastnet.kernels import axes
from fastnet.layers.base import Layer, keywords
from fastnet.layers.formula import formula, named_errors
from fastnet.program import trees


class Merge(Layer):
    """A layer that joins several arrays, which it takes as a tuple; backward returns the tuple of their gradients.
    `Parallel` joins branches with one, `Graph` any entries.

    >>> class Subtract(Merge):
    ...     def forward(self, x, training=False):
    ...         if training:
    ...             self.saved = ()
    ...         return x[0] - x[1]
    ...     def backward(self, dy, need_dx=True):
    ...         self.take_saved()
    ...         return dy, -dy
    >>> Subtract()((np.float32([5, 7]), np.float32([1, 2])))
    array([4., 5.], dtype=float32)
    """

    takes_several = True

    @staticmethod
    def check_several(x):
        """TypeError for anything but a tuple of arrays, ValueError for an empty one."""
        if not isinstance(x, tuple) or not all(map(trees.is_leaf, x)):
            got = {tuple: "a tuple of tuples", dict: "a dictionary"}.get(type(x), "one array")
            raise TypeError(f"expected a tuple of arrays as x, got {got}")
        if not x:
            raise ValueError("expected a tuple of at least one array as x, got none")


class Add(Merge):
    """y = the sum of the inputs, a tuple of arrays of one shape, from the first to the last.

    >>> Add()((np.float32([1, 2]), np.float32([10, 20]), np.float32([100, 200])))
    array([111., 222.], dtype=float32)
    """

    traceable = True

    @formula
    def forward(self, x, training=False):
        self.check_several(x)
        if any(one.shape != x[0].shape for one in x):
            raise ValueError(f"expected inputs of one shape, got {', '.join(str(one.shape) for one in x)}")
        y = x[0]
        for one in x[1:]:
            y = self.ops.add(y, one)
        if training:
            self.saved = (len(x),)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        count, = self.take_saved()
        return (dy,) * count if need_dx else None


class Multiply(Merge):
    """y = the product of the inputs, a tuple of arrays of one shape, from the first to the last; one may have length 1
    in some axes of another: (N, C, 1, 1) against (N, C, H, W), as in squeeze-and-excitation, or (N, 1, H, W). Then its
    one number meets all of the other's, and its gradient is the sum of theirs.

    ValueError where each of two has length 1 in an axis of the other: multiply the whole one first.
    Hu et al., Squeeze-and-excitation networks (2018), equation 4.

    >>> Multiply()((np.float32([[1, 2], [3, 4]]), np.float32([[10], [100]])))
    array([[ 10.,  20.],
           [300., 400.]], dtype=float32)
    """

    traceable = True

    @formula
    def forward(self, x, training=False):
        self.check_several(x)
        y, pairs = x[0], []
        for one in x[1:]:
            turned = not _meets(one.shape, y.shape)
            if turned and not _meets(y.shape, one.shape):
                raise ValueError(f"expected inputs of one shape, or with 1 in place of some lengths of another, got "
                                 f"{', '.join(str(one.shape) for one in x)}; a whole one has to be among the first two")
            pairs.append((one, y, True) if turned else (y, one, False))
            whole, other, _ = pairs[-1]
            y = self.ops.multiply(whole, other)
        if training:
            self.saved = (pairs,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        pairs, = self.take_saved()
        if not need_dx:
            return None
        found = []
        for whole, other, turned in reversed(pairs):
            d_whole, d_other = self.ops.multiply(dy, other), self.ops.multiply_backward(dy, whole, other.shape)
            found.append(d_whole if turned else d_other)
            dy = d_other if turned else d_whole
        return dy, *reversed(found)


def _meets(shape, whole):
    """Whether it is a shape with 1 in place of some lengths of the whole one."""
    try:
        axes.broadcasts(shape, whole)
    except ValueError:
        return False
    return True


class Concat(Merge):
    """y = the inputs, a tuple of arrays, joined along axis `dim`, the channels unless another one is given, as in
    torch.cat; all other axes must agree.

    >>> Concat()((np.float32([[1, 2]]), np.float32([[3]])))
    array([[1., 2., 3.]], dtype=float32)
    """

    traceable, options = True, ("dim",)

    @named_errors
    def __init__(self, dim=1):
        self.set_options(dim=dim)

    def check(self, dim):
        return {"dim": axes.given(dim)}

    @formula
    def forward(self, x, training=False):
        self.check_several(x)
        dim = axes.axis(self.dim, x[0].shape)
        y = self.ops.concat(x, dim)
        if training:
            self.saved = ([one.shape[dim] for one in x], dim)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        sizes, dim = self.take_saved()
        return tuple(self.ops.split(dy, sizes, dim)) if need_dx else None

    def arguments(self):
        return keywords(dim=(self.dim, 1))[2:]
