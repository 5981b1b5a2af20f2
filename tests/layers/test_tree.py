"""Layers by their paths within a net: reading them, and putting others in their places."""
import copy
import pickle

import numpy as np
import pytest

from fastnet import init
from fastnet.layers import (
    Add,
    BatchNorm2d,
    Concat,
    Container,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Linear,
    Multiply,
    Parallel,
    Recompute,
    ReLU,
    Residual,
    Sequential,
    Tanh,
)

X = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)


class Own(Container):
    """A user's net that keeps its layers in a list and in a dictionary."""

    def __init__(self):
        self.row, self.named, self.end = [Conv2d(3, 4, 3), ReLU()], {"flat": Flatten(), "deep": [Linear(64, 8)]}, Tanh()

    def compose(self, x, training):
        return self.end(self.named["deep"][0](self.named["flat"](self.row[1](self.row[0](x)))))


class Elsewhere(Container):
    """A user's net that keeps a layer where nobody looks."""

    def __init__(self):
        inner = Linear(3, 3)
        self.kept = lambda: inner

    def named_children(self):
        return [("inner", self.kept())]

    def compose(self, x, training):
        return self.kept()(x)


def make():
    init.manual_seed(0)
    return Sequential({
        "stem": Conv2d(3, 4, 3), "norm": BatchNorm2d(4),
        "block": Residual(Sequential(Conv2d(4, 4, 3, padding=1), Dropout(0.3)), Conv2d(4, 4, 1)),
        "arms": Parallel(Add(), Conv2d(4, 4, 1), Identity()),
        "graph": Graph({"a": (Conv2d(4, 4, 1), "input"), "sum": (Add(), ["a", "input"])}),
        "again": Recompute(Sequential(Conv2d(4, 4, 1), ReLU())), "flat": Flatten(), "fc": Linear(64, 5)})


def other(layer):
    """Another layer that fits in the place of that one."""
    init.manual_seed(9)
    if isinstance(layer, (Add, Multiply)):
        return Multiply()
    if isinstance(layer, Linear):
        return Linear(layer.in_features, layer.out_features, bias=False)
    if isinstance(layer, Conv2d):
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size
        return Sequential(Conv2d(*sizes, padding=layer.padding), Tanh())
    return Sequential(copy.deepcopy(layer))


def same(net, twin, x=X):
    """Both do the same, to the last bit: in training and at inference, from the first pass to those replayed."""
    for _ in range(4):
        y, wanted = net.forward(x, training=True), twin.forward(x, training=True)
        np.testing.assert_array_equal(y, wanted)
        dx = net.backward(np.ones_like(y))
        np.testing.assert_array_equal(dx, twin.backward(np.ones_like(y)))
        for (name, one), (path, parameter) in zip(net.named_parameters(), twin.named_parameters(), strict=True):
            assert name == path
            np.testing.assert_array_equal(one.grad, parameter.grad)
        np.testing.assert_array_equal(net(x), twin(x))


PATHS = [path for path, _ in make().named_layers()[1:]]


@pytest.mark.parametrize("path", PATHS)
def test_a_layer_is_read_and_exchanged(path):
    """After passes that were replayed; what is done next is what a net does that was made so."""
    net = make()
    layer, layers = net[path], dict(net.named_layers())
    assert layer is layers[path] and layer.label == f'{type(layer).__name__} "{path}"'
    for _ in range(3):
        net(X), net.backward(np.ones_like(net.forward(X, training=True)))
    new = net[path] = other(layer)
    assert net[path] is new and new.label == f'{type(new).__name__} "{path}"'
    assert layer.name == "" and all(not one.name.startswith("block") for _, one in layer.named_layers())
    for place, one in net.named_layers():
        if not place.startswith(path):
            assert one is layers[place] or path.startswith(place)
            assert one.name == place
    same(net, pickle.loads(pickle.dumps(net)))


def test_what_is_exchanged_keeps_all_else():
    net = make()
    for _ in range(3):
        net.backward(np.ones_like(net.forward(X, training=True)))
    state, parameters = net.state_dict(), dict(net.named_parameters())
    grad = net["stem"].weight.grad
    net["fc"] = Linear(64, 7)
    assert net["stem"].weight.grad is grad and net(X).shape == (2, 7)
    for name, parameter in net.named_parameters():
        assert name.startswith("fc") or parameter is parameters[name]
    for name, value in net.state_dict().items():
        assert name.startswith("fc") or np.array_equal(value, state[name])
    net[-1] = Linear(64, 3)
    assert net(X).shape == (2, 3) and net.layers[-1] is net["fc"]


