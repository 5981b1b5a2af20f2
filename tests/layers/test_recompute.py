"""Recompute: the same numbers to the last bit, with less kept between forward and backward."""
import copy

import numpy as np
import pytest

from fastnet import init
from fastnet.layers import BatchNorm2d, Conv2d, Dropout, Layer, Linear, Recompute, ReLU, Sequential

X = np.random.default_rng(0).standard_normal((4, 3, 6, 6), np.float32)


def make_block():
    init.manual_seed(3)
    return Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Dropout(0.4), Conv2d(4, 4, 1), Dropout(0.2))


def state_of(layer):
    return [value for _, value in sorted(layer.state_dict().items())]


def test_same_as_without_to_the_last_bit():
    plain, wrapped = Sequential(make_block()), Sequential(Recompute(make_block()))
    for _ in range(3):
        y = plain.forward(X, training=True)
        np.testing.assert_array_equal(wrapped.forward(X, training=True), y)
        dy = np.sin(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
        np.testing.assert_array_equal(wrapped.backward(dy), plain.backward(dy))
        for ours, theirs in zip(wrapped.parameters(), plain.parameters(), strict=True):
            np.testing.assert_array_equal(ours.grad, theirs.grad)
            ours.value -= ours.grad
            theirs.value -= theirs.grad
        for ours, theirs in zip(state_of(wrapped), state_of(plain), strict=True):
            np.testing.assert_array_equal(ours, theirs)     # running statistics too: moved once
        np.testing.assert_array_equal(wrapped(X), plain(X))
    assert wrapped[0].layer[1].num_batches_tracked == 3


def test_only_the_input_is_kept():
    recompute, x = Recompute(make_block()), X.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    recompute.forward(x, training=True)
    assert recompute.saved[0] is x and sum(isinstance(one, np.ndarray) for one in recompute.saved) == 1
    assert all(part.saved is None for _, part in recompute.layer.named_layers())


def test_a_program_computes_twice():
    """Forward once more, marked, as far as the backward pass needs it; of the first time it reads x and the keys."""
    traced = Sequential(Conv2d(3, 3, 1), Recompute(make_block())).program(X.shape, training=True).before
    first = [node for node in traced.nodes if not node.backward]
    again = [node for node in traced.nodes if node.again]
    assert [node.op for node in again] == ["conv2d_forward", "batchnorm_forward", "activation_forward", "dropout"]
    assert again[0].inputs["x"] is first[0].results[0] and again[-1].inputs["key"] in traced.draws
    made = {value for node in first[1:] for value in node.results}
    assert not any(value in made for node in traced.nodes if node.backward for value in node.values())
    assert len(traced.draws) == 2


def test_passes_in_between_do_not_disturb():
    """Other batches are computed, with other masks, between a forward and its backward."""
    block = make_block()
    recompute, twin = Recompute(block), Recompute(copy.deepcopy(block))
    y = recompute.forward(X, training=True)
    expected = recompute.backward(np.ones_like(y))
    mask = twin.forward(X, training=True)
    kept = twin.saved
    after = twin.forward(X[::-1], training=True)
    twin(X)
    twin.saved = kept
    np.testing.assert_array_equal(twin.backward(np.ones_like(y)), expected)
    np.testing.assert_array_equal(mask, y)
    np.testing.assert_array_equal(recompute.forward(X[::-1], training=True), after)


class Noise(Layer):
    """A user's random layer: y = x times numbers from its generator."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def forward(self, x, training=False):
        if not training:
            return x
        factor = self.random.standard_normal(x.shape).astype(x.dtype)
        self.saved = (factor,)
        return x * factor

    def backward(self, dy, need_dx=True):
        return dy * self.take_saved()[0]

    def output_shape(self, input_shape):
        return tuple(input_shape)


@pytest.mark.parametrize("wrap", [Recompute, lambda layer: Recompute(Recompute(layer)),
                                  lambda layer: Recompute(Sequential(Recompute(layer)))])
def test_random_layers_of_ones_own(wrap):
    layer, plain = wrap(Noise()), Noise()
    for _ in range(2):
        y = layer.forward(X, training=True)
        np.testing.assert_array_equal(y, plain.forward(X, training=True))
        np.testing.assert_array_equal(layer.backward(X), plain.backward(X))


def test_refused():
    with pytest.raises(TypeError, match="^Recompute: the argument must be a layer, got the class Linear: make an"):
        Recompute(Linear)
    with pytest.raises(RuntimeError, match="^Recompute: backward without a training forward"):
        Recompute(Linear(2, 2)).backward(np.ones((1, 2), np.float32))
