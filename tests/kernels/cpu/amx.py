"""Convolutions of whole matrices of bfloat16 numbers against naive ones of rounded numbers.

    NUMBA_DISABLE_JIT=1 python -m tests.kernels.cpu.amx

does it in plain Python, where every place that a primitive reads or writes is checked, on any processor; it prints how
many convolutions were compared.
"""
import numpy as np

from fastnet.kernels import bfloat16_products, load, naive
from fastnet.kernels.cpu import simd
from fastnet.kernels.cpu.conv.passes import FEW_CHANNELS

cpu = load("cpu")
DIRECTIONS = ("forward", "backward_input", "backward_weight")
NONE, ONE_AROUND, PLAIN = (0, 0, 0, 0), (1, 1, 1, 1), (1, 1)
RELU = "relu", 0.0, 0.0

# x, w, (stride, padding, dilation, groups): channels that fill no register, groups, phases that no tap reads, taps that
# see nothing but padding, lines longer and shorter than what is multiplied at once.
FEW = [
    ((2, 48, 4, 7), (40, 48, 1, 1), (PLAIN, NONE, PLAIN, 1)),
    ((1, 33, 1, 5), (17, 33, 1, 1), (PLAIN, NONE, PLAIN, 1)),
    ((2, 16, 5, 6), (34, 16, 3, 3), ((2, 1), (1, 0, 2, 1), PLAIN, 1)),
    ((1, 32, 6, 5), (26, 32, 3, 5), ((1, 2), (1, 1, 2, 2), (2, 1), 1)),
    ((2, 72, 4, 4), (52, 18, 3, 3), (PLAIN, ONE_AROUND, PLAIN, 4)),
    ((1, 19, 5, 9), (17, 19, 2, 4), ((3, 2), (0, 4, 2, 1), (2, 3), 1)),
    ((2, 37, 4, 4), (70, 37, 1, 1), ((2, 3), NONE, PLAIN, 1)),
    ((1, 33, 3, 3), (16, 33, 2, 2), ((3, 3), (0, 0, 5, 0), PLAIN, 1)),
    ((1, 16, 2, 2), (16, 16, 3, 3), (PLAIN, (3, 0, 0, 4), PLAIN, 1)),
    ((1, 32, 1, 40), (16, 32, 1, 3), (PLAIN, (0, 0, 1, 1), PLAIN, 1)),
    ((2, 3, 9, 11), (18, 3, 3, 3), ((2, 2), ONE_AROUND, PLAIN, 1)),     # from here on few channels
    ((1, 1, 6, 40), (34, 1, 5, 5), (PLAIN, (2, 2, 0, 1), PLAIN, 1)),
    ((2, 4, 7, 6), (9, 4, 2, 3), ((1, 3), (0, 3, 0, 0), (2, 1), 1)),
]
# Of several strips, chunks and parts, pieces of many panels, and filters too many to stay in a cache.
MANY = [
    ((4, 64, 33, 31), (64, 64, 3, 3), (PLAIN, ONE_AROUND, PLAIN, 1)),
    ((4, 62, 16, 17), (19, 62, 3, 3), (PLAIN, (2, 2, 0, 0), PLAIN, 1)),
    ((40, 32, 9, 8), (48, 32, 3, 3), ((2, 2), ONE_AROUND, PLAIN, 1)),
    ((3, 64, 20, 21), (150, 64, 1, 1), (PLAIN, NONE, PLAIN, 1)),
    ((2, 256, 9, 9), (160, 256, 3, 3), (PLAIN, ONE_AROUND, PLAIN, 1)),
    ((1, 64, 40, 41), (34, 64, 7, 7), ((2, 2), (3, 3, 3, 3), PLAIN, 1)),
    ((2, 1024, 5, 6), (40, 1024, 1, 1), (PLAIN, NONE, PLAIN, 1)),
    ((5, 96, 23, 30), (96, 32, 3, 3), (PLAIN, ONE_AROUND, PLAIN, 3)),
    ((64, 20, 7, 7), (512, 20, 3, 3), (PLAIN, ONE_AROUND, PLAIN, 1)),
    ((2, 5, 7, 6), (9, 5, 2, 3), ((1, 3), (0, 3, 0, 0), (2, 1), 1)),
    ((1, 12, 4, 5), (16, 12, 3, 2), (PLAIN, NONE, PLAIN, 1)),
    ((3, 3, 64, 61), (64, 3, 7, 7), ((2, 2), (3, 3, 3, 3), PLAIN, 1)),
    ((2, 3, 67, 67), (96, 3, 11, 11), ((4, 4), (2, 2, 2, 2), PLAIN, 1)),
    ((20, 2, 30, 35), (40, 2, 5, 7), (PLAIN, (2, 2, 3, 3), PLAIN, 1)),
    ((6, 64, 23, 21), (64, 64, 5, 5), (PLAIN, (4, 4, 4, 4), (2, 2), 1)),
    ((3, 64, 3, 300), (64, 64, 3, 3), (PLAIN, (2, 0, 3, 0), PLAIN, 1)),
    ((70, 64, 4, 4), (96, 64, 3, 3), (PLAIN, ONE_AROUND, PLAIN, 1)),
]


