"""Numbers that are not finite: training stops in that step, and says where they came from."""
import numpy as np
import pytest

import fastnet
from fastnet.training import NonFiniteError
from fastnet.training.diagnosis import finite

from . import small


class Trap(fastnet.Layer):
    """The identity, until from pass `at` on the first image is bad, or its gradient, or that of the weight."""

    def __init__(self, where, value=np.nan, at=5):
        self.where, self.value, self.at = where, value, at
        self.weight = fastnet.Parameter(np.ones(1, np.float32))
        self.passes = 0

    def spoil(self, array):
        array = array.copy()
        array[0] = self.value
        return array

    def forward(self, x, training=False):
        if training:
            self.saved = (x.shape,)
            self.passes += 1
        return self.spoil(x) if self.where == "forward" and self.passes >= self.at else x

    def backward(self, dy, need_dx=True):
        self.take_saved()
        bad = self.passes >= self.at
        self.weight.grad = np.full(1, self.value if bad and self.where == "weight" else 0, np.float32)
        return self.spoil(dy) if bad and self.where == "backward" else dy

    def output_shape(self, input_shape):
        return tuple(input_shape)


def nets_with(trap):
    """The trap in a row, in a branch, behind a shortcut and in a graph; and what it is called there."""
    conv, pool = fastnet.Conv2d(3, 4, 3, padding=1), fastnet.MaxPool2d(2)
    end = (fastnet.Flatten(), fastnet.Linear(64, 4))
    return {
        "row": lambda: (fastnet.Sequential(conv, trap, fastnet.ReLU(), pool, *end), "1"),
        "nested": lambda: (fastnet.Sequential(conv, fastnet.Sequential(fastnet.ReLU(), trap), pool, *end), "1.1"),
        "residual": lambda: (fastnet.Sequential(conv, fastnet.Residual(trap), pool, *end), "1.body"),
        "parallel": lambda: (fastnet.Sequential(conv, fastnet.Parallel(fastnet.Add(), fastnet.ReLU(), trap), pool,
                                                *end), "1.1"),
        "graph": lambda: (fastnet.Graph({"conv": (conv, "input"), "trap": (trap, "conv"),
                                         "sum": (fastnet.Add(), ["conv", "trap"]), "pool": (pool, "sum"),
                                         "flat": (end[0], "pool"), "end": (end[1], "flat")}), "trap"),
    }


@pytest.mark.parametrize("kind", ["row", "nested", "residual", "parallel", "graph"])
@pytest.mark.parametrize("where, value, cause", [
    ("forward", np.inf, 'bad output is that of Trap "{}", with 0 NaN and 256 infinite among 2048 numbers'),
    ("backward", np.nan, 'bad gradient is the one that leaves Trap "{}", with 256 NaN and 0 infinite among 2048'),
    ("weight", np.nan, 'bad gradient is that of weight in Trap "{}", with 1 NaN and 0 infinite among 1 '),
], ids=["forward", "backward", "weight"])
def test_the_first_bad_layer_is_named(kind, where, value, cause):
    trap = Trap(where, value)
    net, name = nets_with(trap)[kind]()
    states = []
    before = small.Callback()
    before.on_step_begin = lambda trainer: states.append(net.state_dict())
    trainer = small.trainer(net, [before])
    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError) as caught:
        trainer.fit(small.batches(20, 8), epochs=3)
    text = str(caught.value)
    assert text.startswith("epoch 2, step 5: ") and cause.format(name) in text
    assert text.endswith("; this step was not applied to the weights")
    assert isinstance(caught.value, FloatingPointError) and trainer.step == 4
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value, states[-1][key])


@pytest.mark.parametrize("make, name", [
    (lambda trap: fastnet.Sequential(fastnet.Flatten(), trap, fastnet.Linear(192, 4)), 'Trap "1"'),
    (lambda trap: fastnet.Sequential(trap, fastnet.Flatten(), fastnet.Linear(192, 4)), 'Trap "0"'),
])
def test_a_bad_weight_of_the_first_layer_is_named(make, name):
    """Where nobody asks for the gradient of its input."""
    with pytest.raises(NonFiniteError, match=f"the first bad gradient is that of weight in {name}, with 1 NaN"):
        small.trainer(make(Trap("weight", at=1))).fit(small.batches(), 1)


