"""Whatever is changed in a net after passes were replayed, the next pass is that of a net which has no programs."""
import copy
import types
import weakref

import numba
import numpy as np
import pytest

from fastnet import SGD, changes, init, kernels, plainly
from fastnet.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Graph, Linear, Merge, ReLU, Residual, Sequential
from fastnet.layers.freezing import Freezable
from fastnet.program import trees

from ..layers.battery import CASES, IDS, arrays, build
from .nets import check_same, images, is_replayed, learn, step

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="there is no machine code to run again")
# The first case of each layer, and of each way of composing, in the tests; the others in the slow tier.
FIRST = {text.partition("(")[0]: text for text, _ in reversed(CASES)}
SAMPLE = [text for text, _ in CASES if FIRST[text.partition("(")[0]] == text]
each_layer = pytest.mark.parametrize(("text", "shape"), [
    pytest.param(text, shape, id=name, marks=() if text in SAMPLE else pytest.mark.slow)
    for (text, shape), name in zip(CASES, IDS, strict=True)])

# Other values for each option of a constructor; those that do not fit a layer are to be refused by it.
ALTERNATIVES = {
    "in_channels": [4, 8, 0, "3"], "out_channels": [3, 12, 2.5], "kernel_size": [3, 2, (1, 2), 0],
    "stride": [1, 2, (1, 2), -1], "padding": [0, 1, (1, 0, 0, 1), [0, 1], "same", "full", "mirror"],
    "dilation": [1, 2, (2, 1), None], "groups": [1, 2, 3], "in_features": [5, 6, True], "out_features": [4, 7, 0],
    "num_features": [4, 5, -1], "eps": [0.01, 0.3, 0], "momentum": [0.9, 0, 1, 1.5], "p": [0.5, 0.2, 0, 1],
    "negative_slope": [0.5, 0.1, -1], "min_val": [-0.3, 0.1, 7], "max_val": [0.5, 0.2, -9], "alpha": [0.3, 2, -1],
    "beta": [0.5, 3, 0], "threshold": [1, 4, np.inf],
    "approximate": ["tanh", "none", "fast"], "dim": [-1, 1, 0], "output_size": [(1, 1), 1, 2],
    "count_include_pad": [False, True],
    "num_embeddings": [5, 7, 0], "embedding_dim": [3, 4, 0], "padding_idx": [0, -1, None, 9], "max_norm": [None, 1],
    "norm_type": [1.0, 0], "scale_grad_by_freq": [True, False, 1], "sparse": [False, True],
    "input_size": [5, 6], "hidden_size": [4, 3], "num_layers": [1, 2], "nonlinearity": ["relu", "tanh", "sigmoid"],
    "batch_first": [True, False], "dropout": [0.0, 0.2, 2], "bidirectional": [True, False], "proj_size": [0, 1],
    "returns": ["last", "output", "all", "y"],
    "return_indices": [True, False, 1], "ceil_mode": [True, False, "yes"], "divisor_override": [3, None, 0],
    "scale_factor": [2, 3, None, 0], "size": [3, (4, 6), None, 0], "chunks": [2, 3, 0], "value": [0.5, 0, np.inf],
    "padding_mode": ["reflect", "replicate", "circular", "zeros", "edge"], "output_padding": [0, 1, -1],
    "start_dim": [1, 2, 9], "end_dim": [-1, 2, 9], "num_groups": [1, 2, 3], "num_channels": [4, 5, 0],
    "lambd": [0.3, 0, -1], "normalized_shape": [5, 6, (5, 6), 0], "init": [0.5, 0.1, np.nan], "k": [2.0, 0.5, -1],
    "pieces": [2, 3, 0], "keepdim": [True, False, 1], "num_parameters": [1, 4, 0], "dims": [(0, 2, 3, 1), (1, 0), 3],
    "upscale_factor": [1, 2, 0], "downscale_factor": [1, 2, 0], "spatial_scale": [0.5, 1.0, 0],
    "sampling_ratio": [1, 0, -1], "aligned": [True, False, 1], "mode": ["batch", "row", "nearest", "bilinear", "area"],
    "unflattened_size": [(2, 2), (5, 1), (0,)], "align_corners": [True, False, None, 1],
    "recompute_scale_factor": [True, False, None, 1],
}
DTYPES = ["float32", "float64", "float16", "int64", "bool", ">f4"]


