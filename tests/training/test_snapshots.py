"""Snapshots: copies of the net as it was after its epochs."""
import numpy as np
import pytest

import fastnet
from fastnet import CrossEntropyLoss, Ensemble, Linear, Snapshots, predict

X = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)


def test_snapshots_are_the_nets_of_their_epochs():
    net = Linear(4, 3)
    states, snapshots = [], Snapshots(every=2, keep=2)
    watch = type("Watch", (fastnet.Callback,), {"on_epoch_end": lambda _, t: states.append(t.net.state_dict())})()
    trainer = fastnet.Trainer(net, CrossEntropyLoss(), fastnet.SGD(net.parameters(), 0.1), [snapshots, watch])
    trainer.fit((X, np.arange(10) % 3), 7)
    assert len(snapshots.nets) == 2
    for snapshot, state in zip(snapshots.nets, (states[3], states[5]), strict=True):
        np.testing.assert_array_equal(snapshot.weight.value, state["weight"])
        assert snapshot.weight.grad is None
    assert predict(Ensemble(snapshots.nets), X).shape == (10, 3)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="Snapshots: every must be"):
        Snapshots(0)
