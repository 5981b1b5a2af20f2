"""Parameters, state, names and copies of layers and nets."""
import copy

import numpy as np
import pytest

from fastnet import Parameter, init
from fastnet.layers import (
    Add,
    BatchNorm1d,
    Conv2d,
    Graph,
    Layer,
    Linear,
    Parallel,
    ReLU,
    Residual,
    Sequential,
)

from .battery import Scale


def small_net():
    return Sequential(Linear(3, 4), BatchNorm1d(4), Sequential(ReLU(), Linear(4, 2, bias=False)))


def test_parameter_is_a_copy_of_real_numbers():
    given = np.arange(6.0, dtype=np.float32).reshape(2, 3).T
    parameter = Parameter(given)
    parameter.value[...] = 0
    assert given[1, 1] == 4 and parameter.value.flags.c_contiguous and parameter.grad is None
    assert repr(parameter) == "Parameter(shape=(3, 2), dtype=float32)" and parameter.size == 6
    assert Parameter([1, 2]).value.dtype == np.float32 and Parameter(np.zeros(2)).value.dtype == np.float64
    with pytest.raises(TypeError, match="Parameter: value must hold real numbers, got an array of dtype complex128"):
        Parameter([1j])


def test_a_frozen_parameter_has_no_gradient():
    parameter = Parameter(np.zeros(2))
    parameter.grad = np.ones(2)
    parameter.requires_grad = False
    assert parameter.grad is None
    parameter.grad = np.ones(2)
    assert parameter.grad is None and not Parameter(np.zeros(2), requires_grad=False).requires_grad
    assert repr(parameter) == "Parameter(shape=(2,), dtype=float64, requires_grad=False)"
    parameter = copy.deepcopy(parameter)
    assert not parameter.requires_grad
    parameter.requires_grad = True
    parameter.grad = np.ones(2)
    assert parameter.grad.sum() == 2


@pytest.mark.parametrize("frozen", [{"weight"}, {"bias"}, {"weight", "bias"}], ids=["weight", "bias", "both"])
@pytest.mark.parametrize("make, shape", [(lambda: Linear(3, 4), (5, 3)), (lambda: Conv2d(3, 4, 3), (5, 3, 4, 4)),
                                         (lambda: BatchNorm1d(3), (5, 3))], ids=["Linear", "Conv2d", "BatchNorm1d"])
def test_what_is_frozen_changes_no_other_gradient(make, shape, frozen):
    init.manual_seed(0)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    free = make()
    layer = copy.deepcopy(free)
    for name in frozen:
        getattr(layer, name).requires_grad = False
    y = free.forward(x, True)
    layer.forward(x, True)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
    np.testing.assert_array_equal(layer.backward(dy), free.backward(dy))
    for name in ("weight", "bias"):
        grad = getattr(layer, name).grad
        assert (grad is None) == (name in frozen)
        if grad is not None:
            np.testing.assert_array_equal(grad, getattr(free, name).grad)
    assert layer.trains() == (len(frozen) == 1)


def test_names_are_pytorchs():
    net = small_net()
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias", "2.1.weight"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var",
                                      "1.num_batches_tracked", "2.1.weight"]
    assert [name for name, _ in net.named_layers()] == ["", "0", "1", "2", "2.0", "2.1"]
    assert net[2][1].label == 'Linear "2.1"' and net.label == "Sequential" and len(net) == 3


def test_names_inside_other_containers():
    net = Sequential(Residual(Linear(3, 3), Sequential(Linear(3, 3))), Parallel(Add(), Linear(3, 3), Linear(3, 3)),
                     Graph({"fc": (Linear(3, 3, bias=False), "input")}))
    assert [name for name in net.state_dict() if name.endswith("weight")] == [
        "0.body.weight", "0.shortcut.0.weight", "1.0.weight", "1.1.weight", "2.fc.weight"]
    assert net[1].merge.label == 'Add "1.merge"'


def test_load_reports_everything_and_changes_nothing():
    net = small_net()
    before = net.state_dict()
    state = {**before, "0.weight": np.zeros((4, 5)), "1.bias": np.full(4, 1j), "other": np.zeros(1),
             "1.weight": np.full(4, 5.0)}
    del state["2.1.weight"]
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Sequential: the state does not fit, nothing was loaded: missing 2.1.weight; unexpected other; "
        "0.weight has shape (4, 5), expected (4, 3); 1.bias has dtype complex128, expected float32")
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_load_keeps_dtypes():
    net = small_net()
    net.load_state_dict({name: value.astype(np.float64) + 1 if value.ndim else value + 3
                         for name, value in net.state_dict().items()})
    assert {value.dtype.name for value in net.state_dict().values()} == {"float32", "int64"}
    assert net[1].num_batches_tracked == 3 and net[1].running_mean[0] == 1


