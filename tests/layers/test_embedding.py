"""Embedding, and integers on their way through nets."""
import numpy as np
import pytest

from fastnet import Add, Container, Embedding, Graph, Linear, Residual, Sequential, explain, init, plainly
from fastnet.layers import GRU, Flatten, Tanh

from .battery import Difference, Tenfold, arrays, build
from .wrong import digest

X = np.array([[3, 0, 3], [6, 1, 3]])


@pytest.fixture(autouse=True)
def seeded():
    init.manual_seed(1)


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i2", "int32", "uint64", "int64"])
@pytest.mark.parametrize("alone", [True, False])
def test_integers_of_any_dtype_and_layout(dtype, alone):
    table = Embedding(7, 4)
    net = table if alone else Sequential(table, Tanh())
    wanted = table.weight.value[X] if alone else np.tanh(table.weight.value[X])
    for x in (X.astype(dtype), np.asfortranarray(X.astype(dtype)), np.repeat(X.astype(dtype), 2, 0)[::2]):
        for _ in range(3):
            np.testing.assert_allclose(net(x), wanted, rtol=1e-6)
            np.testing.assert_allclose(net.forward(x, training=True), wanted, rtol=1e-6)
            assert net.backward(np.ones_like(wanted)) is None


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 2), (2, 3, 2, 2)])
def test_shapes(shape):
    """An array of four axes is an image to all other layers; here it is one more axis behind those of x."""
    net, x = Embedding(5, 3), np.random.default_rng(0).integers(0, 5, shape)
    y = net.forward(x, training=True)
    np.testing.assert_array_equal(y, net.weight.value[x])
    dy = arrays(y.shape)
    net.backward(dy)
    wanted = np.zeros((5, 3))
    np.add.at(wanted, x, dy)
    np.testing.assert_allclose(net.weight.grad, wanted, rtol=1e-5, atol=1e-6)
    assert net.output_shape(shape) == (*shape, 3)


def test_indices_beyond_what_float32_holds():
    net = Embedding(1, 1)
    net = Embedding(2**24 + 2, 1)
    ends = np.array([2**24 - 1, 2**24, 2**24 + 1])
    net.weight.value[ends, 0] = 1, 2, 3
    for _ in range(3):
        np.testing.assert_array_equal(net(ends).ravel(), [1, 2, 3])
        np.testing.assert_array_equal(Sequential(net)(ends).ravel(), [1, 2, 3])
    with pytest.raises(ValueError, match="index 16777218 is out of range: there are 16777218 rows"):
        net(ends + 1)


def nets():
    """Nets that read integers, how their tables are called, and what else they are given."""
    yield Embedding(7, 4), "Embedding", lambda x: x
    yield Sequential(Sequential(Embedding(7, 4)), Tanh()), 'Embedding "0.0"', lambda x: x
    yield Graph({"words": (Embedding(7, 4), "ids"), "flat": (Flatten(), "words"), "sum": (Add(), ["flat", "more"])},
                inputs=("ids", "more")), 'Embedding "words"', lambda x: {"ids": x, "more": arrays((2, 12))}
    yield build("Recompute(Sequential(Embedding(7, 4), Tanh()))"), 'Embedding "layer.0"', lambda x: x


@pytest.mark.parametrize("backend", ["cpu", "naive"])
@pytest.mark.parametrize("place", range(4))
def test_out_of_range_is_refused_in_every_pass(place, backend):
    """Plain, recorded and replayed ones; nothing is changed, and the next pass goes on."""
    net, label, given = list(nets())[place]
    net.to(backend)
    wanted = net(given(X))
    for i in range(5):
        for index in (7, -1, 2**40):
            wrong, before = X.copy(), digest(net)
            wrong[1, i % 3] = index
            for call in (lambda wrong=wrong: net(given(wrong)),
                         lambda wrong=wrong: net.forward(given(wrong), training=True)):
                with pytest.raises(ValueError) as caught:
                    call()
                assert str(caught.value) == (f"{label}: index {index} is out of range: there are 7 rows, numbered 0 "
                                             "to 6")
                assert digest(net) == before
        np.testing.assert_array_equal(net(given(X)), wanted)
        y = net.forward(given(X), training=True)
        net.backward(np.ones_like(y))


@pytest.mark.parametrize(("x", "what"), [(X.astype(np.float32), "floating-point numbers"), (X > 2, "truth values"),
                                         (X.astype(float), "floating-point numbers")])
