"""What a Trainer asks of its optimiser: that it moves what is to be trained; a learning rate it may lack."""
import numpy as np
import pytest

import fastnet as F
from fastnet.training import JsonLines, ReduceLROnPlateau, Trainer

_X = np.random.default_rng(0).standard_normal((12, 5)).astype("f")
_DATA = _X, np.arange(12) % 3


def _net():
    F.manual_seed(0)
    return F.Sequential(F.Linear(5, 8), F.Tanh(), F.Linear(8, 3))


def test_a_layer_replaced_after_the_optimizer_was_made_is_not_passed_by():
    net, loss = _net(), F.CrossEntropyLoss()
    optimizer = F.SGD(net.parameters(), 0.5)
    trainer = Trainer(net, loss, optimizer)
    net["2"] = F.Linear(8, 3)
    text = (r"^Trainer: optimizer must hold the parameters that net has now, got one with those of shape \(3, 8\), "
            r"\(3,\), which it has no longer, and without 2.weight, 2.bias, .*: make the optimiser anew, "
            r"SGD\(net.parameters\(\), ...\)")
    with pytest.raises(ValueError, match=text):
        Trainer(net, loss, optimizer)
    with pytest.raises(ValueError, match=text):
        trainer.fit(_DATA, 1)
    with pytest.raises(ValueError, match=text.replace("Trainer", "lr_range_test")):
        F.lr_range_test(net, loss, optimizer, _DATA)
    before = net[2].weight.value.copy()
    Trainer(net, loss, F.SGD(net.parameters(), 0.5)).fit(_DATA, 1)
    assert (net[2].weight.value != before).any()


def test_parts_may_be_trained_and_others_too():
    net, loss, other = _net(), F.CrossEntropyLoss(), F.Linear(2, 2)
    Trainer(net, loss, F.SGD(net[2].parameters(), 0.5)).fit(_DATA, 1)
    Trainer(net, loss, F.SGD(net.parameters() + other.parameters(), 0.5)).fit(_DATA, 1)
    optimizer = F.SGD(net.parameters(), 0.5)
    net["0"] = F.Linear(5, 8)
    F.freeze(net, "0")
    Trainer(net, loss, optimizer).fit(_DATA, 1)


def test_a_net_that_is_frozen_throughout_is_refused():
    net, loss = _net(), F.CrossEntropyLoss()
    optimizer = F.SGD(net.parameters(), 0.5)
    F.freeze(net)
    for one, what in ((optimizer, "optimizer"), (_Plain(net), "net")):
        with pytest.raises(ValueError, match=f"^Trainer: {what} must have parameters .* every parameter is frozen: "
                                             r"fastnet.unfreeze\(net, pattern\)"):
            Trainer(net, loss, one)
    F.unfreeze(net, "2")
    with pytest.raises(ValueError, match="every parameter is frozen"):
        Trainer(net, loss, F.SGD(net[0].parameters(), 0.5))
    Trainer(net, loss, optimizer).fit(_DATA, 1)


class _Plain:
    """An optimiser of one's own."""

    def __init__(self, net):
        self.net = net

    def step(self):
        for parameter in self.net.parameters():
            parameter.value -= 0.1 * parameter.grad


def test_one_without_a_learning_rate(tmp_path):
    net = _net()
    trainer = Trainer(net, F.CrossEntropyLoss(), _Plain(net), [JsonLines(tmp_path / "log")])
    history = trainer.fit(_DATA, 2)
    assert trainer.lr is None and history["lr"] == [None, None] == history.by_step["lr"]
    other = Trainer(net, F.CrossEntropyLoss(), _Plain(net))
    other.load_state_dict({**trainer.state_dict(), "callbacks": []})
    assert other.history.by_step["lr"] == [None, None] and "lr" not in repr(other.history)
    with pytest.raises(ValueError, match="ReduceLROnPlateau: optimizer must have a learning rate.* _Plain without"):
        Trainer(net, F.CrossEntropyLoss(), _Plain(net), [ReduceLROnPlateau("loss")]).fit(_DATA, 1)


def test_one_with_what_is_no_learning_rate():
    net = _net()
    optimizer = _Plain(net)
    optimizer.lr = "fast"
    with pytest.raises(TypeError, match="Trainer: lr of the optimizer must be a finite number, got 'fast'"):
        Trainer(net, F.CrossEntropyLoss(), optimizer)
