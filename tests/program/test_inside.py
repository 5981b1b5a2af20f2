"""What layers give and the gradients that arrive there, as PyTorch's hooks and plain passes tell them."""
import copy
import threading

import numpy as np
import pytest

import fastnet
from fastnet import activations, gradients, input_gradient, manual_seed, plainly, watch
from fastnet.layers import (
    Add,
    BatchNorm2d,
    Chunk,
    Concat,
    Container,
    Conv2d,
    Dropout,
    Flatten,
    Graph,
    Identity,
    Layer,
    Linear,
    MaxPool2d,
    Parallel,
    Recompute,
    ReLU,
    Residual,
    Sequential,
)
from tests.pages import blocks, statements

from .nets import Noise, Own, Scaled

X = np.random.default_rng(1).standard_normal((4, 3, 6, 6)).astype(np.float32)
DY = np.random.default_rng(2).standard_normal((4, 5)).astype(np.float32)


def make(backend="naive"):
    manual_seed(3)
    net = Sequential({
        "stem": Sequential(Conv2d(3, 8, 3, padding=1), BatchNorm2d(8), ReLU()), "block": Residual(
            Sequential(Conv2d(8, 8, 3, padding=1), ReLU()), None),
        "pool": MaxPool2d(2), "drop": Dropout(0.5), "flat": Flatten(), "same": Identity(), "fc": Linear(72, 5)})
    net["stem.1"].running_mean = np.linspace(-0.5, 0.5, 8, dtype=np.float32)
    return net.to(backend)


LEAVES = ["stem.0", "stem.1", "stem.2", "block.body.0", "block.body.1", "pool", "drop", "flat", "same", "fc"]


def by_hand(net, x):
    """{name: y} of the net of `make`, layer by layer."""
    found = {}

    def run(name, x):
        found[name] = net[name](x)
        return found[name]

    with plainly():
        x = run("stem.2", run("stem.1", run("stem.0", x)))
        found["stem"] = x
        body = run("block.body.1", run("block.body.0", x))
        found["block.body"], found["block"] = body, x + body
        for name in LEAVES[5:]:
            found[name] = x = run(name, found["block"] if name == "pool" else x)
    return found


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_activations(backend):
    net = make(backend)
    for _ in range(4):
        net(X)      # recorded, fused and folded by now
    expected, before = by_hand(net, X), repr(net.state_dict())
    found = activations(net, X)
    assert list(found) == LEAVES
    for name, y in found.items():
        np.testing.assert_array_equal(y, expected[name], name)
        assert not y.flags.writeable
    found = activations(net, X, "*")
    assert set(found) == {"", *expected}
    for name, y in expected.items():
        np.testing.assert_array_equal(found[name], y, name)
    np.testing.assert_array_equal(found[""], expected["fc"])
    assert list(activations(net, X, ["block", "stem.*"])) == ["stem.0", "stem.1", "stem.2", "block"]
    assert repr(net.state_dict()) == before and all(layer.saved is None for _, layer in net.named_layers())


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_activations_in_training(backend):
    """Those of the next training pass, which they leave as it would have been."""
    net = make(backend)
    twin = copy.deepcopy(net)
    for _ in range(4):
        before = repr(net.state_dict())
        found = activations(net, X, training=True)
        assert repr(net.state_dict()) == before
        y = net.forward(X, training=True)
        dx = net.backward(DY)
        np.testing.assert_array_equal(found["fc"], y)
        assert 0 < np.mean(found["drop"] == 0) < 1 and np.abs(found["stem.1"].mean((0, 2, 3))).max() < 1e-5
        np.testing.assert_array_equal(twin.forward(X, training=True), y)
        np.testing.assert_array_equal(twin.backward(DY), dx)
    net.forward(X, training=True)
    expected = twin.forward(X, training=True)
    activations(net, X, training=True)      # in the midst of a training pass
    np.testing.assert_array_equal(net.backward(DY), twin.backward(DY))
    assert expected is not None


