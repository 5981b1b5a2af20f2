"""Where the time of a pass goes: what is charged to whom, and that the net is as it was."""
import numpy as np
import pytest

import fastnet
from fastnet import manual_seed, profile, summary
from fastnet.layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    Recompute,
    ReLU,
    Residual,
    Sequential,
)

from .nets import Scaled

X = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)


def make(backend="cpu"):
    manual_seed(3)
    body = Sequential(Conv2d(8, 8, 3, padding=1), BatchNorm2d(8))
    return Sequential(Conv2d(3, 8, 3, padding=1), ReLU(), Residual(body), ReLU(), MaxPool2d(2), Dropout(0.5), Flatten(),
                      Linear(128, 5)).to(backend)


def rows(found):
    return {row.name: row for row in found.rows if row.name}


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_inference(backend):
    net = make(backend)
    found, told = profile(net, X), summary(net, X.shape)
    by_name = rows(found)
    assert [(row.name, row.layer) for row in found.rows if row.name] == [(name, layer) for name, layer, *_ in told.rows]
    assert {name: row.multiply_adds for name, row in by_name.items()} == {row[0]: row[4] for row in told.rows}
    assert found.multiply_adds == told.multiply_adds and not found.training
    assert found.seconds == pytest.approx(sum(row.forward for row in found.rows)) and found.whole > 0
    assert all(row.backward == 0 for row in found.rows) and found.peak > 1e8
    # Where something was fused, its time is that of the first layer.
    for name, other in {"1": "0", "2.body.1": "2.body.0", "4": "3"}.items():
        other = other if backend == "cpu" else ""
        assert by_name[name].within == other and (by_name[name].forward == 0) == bool(other)
    assert (found.arena is None) == (backend == "naive")
    first = by_name["0"]
    assert first.memory == 2 * 8 * 64 * 4 and first.flops == 2 * first.multiply_adds / first.forward
    assert by_name["7"].memory == 2 * 5 * 4


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_training(backend):
    net = make(backend)
    found, told = profile(net, X, training=True), summary(net, X.shape)
    by_name, forward = rows(found), {row[0]: row[4] for row in told.rows}
    assert by_name["0"].multiply_adds == 2 * forward["0"]      # the gradient for x is not wanted
    assert all(by_name[name].multiply_adds == 3 * forward[name] for name in ("7", "2.body.0"))
    assert by_name["7"].backward > 0 and by_name["7"].forward > 0 and found.training
    assert found.seconds == pytest.approx(sum(row.seconds for row in found.rows))
    assert by_name["7"].memory == 0 and by_name["0"].memory == (2 * 8 * 64 * 4 if backend == "cpu" else 0)
    again = Sequential(Recompute(Sequential(Linear(3, 4), ReLU())), Linear(4, 2)).to("naive")
    assert [row.multiply_adds for row in profile(again, np.ones((5, 3)), True).rows] == [3 * 60, 0, 3 * 40]


def test_the_net_is_left_as_it_was():
    net = make("naive")
    y = net.forward(X, training=True)
    state, draws = repr(net.state_dict()), net[5].generator.bit_generator.state
    profile(net, X, training=True), profile(net, X)
    assert repr(net.state_dict()) == state and net[5].generator.bit_generator.state == draws
    assert all(parameter.grad is None for parameter in net.parameters())
    assert net.backward(np.ones_like(y)).shape == X.shape       # the pass that was under way


def test_it_prints_itself():
    net = make("naive")
    text = str(profile(net, X))
    lines = text.splitlines()
    assert lines[0] == "inference, x of shape (2, 3, 8, 8), float32"
    table, end = lines[1:15], lines[1].index("forward ms") + len("forward ms")
    assert lines[1].split()[:4] == ["name", "layer", "forward", "ms"]
    assert all(line == line.rstrip() and len(line) <= len(lines[1]) and not line[end:end + 2].strip() for line in table)
    assert sum(line[end - 1:end].isdigit() for line in table) > 5
    assert "backward" not in text and "a whole pass takes " in text and " GFLOP/s, what a product" in text
    found = profile(net, X, training=True)
    assert "backward ms" in str(found) and "MB kept" in str(found) and repr(found) == str(found)


def test_layers_of_ones_own_and_integers():
    found = profile(Sequential(Scaled(), Linear(3, 2)).to("naive"), np.ones((4, 3)))
    assert [row.name for row in found.rows] == ["0", "1"] and found.rows[0].forward > 0
    assert profile(ReLU().to("naive"), np.ones((4, 3), np.float32), training=True).rows[0].name == ""
    words = Sequential(fastnet.Embedding(10, 3), Linear(3, 2)).to("naive")
    assert profile(words, np.arange(4), training=True).rows[1].multiply_adds == 3 * 24


def test_what_is_wrong_is_refused():
    net = make("naive")
    for run, error, text in ((lambda: profile(X, X), TypeError, "^profile: net must be a layer"),
                             (lambda: profile(net, X, 1), TypeError, "^profile: training must be True or False"),
                             (lambda: profile(net, X[:, :2]), ValueError, "expected 3 input channels"),
                             (lambda: profile(net, X.shape), TypeError, r"x\[0\] must be a NumPy array, got 2")):
        with pytest.raises(error, match=text):
            run()
