"""What every layer must do, for each layer of the table."""
import copy
import pickle

import numpy as np
import pytest

from fastnet import init, kernels, layers

from .battery import CASES, IDS, arrays, as_list, build, gradients, numeric_gradients

each_layer = pytest.mark.parametrize(("text", "shape"), CASES, ids=IDS)
each_backend = pytest.mark.parametrize("backend", kernels.BACKENDS)
RANDOM_OR_BATCH = ("BatchNorm", "Dropout(p=0.3")


@pytest.fixture(autouse=True)
def seeded():
    init.manual_seed(1)


def test_every_layer_is_in_the_table():
    tested = {type(build(text)).__name__ for text, _ in CASES}
    assert tested == set(layers.__all__) - {"Layer", "Merge"}, "a layer without a case in tests/layers/battery.py"


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
    exact = gradients(double, arrays(shape, "float64"), dy.astype("float64"))
    for actual, expected in zip([single[0], *single[1], *single[2]], [exact[0], *exact[1], *exact[2]], strict=True):
        assert actual.dtype == np.float32 and expected.dtype == np.float64
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=2e-5)


@each_layer
def test_shapes_and_inference(text, shape):
    layer = build(text)
    x = arrays(shape)
    y = layer(x)
    assert y.shape == layer.output_shape(shape) and y.dtype == np.float32
    trained = layer.forward(x, training=True)
    assert trained.shape == y.shape
    if not any(name in text for name in RANDOM_OR_BATCH):
        np.testing.assert_array_equal(trained, y)
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
    for gradient, parameter in zip(first[2], twin.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.grad, gradient)
    assert all(part.saved is None for _, part in twin.named_layers())
    with pytest.raises(RuntimeError, match=rf"^{type(layer).__name__}: backward without a training forward"):
        layer.backward(dy)
    if "Dropout(p=0.3" not in text:
        for again, once in zip(gradients(layer, x, dy)[2], first[2], strict=True):
            np.testing.assert_array_equal(again, once)  # assigned, not added up
    for now, then in zip([*as_list(x), dy], [*as_list(given[0]), given[1]], strict=True):
        np.testing.assert_array_equal(now, then)


def relaid(x):
    """The same values in other memory: NCHW-contiguous, channels-last, and with gaps."""
    gaps = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    gaps[..., ::2] = x
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    return [np.ascontiguousarray(x), last, gaps[..., ::2]]


@each_layer
def test_memory_layout_does_not_matter(text, shape):
    layer = build(text)
    dy = arrays(layer.output_shape(shape), seed=9)
    state = copy.deepcopy(layer)
    expected = gradients(layer, arrays(shape), dy)
    inputs = zip(*map(relaid, as_list(arrays(shape))), strict=True)
    for x, other_dy in zip(inputs, relaid(dy), strict=True):
        actual = gradients(copy.deepcopy(state), list(x) if isinstance(shape, list) else x[0], other_dy)
        for a, b in zip([actual[0], *actual[1], *actual[2]], [expected[0], *expected[1], *expected[2]], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@each_layer
def test_state_dict_moves_between_twins(text, shape):
    layer, other = build(text), build(text)
    layer.forward(arrays(shape), training=True)
    state = layer.state_dict()
    other.load_state_dict(state)
    for values in state.values():
        values[...] = 7     # copies on both ways
    np.testing.assert_array_equal(layer(arrays(shape)), other(arrays(shape)))
    assert [name for name, _ in layer.named_parameters()] == [name for name, _ in other.named_parameters()]
    assert [parameter for _, parameter in layer.named_parameters()] == layer.parameters()


@each_layer
def test_copies_and_pickles(text, shape):
    layer = build(text)
    x = arrays(shape)
    y = layer.forward(x, training=True)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.saved is None
        np.testing.assert_array_equal(twin(x), layer(x))
        for parameter in twin.parameters():
            parameter.value += 1
        twin.forward(x, training=True)
    layer.backward(np.ones_like(y))


@each_layer
def test_repr(text, shape):
    layer = build(text)
    if layer.named_children():
        for name, child in layer.named_children():
            assert f"({name}): {type(child).__name__}(" in repr(layer)
            assert all(line.strip() in repr(layer) for line in repr(child).splitlines())
    else:
        assert repr(build(repr(layer))) == repr(layer)
        assert repr(layer).replace("kernel_size=", "") == text.replace("kernel_size=", "")