def each_layer_of(dtypes, more=1):
    """Every layer of the table with x of the first dtype and `more` others, one after the other; with all of them in
    the slow tier."""
    cases = []
    for i, ((text, shape), name) in enumerate(zip(CASES, IDS, strict=True)):
        quick = {dtypes[0], *(dtypes[1 + (i + j) % (len(dtypes) - 1)] for j in range(more))} if text in SAMPLE else ()
        cases += [pytest.param(text, shape, dtype, id=f"{name}-{dtype}",
                               marks=() if dtype in quick else pytest.mark.slow) for dtype in dtypes]
    return pytest.mark.parametrize(("text", "shape", "dtype"), cases)


@pytest.fixture(autouse=True)
def seeded():
    init.manual_seed(3)


def inside(text, shape):
    """A layer within a net, with the shape of the net's input, a dictionary for several."""
    layer = build(text)
    if isinstance(shape, list) and isinstance(layer, Merge):
        names = [f"x{i}" for i in range(len(shape))]
        return Graph({"y": (layer, names)}, inputs=names), dict(zip(names, shape, strict=True))
    if isinstance(shape, list):
        return layer, tuple(shape)
    return (layer, shape) if isinstance(shape, dict) else (Sequential(layer), shape)


def given(shape, dtype, seed=0):
    """Arrays of any dtype; those of bool and integers are no constants."""
    x = arrays(shape, "float64", seed)
    return trees.map(lambda one: one if one.dtype.kind == "i" else one > 0 if dtype == "bool" else
                     (one * 3).astype(dtype), x)


def outcome(run):
    try:
        return run()
    except (ValueError, TypeError, RuntimeError) as error:
        return {"error": (type(error), str(error))}


def inferred(net, x):
    return {f"y{i}": one for i, one in enumerate(trees.flat(net(x)))}


def trained(net, x):
    y = net.forward(x, training=True)
    dx = net.backward(trees.map(np.cos, y))
    found = {**{f"y{i}": one for i, one in enumerate(trees.flat(y))},
             **{f"dx{i}": one for i, one in enumerate(trees.flat(dx)) if one is not None}}
    return found | {f"d {name}": parameter.grad for name, parameter in net.named_parameters()} | net.state_dict()


def check(net, x, passes=(inferred, trained)):
    """The next inference and training pass are those of a copy, which has no programs."""
    for run in passes:
        twin = copy.deepcopy(net)
        expected = outcome(lambda twin=twin: run(twin, x))      # noqa: B023
        actual = outcome(lambda: run(net, x))                   # noqa: B023
        if "error" in expected:
            assert actual == expected
        else:
            check_same(actual, expected)


def repeat(net, x, passes=(inferred, trained), times=3):
    """Passes that are replayed in the end."""
    for _ in range(times):
        for run in passes:
            outcome(lambda: run(net, x))                        # noqa: B023


def leaves(net):
    """(name, how to read an array, how to assign one) for all parameters and running statistics."""
    for name, parameter in net.named_parameters():
        yield name, lambda p=parameter: p.value, lambda value, p=parameter: setattr(p, "value", value)
    for path, layer in net.named_layers():
        for name in layer.buffer_names:
            yield (f"{path}.{name}", lambda o=layer, n=name: getattr(o, n),
                   lambda value, o=layer, n=name: setattr(o, n, np.array(value) if value.ndim == 0 else value))


def spread(array):
    """The same numbers with gaps between them in memory."""
    wide = np.zeros((*array.shape, 2), array.dtype)
    wide[..., 0] = array
    return wide[..., 0]


@each_layer_of(DTYPES)
def test_arrays(text, shape, dtype):
    net, shape = inside(text, shape)
    x = given(shape, dtype)
    repeat(net, x, times=5)
    for _, read, assign in leaves(net):
        read()[...] = read() * 2 + 1
        check(net, x)
        assign(read() * 2 - 1)
        check(net, x)
        repeat(net, x)
        read()[...] = read() + 1
        check(net, x)
        assign(spread(read()))
        check(net, x)
        repeat(net, x)
        read()[...] = read() * 2
        check(net, x)
        assign(read().copy())
        repeat(net, x)
    check(net, x)


@each_layer_of(DTYPES[:2], more=0)
def test_options(text, shape, dtype):
    net, shape = inside(text, shape)
    x = given(shape, dtype)
    repeat(net, x, times=5)
    for _, layer in net.named_layers():
        for name in layer.options:
            old = getattr(layer, name)
            for value in ALTERNATIVES[name]:
                before = dict(vars(layer))
                try:
                    setattr(layer, name, value)
                except (ValueError, TypeError) as error:
                    assert str(error).startswith(f"{layer.label}: "), error
                    assert vars(layer) == before, name
                check(net, x)
                repeat(net, x)
                check(net, x)
            setattr(layer, name, old)
            check(net, x)
            repeat(net, x)


