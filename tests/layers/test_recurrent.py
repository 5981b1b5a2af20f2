"""RNN, GRU and LSTM: what goes in and comes out, beside what the battery and PyTorch judge."""
import copy
import re

import numba
import numpy as np
import pytest
from numba import config

from fastnet import (
    GRU,
    LSTM,
    RNN,
    Adam,
    CrossEntropyLoss,
    Embedding,
    Linear,
    Sequential,
    init,
    input_gradient,
    plainly,
    summary,
)
from fastnet.kernels.cpu import recurrent
from fastnet.program import trees

from .battery import arrays, build, gradients

STEPS = (6, 3, 5)
each = pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])


@pytest.fixture(autouse=True)
def seeded():
    init.manual_seed(1)


def same(actual, wanted):
    for one, other in zip(trees.flat(actual), trees.flat(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_lstm_of_one_unit_by_hand():
    """All weights 0 but the biases: i, f, o = 1 / 2, g = tanh(1)."""
    net = LSTM(1, 1).astype("float64")
    for parameter in net.parameters():
        parameter.value = np.zeros(parameter.shape)
    net.bias_ih_l0.value = np.array([0.0, 0, 1, 0])
    y, (h, c) = net((np.ones((2, 1, 1)), (np.zeros((1, 1, 1)), np.full((1, 1, 1), 3.0))))
    first = 1.5 + np.tanh(1) / 2
    second = first / 2 + np.tanh(1) / 2
    np.testing.assert_allclose(y.ravel(), [np.tanh(first) / 2, np.tanh(second) / 2], rtol=1e-12)
    np.testing.assert_allclose([h.item(), c.item()], [np.tanh(second) / 2, second], rtol=1e-12)


@each
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequence_in_two_halves(name, batch_first):
    """The states after the first half are those that the second one begins with, to the last bit."""
    net, x = build(f"{name}(5, 7, num_layers=2, batch_first={batch_first})"), arrays(STEPS)
    x = np.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x
    for _ in range(3):
        whole, states = net(x)
        halves = np.split(x, [4], int(batch_first))
        first, between = net(halves[0])
        second, end = net((halves[1], between))
        same(np.concatenate([first, second], int(batch_first)), whole)
        same(end, states)


@each
def test_states_of_zeros_are_none(name):
    net, x = build(f"{name}(5, 7, bidirectional=True)"), arrays(STEPS)
    zeros = np.zeros((2, 3, 7), np.float32)
    same(net((x, (zeros, zeros) if name == "LSTM" else zeros)), net(x))


@each
@pytest.mark.parametrize("more", ["", ", bidirectional=True", ", batch_first=True, num_layers=2"])
def test_what_is_returned(name, more):
    """A part of what is returned else, with the gradients that it has there."""
    full, x = build(f"{name}(5, 7{more})"), arrays(STEPS)
    for which in ("output", "last"):
        net = build(f"{name}(5, 7{more}, returns='{which}')")
        net.load_state_dict(full.state_dict())
        for i in range(3):
            y, states = full.forward(x, training=True)
            h = states[0] if name == "LSTM" else states
            last = np.concatenate(h[-2:] if "bidirectional" in more else h[-1:], 1)
            got = net.forward(x, training=True)
            same(got, y if which == "output" else last)
            same(net(x), got)
            dy = arrays(got.shape, seed=i)
            dx, zeros = net.backward(dy), trees.map(np.zeros_like, states)
            if which == "output":
                same(dx, full.backward((dy, trees.map(lambda one: None, states))))
            else:
                dh = trees.flat(zeros)[0]
                if "bidirectional" in more:
                    dh[-2:] = np.split(dy, 2, 1)
                else:
                    dh[-1] = dy
                same(dx, full.backward((None, zeros)))
            for one, other in zip(net.parameters(), full.parameters(), strict=True):
                same(one.grad, other.grad)


@each
def test_dropout_between_layers(name):
    """Other numbers in each pass, none where it is frozen and behind the last layer."""
    net, x = build(f"{name}(5, 40, num_layers=2, dropout=0.5, returns='output')"), arrays(STEPS)
    plain = build(f"{name}(5, 40, num_layers=2, returns='output')")
    plain.load_state_dict(net.state_dict())
    same(net(x), plain(x))
    first, second = net.forward(x, training=True).copy(), net.forward(x, training=True)
    assert not np.array_equal(first, second) and not np.array_equal(first, plain(x))
    assert (second != 0).mean() > 0.99
    same(input_gradient(net, x, first), input_gradient(plain, x, first))
    net.frozen = True
    for _ in range(3):
        for one, other in zip(gradients(net, x, first), gradients(plain, x, first), strict=True):
            same(tuple(one), tuple(other))
    net.frozen, net.dropout = False, 0.0
    same(net.forward(x, training=True), plain(x))


@pytest.mark.skipif(config.DISABLE_JIT or config.NUMBA_NUM_THREADS < 2, reason="there is one thread")
@each
def test_bits_do_not_depend_on_threads(name):
    net, x = build(f"{name}(5, 40, num_layers=2, bidirectional=True)"), arrays((6, 50, 5))
    y = net(x)
    dy, before, found = trees.map(lambda one: arrays(one.shape, seed=3), y), numba.get_num_threads(), []
    try:
        for threads in (1, 2, 1):
            numba.set_num_threads(threads)
            for _ in range(3):
                found.append(gradients(net, x, dy))
    finally:
        numba.set_num_threads(before)
    for other in found[1:]:
        same(tuple(map(tuple, other)), tuple(map(tuple, found[0])))


@each
def test_long_sequences_are_several_launches(name, monkeypatch):
    """Which changes no bit."""
    net, x = build(f"{name}(5, 7, bidirectional=True)"), arrays((7, 15, 5))
    dy = trees.map(lambda one: arrays(one.shape, seed=3), net(x))
    wanted = gradients(net, x, dy)
    made = []

    def loop(*arguments):
        made.append(recurrent._Loop(*arguments))
        return made[-1]

    monkeypatch.setattr(recurrent, "_LONGEST", 15 * 7 * 7 * 2)
    monkeypatch.setattr(recurrent, "_loop", loop)
    same(tuple(map(tuple, gradients(copy.deepcopy(net), x, dy))), tuple(map(tuple, wanted)))
    assert len(made) == 4 and all(len(one.plans) > 1 for one in made)


WRONG = [
    ("RNN(5, 4)", (3, 5), "expected x of shape (T, N, 5), got x of shape (3, 5); an axis of one sequence is added by "
     "x[None] or x[:, None]"),
    ("GRU(5, 4, batch_first=True)", (3, 2, 4), "expected x of shape (N, T, 5), got x of shape (3, 2, 4)"),
    ("GRU(5, 4)", (0, 2, 5), "expected x without empty axes, got x of shape (0, 2, 5)"),
    ("LSTM(5, 4)", [(3, 2, 5), (1, 2, 4)], "expected x or (x, (h, c)) as x, got another tuple or dictionary"),
    ("GRU(5, 4)", [(3, 2, 5), [(1, 2, 4)]], "expected x or (x, h) as x, got another tuple or dictionary"),
    ("GRU(5, 4, bidirectional=True)", [(3, 2, 5), (1, 2, 4)], "expected h of shape (2, 2, 4), got h of shape "
     "(1, 2, 4)"),
    ("LSTM(5, 4, batch_first=True)", [(3, 2, 5), [(1, 3, 4), (1, 2, 4)]], "expected c of shape (1, 3, 4), got c of "
     "shape (1, 2, 4)"),
]


@pytest.mark.parametrize(("text", "shape", "message"), WRONG, ids=[text for text, *_ in WRONG])
def test_wrong_inputs(text, shape, message):
    name, (shapes, form) = text[:text.index("(")], trees.shapes(shape)
    x = trees.build(form, [np.zeros(one, np.float32) for one in shapes])
    for net, label in ((build(text), name), (build(f"Sequential({text})"), f'{name} "0"')):
        for training in (False, True):
            with pytest.raises((TypeError, ValueError)) as caught:
                net.forward(x, training)
            assert str(caught.value) == f"{label}: {message}"


def test_refused_arguments():
    with pytest.raises(ValueError, match="^LSTM: proj_size must be 0, got 2: states are not projected here; let a "
                                         "Linear follow the layer$"):
        LSTM(3, 4, proj_size=2)
    net = GRU(3, 4)
    for option, value in (("input_size", 4), ("hidden_size", 3), ("num_layers", 2), ("bidirectional", True)):
        with pytest.raises(ValueError, match=f"^GRU: .*{option}.* must stay as they are"):
            setattr(net, option, value)
    net.batch_first, net.returns = True, "last"
    assert net(np.zeros((2, 5, 3), np.float32)).shape == (2, 4)
    rnn, x = RNN(3, 4, returns="output"), arrays((5, 2, 3))
    before = rnn(x)
    rnn.nonlinearity = "relu"
    assert rnn(x).min() == 0 > before.min()


def test_multiply_adds_and_summary():
    net = Sequential(Embedding(10, 6), LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True))
    first, second = 4 * 4 * (6 + 4), 4 * 4 * (8 + 4)
    assert net.multiply_adds((3, 5)) == 3 * 5 * 2 * (first + second)
    rows = summary(net, (3, 5)).rows
    assert rows[0][2] == (3, 5, 6) and rows[1][2] == [(3, 5, 8), (4, 3, 4), (4, 3, 4)]
    assert "cell=lstm, reverse=True, batch_first=True" in str(net.program((3, 5)))


@each
def test_it_learns_a_text_by_heart(name):
    """The next letter from those before it."""
    text = "the cat sat on the mat. " * 4
    letters = sorted(set(text))
    numbers, length = np.array([letters.index(letter) for letter in text]), 12
    places = range(len(text) // 2)
    x, labels = np.array([numbers[i: i + length] for i in places]), numbers[[i + length for i in places]]
    net = Sequential(Embedding(len(letters), 8), build(f"{name}(8, 32, batch_first=True, returns='last')"),
                     Linear(32, len(letters)))
    loss, optimizer = CrossEntropyLoss(), Adam(net.parameters(), lr=0.02)
    for _ in range(80):
        value, dy = loss(net.forward(x, training=True), labels)
        net.backward(dy, need_dx=False)
        optimizer.step()
    assert value < 0.05
    told = list(numbers[:length])
    for _ in range(48):
        told.append(int(net(np.array(told[-length:])[None]).argmax()))
    assert "".join(letters[i] for i in told) == text[: length + 48]


@each
def test_none_stands_for_all_states(name):
    net, x = build(f"{name}(5, 7, num_layers=2)"), arrays(STEPS)
    y, states = net.forward(x, training=True)
    dy = arrays(y.shape, seed=1)
    wanted = net.backward((dy, trees.map(lambda one: None, states)))
    for around in (net, Sequential(net)):
        around.forward(x, training=True)
        same(around.backward((dy, None)), wanted)
        around.forward(x, training=True)
        with plainly():
            around.forward(x, training=True)
            same(around.backward((dy, None)), wanted)


def test_the_nesting_of_gradients_is_told():
    net, x = build("LSTM(5, 7)"), arrays(STEPS)
    y, (h, c) = net.forward(x, training=True)
    for dy, form in [((y, h), "(array, array)"), ((y, h, c), "(array, array, array)"), (y, "array"),
                     ((y, {"h": h, "c": c}), "(array, {'h': array, 'c': array})")]:
        text = f"LSTM: expected dy of the form of y, (array, (array, array)), got {form}"
        with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
            net.backward(dy)
