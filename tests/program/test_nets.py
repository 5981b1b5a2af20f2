"""Random nets: what the rules make of them is what the layers say, to the last bit."""
import copy

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.layers import (
    Add,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Parallel,
    Recompute,
    Residual,
    Sequential,
)
from fastnet.program.tables import text

from .nets import (
    ACTIVATIONS,
    Noise,
    check_close,
    check_same,
    fresh,
    images,
    learn,
    random_net,
    step,
    written,
)

pytestmark = pytest.mark.usefixtures("late")
FORMS = ("layers", "graph", "class")
NEED_DX = (True, False, True, True, False, False)


def seeds(*which):
    return pytest.mark.parametrize(("seed", "form"), [(seed, FORMS[seed % len(FORMS)]) for seed in range(*which)])


def check_fused(seed, form):
    """Fused is unfused: forward, dx, gradients, statistics, in plain, recorded and replayed passes, and inference."""
    net, shape = random_net(seed, form)
    plain = fresh(net)
    folded = any(node.op.endswith("pack_folded") for node in net.program(shape).after.constants)
    for i, need_dx in enumerate(NEED_DX):
        x = images(shape, i)
        actual = step(net, x, need_dx)
        with fastnet.plainly():
            expected = step(plain, x, need_dx)
            inferred = plain(x)
        check_same(actual, expected)
        if folded:
            check_close({"y": net(x)}, {"y": inferred}, 1e-5)
        else:
            check_same({"y": net(x)}, {"y": inferred})
        learn(net)
        learn(plain)


def check_naive(seed, form):
    """cpu is naive in float64."""
    net, shape = random_net(seed, form)
    net.astype("float64")
    naive = fresh(net).to("naive")
    for i, need_dx in enumerate(NEED_DX[:4]):
        x = images(shape, i, np.float64)
        check_close(step(net, x, need_dx), step(naive, x, need_dx), 1e-9)
        check_close({"y": net(x)}, {"y": naive(x)}, 1e-9)
        for one in (net, naive):    # the same weights from here on
            one.load_state_dict(naive.state_dict())


@seeds(50)
def test_fused_is_unfused(seed, form):
    check_fused(seed, form)


@pytest.mark.slow
@seeds(50, 500)
def test_fused_is_unfused_in_many_nets(seed, form):
    check_fused(seed, form)


@seeds(50)
def test_cpu_is_naive(seed, form):
    check_naive(seed, form)


@pytest.mark.slow
@seeds(50, 500)
def test_cpu_is_naive_in_many_nets(seed, form):
    check_naive(seed, form)


BEFORE = {
    "conv": lambda: [Conv2d(4, 4, 3, padding=1)],
    "norm": lambda: [Conv2d(4, 4, 1), BatchNorm2d(4)],
    "sum": lambda: [Residual(Conv2d(4, 4, 1))],
    "sum of norms": lambda: [Parallel(Add(), Sequential(Conv2d(4, 4, 1), BatchNorm2d(4)),
                                      Sequential(Conv2d(4, 4, 1), BatchNorm2d(4)))],
    "linear": lambda: [Flatten(), Linear(64, 16)],
    "nothing": lambda: [],
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_two_activations_in_a_row(activation, before):
    """The second one's x is the first one's y, by which only one of the two can be undone."""
    for other in ACTIVATIONS:
        fastnet.manual_seed(0)
        made = [*BEFORE[before](), getattr(layers, activation)(), getattr(layers, other)()]
        net = Sequential(*made, *([] if before == "linear" else [Conv2d(4, 3, 1)]))
        check_plain(net, (3, 4, 4, 4))


def check_plain(net, shape, passes=1):
    plain = fresh(net)
    for i in range(passes):
        x = images(shape, i)
        actual = step(net, x)
        with fastnet.plainly():
            expected = step(plain, x)
        check_same(actual, expected)


CHAINS = {
    "relu before pooling": lambda: [Conv2d(4, 4, 3), layers.ReLU(), MaxPool2d(2), layers.ReLU()],
    "relu read twice": lambda: [Conv2d(4, 4, 1), layers.ReLU(), Parallel(Add(), MaxPool2d(1), Conv2d(4, 4, 1))],
    "pooling read twice": lambda: [Conv2d(4, 4, 1), MaxPool2d(2), Residual(Conv2d(4, 4, 1))],
    "a sum of one array": lambda: [Conv2d(4, 4, 1), Parallel(Add(), layers.Identity(), layers.Identity())],
    "norm after norm": lambda: [BatchNorm2d(4), BatchNorm2d(4), layers.SiLU(), BatchNorm2d(4), layers.ReLU()],
    "norm read twice": lambda: [BatchNorm2d(4), Parallel(Add(), layers.SiLU(), layers.GELU(), layers.ReLU())],
    "drawing in what is done again": lambda: [Recompute(Sequential(Noise(), Conv2d(4, 4, 1), layers.Dropout(0.5)))],
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_rules_may_mistake(name):
    fastnet.manual_seed(0)
    check_plain(Sequential(*CHAINS[name]()), (3, 4, 4, 4), passes=4)


# The same net, written in several ways, is the same list of operations

def block(before, after, kernel_size, padding=0):
    return ("row", Conv2d(before, after, kernel_size, padding=padding, bias=False), BatchNorm2d(after), layers.ReLU())


def dense_block():
    """Three layers, each of which reads all that was there before it. Huang et al. (2017)."""
    def layer(before):
        return ("row", BatchNorm2d(before), layers.ReLU(), Conv2d(before, 8, 1), *block(8, 4, 3, 1)[1:])
    return ("row", Conv2d(3, 8, 3, padding=1), *(("concat", None, layer(before)) for before in (8, 12, 16)))


def inception():
    """Four branches. Szegedy et al. (2015)."""
    return ("row", Conv2d(3, 8, 3, padding=1),
            ("concat", block(8, 4, 1), ("row", block(8, 4, 1), block(4, 6, 3, 1)),
             ("row", block(8, 2, 1), block(2, 3, 5, 2)), ("row", MaxPool2d(3, 1, 1), block(8, 3, 1))))


def resnet20():
    """The model, taken apart."""
    def expression(layer):
        if isinstance(layer, Sequential):
            return ("row", *map(expression, layer))
        if isinstance(layer, Residual):
            return ("add", expression(layer.body), layer.shortcut and expression(layer.shortcut))
        return layer
    return expression(fastnet.models.resnet20())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("make", [resnet20, dense_block, inception])
def test_all_ways_of_writing_a_net_are_one_program(make, training):
    expression = make()
    listings = [written(copy.deepcopy(expression), form).program((2, 3, 16, 16), training=training) for form in FORMS]
    for which in ("before", "after"):
        first, *others = (text(getattr(one, which), labels=False) for one in listings)
        assert others == [first, first]
    assert len(listings[0].after.nodes) < len(listings[0].before.nodes)


@pytest.mark.parametrize("make", [resnet20, dense_block, inception])
def test_all_ways_of_writing_a_net_learn_the_same(make):
    expression, shape = make(), (2, 3, 16, 16)
    nets = [written(copy.deepcopy(expression), form) for form in FORMS]
    for i in range(4):
        first, *others = (list(step(net, images(shape, i)).values()) for net in nets)
        for other in others:
            for one, another in zip(first, other, strict=True):
                np.testing.assert_array_equal(one, another)
        for net in nets:
            learn(net)
