"""A table of vectors, one for each word, letter, or whatever else is numbered."""
from math import prod

from fastnet import arguments, init
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords
from fastnet.layers.formula import formula, named_errors
from fastnet.parameter import Parameter


class Embedding(Layer):
    """y[...] = weight[x[...]]: x are integers in 0 .. num_embeddings - 1, of any shape, and y has embedding_dim numbers
    for each of them, along one more axis, the last one.

    The weight (num_embeddings, embedding_dim) starts normal with deviation 1; its row number `padding_idx`, counted
    from the end where negative, starts at zero and has no gradient. With `scale_grad_by_freq` the gradient of a row is
    divided by how often its number stands in x. Integers reach the layer as they are wherever it stands in a net, and
    there is no gradient for them: dx is None. The gradient is a dense array; max_norm, with its norm_type, and sparse
    are refused. TypeError for an x of anything but integers, ValueError for a number out of range, before anything is
    computed.

    >>> layer = Embedding(3, 2)
    >>> layer.weight.value = np.array([[0, 1], [10, 11], [20, 21]])
    >>> layer(np.array([2, 0]))
    array([[20., 21.],
           [ 0.,  1.]], dtype=float32)
    """

    traceable = takes_integers = True
    options = ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq",
               "sparse")

    @named_errors
    def __init__(self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0,
                 scale_grad_by_freq=False, sparse=False):
        self.set_options(num_embeddings=num_embeddings, embedding_dim=embedding_dim, padding_idx=padding_idx,
                         max_norm=max_norm, norm_type=norm_type, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        self.weight = Parameter(init.normal((self.num_embeddings, self.embedding_dim)))
        if self.padding_idx is not None:
            self.weight.value[self.padding_idx] = 0

    def check(self, num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse):
        num_embeddings = arguments.size(num_embeddings, "num_embeddings")
        embedding_dim = arguments.size(embedding_dim, "embedding_dim")
        self.check_size(num_embeddings, embedding_dim)
        if padding_idx is not None:
            padding_idx = arguments.integer(padding_idx, "padding_idx", -num_embeddings, num_embeddings - 1)
            padding_idx %= num_embeddings
        if max_norm is not None:
            max_norm = arguments.number(max_norm, "max_norm", above=0)
            raise ValueError(f"max_norm must be None, got {max_norm:g}: a forward pass does not change weights; scale "
                             "the rows of weight.value after each step of the optimiser")
        if arguments.flag(sparse, "sparse"):
            raise ValueError("sparse must be False, got True: the gradient is a dense array")
        return {"num_embeddings": num_embeddings, "embedding_dim": embedding_dim, "padding_idx": padding_idx,
                "max_norm": None, "norm_type": arguments.number(norm_type, "norm_type", above=0),
                "scale_grad_by_freq": arguments.flag(scale_grad_by_freq, "scale_grad_by_freq"), "sparse": False}

    @formula
    def forward(self, x, training=False):
        if x.dtype.kind not in "iu":
            what = "truth values" if x.dtype.kind == "b" else "floating-point numbers"
            raise TypeError(f"expected integers as x, got {what}; x.astype('int64') makes integers of them")
        if not x.shape:
            raise ValueError("expected x of a shape that begins with the batch, got x of shape ()")
        checks.not_empty(x.shape)
        rows = x.reshape((prod(x.shape),))
        y, shape = self.ops.embedding_forward(self.weight.value, rows), (*x.shape, self.embedding_dim)
        if training:
            self.saved = (rows, shape)
        # An array of four axes is taken for images, whose numbers are in another order.
        return self.ops.unflatten(y.reshape((shape[0], prod(shape[1:]))), shape) if len(shape) == 4 else \
            y.reshape(shape)

    @formula
    def backward(self, dy, need_dx=True):
        rows, shape = self.take_saved()
        if self.trains():
            dy = self.ops.flatten(dy) if len(shape) == 4 else dy
            self.weight.grad = self.ops.embedding_backward(
                dy.reshape((rows.size, self.embedding_dim)), rows, self.num_embeddings, self.padding_idx,
                self.scale_grad_by_freq)

    def arguments(self):
        return f"{self.num_embeddings}, {self.embedding_dim}" + keywords(
            padding_idx=(self.padding_idx, None), norm_type=(self.norm_type, 2.0),
            scale_grad_by_freq=(self.scale_grad_by_freq, False))