def test_every_option_has_alternatives():
    assert {name for text, _ in CASES for _, layer in build(text).named_layers() for name in layer.options} == set(
        ALTERNATIVES)


@each_layer_of(DTYPES[:2], more=0)
def test_what_is_trained_and_where(text, shape, dtype):
    """requires_grad, frozen, the backend of all layers and of one."""
    net, shape = inside(text, shape)
    x = given(shape, dtype)
    repeat(net, x, times=5)
    toggles = [(parameter, "requires_grad", not parameter.requires_grad) for parameter in net.parameters()]
    for _, layer in net.named_layers():
        toggles += [(layer, "backend", "naive")]
        toggles += [(layer, "frozen", not layer.frozen)] if isinstance(layer, Freezable) else []
    for owner, name, value in toggles:
        old = getattr(owner, name)
        for one in (value, old):
            setattr(owner, name, one)
            check(net, x)
            repeat(net, x)
            check(net, x)
    for backend in ("naive", "cpu"):
        net.to(backend)
        check(net, x)
        repeat(net, x)


def louder(self, x, training=False):
    return trees.map(lambda one: 2 * one, type(self).forward(self, x, training))


def deaf(self, dy, need_dx=True):
    dx = type(self).backward(self, dy, need_dx)
    return trees.map(lambda one: None if one is None else one / 4, dx) if need_dx else None


@each_layer
def test_functions(text, shape):
    """A forward or a backward that is assigned to one object is heeded, and so is its end."""
    if "RoI" in text:
        pytest.skip("boxes that are twice as large lie in other images")
    net, shape = inside(text, shape)
    x = given(shape, "float32")
    repeat(net, x, times=5)
    plain = inferred(net, x)
    for _, layer in net.named_layers():
        layer.forward = types.MethodType(louder, layer)
        check(net, x)
        repeat(net, x)
        check(net, x)
        layer.backward = types.MethodType(deaf, layer)
        check(net, x)
        repeat(net, x)
        del layer.forward
        check(net, x)
        del layer.backward
        check(net, x)
        repeat(net, x)
    if not any(layer.buffer_names for _, layer in net.named_layers()):
        check_same(inferred(net, x), plain)


@each_layer
def test_a_layer_alone(text, shape):
    """Called for itself, without a net around it."""
    layer = build(text)
    x = given(shape, "float64")
    alone = (inferred,)
    repeat(layer, x, alone, times=5)
    for _, read, assign in leaves(layer):
        read()[...] = read() * 2 + 1
        check(layer, x, alone)
        assign(read() * 2 - 1)
        check(layer, x, alone)
        repeat(layer, x, alone)
    layer.forward = types.MethodType(louder, layer)
    check(layer, x, alone)


# Nets, and what becomes of the programs

def make_net():
    init.manual_seed(0)
    return Sequential(Conv2d(3, 8, 3, padding=1), BatchNorm2d(8), ReLU(), Residual(Conv2d(8, 8, 1)), Dropout(0.2),
                      Flatten(), Linear(128, 5))


