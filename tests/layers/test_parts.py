"""What a layer holds is seen wherever it is kept, or refused; names; parameters as arrays."""
import collections
import gc

import numpy as np
import pytest

from fastnet import Parameter, models, summary
from fastnet.layers import Add, Container, Graph, Layer, Linear, Parallel, Recompute, ReLU, Residual, Sequential


class Holder(Container):
    """A user's net whose parts are in one attribute, run in the order in which they are found."""

    def __init__(self, kept):
        self.kept = kept

    def compose(self, x, training):
        for _, layer in self.named_children():
            x = layer(x)
        return x


Pair = collections.namedtuple("Pair", "first second")
KEPT = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dictionary": lambda a, b: {"x": a, 2: b},
    "nested lists": lambda a, b: [[a], 3, [None, [b]]],
    "lists in a dictionary": lambda a, b: {"x": [a], "y": {"z": (b,)}},
    "named tuple": lambda a, b: Pair(a, b),
    "ordered dictionary": lambda a, b: collections.OrderedDict(x=a, y=[b]),
}
NAMES = {"list": ["kept.0", "kept.1"], "tuple": ["kept.0", "kept.1"], "dictionary": ["kept.x", "kept.2"],
         "nested lists": ["kept.0.0", "kept.2.1.0"], "lists in a dictionary": ["kept.x.0", "kept.y.z.0"],
         "named tuple": ["kept.0", "kept.1"], "ordered dictionary": ["kept.x", "kept.y.0"]}


@pytest.mark.parametrize("kind", KEPT)
def test_layers_are_found(kind):
    a, b = Linear(3, 4), Linear(4, 2)
    net = Holder(KEPT[kind](a, b))
    assert [name for name, _ in net.named_children()] == NAMES[kind]
    assert net.parameters() == [a.weight, a.bias, b.weight, b.bias]
    assert list(net.state_dict()) == [f"{name}.{one}" for name in NAMES[kind] for one in ("weight", "bias")]
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(net(x), b(a(x)))
    net.to("naive").astype("float64")
    assert a.backend == b.backend == "naive" and b.weight.value.dtype == np.float64
    if kind == "named tuple":
        assert net.kept.second is b
    with pytest.raises(TypeError):
        net.kept[0] = ReLU()


@pytest.mark.parametrize("kind", KEPT)
def test_parameters_are_found(kind):
    class Own(Layer):
        def __init__(self, a, b):
            self.kept = KEPT[kind](a, b)

    a, b = Parameter(np.ones(2)), Parameter(np.ones(3))
    net = Sequential(Own(a, b))
    assert net.named_parameters() == [(f"0.{name}", one) for name, one in zip(NAMES[kind], (a, b), strict=True)]
    assert net.parameters() == [a, b]


@pytest.mark.parametrize("kept", [{Linear(2, 2)}, frozenset([Linear(2, 2)]), collections.deque([Linear(2, 2)]),
                                  np.array([Linear(2, 2), None]), {"a.b": Linear(2, 2)}, {None: Linear(2, 2)},
                                  [[{Linear(2, 2)}]], {Parameter(np.ones(2))}], ids=lambda kept: type(kept).__name__)
def test_what_has_no_names_is_refused(kept):
    net = Holder([])
    with pytest.raises(TypeError, match="^Holder: kept(.0.0)?: layers and parameters (must be kept|need a name)"):
        net.kept = kept
    assert net.kept == []


@pytest.mark.parametrize(("kept", "put"), [
    ([], lambda kept: kept.append(Linear(2, 2))), ([1], lambda kept: kept.insert(0, [Linear(2, 2)])),
    ({}, lambda kept: kept.update(a=Linear(2, 2))), (set(), lambda kept: kept.add(Linear(2, 2))),
    ([], lambda kept: kept.append(Parameter(np.ones(2)))), ({"a": []}, lambda kept: kept["a"].append(Linear(2, 2))),
    (([],), lambda kept: kept[0].append(Linear(2, 2)))])
def test_what_is_put_into_a_list_later_is_refused(kept, put):
    """As nobody notices it; whatever asks for the parts of the net says so."""
    net = Holder(kept)
    assert net.parameters() == []
    put(kept)
    for call in (net.parameters, net.named_layers, net.state_dict, lambda: net(np.ones((1, 2), np.float32)),
                 lambda: Sequential(net), lambda: net.to("naive"), lambda: summary(net, (1, 2))):
        with pytest.raises(TypeError, match="^Holder: layers or parameters were put into the .* 'kept(.0)?' after it "
                                            "had been assigned, which nobody notices"):
            call()