def test_a_users_net():
    net = Own()
    net(X)
    net["row.0"], net["named.deep.0"], net["end"] = Conv2d(3, 4, 3, bias=False), Linear(64, 2), ReLU()
    assert net(X).shape == (2, 2) and net.row[0].bias is None and isinstance(net.row, tuple)
    assert [name for name, _ in net.named_parameters()] == ["row.0.weight", "named.deep.0.weight", "named.deep.0.bias"]
    same(net, copy.deepcopy(net))
    odd = Elsewhere()
    with pytest.raises(TypeError, match="^Elsewhere: 'inner' is kept where it cannot be exchanged: assign to the"):
        odd["inner"] = Linear(3, 2)


def test_a_layer_within_the_one_that_takes_its_place():
    net = make()
    fc = net["fc"]
    net["fc"] = Sequential(fc, ReLU())
    assert fc.label == 'Linear "fc.0"' and net["fc.0"] is fc
    net["fc"] = fc
    assert fc.label == 'Linear "fc"' and [path for path, _ in net.named_layers()][-1] == "fc"
    net["fc"] = fc
    assert net["fc"] is fc


REFUSED = [
    ("fd", ReLU, KeyError, "Sequential: there is no layer at 'fd'; there are 'stem', 'norm', 'block', 'arms', "),
    ("block.bodies", ReLU, KeyError, "Sequential: there is no layer at 'block.bodies'; did you mean 'block.body'?"),
    ("fc.weight", ReLU, KeyError, "Sequential: there is no layer at 'fc.weight'"),
    ("", ReLU, KeyError, "Sequential: there is no layer at ''"),
    (8, ReLU, IndexError, "Sequential: there are 8 layers, got the index 8"),
    (None, ReLU, TypeError, "Sequential: the index must be an integer, got None"),
    (slice(2), ReLU, TypeError, "Sequential: the index must be an integer, got slice"),
    ("fc", lambda: None, TypeError, "Sequential: the layer at 'fc' must be a layer, got None"),
    ("fc", lambda: Linear, TypeError, "Sequential: the layer at 'fc' must be a layer, got the class Linear: make an "),
    ("arms.merge", ReLU, TypeError, 'Parallel "arms": expected a merge such as Add() or Concat() first, got ReLU()'),
    ("graph.sum", ReLU, ValueError, "Graph \"graph\": entry 'sum' needs one input, got ['a', 'input']; Add() "),
]


@pytest.mark.parametrize(("path", "make_layer", "error", "text"), REFUSED, ids=[str(row[0]) for row in REFUSED])
def test_what_is_refused(path, make_layer, error, text):
    net = make()
    before = [(place, layer, dict(vars(layer))) for place, layer in net.named_layers()]
    with pytest.raises(error) as caught:
        net[path] = make_layer()
    assert caught.value.args[0].startswith(text)
    assert before == [(place, layer, dict(vars(layer))) for place, layer in net.named_layers()]
    if error in (KeyError, IndexError):
        with pytest.raises(error) as read:
            net[path]
        assert read.value.args == caught.value.args


def test_no_layer_is_in_two_places():
    """Nor in two nets of one that is around both, nor within itself."""
    net = make()
    whole = Sequential(Identity(), net)
    tied = Linear(64, 5)
    tied.weight = net["fc"].weight
    for change, place in [(lambda: net.__setitem__("flat", net["stem"]), "stem'"),
                          (lambda: net["block"].__setitem__("body.1", net["fc"]), "fc'"),
                          (lambda: net["block"].__setitem__("body", whole), "''"),
                          (lambda: net["arms"].__setitem__("1", whole[0]), "0'"),
                          (lambda: net.__setitem__("flat", tied), "fc.weight'"),
                          (lambda: net.append(whole), "''"), (lambda: net.extend([net[0]]), "stem'"),
                          (lambda: net.extend([one := ReLU(), one]), "8'")]:
        before = [(path, layer, dict(vars(layer))) for path, layer in whole.named_layers()]
        with pytest.raises(ValueError, match=f"the same .* is at .*{place}.*; make one object for each place$"):
            change()
        assert before == [(path, layer, dict(vars(layer))) for path, layer in whole.named_layers()]


def test_layers_have_no_more_of_a_list():
    layer = Linear(3, 2)
    with pytest.raises(KeyError, match="Linear: there is no layer at 'x'; it holds none"):
        layer["x"]
    for call in (lambda: list(layer), lambda: layer[0], lambda: len(layer)):
        with pytest.raises(TypeError):
            call()


