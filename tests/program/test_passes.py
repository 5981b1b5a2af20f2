"""Passes that run node by node, that are recorded, replayed: nothing that happens between them makes a difference."""
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

import fastnet
from fastnet import Adam, CrossEntropyLoss, init, models
from fastnet.layers import Conv2d, Dropout, ReLU, Sequential
from fastnet.program import program
from fastnet.program.run import Runner

from ..layers.battery import CASES, build, takes_integers
from .nets import Noise, Own, Scaled, check_close, check_same, fresh, images, learn, step
from .steps import SHAPE, check_inference, check_step, generators, make_net, replayed_net

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")


# What is replayed

SINGLE = [(text, shape) for text, shape in CASES if isinstance(shape, tuple) and "Tenfold" not in text
          and not takes_integers(shape)]


@pytest.mark.parametrize("need_dx", [False, True])
@pytest.mark.parametrize(("text", "shape"), SINGLE, ids=[text[:60] for text, _ in SINGLE])
def test_every_layer_is_replayed(text, shape, need_dx, replays):
    init.manual_seed(0)
    net = Sequential(build(text))
    if not isinstance(net(images(shape, 0)), np.ndarray):
        pytest.skip("gives several results: see test_changes.py")
    computes = any(node for node in net.program(shape, training=True).after.nodes if node.op != "reshape")
    for i in range(5):
        replays.clear()
        check_step(net, images(shape, i), need_dx)
        if need_dx and i != 2:      # the pass after the first wrong guess is another program's first one
            assert bool(replays) == (computes and i >= 2)
    assert not computes or replays or not need_dx


@pytest.mark.parametrize("name", ["lenet5", "small_convnet", "quick_convnet", "vgg_small", "resnet20"])
def test_models_learn_the_same(name, replays):
    """Six steps of Adam, replayed and layer by layer."""
    results = []
    for plain in (False, True):
        init.manual_seed(0)
        net = getattr(models, name)()
        rng, loss, optimizer = np.random.default_rng(0), CrossEntropyLoss(), Adam(net.parameters(), lr=1e-3)
        for _ in range(6):
            x, labels = rng.standard_normal((4, 3, 32, 32), np.float32), rng.integers(0, 10, 4)
            if plain:
                with fastnet.plainly():
                    net.backward(loss(net.forward(x, training=True), labels)[1], need_dx=False)
            else:
                net.backward(loss(net.forward(x, training=True), labels)[1], need_dx=False)
            optimizer.step()
        results.append(net.state_dict())
        if not plain:
            assert replays
            count = len(replays)
            y = net(x)
            assert [net(x).tobytes() for _ in range(3)] == 3 * [y.tobytes()] and len(replays) > count
    check_same(*results)


def test_only_the_outermost_net_has_programs():
    net = replayed_net()
    assert [path for path, layer in net.named_layers() if "_runner" in vars(layer)] == [""]


def test_a_debugger_sees_every_layer(replays):
    net, x = replayed_net(), images(SHAPE, 9)
    expected = net(x)
    replays.clear()
    before, seen = sys.gettrace(), []
    try:
        sys.settrace(lambda frame, *_: seen.append(frame.f_code.co_qualname))
        y = net(x)
    finally:
        sys.settrace(before)
    assert "Linear.forward" in seen and not replays
    check_close({"y": y}, {"y": expected}, 1e-5)    # batch norm is folded otherwise


# What was handed out, and what is given

def test_results_stay_as_they_are():
    net, kept = make_net(Scaled()), []
    for i in range(8):
        x = images(SHAPE, i)
        found = {**step(net, x), "inferred": net(x)}
        kept += [(found[name], found[name].copy()) for name in found]
    for one, copied in kept:
        np.testing.assert_array_equal(one, copied)


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def sliced(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def unaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:]
    found = memory.view(x.dtype).reshape(x.shape)
    found[...] = x
    return found


