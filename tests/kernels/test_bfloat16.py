"""bfloat16_products(): what is computed that way, how far it rounds, and that nothing else changes.

Here without matrix registers, as on most processors; see `cpu.test_amx` for those with.
"""
import threading

import numpy as np
import pytest

from fastnet import Adam, Conv2d, CrossEntropyLoss, Flatten, Linear, MaxPool2d, ReLU, Sequential, manual_seed
from fastnet.kernels import bfloat16_products, exact, load, naive
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.runtime import results
from tests.kernels.cpu.amx import rounded
from tests.kernels.test_winograd import SHAPES, operands, passes, way

cpu = load("cpu")
DIRECTIONS = ("forward", "backward_input", "backward_weight")
ONE_AROUND = (1, 1, 1, 1)
RELU = "relu", 0.0, 0.0
GEOMETRY = (1, 1), ONE_AROUND, (1, 1), 1


@pytest.fixture(autouse=True)
def vectors_alone(monkeypatch):
    """What is worked out for this processor is not kept, and what is worked out here neither."""
    if simd.AMX:
        monkeypatch.setattr(simd, "AMX", False)
        results.forget()
        yield
        results.forget()
    else:
        yield


def summed(direction, c, k):
    """How many numbers a sum runs over, tiles not counted; those of a weight's gradient may be any number."""
    return {"forward": c, "backward_input": k, "backward_weight": 0}[direction]


@pytest.mark.parametrize("shape, kernel, padding", SHAPES)
def test_every_pass_rounds_as_bfloat16_does(shape, kernel, padding):
    arrays = operands(shape, kernel, padding)
    x, w = arrays[:2]
    paired = [summed(direction, shape[1], kernel[0]) % 2 == 0 for direction in DIRECTIONS]
    with bfloat16_products():
        for direction, pairs in zip(DIRECTIONS, paired, strict=True):
            assert way(x.shape, w.shape, direction, padding=padding).endswith(" of bfloat16") == pairs
        found = passes(cpu, *arrays, padding)
    wanted = passes(naive, *[array.astype(np.float64) for array in arrays], padding)
    pairs_of = dict(zip(("y", "relu", "dx", "masked", "dw", "db"), np.repeat(paired, 2), strict=True))
    for name, got in found.items():
        error = np.linalg.norm(got - wanted[name]) / np.linalg.norm(wanted[name])
        assert (1e-4 < error < 4e-2) if pairs_of[name] else error < 2e-5, f"{name}: {error}"


@pytest.mark.parametrize("seed", range(20))
def test_any_shape(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers((1, 16, 3, 3), (5, 70, 20, 20)))
    kernel, padding = (int(rng.integers(16, 70)), 3), tuple(int(n) for n in rng.integers(0, 3, 4))
    arrays = operands(shape, kernel, padding)
    wanted = passes(naive, *[array.astype(np.float64) for array in arrays], padding)
    with bfloat16_products():
        found = passes(cpu, *arrays, padding)
    for name, got in found.items():
        assert np.linalg.norm(got - wanted[name]) < 5e-2 * np.linalg.norm(wanted[name]), name


def test_a_copied_pixel_comes_out_where_it_belongs():
    """A kernel that copies a pixel, and pixels of 1 to 7 so far apart that each tile sees one: what is left of rounding
    is far less than a number in a wrong place would be."""
    x = np.zeros((3, 32, 16, 24), np.float32)
    x[:, :, 1::8, 2::8] = np.random.default_rng(0).integers(1, 8, (3, 32, 2, 3))
    w = np.zeros((16, 32, 3, 3), np.float32)
    w[np.arange(16), np.arange(16)[::-1] * 2, 1, 1] = 1
    with bfloat16_products():
        y = cpu.conv2d_forward(x, w, None, *GEOMETRY)
    np.testing.assert_allclose(y, x[:, :32:2][:, ::-1], atol=0.06)


def test_epilogues_come_after_the_products():
    x, w, b, dy = operands((3, 32, 9, 8), (40, 3), ONE_AROUND)
    with bfloat16_products():
        y = cpu.conv2d_forward(x, w, b, *GEOMETRY)
        np.testing.assert_array_equal(cpu.conv2d_forward(x, w, b, *GEOMETRY, activation=RELU), np.maximum(y, 0))
        np.testing.assert_array_equal(cpu.conv2d_forward(x, w, b, *GEOMETRY, add=dy), y + dy)
        dx = cpu.conv2d_backward_input(dy, w, x.shape, *GEOMETRY)
        masked = cpu.conv2d_backward_input(dy, w, x.shape, *GEOMETRY, mask=x, masking=RELU)
        np.testing.assert_array_equal(masked, np.where(x > 0, dx, 0))
        pooled, index = cpu.conv2d_maxpool_forward(x, w, b, *GEOMETRY)
    wanted, places = cpu.maxpool2d_forward(y, (2, 2), (2, 2))
    np.testing.assert_array_equal(pooled, wanted)
    np.testing.assert_array_equal(index, places)