@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_gradients(backend):
    """The gradient of each activation is that for the input of the rest of the net."""
    net = make(backend)
    net.backward(0 * net.forward(X, training=True))
    state, grads = repr(net.state_dict()), [parameter.grad for parameter in net.parameters()]
    found = gradients(net, X, DY)
    assert list(found) == LEAVES
    shown = activations(net, X)
    for name, (y, dy) in found.items():
        np.testing.assert_array_equal(y, shown[name])
        assert dy.shape == y.shape and dy.dtype == y.dtype
    np.testing.assert_array_equal(found["fc"].dy, DY)
    rest = Sequential(*net[3:].layers)
    np.testing.assert_array_equal(found["pool"].dy, input_gradient(rest, shown["pool"], DY))
    block = gradients(net, X, DY, ["block", "stem"])
    np.testing.assert_array_equal(block["stem"].dy, found["stem.2"].dy)
    np.testing.assert_array_equal(block["block"].dy, found["block.body.1"].dy)
    assert repr(net.state_dict()) == state
    assert all(before is parameter.grad for before, parameter in zip(grads, net.parameters(), strict=True))


def test_pytorch_tells_the_same():
    torch = pytest.importorskip("torch")
    manual_seed(0)
    ours = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Flatten(), Linear(64, 5)).to("naive")
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
                                 torch.nn.Linear(64, 5))
    theirs.load_state_dict({name: torch.as_tensor(value) for name, value in ours.state_dict().items()})
    told = {}
    for name, module in theirs.named_children():
        module.register_forward_hook(lambda module, x, y, name=name: told.__setitem__((name, "y"), y.detach().numpy()))
        module.register_full_backward_hook(
            lambda module, dx, dy, name=name: told.__setitem__((name, "dy"), dy[0].numpy()))
    x = torch.as_tensor(X).requires_grad_()
    theirs.eval()(x).backward(torch.as_tensor(DY))
    found = gradients(ours, X, DY)
    assert len(told) == 2 * len(found)
    for (name, what), array in told.items():
        np.testing.assert_allclose(getattr(found[name], what), array, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(input_gradient(ours, X, DY), x.grad.numpy(), rtol=1e-4, atol=1e-5)


class Two(Container):
    """Takes two arrays, gives two, and uses one part of three."""

    def __init__(self):
        self.chunk, self.add, self.scale, self.own = Chunk(3), Add(), Scaled(), Own()

    def compose(self, x, training):
        a, b, _ = self.chunk(x["left"])
        y = self.scale(self.add((a, b, x["right"])))
        return {"y": y, "other": self.own(y)}


def test_trees_and_layers_of_ones_own():
    net = Two().to("naive")
    x = {"left": X[:, :, 0], "right": X[:, :1, 1]}
    found = activations(net, x)
    assert list(found) == ["chunk", "add", "scale", "own"] and len(found["chunk"]) == 3
    np.testing.assert_array_equal(found["chunk"][2], X[:, 2:, 0])
    np.testing.assert_allclose(found["scale"], 0.7 * found["add"], rtol=1e-6)
    dy = {"y": np.ones((4, 1, 6), np.float32), "other": None}
    backward = gradients(net, x, dy)
    assert not backward["own"].dy.any() and backward["chunk"].dy[2] is None
    np.testing.assert_allclose(backward["add"].dy, 0.7 * dy["y"], rtol=1e-6)
    np.testing.assert_array_equal(backward["scale"].dy, dy["y"])


def test_a_layer_alone_and_nets_that_do_nothing():
    for layer, shown in ((ReLU(), ""), (Own(), ""), (Identity(), ""), (Sequential(Identity()), "0")):
        found = activations(layer.to("naive"), X)
        assert list(found) == [shown]
        np.testing.assert_array_equal(found[shown], layer(X))
        np.testing.assert_array_equal(gradients(layer, X, X)[shown].dy, X)


def test_graphs_and_branches():
    manual_seed(1)
    nodes = {"a": (Conv2d(3, 4, 1), "input"), "b": (ReLU(), "a"), "c": (Add(), ["a", "b"])}
    net = Sequential(Graph(nodes, outputs="c"),
                     Parallel(Concat(), ReLU(), Sequential(ReLU(), ReLU())), Recompute(Sequential(Scaled(), ReLU())))
    net.to("naive")
    names = ["0.a", "0.b", "0.c", "1.0", "1.1.0", "1.1.1", "1.merge", "2.layer.0", "2.layer.1"]
    found = gradients(net, X, np.ones((4, 8, 6, 6), np.float32))
    assert list(found) == names
    np.testing.assert_array_equal(found["0.a"].dy, (1 + (found["0.a"].y > 0)) * found["0.c"].dy)
    np.testing.assert_array_equal(found["1.merge"].y, np.concatenate([found["1.0"].y, found["1.1.1"].y], 1))


# Hooks

@pytest.mark.parametrize("how", ["recorded", "plainly"])
@pytest.mark.parametrize("backend", ["naive", "cpu"])
def test_watch(backend, how):
    """It is told of each pass, which is the same to the last bit, and of none after its block."""
    net, twin, seen = make(backend), make(backend), []

    def look(name, what, array):
        seen.append((name, what))
        assert not array.flags.writeable

    def step(net):
        y = net.forward(X, training=True)
        return [y, net.backward(DY), *(parameter.grad for parameter in net.parameters()), *net.state_dict().values()]

    for _ in range(3):
        for a, b in zip(step(net), step(twin), strict=True):
            np.testing.assert_array_equal(a, b)
    with watch(net, look):
        if how == "plainly":
            with plainly():
                found = step(net)
        else:
            found = step(net)
        for a, b in zip(found, step(twin), strict=True):
            np.testing.assert_array_equal(a, b)
        assert seen == [(name, "y") for name in LEAVES] + [(name, "dy") for name in reversed(LEAVES)]
        seen.clear()
        with plainly():
            expected = twin(X)
        np.testing.assert_array_equal(net(X), expected)
        assert seen == [(name, "y") for name in LEAVES]
    seen.clear()
    for a, b in zip(step(net), step(twin), strict=True):
        np.testing.assert_array_equal(a, b)
    assert seen == []


def test_watching_a_part_of_a_net_and_single_layers():
    net, seen = make(), []
    with watch(net["block"], lambda *told: seen.append(told[:2])), watch(net, lambda *told: seen.append(told[0]), "fc"):
        net(X)
        assert seen == [("body.0", "y"), ("body.1", "y"), "fc"]
        seen.clear()
        net["fc"](np.ones((1, 72)))
        assert seen == ["fc"]
        net["fc"].forward(np.ones((1, 72)), training=True)
        net["fc"].backward(np.ones((1, 5)))
        assert seen == 3 * ["fc"]
        seen.clear()
        make()(X)
        assert seen == []


def test_an_asked_dx_that_was_not_expected():
    net, seen = make("cpu"), []
    for _ in range(3):
        net.forward(X, training=True)
        net.backward(DY, need_dx=False)
    with watch(net, lambda name, what, array: seen.append((name, what))):
        net.forward(X, training=True)
        assert net.backward(DY).shape == X.shape
    assert seen == [(name, "y") for name in LEAVES] + [(name, "dy") for name in reversed(LEAVES)]


def test_a_trainer_is_watched():
    net, seen = make(), set()
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(backend="naive"),
                              fastnet.SGD(net.parameters(), 0.1, backend="naive"), [])
    with watch(net, lambda name, what, array: seen.add((name, what)), ["fc", "stem.*"]):
        trainer.fit([(X, np.arange(4))], 1)
    assert seen == {(name, what) for name in ("fc", "stem.0", "stem.1", "stem.2") for what in ("y", "dy")}