def test_other_lists_stay_lists():
    net = Holder([1, 2])
    net.kept.append(3)
    assert net.kept == [1, 2, 3] and not net.named_children()
    net.kept.append(net.kept)
    assert not net.named_children() and repr(net) == "Holder()"
    within = [Linear(2, 2)]
    within.append(within)
    with pytest.raises((TypeError, ValueError), match="^Holder: kept.*holds itself"):
        net.kept = within


def test_a_cut_leaves_the_names_alone():
    """At rest a layer has its name in the net that was first made of it; while another runs, its name there."""
    net = models.lenet5()
    labels = [layer.label for layer in net.layers]
    cut = Sequential(*net[-3:])
    assert [layer.label for layer in net.layers] == labels and net[-1].label == 'Linear "11"'
    wrong = np.ones((2, 5), np.float32)
    with pytest.raises(ValueError, match='^Linear "0": expected 120 input features'):
        cut(wrong)
    assert [row[0] for row in summary(cut, (1, 120)).rows] == ["0", "1", "2"]
    assert [node.layers for node in cut.program((1, 120)).before.nodes] == [('Linear "0"',), ('ReLU "1"',),
                                                                            ('Linear "2"',)]
    assert [layer.label for layer in net.layers] == labels
    with pytest.raises(ValueError, match='^Conv2d "0": expected 3 input channels'):
        net(np.ones((1, 1, 32, 32), np.float32))
    with pytest.raises(ValueError, match='^Linear "9": expected 120'):
        net[9](wrong)
    last = net[-1]
    del net
    gc.collect()
    assert last.label == 'Linear "2"'
    del cut
    gc.collect()
    assert last.label == 'Linear "2"' and Sequential(ReLU(), last)[1].label == 'Linear "1"'


@pytest.mark.parametrize("make", [lambda part: Residual(part), lambda part: Recompute(part),
                                  lambda part: Parallel(Add(), part, Linear(2, 2)),
                                  lambda part: Graph({"x": (part, "input")}), lambda part: Holder([part])])
def test_no_container_renames(make):
    net = Sequential(ReLU(), Sequential(Linear(2, 2)))
    other = make(net[1])
    other.named_layers(), other.output_shape((1, 2)), other(np.ones((1, 2), np.float32))
    assert net[1].label == 'Sequential "1"' and net[1][0].label == 'Linear "1.0"'
    whole = Sequential(net)
    assert net[1][0].label == 'Linear "0.1.0"' and whole[0] is net


def test_indices():
    net = models.lenet5()
    assert net[np.int64(-1)] is net[11] and net[-2:].layers == net.layers[-2:]
    for index in (12, -13):
        with pytest.raises(IndexError, match=f"^Sequential: there are 12 layers, got the index {index}$"):
            net[index]
    for index in (1.0, None, True, object()):
        with pytest.raises(TypeError, match="^Sequential: the index must be an integer, got "):
            net[index]
    assert len(list(net)) == 12


def test_a_parameter_is_its_numbers():
    parameter = Parameter(np.arange(6.0).reshape(2, 3))
    assert np.asarray(parameter) is not None and np.asarray(parameter).dtype == np.float64
    assert np.shares_memory(np.asarray(parameter), parameter.value)
    assert np.asarray(parameter, np.float32).dtype == np.float32
    assert not np.shares_memory(np.array(parameter), parameter.value)
    np.testing.assert_array_equal(parameter, np.arange(6.0).reshape(2, 3))
    assert np.linalg.norm(parameter) == np.linalg.norm(parameter.value) and np.add(parameter, 1).sum() == 21


@pytest.mark.parametrize("name, value", [
    *[(name, Linear) for name in ("saved", "options", "forward", "backward", "parameters", "state_dict", "label",
                                  "dtype", "compose", "name", "ops", "runner", "to", "named_children", "buffer_names",
                                  "check")],
    ("parameters", lambda *_: 3), ("state_dict", lambda *_: {}), ("label", lambda *_: "mine"),
    ("dtype", lambda *_: None), ("options", lambda *_: {"size": 3}), ("traceable", lambda *_: [1]),
    ("forward", lambda *_: [Linear(2, 2)]),
])
def test_what_every_layer_has_is_not_hidden(name, value):
    class Net(Container):
        def __init__(self):
            setattr(self, name, value(2, 2))

        def compose(self, x, training):
            return x

    with pytest.raises(ValueError, match=f"^Net: '{name}' is a name of Layer's own; choose another$"):
        Net()


def test_functions_in_the_place_of_methods_are_none_of_these():
    layer = Linear(2, 2)
    layer.forward = lambda x, training=False: x
    layer.saved, layer.name, layer.buffer_names = (1, 2), "mine", ()
    assert layer(np.ones((1, 2), np.float32)).sum() == 2 and layer.name == "mine"