def test_packed_weights_serve_every_precision():
    x, w, b, _ = operands((2, 32, 9, 8), (40, 3), ONE_AROUND)
    packed = cpu.conv2d_pack(w, b)
    plainly = cpu.conv2d_inference(x, packed, *GEOMETRY)
    with bfloat16_products():
        rounded = cpu.conv2d_inference(x, packed, *GEOMETRY)
        np.testing.assert_array_equal(rounded, cpu.conv2d_forward(x, w, b, *GEOMETRY))
    assert (rounded != plainly).any()
    np.testing.assert_array_equal(cpu.conv2d_inference(x, packed, *GEOMETRY), plainly)


def test_packed_weights_of_a_transposed_convolution_serve_every_precision():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 32, 9, 8), np.float32), rng.standard_normal((32, 40, 2, 2), np.float32)
    where = (2, 2), (0, 0, 0, 0), (0, 0), (1, 1), 1
    packed = cpu.conv_transpose2d_pack(w, None)
    plainly = cpu.conv_transpose2d_inference(x, packed, *where)
    with bfloat16_products():
        rounded_products = cpu.conv_transpose2d_inference(x, packed, *where)
    assert 1e-4 < np.linalg.norm(rounded_products - plainly) / np.linalg.norm(plainly) < 1e-2
    np.testing.assert_array_equal(cpu.conv_transpose2d_inference(x, packed, *where), plainly)


def test_infinities_and_nan_reach_only_the_tiles_that_see_them():
    for special in (np.nan, np.inf, 3.4e38):  # the last is infinite as bfloat16
        x, w, b, _ = operands((1, 16, 16, 16), (16, 3), ONE_AROUND)
        x[0, 3, 0, 0] = special
        with bfloat16_products():
            y = cpu.conv2d_forward(x, w, b, *GEOMETRY)
        assert not np.isfinite(y[0, :, :2, :2]).any() and np.isfinite(y[0, :, 4:, 4:]).all()


def test_the_innermost_block_counts_and_only_in_its_thread():
    shapes, seen = ((2, 16, 8, 8), (16, 16, 3, 3)), []
    with bfloat16_products():
        with exact():
            assert way(*shapes) == "direct"
        assert way(*shapes) == "Winograd F(4x4, 3x3) of bfloat16"
        other = threading.Thread(target=lambda: seen.append(way(*shapes)))
        other.start()
        other.join()
        with pytest.raises(ZeroDivisionError), bfloat16_products():
            raise ZeroDivisionError
    assert seen == [way(*shapes)] == ["Winograd F(4x4, 3x3)"]


