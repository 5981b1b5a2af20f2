"""Arrays of which some axes have length 1, and what is added up over such axes."""
from .case import Case

IMAGES, ROWS = (2, 17, 3, 5), (5, 33)

PRODUCTS = [Case("multiply", name, (a, b), {}) for name, a, b in (
    ("images", IMAGES, IMAGES), ("channels-of-images", IMAGES, (2, 17, 1, 1)), ("pixels", IMAGES, (2, 1, 3, 5)),
    ("channels", IMAGES, (1, 17, 1, 1)), ("one-image", IMAGES, (1, 17, 3, 5)), ("lines", IMAGES, (2, 17, 1, 5)),
    ("columns-of-all", IMAGES, (1, 1, 1, 5)), ("one-number", IMAGES, (1, 1, 1, 1)), ("rows", ROWS, (5, 1)),
    ("columns", ROWS, (1, 33)), ("vector", (7,), (1,)), ("sequences", (3, 4, 5), (3, 1, 5)),
    ("outermost", (3, 4, 5), (1, 4, 1)), ("long-rows", (3, 40_000), (3, 1)), ("many-rows", (9000, 3), (1, 3)))]
PRELUS = [Case("prelu_forward", name, (x, w), {}) for name, x, w in (
    ("images", IMAGES, (17,)), ("one-slope", IMAGES, (1,)), ("rows", ROWS, (33,)), ("vector", (7,), (1,)),
    ("sequences", (3, 4, 5), (4,)), ("one-channel", (2, 1, 3, 5), (1,)), ("many", (3, 16, 40, 30), (16,)))]
MEANS = [Case("mean", name, (x,), {"dims": dims}) for name, x, dims in (
    ("images", IMAGES, (2, 3)), ("channels", IMAGES, (1,)), ("lines", IMAGES, (2,)), ("columns", IMAGES, [3, 1]),
    ("batch", IMAGES, (0,)), ("everything", IMAGES, (3, 0, 1, 2)), ("rows", ROWS, (-1,)), ("vector", (7,), (0,)),
    ("single-pixels", (2, 5, 1, 1), (2, 3)), ("sequences", (3, 4, 5), (0, 2)), ("long-rows", (2, 70_000), (1,)))]


def _products(ops, case, arrays, results, dys):
    a, b = arrays
    return [ops.multiply(dys[0], b), ops.multiply_backward(dys[0], a, b.shape)]


CASES, EXACT = [*PRODUCTS, *PRELUS, *MEANS], ("multiply", "prelu_forward")
GRADIENTS = {
    "multiply": _products,
    "prelu_forward": lambda ops, case, arrays, results, dys: list(ops.prelu_backward(dys[0], *arrays)),
    "mean": lambda ops, case, arrays, results, dys: [ops.mean_backward(dys[0], arrays[0].shape, **case.options)],
}