def test_astype_and_to():
    net = small_net().to("naive")
    assert {layer.ops.__name__ for _, layer in net.named_layers()} == {"fastnet.kernels.naive"}
    net.forward(np.ones((2, 3)), training=True)
    net.backward(np.ones((2, 2)))
    assert net.astype("float64") is net
    assert all(p.value.dtype == p.grad.dtype == np.float64 for p in net.parameters())
    assert net[1].running_var.dtype == np.float64 and net[1].num_batches_tracked.dtype == np.int64
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got int32"):
        net.astype(np.int32)
    with pytest.raises(ValueError, match="^Sequential: backend must be 'naive' or 'cpu', got 'tpu'"):
        net.to("tpu")
    assert net[0].backend == "naive"


def test_numbers_beyond_float32_are_refused_and_nothing_is_changed():
    net = small_net().astype("float64")
    net[2][1].weight.value[0, 0] = 1e300
    before = net.state_dict()
    with pytest.raises(ValueError, match="^Sequential: 2.1.weight holds numbers beyond float32$"):
        net.astype("float32")
    for name, value in net.state_dict().items():
        assert value.dtype == before[name].dtype and np.array_equal(value, before[name])
    net[2][1].weight.value[0, 0] = np.inf
    assert net.astype("float32").state_dict()["2.1.weight"][0, 0] == np.inf
    with pytest.raises(ValueError, match="^Parameter: value holds numbers beyond float32$"):
        net[0].weight.value = np.full((4, 3), -1e300)


def test_one_object_in_two_places_is_refused():
    layer = Linear(3, 3)
    with pytest.raises(ValueError, match="Sequential: the same Linear is at '0' and at '2.body.0'; make one "):
        Sequential(layer, ReLU(), Residual(Sequential(layer)))
    tied = Linear(3, 3)
    tied.weight = layer.weight
    with pytest.raises(ValueError, match="Parallel: the same Parameter is at '0.weight' and at '1.weight'"):
        Parallel(Add(), layer, tied)
    inner = Scale(layer.weight)
    with pytest.raises(ValueError, match="the same Parameter is at '0.weight' and at '1.kept.0'"):
        Sequential(layer, inner)


class Block(Layer):
    """A user's layer made of layers, which are attributes; nothing else is declared."""

    def __init__(self):
        self.first = Linear(3, 3)
        self.second = Sequential(ReLU(), Linear(3, 2))
        self.factor = Parameter(np.ones(1))

    def forward(self, x, training=False):
        y = self.second.forward(self.first.forward(x, training), training)
        if training:
            self.saved = (y,)
        return self.factor.value * y

    def backward(self, dy, need_dx=True):
        y, = self.take_saved()
        self.factor.grad = np.sum(dy * y).reshape(1)
        return self.first.backward(self.second.backward(dy * self.factor.value), need_dx)


def test_attributes_are_found():
    net = Sequential(Block(), ReLU())
    assert [name for name, _ in net.named_parameters()] == [
        "0.factor", "0.first.weight", "0.first.bias", "0.second.1.weight", "0.second.1.bias"]
    assert net[0].second[1].label == 'Linear "0.second.1"'
    assert net.output_shape((7, 3)) == (7, 2)
    assert repr(net[0]).startswith("Block(\n  (first): Linear(3, 3)\n  (second): Sequential(\n    (0): ReLU()")


def test_a_layer_without_methods_says_so():
    with pytest.raises(NotImplementedError, match="Layer defines no forward"):
        Layer()(np.zeros(1))
    with pytest.raises(NotImplementedError, match="Layer defines no backward"):
        Layer().backward(np.zeros(1))


def test_layers_start_as_pytorchs_do():
    init.manual_seed(0)
    layer = Linear(100, 300)
    assert 0.099 < np.abs(layer.weight.value).max() <= 0.1 and 0.09 < np.abs(layer.bias.value).max() <= 0.1
    np.testing.assert_allclose(layer.weight.value.std(), 0.1 / 3**0.5, rtol=0.01)
    init.manual_seed(0)
    np.testing.assert_array_equal(Linear(100, 300).weight.value, layer.weight.value)
