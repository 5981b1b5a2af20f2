"""What is no array, or one that does not fit, is refused by every layer, alone and in a net, forward and backward."""
import copy

import numpy as np
import pytest

from fastnet import explain, init, input_gradient, plainly, summary
from fastnet.layers import (
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Identity,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
)
from fastnet.program import trees

from .battery import CASES, IDS, Tenfold, arrays, build
from .wrong import NO_ARRAYS, digest, judge

each_layer = pytest.mark.parametrize(("text", "shape"), CASES, ids=IDS)


@pytest.fixture(autouse=True)
def seeded():
    init.manual_seed(1)


def with_first(tree, value):
    """A tree of arrays with something else in place of the first one."""
    leaves = trees.flat(tree)
    return trees.build(tree, [value, *leaves[1:]])


def is_the_users(layer):
    """Whether forward and backward are the user's own from the first line on: nobody stands in front of them."""
    return type(layer).__module__ == Tenfold.__module__ and not layer.traceable


@each_layer
def test_x_that_is_no_array(text, shape):
    layer, x = build(text), arrays(shape)
    nets = [layer] if is_the_users(layer) or not trees.is_leaf(x) else [layer, Sequential(copy.deepcopy(layer))]
    for net in nets:
        net.forward(x, training=True)
        before, kind = digest(net), type(net).__name__
        for what, value in NO_ARRAYS.items():
            wrong = with_first(x, value)
            calls = [lambda wrong=wrong, net=net: net(wrong)]
            if not is_the_users(net):
                calls += [lambda wrong=wrong, net=net: net.forward(wrong), lambda wrong=wrong, net=net:
                          net.forward(wrong, training=True)]
            for call in calls:
                with pytest.raises(TypeError) as caught:
                    call()
                judge(caught.value, f"^{kind}: x")
                assert digest(net) == before, what
        if not is_the_users(net):
            for training in (None, "yes", 1, np.ones(2)):
                with pytest.raises(TypeError, match=f"^{kind}: training must be True or False, got "):
                    net.forward(x, training)


@each_layer
def test_dy_that_is_no_array(text, shape):
    """What was saved stays, so that the right dy may follow."""
    layer, x = build(text), arrays(shape)
    if is_the_users(layer):
        return
    y = layer.forward(x, training=True)
    dy, before = trees.map(np.ones_like, y), digest(layer)
    for what, value in NO_ARRAYS.items():
        if what == "None" and not trees.is_leaf(y):
            continue    # a result that nobody used
        with pytest.raises(TypeError) as caught:
            layer.backward(with_first(dy, value))
        judge(caught.value, f"^{type(layer).__name__}: dy")
        assert digest(layer) == before, what
    for wrong in (np.ones((7, 7), np.float32), np.ones(trees.flat(y)[0].size + 1), np.float32(1), np.ones((0, 5))):
        with pytest.raises(ValueError, match=f"^{type(layer).__name__}: expected dy of shape .*, got dy of shape "):
            layer.backward(with_first(dy, wrong))
        assert digest(layer) == before
    form = {"a": dy} if trees.is_leaf(y) else trees.flat(dy)[0]
    with pytest.raises(TypeError, match=f"^{type(layer).__name__}: expected (dy of the form of y|one array as dy)"):
        layer.backward(form)
    with pytest.raises(TypeError, match=f"^{type(layer).__name__}: need_dx must be True or False, got None"):
        layer.backward(dy, need_dx=None)
    assert digest(layer) == before
    layer.backward(dy)