LAYOUTS = {
    "C order": np.ascontiguousarray, "Fortran order": np.asfortranarray, "sliced": sliced, "read-only": read_only,
    "backwards": lambda x: x[::-1].copy()[::-1], "unaligned": unaligned,
    "big-endian": lambda x: x.astype(">f4"), "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16), "integers": lambda x: (3 * x).astype(np.int32),
    "one number": lambda x: np.broadcast_to(x.flat[0], x.shape), "a subclass": lambda x: x.view(np.matrix)
    if x.ndim == 2 else x.view(np.recarray),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    """x and dy in any layout and dtype, in turn with others, are what they are in the kernels' own."""
    net, lay = replayed_net(), LAYOUTS[layout]
    rng = np.random.default_rng(1)
    for i in range(6):
        x, dy = (lay(one) for one in (images(SHAPE, i), rng.standard_normal((4, 5), np.float32)))
        twin = fresh(net)
        expected = step(twin, images(SHAPE, i) * 0 + np.asarray(x, np.float32), dy=np.array(dy, np.float32))
        kept = np.array(x), np.array(dy)
        check_same(step(net, x, dy=dy), expected)
        np.testing.assert_array_equal(x, kept[0])
        np.testing.assert_array_equal(dy, kept[1])
        learn(net)
        check_step(net, images(SHAPE, i))
        check_inference(net, x)


@pytest.mark.parametrize("layout", ["C order", "float64", "integers"])
def test_inference_is_quick_for_images_that_are_converted(layout, monkeypatch):
    net, x = replayed_net(), LAYOUTS[layout](images(SHAPE, 0))
    y, other = [net(x) for _ in range(4)][-1], fresh(net)(-x.astype(np.float32))

    def look(*_):
        raise AssertionError("somebody looked closer")

    monkeypatch.setattr(Runner, "_begin", look)
    np.testing.assert_array_equal(net(x), y)
    np.testing.assert_array_equal(net(-x), other)
    net.parameters()[0].value[:] *= 2   # what was computed from it has to be computed again
    with pytest.raises(AssertionError, match="^somebody looked closer"):
        net(x)


def test_not_a_number_stays_in_its_sample():
    net, x = replayed_net(), images(SHAPE, 0)
    x[0] = np.nan
    y = net(x)
    assert np.isnan(y[0]).all() and np.isfinite(y[1:]).all()


def test_a_gradient_that_does_not_fit_is_refused():
    net = replayed_net()
    for dy, error, text in [
        (np.ones((4, 4), np.float32), ValueError, r"expected dy of shape \(4, 5\), got dy of shape \(4, 4\)"),
        (np.ones(5, np.float32), ValueError, r"expected dy of shape \(4, 5\), got dy of shape \(5,\)"),
        ((np.ones((4, 5)),) * 2, TypeError, "dy"), (np.ones((4, 5), complex), TypeError, "dy must hold real numbers"),
        ([[1.0] * 5] * 4, TypeError, "dy"),
    ]:
        before = [parameter.grad for parameter in net.parameters()]
        net.forward(images(SHAPE, 0), training=True)
        with pytest.raises(error, match=f"^Sequential: .*{text}"):
            net.backward(dy)
        assert [parameter.grad for parameter in net.parameters()] == before
        net.backward(np.ones((4, 5), np.float32))       # what was saved is still there
        with pytest.raises(RuntimeError, match="^Sequential: backward without a training forward"):
            net.backward(np.ones((4, 5), np.float32))
        check_step(net, images(SHAPE, 0))


def test_an_image_that_does_not_fit_is_refused():
    net = replayed_net()
    with pytest.raises(ValueError, match='^Conv2d "0": expected 3 input channels'):
        net(images((4, 2, 8, 8), 0))
    with pytest.raises(ValueError, match='^Linear "7": expected 256 input features'):
        net.forward(images((4, 3, 8, 10), 0), training=True)
    check_step(net, images(SHAPE, 0))


# The order of passes

def test_two_forward_passes_then_a_backward_one():
    for net in (make_net(), replayed_net()):
        for i in range(4):
            net.forward(images(SHAPE, 7), training=True)
            check_step(net, images(SHAPE, i))
        with pytest.raises(RuntimeError, match="backward without a training forward"):
            net.backward(np.ones((4, 5), np.float32))


def test_forward_passes_alone():
    net = make_net()
    for i in range(5):
        net.forward(images(SHAPE, i), training=True)
    for i in range(5):
        check_step(net, images(SHAPE, i))


def test_a_pass_that_another_one_has_written_over():
    net = replayed_net()
    net.forward(images(SHAPE, 0), training=True)
    old = net.saved
    net.forward(images(SHAPE, 1), training=True)
    net.saved, gradients = old, [parameter.grad for parameter in net.parameters()]
    with pytest.raises(RuntimeError, match="each thread needs a net of its own"):
        net.backward(np.ones((4, 5), np.float32))
    assert all(parameter.grad is one for parameter, one in zip(net.parameters(), gradients, strict=True))
    check_step(net, images(SHAPE, 0))


@pytest.mark.parametrize("more", [(), (Dropout(0.3),), (Noise(),), (Own(), Dropout(0.3), Noise(), Scaled())])
def test_the_gradient_for_x_is_asked_for_now_and_then(more):
    """A wrong guess computes the pass again: same draws, and statistics move once."""
    net = make_net(*more)
    plain = fresh(net)
    for i, need_dx in enumerate([False, False, True, True, False, True, False, False, False, True, True, False]):
        x = images(SHAPE, i)
        actual = step(net, x, need_dx)
        with fastnet.plainly():
            check_same(actual, step(plain, x, need_dx))
        for one in (net, plain):
            learn(one)
        for ours, others in zip(generators(net), generators(plain), strict=True):
            assert ours.bit_generator.state == others.bit_generator.state

def test_other_batches_and_inference_in_between(replays):
    net = make_net(Dropout(0.1))
    for i, n in enumerate((6, 6, 6, 5, 6, 5, 5, 6, 1, 5, 6)):
        replays.clear()
        check_step(net, images((n, 3, 8, 8), i))
        check_inference(net, images((n + 1, 3, 8, 8), i))
    assert replays


def test_inference_between_forward_and_backward():
    net = replayed_net()
    x, twin = images(SHAPE, 0), fresh(net)
    y = net.forward(x, training=True)
    inferred = net(x)
    net.backward(np.cos(y))
    step(twin, x)
    check_same({"y": inferred}, {"y": fresh(twin)(x)})
    for ours, others in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(ours.grad, others.grad)


# Threads

def test_the_number_of_threads_changes(threads, replays):
    """Between passes, and between forward and backward."""
    net = make_net()
    for i in range(12):
        x, twin = images((64, 3, 8, 8), i), fresh(net)
        replays.clear()
        numba.set_num_threads(threads if i % 5 < 3 else 1)
        y = net.forward(x, training=True)
        numba.set_num_threads(1 if i in (2, 6, 7) else threads)
        net.backward(np.cos(y))
        found = step(twin, x)
        for name, parameter in net.named_parameters():
            np.testing.assert_array_equal(parameter.grad, found[f"d {name}"], name)
        check_inference(net, x)
        learn(net)


FOUR_THREADS = """
import numba, numpy as np
from tests.program.nets import check_same, fresh, images, learn, step
from tests.program.steps import make_net
from fastnet.layers import Dropout

numba.set_num_threads(1)
one = make_net(Dropout(0.2))
nets = {count: fresh(one) for count in (2, 3, 4)}
mixed = fresh(one)
for i in range(6):
    x = images((33, 3, 8, 8), i)
    numba.set_num_threads(1)
    expected = {**step(one, x), "inferred": one(x)}
    for count, net in nets.items():
        numba.set_num_threads(count)
        check_same({**step(net, x), "inferred": net(x)}, expected)
    numba.set_num_threads(1 + i % 4)
    y = mixed.forward(x, training=True)
    numba.set_num_threads(4 - i % 3)
    mixed.backward(np.cos(y))
    for name, parameter in mixed.named_parameters():
        assert np.array_equal(parameter.grad, expected["d " + name]), name
    for net in (one, mixed, *nets.values()):
        learn(net)
print("same")
"""

def test_one_to_four_threads_give_the_same_bits():
    import os
    done = subprocess.run([sys.executable, "-c", FOUR_THREADS], capture_output=True, text=True, timeout=300,
                          env=os.environ | {"NUMBA_NUM_THREADS": "4"})
    assert done.stdout.split() == ["same"], done.stderr


def test_many_threads_infer_with_one_net():
    """Several shapes at once, while programs are made and recorded; one training goes on in a copy."""
    net, failed = make_net(Own(), Dropout(0.5)), []
    expected = {n: fresh(net)(images((n, 3, 8, 8), n)) for n in (1, 2, 3, 4)}

    def work(first):
        for i in range(24):
            n = 1 + (first + i // 4) % 4
            if not np.array_equal(net(images((n, 3, 8, 8), n)), expected[n]):
                failed.append(n)

    def learning():
        other = fresh(net)
        for i in range(10):
            check_step(other, images(SHAPE, i))

    running = [threading.Thread(target=work, args=(i,)) for i in range(6)] + [threading.Thread(target=learning)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert not failed


# What is left out

def test_the_first_step_does_not_compute_what_nobody_asked_for(monkeypatch):
    """The program made before anybody has said need_dx=False has a gradient for x; the pass leaves it out, and
    whoever asks for it later gets it."""
    init.manual_seed(0)
    net, x = Sequential(Conv2d(3, 8, 3), ReLU(), Conv2d(8, 8, 3)), images((2, 3, 8, 8), 0)
    asked, done = fresh(net), []
    call = program.Step.compute

    def note(self, values):
        done.append(self.node.op)
        call(self, values)

    monkeypatch.setattr(program.Step, "compute", note)
    without = step(net, x, need_dx=False)
    assert without["dx"] is None and done.count("conv2d_backward_input") == 1
    check_same(without | {"dx": step(asked, x)["dx"]}, step(net, x))