def test_anything_but_integers_is_refused(x, what):
    for net, label in ((Embedding(7, 4), "Embedding"), (Sequential(Embedding(7, 4)), 'Embedding "0"')):
        with pytest.raises(TypeError) as caught:
            net(x)
        wanted = f"{label}: expected integers as x, got {what}; x.astype('int64') makes integers of them"
        assert str(caught.value) == wanted
    with pytest.raises(ValueError, match="^Embedding: expected x of a shape that begins with the batch"):
        Embedding(7, 4)(np.array(3))


class Two(Container):
    """Reads its integers as indices, and as numbers by a layer that nobody can look into, and by one that one can."""

    def __init__(self):
        self.table, self.scale, self.fc, self.total = Embedding(7, 3), Tenfold(), Linear(3, 3), Add()
        self.flat, self.out = Flatten(), Linear(9, 3)

    def compose(self, x, training):
        return self.total((self.out(self.flat(self.table(x))), self.fc(self.scale(x)), x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_layers_are_given_floats(dtype):
    net = Two().astype(dtype)
    for _ in range(4):
        y = net.forward(X, training=True)
        dx, grads = net.backward(np.ones_like(y)), [parameter.grad for parameter in net.parameters()]
        with plainly():
            wanted = net.forward(X, training=True)
            np.testing.assert_array_equal(net.backward(np.ones_like(y)), dx)
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(net(X), wanted)
        assert y.dtype == dx.dtype == dtype
        for parameter, grad in zip(net.parameters(), grads, strict=True):
            np.testing.assert_array_equal(parameter.grad, grad)
    np.testing.assert_allclose(dx, 10 * net.fc.weight.value.sum(0) + np.ones((2, 3)), rtol=1e-5)


def test_nets_without_a_table_take_integers_as_before():
    net, x = Sequential(Linear(3, 2), Residual(Tanh())), X.astype("int16")
    np.testing.assert_array_equal(net(x), net(x.astype(np.float32)))
    assert len(net.runner._programs) == 1


def test_the_printed_program_reads_integers():
    net = Graph({"words": (Embedding(7, 4), "ids"), "gru": (GRU(4, 5, batch_first=True, returns="last"), "words"),
                 "fc": (Linear(3, 5), "more"), "sum": (Add(), ["gru", "fc"])}, inputs=("ids", "more"))
    listing = net.program({"ids": (2, 6), "more": (2, 3)}, training=True)
    assert "convert" not in str(listing) and "dx: None, " in str(listing)
    assert [str(value.dtype) for value in listing.before.x.values()] == ["int64", "float32"]
    assert 'Embedding "words"' in str(explain(net, {"ids": (2, 6), "more": (2, 3)}))


def test_padding():
    net = Embedding(5, 3, padding_idx=-2)
    assert net.padding_idx == 3 and repr(net) == "Embedding(5, 3, padding_idx=3)"
    np.testing.assert_array_equal(net.weight.value[3], 0)
    net.weight.value[3] = 7
    np.testing.assert_array_equal(net.forward(np.array([3, 1, 1]), training=True)[0], 7)
    net.backward(np.ones((3, 3)))
    np.testing.assert_array_equal(net.weight.grad, np.array([0, 2, 0, 0, 0])[:, None] * np.ones(3))
    net.scale_grad_by_freq = True
    net.forward(np.array([3, 1, 1]), training=True)
    net.backward(np.ones((3, 3)))
    np.testing.assert_array_equal(net.weight.grad, np.array([0, 1, 0, 0, 0])[:, None] * np.ones(3))


def test_refused_arguments():
    with pytest.raises(ValueError, match="^Embedding: max_norm must be None, got 2: a forward pass does not change "
                                         "weights; scale the rows of weight.value after each step of the optimiser$"):
        Embedding(5, 3, max_norm=2)
    with pytest.raises(ValueError, match="^Embedding: sparse must be False, got True: the gradient is a dense array$"):
        Embedding(5, 3, sparse=True)
    with pytest.raises(ValueError, match="^Embedding: padding_idx must be an integer of at least -5 and at most 4"):
        Embedding(5, 3, padding_idx=5)


def test_merges_of_a_users_own_are_given_floats():
    """Next to a table."""
    net = Graph({"words": (Embedding(7, 3), "ids"), "flat": (Flatten(), "words"), "fc": (Linear(9, 3), "flat"),
                 "less": (Difference(), ["fc", "ids"])}, inputs=("ids",))
    for _ in range(3):
        y = net.forward(X, training=True)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(net.backward(np.ones_like(y)), -1)
