"""Tracing: what is noted, and what is refused with the name of the layer and a remedy."""
import operator
import threading

import numpy as np
import pytest

import fastnet
from fastnet import Parameter, layers
from fastnet.kernels import shapes
from fastnet.layers import (
    Add,
    BatchNorm1d,
    BatchNorm2d,
    Container,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Layer,
    Linear,
    Parallel,
    Recompute,
    ReLU,
    Residual,
    Sequential,
)
from fastnet.program.program import rewrite
from fastnet.program.trace import Node, Trace, Value
from fastnet.program.tracer import trace

from .nets import Own, Scaled, check_same, fresh, images, step


def traced(net, shape, training=True, need_dx=True):
    return trace(net, net._kinds(shape), training, need_dx)


# What is noted

def test_operations_in_order():
    net = Sequential(Linear(3, 4), ReLU(), Linear(4, 2, bias=False))
    found = traced(net, (5, 3))
    assert [(node.op, node.backward, node.layers) for node in found.nodes] == [
        ("linear_forward", False, ('Linear "0"',)), ("activation_forward", False, ('ReLU "1"',)),
        ("linear_forward", False, ('Linear "2"',)), ("linear_backward_weight", True, ('Linear "2"',)),
        ("linear_backward_input", True, ('Linear "2"',)), ("activation_backward", True, ('ReLU "1"',)),
        ("linear_backward_weight", True, ('Linear "0"',)), ("linear_backward_input", True, ('Linear "0"',))]
    assert found.y.shape == (5, 2) and found.dx.shape == (5, 3) and found.x.dtype == np.float32
    assert list(found.gradients) == [net[2].weight, net[0].weight, net[0].bias]
    assert [leaf.name for leaf in found.leaves] == ["0.weight", "0.bias", "2.weight"]
    assert [node.place for node in found.nodes] == list(range(8))
    assert traced(net, (5, 3), need_dx=False).dx is None and not traced(net, (5, 3), training=False).gradients


def test_values_know_who_reads_them():
    found = traced(Sequential(Linear(3, 3), Residual(ReLU())), (2, 3), training=False)
    linear, relu, add = found.nodes
    assert list(linear.results[0].uses) == [relu, add] and list(add.results[0].uses) == [found.end]
    assert add.reads(relu.results[0]) == ["a"] and found.source(relu.results[0], "activation_forward") is relu
    assert found.source(linear.results[0], "linear_forward") is None     # two readers
    assert found.are_leaves(linear.inputs["w"]) and not found.are_leaves(linear.inputs["w"], found.x)


def test_statistics_are_results():
    net = Sequential(BatchNorm1d(3), BatchNorm1d(3))
    net[1].frozen = True
    found = traced(net, (4, 3))
    assert [(layer, name) for layer, name, _ in found.assigned] == [
        (net[0], "running_mean"), (net[0], "running_var"), (net[0], "num_batches_tracked")]
    assert [node.op for node in found.nodes if not node.backward] == ["batchnorm_forward", "batchnorm_track",
                                                                    "batchnorm_inference"]
    assert net[0].num_batches_tracked == 0 and not traced(net, (4, 3), training=False).assigned


def test_draws():
    net = Sequential(Dropout(0.5), Recompute(Dropout(0.2)))
    before = [layer.generator.bit_generator.state for layer in (net[0], net[1].layer)]
    found = traced(net, (4, 3))
    assert list(found.draws.values()) == [net[0].generator, net[1].layer.generator]
    assert [layer.generator.bit_generator.state for layer in (net[0], net[1].layer)] == before
    keys = [node.inputs["key"] for node in found.nodes if node.op == "dropout"]
    assert keys == [*found.draws, list(found.draws)[1], list(found.draws)[0]]   # forward, and backward


def test_what_is_done_again():
    net = Sequential(Recompute(Sequential(Linear(3, 4), BatchNorm1d(4), ReLU(), Linear(4, 2))))
    found = traced(net, (5, 3))
    again = [node.op for node in found.nodes if node.again]
    assert again == ["linear_forward", "batchnorm_forward", "activation_forward"]   # nobody wants the last one's y
    assert len(found.assigned) == 3
    assert [node.op for node in found.nodes if not node.again and not node.backward] == [
        "linear_forward", "batchnorm_forward", "batchnorm_track", "activation_forward", "linear_forward"]