SHAPE = (2, 3, 4, 4)
CHANGES = {
    "a parameter is taken away": lambda net: setattr(net[6], "bias", None),
    "a layer is replaced": lambda net: setattr(net[3], "body", Conv2d(8, 8, 3, padding=1)),
    "an attribute is deleted": lambda net: (setattr(net[2], "label_", 1), delattr(net[2], "label_")),
    "dtype": lambda net: net.astype(np.float64),
    "a state is loaded": lambda net: net.load_state_dict(make_net().state_dict()),
    "statistics of another dtype": lambda net: setattr(net[1], "running_mean", np.arange(8) / 8),
    "the generator": lambda net: setattr(net[4], "generator", np.random.default_rng(7)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nets(change):
    net, x = make_net(), images(SHAPE, 0)
    for run in (step, step, step, step, inferred, inferred, inferred):
        run(net, x)
    assert is_replayed(net, SHAPE) and is_replayed(net, SHAPE, training=False)
    for _ in range(2):
        CHANGES[change](net)
        check(net, x)
        repeat(net, x)
        check(net, x)


@pytest.mark.parametrize("dtype", ["float64", "float16", ">f4", "int64"])
def test_statistics_of_another_dtype_are_read_anew(dtype):
    net, x = Sequential(BatchNorm2d(3), Conv2d(3, 4, 1), BatchNorm2d(4)), images(SHAPE, 0)
    net[0].frozen = True
    for layer in (net[0], net[2]):
        layer.running_mean, layer.running_var = (np.arange(1, 1 + layer.num_features).astype(dtype) for _ in range(2))
        repeat(net, x, (inferred,))
        repeat(net, x, (trained,))
        for array in (layer.running_mean, layer.running_var):
            array[...] += 3
            check(net, x)
            repeat(net, x)
            check(net, x)


@pytest.mark.usefixtures("late")
def test_statistics_of_another_dtype_follow_each_batch():
    """Also where passes are replayed: moments are converted by launches."""
    net = Sequential(Conv2d(3, 4, 1), BatchNorm2d(4))
    net[1].running_mean, net[1].running_var = np.zeros(4), np.ones(4)
    twin = copy.deepcopy(net)
    for i in range(5):
        x = images(SHAPE, i) + i
        step(net, x)
        with plainly():
            step(twin, x)
        for name, expected in twin.state_dict().items():
            np.testing.assert_array_equal(net.state_dict()[name], expected, name)
    assert is_replayed(net, SHAPE)


def test_optimisers_that_make_new_arrays_are_followed():
    net = make_net()
    for i in range(6):
        check(net, images(SHAPE, i))
        for parameter in net.parameters():
            parameter.value = parameter.value - np.float32(0.01) * parameter.grad
    assert is_replayed(net, SHAPE)


def test_optimisers_that_work_in_place_are_followed():
    net = make_net()
    optimizer = SGD(net.parameters(), lr=0.01, momentum=0.9)
    for i in range(6):
        check(net, images(SHAPE, i))
        optimizer.step()
    assert is_replayed(net, SHAPE) and is_replayed(net, SHAPE, training=False)


def recordings(net):
    return [program.recorded for program in net.runner._programs.values() if program.recorded is not None]


def test_changes_elsewhere_do_not_matter():
    """Neither those of another net, nor those of statistics and weights of this one, end a recording."""
    net, other, x = make_net(), make_net(), images(SHAPE, 0)
    for _ in range(4):
        step(net, x)
    before = recordings(net)
    other[0].weight.value = other[0].weight.value * 2
    other[0].stride = 2
    net[1].running_mean = net[1].running_mean * 2
    net[0].weight.value = net[0].weight.value * 2
    check(net, x)
    assert before and recordings(net) == before


def test_only_statistics_move_in_training():
    net, x = make_net(), images(SHAPE, 0)
    step(net, x)
    everything, but_statistics = changes.latest(), changes.latest(buffers=False)
    step(net, x)
    assert changes.latest() is not everything and changes.latest(buffers=False) is but_statistics


@pytest.fixture
def packings(monkeypatch):
    """The weights that were packed."""
    cpu, found = kernels.load("cpu"), []

    def counted(operation):
        def packing(w, *args, **given):
            found.append(w)
            return operation(w, *args, **given)
        return packing

    for name in ("conv2d_pack", "conv2d_pack_folded"):
        monkeypatch.setattr(cpu, name, counted(getattr(cpu, name)))
    return found


def test_weights_are_packed_once(packings):
    """For all shapes, and anew where one of them, or of the statistics that are folded into them, has changed."""
    net = make_net()
    for n in (1, 2, 3, 2, 2, 2):
        net(images((n, 3, 4, 4), n))
    assert len(packings) == 2
    for change in (lambda: learn(net), lambda: net[1].running_var.__imul__(2)):
        step(net, images(SHAPE, 0))
        packings.clear()
        change()
        for n in (1, 2, 3, 2):
            net(images((n, 3, 4, 4), n))
        assert len(packings) == 2


def test_what_was_computed_from_old_weights_is_let_go():
    net, x = make_net(), images(SHAPE, 0)
    for _ in range(4):
        net(x)
    old, packed = weakref.ref(net[0].weight.value), weakref.ref(net.runner.constants)
    net[0].weight.value = net[0].weight.value * 2
    net(x)
    assert old() is None and packed() is None


def test_a_change_while_recording():
    """What another thread assigns while a pass is being recorded is seen by the next one."""
    net, x = make_net(), images(SHAPE, 0)
    net(x)
    flattening, = (one for program in net.runner._programs.values() for one in program.steps
                   if one.node.op == "flatten")
    flatten = flattening.function

    def slow(x):
        net[6].bias = None
        net[0].weight.value = net[0].weight.value * 2
        net[0].padding = 0
        net[0].padding = 1
        return flatten(x)

    flattening.function = slow
    net(x)
    for _ in range(4):
        check(net, x, (inferred,))