@each_layer
def test_tensors_of_pytorch_are_arrays(text, shape):
    """Of the CPU: as x and as dy, alone and in a net."""
    torch = pytest.importorskip("torch")
    layer, x = build(text), arrays(shape)
    if is_the_users(layer):
        return
    twin = copy.deepcopy(layer)
    y = layer.forward(x, training=True)
    expected = [*trees.flat(y), *trees.flat(layer.backward(trees.map(np.ones_like, y)))]
    x = trees.map(torch.tensor, x)
    y = twin.forward(x, training=True)
    found = [*trees.flat(y), *trees.flat(twin.backward(trees.map(lambda one: torch.ones(one.shape), y)))]
    for actual, wanted in zip(found, expected, strict=True):
        assert type(actual) is (type(None) if wanted is None else np.ndarray)
        np.testing.assert_array_equal(actual, wanted)
    for actual, wanted in zip(trees.flat(twin(x)), trees.flat(layer(trees.map(lambda one: one.numpy(), x))),
                              strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_an_opaque_layer_that_gives_no_array():
    """In a net that is traced, and where layers run one by one."""
    for what, value in NO_ARRAYS.items():
        bad = Tenfold()
        bad.forward = lambda x, training=False, value=value: value
        bad.output_shape = lambda shape: shape
        net = Sequential(ReLU(), bad)
        with pytest.raises(TypeError) as caught:
            net(np.ones((2, 5), np.float32))
        judge(caught.value, '^Tenfold "1": y')
        with plainly(), pytest.raises(TypeError) as caught:
            net(np.ones((2, 5), np.float32))
        judge(caught.value, '^Tenfold "1": y')
        bad = Tenfold()
        bad.backward = lambda dy, need_dx=True, value=value: value
        net = Sequential(ReLU(), bad)
        net.forward(np.ones((2, 5), np.float32), training=True)
        with pytest.raises(TypeError) as caught:
            net.backward(np.ones((2, 5), np.float32))
        judge(caught.value, '^Tenfold "1": dx'), what


CHANNELS_LAST = [
    (lambda: Conv2d(3, 8, 3), (8, 32, 32, 3)),
    (lambda: Conv2d(16, 8, 3), (8, 32, 32, 16)),
    (lambda: BatchNorm2d(3), (8, 32, 32, 3)),
    (lambda: BatchNorm2d(16), (8, 32, 32, 16)),
    (lambda: MaxPool2d(4), (8, 32, 32, 3)),
    (lambda: AvgPool2d(2), (8, 28, 28, 1)),
    (lambda: AdaptiveMaxPool2d(), (8, 30000, 30000, 3)),
    (lambda: Sequential(Dropout(), Conv2d(3, 8, 3)), (8, 32, 32, 3)),
    (lambda: Sequential(ReLU(), MaxPool2d(2), Conv2d(3, 8, 3)), (8, 32, 32, 3)),
    (lambda: Sequential(MaxPool2d(2), BatchNorm2d(4)), (8, 32, 32, 4)),
    (lambda: Sequential(Identity(), Sequential(AvgPool2d(2), Residual(Conv2d(1, 1, 1)))), (8, 28, 28, 1)),
]


@pytest.mark.parametrize(("make", "shape"), CHANNELS_LAST, ids=[f"{c[0]()!r}"[:40] for c in CHANNELS_LAST])
def test_channels_last_images_get_a_hint(make, shape):
    net, hint = make(), r"channels-last images become \(N, C, H, W\) by x.transpose\(0, 3, 1, 2\)$"
    x = np.broadcast_to(np.float32(1), (2, 2, 2, 2)) if shape[1] > 99 else np.ones(shape, np.float32)
    for call in (net, lambda x: net.forward(x, training=True), lambda x: net.output_shape(shape),
                 lambda x: summary(net, shape), lambda x: explain(net, shape), lambda x: Sequential(make())(x)):
        if x.shape == shape or call not in (net,):
            if shape[1] > 99 and "shape" not in call.__code__.co_freevars:
                continue
            with pytest.raises(ValueError, match=hint) as caught:
                call(x)
            assert str(caught.value).count("transpose") == 1
    right = (shape[0], shape[3], *shape[1:3])
    if shape[1] < 99:
        net.output_shape(right)


def test_other_errors_get_no_hint():
    for net, shape in [(Conv2d(3, 8, 3), (8, 4, 32, 32)), (MaxPool2d(40), (8, 3, 32, 32)), (Conv2d(3, 8, 3), (8, 3))]:
        with pytest.raises(ValueError) as caught:
            net.output_shape(shape)
        assert "channels-last" not in str(caught.value)


WRONG_SHAPES = [np.zeros((64, 3, 32, 32)), None, 3, "x", (1, 3.5), (1, None), (1, -1), [[1, 2], 3], {"x": 3}, object(),
                ((1, 2), None), (True, 3), range(4), (1, 2**40), np.array([1, 3, 32, 32])]


@pytest.mark.parametrize("shape", WRONG_SHAPES, ids=lambda shape: str(shape)[:20])
def test_shapes(shape):
    """Everything that wants a shape says so in a few words, for an array above all."""
    for net in (Sequential(ReLU()), Tenfold()):
        for call in (net.output_shape, lambda x, net=net: summary(net, x), lambda x, net=net: explain(net, x),
                     net.program, net.multiply_adds):
            if isinstance(net, Tenfold) and call == net.multiply_adds:
                continue    # an opaque layer's is 0, whatever it is given
            with pytest.raises((TypeError, ValueError)) as caught:
                call(shape)
            judge(caught.value, f"^{type(net).__name__}: input_shape")
            assert len(str(caught.value)) < 250
            if isinstance(shape, np.ndarray):
                assert "give input_shape=x.shape" in str(caught.value)


@pytest.mark.parametrize("net", [None, 3, "net", [ReLU()], ReLU, np.ones(3), object()],
                         ids=lambda net: type(net).__name__)
def test_functions_that_take_a_net(net):
    from fastnet import freeze, unfreeze

    for call in (lambda: summary(net, (1, 2)), lambda: explain(net, (1, 2)), lambda: freeze(net), lambda: unfreeze(net),
                 lambda: input_gradient(net, np.ones((1, 2)), np.ones((1, 2)))):
        with pytest.raises(TypeError) as caught:
            call()
        judge(caught.value, "^net must be a layer, got ")


def test_input_gradient_refuses():
    net = Sequential(BatchNorm2d(2), ReLU())
    x = np.ones((2, 2, 3, 3), np.float32)
    before = digest(net)
    for value in NO_ARRAYS.values():
        for given, name in [((value, x), "x"), ((x, value), "dy")]:
            with pytest.raises(TypeError) as caught:
                input_gradient(net, *given)
            judge(caught.value, f"^Sequential: {name}")
    with pytest.raises(ValueError, match=r"^Sequential: expected dy of shape \(2, 2, 3, 3\), got dy of shape"):
        input_gradient(net, x, x[..., 0])
    assert digest(net) == before


def test_a_tuple_of_one_array_is_no_array():
    """Programs are told apart by the form of x too."""
    net, x = Sequential(Identity()), np.ones((2, 3), np.float32)
    assert type(net(x)) is np.ndarray
    assert type(net((x,))) is tuple and type(net({"a": x})) is dict and type(net(x)) is np.ndarray
    net = Add()
    assert net((x,)).shape == (2, 3)
    with pytest.raises(TypeError, match="^Add: expected a tuple of arrays as x, got one array"):
        net(x)