def test_hooks_belong_to_their_thread():
    net, seen = make(), []
    with watch(net, lambda *told: seen.append(told)):
        thread = threading.Thread(target=net, args=(X,))
        thread.start()
        thread.join()
        assert seen == []
        net(X)
    assert len(seen) == len(LEAVES) and "watch" not in " ".join(vars(net))


def test_a_hook_may_run_the_net_and_may_fail():
    net, calls = make(), []

    def look(name, what, array):
        calls.append(name)
        net(X)
        if name == "pool" and what == "y":
            raise KeyError("mine")

    state = repr(net.state_dict())
    with watch(net, look):
        with pytest.raises(KeyError, match="mine"):
            net.forward(X, training=True)
        assert calls == LEAVES[:6] and repr(net.state_dict()) == state and net.saved is None
    assert net(X).shape == (4, 5)
    with watch(net, lambda name, what, array: array.fill(0)), pytest.raises(ValueError, match="read-only"):
        net(X)


class Inner(Layer):
    """An opaque layer that calls others, one of them as a function."""

    def __init__(self):
        self.first, self.second = Linear(72, 72), Sequential(ReLU(), ReLU())

    def forward(self, x, training=False):
        return self.second(self.first.forward(x))


def test_what_lies_within_an_opaque_layer():
    net = Sequential(Flatten(), Noise(), Inner(), Linear(72, 5)).to("naive")
    x = np.ones((2, 72), np.float32)
    found = activations(net, x)
    assert {"0", "1", "2", "3", "2.second.0", "2.second.1"} == set(found) and found["2.second.1"].shape == (2, 72)
    with pytest.raises(ValueError, match="does not show '2.first': such a layer is not called, or .* Container$"):
        activations(net, x, ["2.*"])