def test_nothing_is_left_behind():
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), Own(), Flatten())
    before = [dict(vars(layer)) for _, layer in net.named_layers()]
    net.program((2, 3, 6, 6), training=True)
    net.output_shape((2, 3, 6, 6))
    for (path, layer), old in zip(net.named_layers(), before, strict=True):
        assert {name: id(value) for name, value in vars(layer).items() if name not in ("saved", "_runner")} == {
            name: id(value) for name, value in old.items() if name not in ("saved", "_runner")}, path
        assert layer.saved is None
    assert all(parameter.grad is None for parameter in net.parameters())


def test_tracing_in_the_midst_of_a_pass():
    net, x = Sequential(Linear(3, 4), Own(), Linear(4, 2)), images((5, 3), 0)
    twin = fresh(net)
    with fastnet.plainly():
        y = net.forward(x, training=True)
        net.output_shape((7, 3))
        net.program((7, 3), training=True)
        dx = net.backward(np.cos(y))
    np.testing.assert_array_equal(dx, step(twin, x)["dx"])


def test_threads_trace_for_themselves():
    """One thread traces while others compute with the layers of the same net."""
    net, x, failed = Sequential(Linear(3, 4), ReLU(), Linear(4, 2)), images((5, 3), 0), []
    expected = net(x)

    def trace_on():
        for n in range(1, 60):
            if net.output_shape((n, 3)) != (n, 2):
                failed.append(n)

    def compute():
        for _ in range(60):
            if not np.array_equal(net(x), expected):
                failed.append("y")

    running = [threading.Thread(target=work) for work in (trace_on, compute, trace_on, compute)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert not failed


class Views(Layer):
    """Reads a part of a parameter, which it does not train, and an array of its own that is none."""

    traceable, buffer_names = True, ("offset",)

    def __init__(self):
        self.both = Parameter(np.arange(12, dtype=np.float32).reshape(4, 3))
        self.offset = np.ones(2, np.float32)

    def forward(self, x, training=False):
        if training:
            self.saved = (x,)
        return self.ops.linear_forward(x, self.both.value[1:3], self.offset)

    def backward(self, dy, need_dx=True):
        self.take_saved()
        return self.ops.linear_backward_input(dy, self.both.value[1:3]) if need_dx else None


def test_views_of_weights_are_read_anew():
    net, x = Sequential(Views()), images((5, 3), 0)
    for i in range(5):
        np.testing.assert_array_equal(net(x), fresh(net)(x))
        np.testing.assert_allclose(net(x), x @ net[0].both.value[1:3].T + net[0].offset, rtol=1e-5)
        check_same(step(net, x), step(fresh(net), x))
        if i % 2:
            net[0].both.value = net[0].both.value * 2
            net[0].offset = net[0].offset + 1
        else:
            net[0].both.value[2] += 1
            net[0].offset += 1
    net[0].both.value = np.asfortranarray(net[0].both.value)
    np.testing.assert_allclose(net(x), x @ net[0].both.value[1:3].T + net[0].offset, rtol=1e-5)


# What is refused

def computing(how):
    """A layer that says it computes by operations, and does not."""
    class Liar(Layer):
        traceable = True

        def forward(self, x, training=False):
            return how(x)

        def backward(self, dy, need_dx=True):
            return dy

    return Liar()


LIES = {
    "ufunc": np.tanh, "function": np.mean, "operator": lambda x: 2 * x, "other side": lambda x: x - 1,
    "truth": lambda x: x if x else None, "comparison": lambda x: x > 0, "element": lambda x: x[0],
    "iteration": lambda x: list(x), "number": lambda x: float(x), "array": lambda x: np.asarray(x),
    "power": lambda x: x ** 2, "product": lambda x: x @ x, "sign": lambda x: -x,
    "in place": lambda x: np.add(x, x, out=x), "own place": lambda x: operator.iadd(x, 1),
    "absolute": lambda x: abs(x), "assignment": lambda x: x.__setitem__(0, 1), "remainder": lambda x: x % 2,
}


@pytest.mark.parametrize("how", LIES)
def test_layers_that_compute_with_numpy(how):
    net = Sequential(Linear(3, 3), Sequential(computing(LIES[how])))
    text = r'^Liar "1.0": this layer computes with NumPy .* traceable = False, or compute by self.ops alone$'
    for run in (net, lambda x: net.forward(x, training=True), lambda x: net.program(x.shape)):
        with pytest.raises(TypeError, match=text):
            run(images((2, 3), 0))


@pytest.mark.parametrize("name", ["mean", "T", "copy", "astype", "sum", "max", "flatten"])
def test_what_arrays_have_and_values_have_not(name):
    net = Sequential(Linear(3, 3), Sequential(computing(lambda x: getattr(x, name))))
    text = rf'^Liar "1.0": this layer computes with NumPy .* or compute by self.ops alone: got .{name}$'
    for run in (net, lambda x: net.forward(x, training=True)):
        with pytest.raises(AttributeError, match=text):
            run(images((2, 3), 0))


def test_an_operation_that_is_none():
    net = Sequential(computing(lambda x: net[0].ops.cosine(x)))
    with pytest.raises(AttributeError, match="^Liar \"0\": there is no operation 'cosine'; see fastnet.kernels.shapes"):
        net(images((2, 3), 0))


def test_an_array_that_nobody_knows():
    w = np.ones((4, 3), np.float32)
    net = Sequential(Identity(), computing(lambda x: net[1].ops.linear_forward(x, w)))
    with pytest.raises(TypeError, match=r'^Liar "1": an array of shape \(4, 3\) is neither a parameter, nor a running '
                                        'statistic, .* name the attribute that holds it in the class\'s buffer_names'):
        net(images((2, 3), 0))


class Composed(Container):
    def __init__(self, how):
        self.first, self.second, self.how = Linear(3, 3), ReLU(), how

    def compose(self, x, training):
        return self.how(self, x)


@pytest.mark.parametrize("plainly", [False, True])
@pytest.mark.parametrize(("how", "what"), [
    (lambda self, x: self.second(np.zeros((2, 3), np.float32)), "what it gave to ReLU"),
    (lambda self, x: (self.first(x), np.zeros(3, np.float32)), "what it returned"),
])
def test_compositions_of_something_else(how, what, plainly):
    net, x = Composed(how), images((2, 3), 0)
    with pytest.raises(TypeError, match=r"^Composed: compose\(x, training\) must be made of calls of layers, .* but "
                                        f"{what}.* write a Layer with forward and backward for anything else"):
        if plainly:
            with fastnet.plainly():
                net(x)
        else:
            net(x)


def test_compositions_that_compute():
    net = Composed(lambda self, x: self.first(x) + 1)
    with pytest.raises(TypeError, match="Composed: "):
        net(images((2, 3), 0))


def test_one_parameter_in_two_places():
    tied = Linear(3, 3)
    tied.weight = (other := Linear(3, 3)).weight
    with pytest.raises(ValueError, match="Sequential: the same Parameter is at '0.weight' and at '1.weight'"):
        Sequential(other, tied)
    net = Sequential(Linear(3, 3), Linear(3, 3))
    net(images((2, 3), 0))
    net[1].weight = net[0].weight
    for run in (net, lambda x: net.forward(x, training=True)):
        with pytest.raises(ValueError, match="^Sequential: the same Parameter is at '0.weight' and at '1.weight'; "
                                             "make one object for each place$|it has one gradient"):
            run(images((2, 3), 0))


def test_two_dtypes():
    net = Sequential(Linear(3, 3), Linear(3, 3))
    for _ in range(3):
        net(images((2, 3), 0))
    net[1].weight.astype(np.float64)
    with pytest.raises(TypeError, match="^Sequential: 0.weight is float32 and 1.weight is float64; all parameters of a "
                                        r"net have one dtype: net.astype\(dtype\) converts them$"):
        net(images((2, 3), 0))
    assert net.astype("float64")(images((2, 3), 0)).dtype == np.float64


@pytest.mark.parametrize("make", [lambda: Conv2d(4, 4, 1), lambda: BatchNorm2d(4), lambda: layers.MaxPool2d(20)],
                         ids=["Conv2d", "BatchNorm2d", "MaxPool2d"])
def test_errors_name_the_innermost_layer_once(make):
    kind = type(make()).__name__
    net = Sequential(Identity(), Residual(Sequential(Parallel(Add(), Recompute(Sequential(make()))))))
    for run in (net, lambda x: net.forward(x, training=True), lambda x: net.output_shape(x.shape)):
        with pytest.raises(ValueError, match=rf'^{kind} "1.body.0.0.layer.0": [^"]*$'):
            run(images((2, 3, 8, 8), 0))


def test_errors_of_opaque_layers_name_them():
    class Cut(Own):
        def forward(self, x, training=False):
            return super().forward(x, training)[:, 1:]

    class Told(Cut):
        def output_shape(self, shape):
            return shape

    with pytest.raises(ValueError, match=r'^Told "1": y has shape \(2, 2\), but output_shape tells \(2, 3\)$'):
        Sequential(Linear(3, 3), Told())(images((2, 3), 0))
    net = Sequential(Linear(3, 3), Cut())
    y = net.forward(images((2, 3), 0), training=True)
    assert y.shape == net.output_shape((2, 3)) == (2, 2)

    class Wrong(Own):
        def backward(self, dy, need_dx=True):
            return dy[:1]

    net = Sequential(Linear(3, 3), Wrong())
    net.forward(images((2, 3), 0), training=True)
    with pytest.raises(ValueError, match=r'^Wrong "1": dx has shape \(1, 3\), but x has \(2, 3\)$'):
        net.backward(images((2, 3), 1))


def test_a_value_tells_what_it_is():
    seen = []
    net = Sequential(Linear(3, 4), computing(lambda x: seen.append(x) or x))
    net(images((2, 3), 0))
    value, = seen
    assert repr(value) == ("Value(shape=(2, 4), dtype=float32): a net is being traced, so there are no numbers yet; "
                           "within `with fastnet.plainly():` layers run one by one on arrays")
    assert (value.ndim, value.size, len(value)) == (2, 8, 2)
    with fastnet.plainly():
        net(images((2, 3), 0))
    assert isinstance(seen[1], np.ndarray)


# Changing lists

def chain():
    """x -> a -> b -> c, which is wanted."""
    found = Trace(False)
    found.x = value = Value((2,), np.dtype(np.float32), name="x")
    for name in "abc":
        node = Node("add", {"a": value, "b": value}, {}, (name,))
        value = Value((2,), value.dtype, node)
        node.results = (value,)
        found.append(node)
    return found.finish(value, None, {}, []), found.nodes


def test_absorbing():
    found, (a, b, c) = chain()
    found.absorb(c, b)
    assert b.place == 2 and c.place is None and b.layers == ("b", "c") and found.end.inputs["y"] == list(b.results)
    found.sweep()
    assert found.nodes == [a, b] and list(a.results[0].uses) == [b] and b.reads(a.results[0]) == ["a", "b"]


def test_what_nobody_reads_is_swept_away():
    found, (a, b, c) = chain()
    found.end.give("y", [a.results[0]])
    assert found.sweep().nodes == [a] and list(a.results[0].uses) == [found.end]


def test_operations_wait_for_what_they_read():
    """What stood before an operation that has moved on, and reads it, moves too."""
    found, (a, b, c) = chain()
    for name in ("a", "b"):
        c.give(name, a.results[0])
    found.end.give("y", [*b.results, *c.results])
    found.absorb(c, a)
    assert (a.place, b.place) == (2, 1)
    assert found.sweep().nodes == [a, b] and [node.place for node in found.nodes] == [0, 1]


def test_naive_has_no_rules():
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Scaled()).to("naive")
    kinds = net._kinds((2, 3, 5, 5))
    assert [node.op for node in rewrite(trace(net, kinds, True), net.ops.rules).nodes] == [
        node.op for node in trace(net, kinds, True).nodes]


def test_every_operation_is_one_of_the_contract():
    net = fastnet.models.resnet20()
    ops = {node.op for node in traced(net, (2, 3, 32, 32)).nodes}
    assert ops <= {*shapes.OPS, "reshape"} and len(ops) > 10


class Twice(Container):
    """A net that uses one object in two places."""

    def __init__(self):
        self.linear, self.relu = Linear(3, 3), ReLU()

    def compose(self, x, training):
        return self.relu(self.linear(self.relu(x)))


def test_a_layer_called_twice_is_refused_in_training():
    x = np.ones((2, 3), np.float32)
    assert Twice()(x).shape == (2, 3)   # at inference nothing is saved
    for _ in range(2):
        with pytest.raises(ValueError, match='Twice: .*calls ReLU "relu" twice.*one object for each call'):
            Twice().forward(x, training=True)