def test_few_of_very_many_bad_gradients_are_named():
    net = fastnet.Sequential(*[fastnet.Linear(3, 3) for _ in range(20)])

    def spoil(trainer):
        for parameter in trainer.net.parameters():
            parameter.grad[...] = np.nan

    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), fastnet.SGD(net.parameters(), 0.1),
                              [small.At("on_gradients", 0, spoil)])
    with pytest.raises(NonFiniteError, match="not finite for 0.weight, 0.bias, 1.weight, 1.bias, 2.weight and 35 more"):
        trainer.fit([(np.ones((2, 3), np.float32), np.zeros(2, int))], 1)


def test_a_bad_gradient_of_the_librarys_layers_is_named():
    """The weight's gradient overflows, everything else is finite: it is named as the layer knows it."""
    net = fastnet.Sequential(fastnet.Flatten(), fastnet.Linear(192, 4, bias=False))
    x = np.full((8, 3, 8, 8), 1e38, np.float32)
    net[1].weight.value[:] = 0

    class Steep:
        def __call__(self, logits, labels):
            return 1.0, np.full_like(logits, 100)

    trainer = fastnet.Trainer(net, Steep(), fastnet.SGD(net.parameters(), 0.1))
    text = 'the first bad gradient is that of weight in Linear "1", with 0 NaN and 768 infinite'
    with np.errstate(over="ignore"), pytest.raises(NonFiniteError, match=text):
        trainer.fit([(x, np.zeros(8, np.int64))], 1)


def test_diagnosis_leaves_the_layers_as_they_were():
    trap = Trap("backward", at=1)
    net, _ = nets_with(trap)["nested"]()
    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError):
        small.trainer(net).fit(small.batches(), 1)
    assert not any({"forward", "backward"} & set(vars(layer)) for _, layer in net.named_layers())
    trap.where = "nowhere"
    assert small.trainer(net).fit(small.batches(), 1)["steps"] == [3]


def test_bad_images_are_named():
    batches = small.batches()
    batches[1][0][2, 1, 0, 0] = np.nan
    with pytest.raises(NonFiniteError, match="^epoch 1, step 2: the loss is nan: the images of this batch hold 1 NaN "
                                             "and 0 infinite among 1536 numbers, look at the data"):
        small.trainer(small.net()).fit(batches, 1)


def test_bad_labels_are_named():
    net = fastnet.Sequential(fastnet.Linear(2, 1))
    trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1))
    batch = (np.ones((3, 2), np.float32), np.array([[1], [np.inf], [0]], np.float32))
    with pytest.raises(NonFiniteError, match="the labels of this batch hold 0 NaN and 1 infinite among 3 numbers"):
        trainer.fit([batch], 1)


def test_bad_weights_are_named():
    net = small.net()
    state = net.state_dict()
    state["3.weight"][0, 0, 0, 0] = np.inf
    net.load_state_dict(state)
    with np.errstate(invalid="ignore"), pytest.raises(
            NonFiniteError, match='the weights were bad before this step, "3.weight" holds 0 NaN and 1 infinite'):
        small.trainer(net).fit(small.batches(), 1)


def test_a_loss_that_overflows_on_its_own_is_named():
    net = fastnet.Sequential(fastnet.Linear(1, 1, bias=False))
    net.load_state_dict({"0.weight": [[1e30]]})
    trainer = fastnet.Trainer(net, fastnet.MSELoss(), fastnet.SGD(net.parameters(), 0.1))
    with pytest.raises(NonFiniteError, match=r"the loss is inf: all layers gave finite outputs, the last up to 1e\+30"):
        trainer.fit([(np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32))], 1)


def test_too_high_a_learning_rate_is_caught():
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="try a lower learning rate"):
        small.trainer(small.net(), lr=1e25).fit(small.batches(), 10)


@pytest.mark.parametrize("array, expected", [
    (np.zeros(3), True), (np.array([3e38, 3e38], np.float32), True), (np.array([np.inf, -np.inf]), False),
    (np.array([0, np.nan]), False), (np.arange(3), True)])
def test_finite(array, expected):
    assert finite(array) is expected
