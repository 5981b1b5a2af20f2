"""What goes wrong in layers of one's own is told with the layer's name, and what to do."""
import numpy as np
import pytest

import fastnet
from fastnet.layers import Layer, Linear, Sequential

from .nets import Own


class _Twice(Own):
    """y = 2 x, by writing into x or dy where it is told to."""

    def __init__(self, where=()):
        self.where = where

    def forward(self, x, training=False):
        self.saved = () if training else None
        if "forward" not in self.where:
            return 2 * x
        x *= 2
        return x

    def backward(self, dy, need_dx=True):
        self.take_saved()
        if "backward" not in self.where:
            return 2 * dy
        dy *= 2
        return dy


@pytest.fixture(params=[False, True], ids=["recorded", "plainly"])
def however(request):
    if not request.param:
        yield
        return
    with fastnet.plainly():
        yield


@pytest.mark.parametrize("place", [0, 1])
def test_one_that_writes_into_x_is_refused(place, however):
    layers = [Linear(4, 4), Linear(4, 4)]
    layers.insert(place, _Twice("forward"))
    net, x = Sequential(*layers), np.random.default_rng(0).standard_normal((3, 4)).astype("f")
    before = x.copy()
    for call in (net, lambda x: net.forward(x, training=True)):
        with pytest.raises(ValueError, match=f'^_Twice "{place}": forward has written into x, the array that it was '
                                             r"given: compute a new one, .* or let forward begin with x = x.copy\(\)"):
            call(x)
        np.testing.assert_array_equal(x, before)


def test_one_that_writes_into_dy_is_refused(however):
    net, x = Sequential(Linear(4, 4), _Twice("backward")), np.ones((3, 4), np.float32)
    dy = np.ones_like(net.forward(x, training=True))
    with pytest.raises(ValueError, match='^_Twice "1": backward has written into dy, .* begin with dy = dy.copy'):
        net.backward(dy)
    np.testing.assert_array_equal(dy, np.ones_like(dy))


def test_one_that_is_called_alone_is_looked_at_too():
    x = np.ones((3, 4), np.float32)
    with pytest.raises(ValueError, match="^_Twice: forward has written into x"):
        _Twice("forward")(x)
    np.testing.assert_array_equal(x, 1)
    np.testing.assert_array_equal(_Twice()(x), 2)


class _Giving(Layer):
    """Gives whatever it is told to."""

    def __init__(self, what):
        self.what = what

    def forward(self, x, training=False):
        self.saved = () if training else None
        return self.what(x)

    def backward(self, dy, need_dx=True):
        self.take_saved()


@pytest.mark.parametrize("what, text", [
    (lambda x: None, "y must be a NumPy array, got None"),
    (lambda x: x.tolist(), "y must be a NumPy array, got "),
    (lambda x: (x, None), r"y\[1\] must be a NumPy array, got None"),
])
def test_what_is_no_array(what, text, however):
    net, x = Sequential(Linear(4, 4), _Giving(what)), np.ones((3, 4), np.float32)
    for call in (net, lambda x: net.forward(x, training=True)):
        with pytest.raises(TypeError, match=f'^_Giving "1": {text}'):
            call(x)


def test_another_number_of_samples():
    net, x = Sequential(Linear(4, 4), _Giving(lambda x: x[:3])), np.ones((7, 4), np.float32)
    with pytest.raises(ValueError, match=r'^_Giving "1": y has shape \(3, 4\), but output_shape tells \(7, 4\): let '
                                         r"the class define output_shape\(self, input_shape\)"):
        net(x)

    class First(_Giving):
        def output_shape(self, input_shape):
            return 3, *input_shape[1:]

    assert Sequential(Linear(4, 4), First(lambda x: x[:3]))(x).shape == (3, 4)
