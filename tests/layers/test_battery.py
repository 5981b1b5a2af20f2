"""What every layer must do, for each layer of the table."""
import copy
import re

import numpy as np
import pytest

from fastnet import init, kernels, layers, plainly
from fastnet.program import trees

from .battery import (
    CASES,
    IDS,
    arrays,
    build,
    gradients,
    is_frozen,
    is_random,
    numeric_gradients,
    takes_integers,
    trained,
)

pytestmark = pytest.mark.usefixtures("late")
each_layer = pytest.mark.parametrize(("text", "shape"), CASES, ids=IDS)
each_backend = pytest.mark.parametrize("backend", kernels.BACKENDS)
AS_GIVEN = ("Tenfold()", "Difference()")     # alone they get x as it is
ABSTRACT = {layers.Layer, layers.Merge, layers.Activation, layers.Container}


@pytest.fixture(autouse=True)
def seeded():
    init.manual_seed(1)


def test_every_layer_is_in_the_table():
    """Those that users derive from are there as a class of a user's own."""
    tested = {type(part) for text, _ in CASES for _, part in build(text).named_layers()}
    public = {getattr(layers, name) for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert ABSTRACT < public
    missing = {cls for cls in public - ABSTRACT if cls not in tested}
    own = [cls for cls in tested if not cls.__module__.startswith("fastnet.")]
    missing |= {cls for cls in ABSTRACT if not any(cls in one.__bases__ for one in own)}
    assert not missing, "a layer without a case in tests/layers/battery.py"


@each_backend
@each_layer
def test_gradients_match_finite_differences(text, shape, backend):
    layer = build(text, backend, "float64")
    x = arrays(shape, "float64")
    dy = arrays(layer.output_shape(shape), "float64", seed=9)
    expected_dx, expected_dw = numeric_gradients(layer, x, dy)
    _, dx, dw = gradients(layer, x, dy)
    for actual, expected in zip([*dx, *dw], [*expected_dx, *expected_dw], strict=True):
        assert actual.dtype == np.float64
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


@each_backend
@each_layer
def test_float32_is_close_to_float64(text, shape, backend):
    layer = build(text, backend)
    double = copy.deepcopy(layer).astype("float64")
    dy = arrays(layer.output_shape(shape), seed=9)
    single = gradients(layer, arrays(shape), dy)
    exact = gradients(double, arrays(shape, "float64"), trees.map(lambda one: one.astype("float64"), dy))
    for actual, expected in zip(sum(single, []), sum(exact, []), strict=True):
        assert actual.dtype == np.float32 and expected.dtype == np.float64
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-9)])
@each_layer
def test_cpu_equals_naive(text, shape, dtype, tolerance):
    """In training, state included, and at inference."""
    cpu = build(text, "cpu", dtype)
    naive = copy.deepcopy(cpu).to("naive")
    x, dy = arrays(shape, dtype), arrays(cpu.output_shape(shape), dtype, seed=9)
    for _ in range(3):      # plainly, recorded, replayed
        results = [[*sum(gradients(layer, x, dy), []), *layer.state_dict().values(), *trees.flat(layer(x))]
                   for layer in (cpu, naive)]
        for actual, expected in zip(*results, strict=True):
            assert actual.dtype == expected.dtype and actual.shape == expected.shape
            scale = np.abs(expected).max(initial=1)
            np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


@each_layer
def test_plainly_is_the_same(text, shape):
    """To the last bit, but for batch norm that is folded into the weights at inference."""
    net = build(text)
    twin, dy_shape = copy.deepcopy(net), net.output_shape(shape)
    folded = any(node.op.endswith("pack_folded") for node in net.program(shape).after.constants)
    for i in range(4):      # the last two are replayed
        x, dy = arrays(shape, seed=i), arrays(dy_shape, seed=10 + i)
        results = gradients(net, x, dy)
        with plainly():
            expected = gradients(twin, x, dy)
        for actual, wanted in zip(sum(results, []), sum(expected, []), strict=True):
            np.testing.assert_array_equal(actual, wanted)
        for (name, actual), wanted in zip(net.state_dict().items(), twin.state_dict().values(), strict=True):
            np.testing.assert_array_equal(actual, wanted, name)
        inferred = net(x)
        with plainly():
            expected = twin(x)
        assert trees.form(inferred) == trees.form(expected)
        for actual, wanted in zip(trees.flat(inferred), trees.flat(expected), strict=True):
            tolerance = 2e-5 if folded else 0
            np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance)
        for parameter, other in zip(trained(net), trained(twin), strict=True):
            parameter.value -= np.float32(0.1) * parameter.grad
            other.value -= np.float32(0.1) * other.grad


@each_layer
def test_shapes_and_inference(text, shape):
    layer = build(text)
    x = arrays(shape)
    y = layer(x)
    assert trees.map(lambda one: one.shape, y) == layer.output_shape(shape)
    assert all(one.dtype == np.float32 for one in trees.flat(y))
    trained = layer.forward(x, training=True)
    assert trees.map(lambda one: one.shape, trained) == layer.output_shape(shape)
    if is_frozen(text) or not is_random(text) and not re.search("BatchNorm|track_running_stats=True", text):
        for actual, expected in zip(trees.flat(trained), trees.flat(y), strict=True):
            if is_frozen(text):
                np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)  # folded at inference
            else:
                np.testing.assert_array_equal(actual, expected)
    assert isinstance(layer.multiply_adds(shape), int)