def test_one_object_serves_many_blocks():
    shapes = (2, 16, 8, 8), (16, 16, 3, 3)
    directly, pairs = exact(), bfloat16_products()
    for _ in range(2):
        with directly, pairs, directly:
            assert way(*shapes) == "direct"
        with pairs:
            assert directly(way)(*shapes) == "direct"  # as a decorator
            assert way(*shapes) == "Winograd F(4x4, 3x3) of bfloat16"
    assert way(*shapes) == "Winograd F(4x4, 3x3)"
    seen, both = [], threading.Barrier(2)

    def enter():
        with pairs:
            both.wait()  # both threads are within a block of the same object
            seen.append(way(*shapes))
            both.wait()
        seen.append(way(*shapes))

    threads = [threading.Thread(target=enter) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == 2 * ["Winograd F(4x4, 3x3)"] + 2 * ["Winograd F(4x4, 3x3) of bfloat16"]


# x, w, (stride, padding, dilation, groups): what the direct way computes.
DIRECT = [
    ((2, 48, 9, 7), (40, 48, 1, 1), ((1, 1), (0, 0, 0, 0), (1, 1), 1)),
    ((1, 130, 1, 5), (33, 130, 1, 1), ((1, 1), (0, 0, 0, 0), (1, 1), 1)),
    ((2, 14, 11, 13), (34, 14, 3, 3), ((2, 1), (1, 0, 2, 1), (1, 1), 1)),
    ((3, 32, 12, 9), (26, 32, 3, 5), ((1, 2), (1, 1, 2, 2), (2, 1), 1)),
    ((2, 72, 8, 8), (120, 18, 3, 2), ((1, 1), ONE_AROUND, (1, 1), 4)),
    ((1, 64, 40, 41), (34, 64, 7, 7), ((2, 2), (3, 3, 3, 3), (1, 1), 1)),
]


@pytest.mark.parametrize("x_shape, w_shape, where", DIRECT)
def test_direct_products_are_those_of_rounded_numbers(x_shape, w_shape, where):
    """To the accuracy of float32, and with all that may follow them."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, np.float32) for shape in (x_shape, w_shape, w_shape[0]))
    wanted = naive.conv2d_forward(rounded(x), rounded(w), b.astype(np.float64), *where)
    dy = rng.standard_normal(wanted.shape, np.float32)
    pairs = w_shape[0] // where[3] % 2 == 0     # which the gradient for the input sums over
    wanted_dx = naive.conv2d_backward_input(
        *([rounded(dy), rounded(w)] if pairs else [dy.astype(np.float64), w.astype(np.float64)]), x.shape, *where)
    options = dict(zip(("stride", "padding", "dilation", "groups"), where, strict=True))
    with bfloat16_products():
        assert [way(x_shape, w_shape, direction, **options) for direction in DIRECTIONS] == [
            "direct of bfloat16", "direct of bfloat16" if pairs else "direct", "direct"]
        y, dx = cpu.conv2d_forward(x, w, b, *where), cpu.conv2d_backward_input(dy, w, x.shape, *where)
        relu = cpu.conv2d_forward(x, w, b, *where, add=dy, activation=RELU)
        masked = cpu.conv2d_backward_input(dy, w, x.shape, *where, mask=x, masking=RELU)
    for got, right in (y, wanted), (dx, wanted_dx):
        assert np.abs(got - right).max() < 2e-6 * np.abs(right).max()
    np.testing.assert_array_equal(relu, np.maximum(y + dy, 0))
    np.testing.assert_array_equal(masked, np.where(x > 0, dx, 0))


@pytest.mark.parametrize("why, change", [
    ("other numbers", {"dtype": "float64"}),
    ("an odd number of channels", {"x_shape": (4, 33, 8, 8), "w_shape": (33, 33, 1, 1)}),
    ("few channels to sum over", {"x_shape": (4, 32, 8, 8), "w_shape": (32, 4, 3, 3), "groups": 8}),
    ("few products a number", {"x_shape": (4, 32, 8, 8), "w_shape": (20, 32, 1, 1), "padding": (0,) * 4,
                               "direction": "forward"}),
    ("filters a channel", {"w_shape": (32, 1, 3, 3), "groups": 32}),
    ("weights' gradients", {"stride": (2, 2), "direction": "backward_weight"}),
])
def test_other_convolutions_stay_as_they_are(why, change):
    given = {"x_shape": (4, 32, 8, 8), "w_shape": (32, 32, 3, 3)} | change
    directions = [given.pop("direction")] if "direction" in given else DIRECTIONS
    plainly = [way(**given, direction=direction) for direction in directions]
    with bfloat16_products():
        assert [way(**given, direction=direction) for direction in directions] == plainly, why


def trained(steps=40):
    """(loss before, loss after, net) of a small net that learns which of ten pictures it sees, each badly blurred."""
    manual_seed(0)
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((10, 3, 12, 12)).astype(np.float32)
    net = Sequential(Conv2d(3, 16, 3, padding=1), ReLU(), Conv2d(16, 24, 3, padding=1), ReLU(), MaxPool2d(2),
                     Conv2d(24, 32, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(288, 10))
    optimizer, loss, values = Adam(net.parameters(), lr=2e-3), CrossEntropyLoss(), []
    for _ in range(steps):
        labels = rng.integers(0, 10, 64)
        value, dlogits = loss(net.forward(pictures[labels] + rng.standard_normal((64, 3, 12, 12)).astype(np.float32),
                                          training=True), labels)
        net.backward(dlogits, need_dx=False)
        optimizer.step()
        values.append(value)
    return values[0], np.mean(values[-5:]), net


@pytest.mark.parametrize("amx", [False, pytest.param(True, marks=pytest.mark.skipif(
    not simd.AMX, reason="needs a processor with AMX"))])
def test_training_goes_as_with_float32(monkeypatch, amx):
    monkeypatch.setattr(simd, "AMX", amx)
    with bfloat16_products():
        first, last, net = trained()
    plain_first, plain_last, plain_net = trained()
    assert abs(first - plain_first) < 0.03 and first > 2
    assert last < 0.4 and abs(last - plain_last) < 0.1
    assert (net[5].weight.value != plain_net[5].weight.value).any()