def test_what_is_wrong_is_refused():
    net = make()
    for run, error, text in (
            (lambda: activations(net, X, "nope"), ValueError, "no layer's path fits the pattern 'nope'; there are"),
            (lambda: gradients(net, X, DY, ["fc", "x*"]), ValueError, r"no layer's path fits the pattern 'x\*'"),
            (lambda: activations(net, X, 3), TypeError, "^Sequential: names must be a list of paths"),
            (lambda: activations(net, X, [3]), TypeError, "^Sequential: a path in names must be a string, got 3"),
            (lambda: activations(X, X), TypeError, "^activations: net must be a layer"),
            (lambda: activations(net, X, training=1), TypeError, "^activations: training must be True or False"),
            (lambda: activations(net, X[:, :2]), ValueError, "expected 3 input channels"),
            (lambda: gradients(net, X, DY[:2]), ValueError, "^Sequential: expected dy of shape"),
            (lambda: watch(net, 3), TypeError, "^watch: function must be a function"),
            (lambda: watch(X, print), TypeError, "^watch: net must be a layer"),
            (lambda: watch(net, print, "x"), ValueError, "no layer's path fits"),
            (lambda: activations(ReLU(), X, "x"), ValueError, "^ReLU: there are no layers inside")):
        with pytest.raises(error, match=text):
            run()


# Recipes

SALIENCY, GRAD_CAM = blocks("inside.md")[2:4]


def test_recipes():
    net = make()
    scope = {"net": net, "x": X, "np": np, "fastnet": fastnet}
    for recipe, most in ((SALIENCY, 3), (GRAD_CAM, 8)):
        assert statements(recipe) <= most
    exec(SALIENCY.replace("eye(10)", "eye(5)"), scope)
    step, best = 1e-3, net(X).argmax(1)
    place = np.unravel_index(scope["saliency"][0].argmax(), X.shape[2:])
    moves = []
    for channel in range(3):    # the score really changes there by what the map says
        moved = X.copy()
        moved[0, channel, place[0], place[1]] += step
        moves.append(abs(net(moved)[0, best[0]] - net(X)[0, best[0]]) / step)
    assert max(moves) == pytest.approx(scope["saliency"][0].max(), rel=0.05)
    exec(GRAD_CAM.replace("eye(10)", "eye(5)").replace('"features"', '"block"'), scope)
    cam = scope["cam"]
    assert cam.shape == (4, 6, 6) and cam.min() >= 0 and cam.max() <= 1
    y, dy = gradients(net, X, np.eye(5)[best], "block")["block"]
    plain = np.maximum(np.einsum("nchw,nc->nhw", y, dy.mean((2, 3))), 0)
    plain /= plain.max((1, 2), keepdims=True) + 1e-8
    np.testing.assert_allclose(cam, plain, rtol=1e-4, atol=1e-5)