@each_layer
def test_laws(text, shape):
    layer = build(text)
    x = arrays(shape)
    dy = arrays(layer.output_shape(shape), seed=9)
    given = copy.deepcopy([x, dy])
    layer(x)
    before = [dict(vars(part)) for _, part in layer.named_layers()]
    layer(x)
    for (path, part), old in zip(layer.named_layers(), before, strict=True):
        assert vars(part).keys() == old.keys(), f"inference changed {path}"
        assert all(vars(part)[name] is value for name, value in old.items()), f"inference changed {path}"

    twin = copy.deepcopy(layer)
    first = gradients(layer, x, dy)
    assert all(part.saved is None for _, part in layer.named_layers()), "backward releases what forward saved"
    twin.forward(x, training=True)
    assert isinstance(twin.saved, tuple)
    assert twin.backward(dy, need_dx=False) is None
    for gradient, parameter in zip(first[2], trained(twin), strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
    assert all(part.saved is None for _, part in twin.named_layers())
    with pytest.raises(RuntimeError, match=rf"^{type(layer).__name__}: backward without a training forward"):
        layer.backward(dy)
    if not is_random(text):
        for again, once in zip(gradients(layer, x, dy)[2], first[2], strict=True):
            np.testing.assert_array_equal(again, once)  # assigned, not added up
    for now, then in zip(trees.flat((x, dy)), trees.flat(tuple(given)), strict=True):
        np.testing.assert_array_equal(now, then)


@each_layer
def test_only_the_outermost_layer_saves(text, shape):
    """Those inside stay empty, so that backward on one of them raises the usual error."""
    layer = build(text)
    y = layer.forward(arrays(shape), training=True)
    for _, part in layer.named_layers()[1:]:
        if part.traceable:
            assert part.saved is None
            with pytest.raises(RuntimeError, match="backward without a training forward"):
                part.backward(trees.flat(y)[0])
    layer.backward(trees.map(np.ones_like, y))


def relaid(x):
    """The same values in other memory: NCHW-contiguous, channels-last, and with gaps."""
    gaps = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    gaps[..., ::2] = x
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return [np.ascontiguousarray(x), last, gaps[..., ::2]]


@each_layer
def test_memory_layout_does_not_matter(text, shape):
    layer = build(text)
    x, dy = arrays(shape), arrays(layer.output_shape(shape), seed=9)
    state = copy.deepcopy(layer)
    expected = gradients(layer, x, dy)
    xs, dys = (zip(*map(relaid, trees.flat(tree)), strict=True) for tree in (x, dy))
    for other_x, other_dy in zip(xs, dys, strict=True):
        actual = gradients(copy.deepcopy(state), trees.build(x, other_x), trees.build(dy, other_dy))
        for a, b in zip(sum(actual, []), sum(expected, []), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("text", "shape"), [case for case in CASES if case[0] not in AS_GIVEN
                                             and not takes_integers(case[1])])
def test_the_dtype_is_that_of_the_parameters(text, shape):
    """Whatever real numbers x holds; a layer without parameters keeps float64 and makes float32 of all else."""
    layer = build(text)
    for dtype in ("float64", "float16", ">f4", "int32", "bool"):
        x = trees.map(lambda one, dtype=dtype: (4 * one).astype(dtype), arrays(shape))
        wanted = np.float64 if dtype == "float64" and not layer.parameters() else np.float32
        twins = copy.deepcopy(layer), copy.deepcopy(layer)
        dy = arrays(layer.output_shape(shape), dtype="float64", seed=9)
        results, expected = (
            [*trees.flat(twin(given)), *sum(gradients(twin, given, dy), []), *twin.state_dict().values()]
            for twin, given in zip(twins, (x, trees.map(lambda one, wanted=wanted: one.astype(wanted), x)),
                                   strict=True))
        for actual, other in zip(results, expected, strict=True):
            np.testing.assert_array_equal(actual, other)
            assert actual.dtype == other.dtype
        assert all(one.dtype == wanted for one in trees.flat(twins[0](x)))


@each_layer
def test_state_dict_moves_between_twins(text, shape):
    layer, other = build(text), build(text)
    layer.forward(arrays(shape), training=True)
    state = layer.state_dict()
    other.load_state_dict(state)
    for values in state.values():
        values[...] = 7     # copies on both ways
    for actual, expected in zip(trees.flat(layer(arrays(shape))), trees.flat(other(arrays(shape))), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert [name for name, _ in layer.named_parameters()] == [name for name, _ in other.named_parameters()]
    assert [parameter for _, parameter in layer.named_parameters()] == layer.parameters()


@each_layer
def test_repr(text, shape):
    layer = build(text)
    if layer.named_children():
        for name, child in layer.named_children():
            assert f"({name}): {type(child).__name__}(" in repr(layer)
            assert all(line.strip() in repr(layer) for line in repr(child).splitlines())
    else:
        assert repr(build(repr(layer))) == repr(layer)
        if is_frozen(text):
            text = text[7:-1]
        assert repr(layer).replace("kernel_size=", "") == text.replace("kernel_size=", "")


@each_layer
def test_constructor_arguments_may_be_assigned(text, shape):
    """Each to what it is, which changes nothing, and to what is no such thing, which is refused and changes nothing."""
    layer = build(text)
    for _, part in layer.named_layers():
        for name in part.options:
            before = dict(vars(part))
            setattr(part, name, getattr(part, name))
            assert vars(part) == before
            with pytest.raises((TypeError, ValueError), match=f"^{type(part).__name__}.*: "):
                setattr(part, name, object())
            assert vars(part) == before
    assert repr(layer) == repr(build(text))