def rounded(array):
    """The nearest bfloat16 numbers, ties to even, in float64."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def names(x_shape, w_shape, where):
    """What computes each pass."""
    return [cpu.conv2d_algorithm(direction, np.float32, x_shape, w_shape, *where)[0] for direction in DIRECTIONS]


def compare(x_shape, w_shape, where, seed=0):
    """The passes whose products are of whole matrices, to the accuracy of float32, and with all that may follow."""
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape, np.float32) for shape in (x_shape, w_shape, w_shape[0]))
    y = naive.conv2d_forward(rounded(x), rounded(w), b.astype(np.float64), *where)
    dy = rng.standard_normal(y.shape, np.float32)
    with bfloat16_products():
        found = names(x_shape, w_shape, where)
        if found[0].endswith("(AMX)"):
            _close(cpu.conv2d_forward(x, w, b, *where), y, "y")
            _close(cpu.conv2d_forward(x, w, b, *where, add=dy, activation=RELU), np.maximum(y + dy, 0), "with add")
        if found[1].endswith("(AMX)"):
            dx = naive.conv2d_backward_input(rounded(dy), rounded(w), x.shape, *where)
            _close(cpu.conv2d_backward_input(dy, w, x.shape, *where), dx, "dx")
            masked = cpu.conv2d_backward_input(dy, w, x.shape, *where, mask=x, masking=RELU)
            _close(masked, np.where(x > 0, dx, 0), "masked")
        if found[2].endswith("(AMX)"):
            dw, _ = naive.conv2d_backward_weight(rounded(dy), rounded(x), w.shape, *where)
            ours, db = cpu.conv2d_backward_weight(dy, x, w.shape, *where)
            _close(ours, dw, "dw")
            _close(db, dy.sum((0, 2, 3), dtype=np.float64), "db")
            assert cpu.conv2d_backward_weight(dy, x, w.shape, *where, bias=False)[1] is None
    return found


def compare_short(x_shape, w_shape, where, seed=0):
    """A forward pass that reads and writes short images: the same numbers, rounded once."""
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape, np.float32) for shape in (x_shape, w_shape, w_shape[0]))
    channels = {"x": w_shape[1], "y": w_shape[0] // where[3]}
    if x_shape[1] <= FEW_CHANNELS:
        del channels["x"]   # of which matrices are made in another way
    names = [name for name, count in channels.items() if count % 2 == 0]
    with bfloat16_products():
        packed, short_x = cpu.conv2d_pack(w, b), cpu.shorten(x) if "x" in names else None
        y = cpu.conv2d_inference(x, packed, *where)
        if "x" in names:
            np.testing.assert_array_equal(cpu.conv2d_short(short_x, packed, ("x",), where), y)
        if "y" in names:
            add = cpu.shorten(rng.standard_normal(y.shape, np.float32))
            for activation in (None, RELU, ("leaky_relu", 0.1, 0.0), ("silu", 0.0, 0.0)):
                for more in ({}, {"add": add}):
                    numbers = {name: cpu.lengthen(array) for name, array in more.items()}
                    wanted = cpu.conv2d_inference(x, packed, *where, **numbers, activation=activation)
                    made = cpu.conv2d_short(short_x if "x" in names else x, packed, names, where, **more,
                                            activation=activation)
                    # SiLU's last bit depends on how many vectors it is given at a time.
                    np.testing.assert_allclose(cpu.lengthen(made), rounded(wanted), atol=1e-30,
                                               rtol=2 ** -7 if activation and activation[0] == "silu" else 0)
    return names


def _close(ours, wanted, name):
    error, largest = np.abs(ours - wanted).max(), np.abs(wanted).max()
    assert error <= 1e-6 * largest, f"{name}: {error} of {largest}"


if __name__ == "__main__":
    simd.AMX = True
    for case in FEW:
        assert any(name.endswith("(AMX)") for name in compare(*case)), case
        compare_short(*case)
    print(len(FEW))