def test_a_row_is_changed_like_a_list():
    init.manual_seed(0)
    net = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    first, second, third = net.layers
    x = np.ones((2, 3), np.float32)
    net(x)
    assert net.append(Tanh()) is net and net[-1].label == 'Tanh "3"' and net.layers[:3] == (first, second, third)
    np.testing.assert_array_equal(net(x), np.tanh(Sequential(first, second, third)(x)))
    assert net.insert(1, Identity()) is net and [layer.name for layer in net] == list("01234")
    assert third.label == 'Linear "3"'
    assert net.pop(1).label == "Identity" and net.pop().label == "Tanh" and len(net) == 3
    del net[1]
    assert net.layers == (first, third) and second.label == "ReLU" and third.label == 'Linear "1"'
    assert net.extend(Sequential(ReLU(), Tanh())) is net and len(net) == 4
    del net[1:3]
    assert net.layers[0] is first and type(net[1]) is Tanh and net.layers == tuple(net)
    np.testing.assert_array_equal(net(x), np.tanh(first(x)))
    net.insert(2, Identity()).insert(-1, ReLU())
    assert [type(layer).__name__ for layer in net] == ["Linear", "Tanh", "ReLU", "Identity"]
    del net["2"]
    assert [type(layer).__name__ for layer in net] == ["Linear", "Tanh", "Identity"]
    for call, text in [(lambda: net.pop(3), "there are 3 layers, got the index 3"),
                       (lambda: net.insert(4, ReLU()), "there are 3 layers, got the index 4"),
                       (lambda: net.__delitem__(-4), "there are 3 layers, got the index -4")]:
        with pytest.raises(IndexError, match=f"^Sequential: {text}$"):
            call()
    for call, text in [(lambda: net.append(3), "layer must be a layer, got 3"),
                       (lambda: net.insert(0, None), "layer must be a layer, got None"),
                       (lambda: net.extend([ReLU(), 3]), r"layers\[1\] must be a layer, got 3"),
                       (lambda: net.extend(3), "layers must be a list of layers, got 3"),
                       (lambda: net.pop("0"), "the index must be an integer, got '0'")]:
        with pytest.raises(TypeError, match=f"^Sequential: {text}"):
            call()
    assert len(net) == 3


def test_names_of_a_row_stay():
    net = Sequential({"a": Linear(3, 4), "b": ReLU(), "c": Tanh()})
    del net["b"]
    net.append(Identity())
    assert [name for name, _ in net.named_children()] == ["a", "c", "2"]
    with pytest.raises(ValueError, match="^Sequential: there is a layer '2' already, and one that is added is named "
                                         "after its place: make another row"):
        net.insert(2, ReLU())
    assert [name for name, _ in net.named_children()] == ["a", "c", "2"]
    assert Sequential({}).append(ReLU()).named_children()[0][0] == "0"
    assert list(Sequential({"x": Linear(2, 2)}).state_dict()) == ["x.weight", "x.bias"]
    assert repr(Sequential({"x": ReLU()})) == "Sequential(\n  (x): ReLU()\n)"


def test_a_slice_is_a_row_of_the_same_layers():
    net = make()
    net(X)
    part = net[:2]
    assert type(part) is Sequential and part.layers == net.layers[:2] and net["norm"].label == 'BatchNorm2d "norm"'
    assert [name for name, _ in net[-2:].named_children()] == ["flat", "fc"]
    np.testing.assert_array_equal(net[2:](part(X)), net.layers[-1](net[2:-1](part(X))))
    assert len(net[8:]) == 0 and net[::-1].layers == net.layers[::-1]
    assert list(part.state_dict()) == [name for name in net.state_dict() if name.split(".")[0] in ("stem", "norm")]


def test_parts_of_other_containers():
    graph = Graph({"a": (Linear(3, 3), "input"), "end": (Concat(), ["a", "input"])})
    x = np.ones((2, 3), np.float32)
    graph(x)
    graph["end"] = Multiply()
    np.testing.assert_array_equal(graph(x), graph["a"](x))
    arms = Parallel(Add(), Linear(3, 2), Linear(3, 2))
    arms["merge"], arms["1"] = Concat(), Linear(3, 5)
    assert arms(x).shape == (2, 7)
    again = Recompute(Linear(3, 3))
    again["layer"] = Linear(3, 2)
    assert again(x).shape == (2, 2)
    block = Residual(Linear(3, 3), Linear(3, 3))
    block["shortcut"] = Identity()
    np.testing.assert_array_equal(block(x), block["body"](x) + x)
