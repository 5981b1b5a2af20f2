import numpy as np
import pytest

from fastnet.data.augment import random_light, random_moves, still
from fastnet.data.draws import _mix, permutation, random_bits
from fastnet.data.fill import fill_batch
from fastnet.data.normalize import Terms, identity
from fastnet.kernels.cpu.runtime import empty_images


def bits_in_plain_integers(seed, epoch, index, purpose):
    bits = 0
    for word in (seed, epoch, purpose, index):
        z = ((bits ^ word) + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        bits = z ^ (z >> 31)
    return bits


def test_bits_are_those_of_the_formula():
    for seed, epoch, purpose in ((0, 0, 0), (2**63 - 1, 7, 3), (12345, 10**9, 5)):
        index = np.array([0, 1, 49_999, 2**40])
        expected = [bits_in_plain_integers(seed, epoch, int(i), purpose) for i in index]
        assert random_bits(seed, epoch, index, purpose).tolist() == expected


def test_bits_are_those_of_splitmix64():
    # The first output that its authors' program gives for seed 0.
    assert _mix(np.array([0x9E3779B97F4A7C15], np.uint64))[0] == 0xE220A8397B1DCDAF


def test_permutation():
    order = permutation(0, 0, 1000)
    assert order.dtype == np.int64 and sorted(order) == list(range(1000))
    assert (order == permutation(0, 0, 1000)).all()
    for other in (permutation(1, 0, 1000), permutation(0, 1, 1000), np.arange(1000)):
        assert (order == other).sum() < 10  # one is expected


def test_moves_are_uniform_and_independent():
    moves = random_moves(3, 0, np.arange(30_000), 32, 32, crop=2, flip=True)
    assert (moves[:, 3:] == 0).all()
    table = np.zeros((5, 5, 2))
    np.add.at(table, (moves[:, 0] + 2, moves[:, 1] + 2, moves[:, 2]), 1)
    # Chi-squared with 49 degrees of freedom: mean 49, deviation 10.
    assert ((table - 600) ** 2 / 600).sum() < 100
    again = random_moves(3, 1, np.arange(30_000), 32, 32, crop=2, flip=True)
    assert abs((again[:, 2] == moves[:, 2]).mean() - 0.5) < 0.02


def test_alternating_flips_show_both_sides_in_turn():
    index = np.arange(10_000)
    flips = [random_moves(3, epoch, index, 32, 32, flip="alternating")[:, 2] for epoch in range(4)]
    assert abs(flips[0].mean() - 0.5) < 0.02
    assert all((flips[i] + flips[i + 1] == 1).all() for i in range(3))
    assert (random_moves(3, 1, index[7:9], 32, 32, flip="alternating")[:, 2] == flips[1][7:9]).all()


def test_moves_do_not_depend_on_what_else_is_in_the_batch():
    options = {"crop": 4, "flip": True, "cutout": 8}
    together = random_moves(3, 5, np.array([9, 2, 7]), 32, 32, **options)
    assert (random_moves(3, 5, np.array([7]), 32, 32, **options) == together[2:]).all()
    assert (random_moves(3, 5, np.array([9]), 32, 32, crop=4)[:, :2] == together[:1, :2]).all()


def test_light_is_uniform_and_independent():
    light = random_light(3, 1, np.arange(20_000), brightness=0.4, contrast=0.2)
    assert light.dtype == np.float32 and light.shape == (20_000, 2)
    for values, middle, most in ((light[:, 0], 1, 0.2), (light[:, 1], 0, 0.4)):
        share = (values - middle) / most
        assert -1 <= share.min() < -0.999 and 0.999 < share.max() <= 1 + 1e-6
        assert abs(share.mean()) < 0.02 and abs(share.std() - 3**-0.5) < 0.01
    assert abs(np.corrcoef(light.T)[0, 1]) < 0.03
    assert (random_light(3, 1, np.array([7, 5]), 0.4, 0.2) == light[[7, 5]]).all()
    assert (random_light(3, 2, np.arange(9), 0.4, 0.2) != light[:9]).all()
    assert random_light(3, 1, np.arange(4)).tolist() == [[1, 0]] * 4


@pytest.mark.parametrize("size", [1, 4, 5, 12])
def test_cut_out_squares_are_clipped_at_the_border(size):
    moves = random_moves(0, 0, np.arange(2000), 6, 9, cutout=size)
    for start, stop, extent in ((3, 4, 6), (5, 6, 9)):
        assert moves[:, start].min() == 0 and moves[:, stop].max() == extent
        length = moves[:, stop] - moves[:, start]
        assert length.max() == min(size, extent) and length.min() > 0


def seen(moves, light=None, reflect=False):
    """The views of images that are moved so."""
    views = still(len(moves))
    return views._replace(moves=moves, light=views.light if light is None else light, reflect=reflect)


def reference(images, index, moves, terms, light=None):
    """The same in NumPy, one image at a time: normalise, light, pad with zeros, cut the window, flip, cut out."""
    _, _, height, width = images.shape
    light, result = np.tile((1, 0), (len(index), 1)) if light is None else light, []
    for i, (top, left, flip, *cut), (gain, offset) in zip(index, moves, light, strict=True):
        image = (images[i].astype(np.float64) - terms.center) * terms.scale[:, None, None] + terms.shift
        image = image * gain + offset
        pad = max(height, width)
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        image = padded[:, pad + top:pad + top + height, pad + left:pad + left + width]
        image = image[:, :, ::-1].copy() if flip else image.copy()
        image[:, cut[0]:cut[1], cut[2]:cut[3]] = 0
        result.append(image)
    return np.stack(result)


@pytest.mark.parametrize("shape", [(7, 3, 6, 9), (7, 1, 5, 5), (7, 4, 1, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("options", [{}, {"crop": 2}, {"flip": True}, {"crop": 2, "flip": True, "cutout": 3}], ids=str)
def test_one_pass_equals_numpy(shape, dtype, options):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, shape).astype(dtype)
    images.flags.writeable = False
    terms = Terms(rng.standard_normal(shape[1:]).astype(np.float32), rng.uniform(0.5, 2, shape[1]).astype(np.float32),
                  rng.standard_normal(shape[1:]).astype(np.float32))
    index = rng.permutation(np.repeat(np.arange(7), 3))
    moves = random_moves(2, 1, np.arange(len(index)), *shape[2:], **options)
    out = empty_images(len(index), *shape[1:])
    out[...] = np.nan  # whatever is not written stays visible
    fill_batch(out, images, index, seen(moves), terms)
    np.testing.assert_allclose(out, reference(images, index, moves, terms), rtol=1e-6, atol=1e-4)
    light = random_light(2, 1, index, 0.7, 0.5)
    fill_batch(out, images, index, seen(moves, light), terms)
    np.testing.assert_allclose(out, reference(images, index, moves, terms, light), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("shape", [(7, 3, 6, 9), (7, 1, 5, 5)], ids=str)
@pytest.mark.parametrize("flip", [False, True])
def test_reflection_equals_numpy(shape, flip):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, shape).astype(np.uint8)
    images.flags.writeable = False
    index = np.arange(7).repeat(6)
    moves = random_moves(2, 1, np.arange(len(index)), *shape[2:], crop=2, flip=flip)
    out = empty_images(len(index), *shape[1:])
    out[...] = np.nan
    fill_batch(out, images, index, seen(moves, reflect=True), identity(shape[1:]))
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect")
    for x, i, (top, left, mirrored, *_) in zip(out, index, moves, strict=True):
        window = padded[i, :, 2 + top:2 + top + shape[2], 2 + left:2 + left + shape[3]]
        assert (x == (window[:, :, ::-1] if mirrored else window)).all()


def test_windows_that_see_nothing_are_zero():
    images = np.ones((1, 2, 3, 3), np.uint8)
    images.flags.writeable = False
    moves = np.array([[3, 0, 0, 0, 0, 0, 0], [0, -3, 1, 0, 0, 0, 0], [-5, 9, 0, 0, 0, 0, 0]])
    out = empty_images(3, 2, 3, 3)
    out[...] = np.nan
    terms = identity((2, 3, 3))._replace(shift=np.ones((2, 3, 3), np.float32))
    fill_batch(out, images, np.zeros(3, np.int64), seen(moves), terms)
    assert (out == 0).all()
