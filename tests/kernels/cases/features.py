"""What no gradient flows through: nearest rows, and features of images that are not learnt."""
from .case import Case


def nearest(name, n, m, c, k, **options):
    return Case("nearest_rows", name, ((n, c), (m, c)), {"k": k, **options})


def hog(name, x_shape, **options):
    return Case("hog", name, (x_shape,), options)


CASES = [
    nearest("plain", 30, 70, 17, 5),
    nearest("few", 3, 1100, 9, 4),
    nearest("parts", 29, 1200, 3, 7),
    nearest("all", 13, 21, 33, 21),
    nearest("one", 1, 1, 1, 1, metric="l1"),
    nearest("l1", 40, 530, 20, 3, metric="l1"),
    hog("plain", (2, 3, 24, 25)),
    hog("cells", (3, 1, 17, 20), orientations=4, pixels_per_cell=(3, 5), cells_per_block=(2, 1), block_norm="L1"),
    hog("one-bin", (2, 2, 5, 4), orientations=1, pixels_per_cell=(1, 1), cells_per_block=(1, 2), block_norm="L1-sqrt"),
    hog("one-row", (2, 3, 1, 8), orientations=6, pixels_per_cell=(1, 2), cells_per_block=(1, 2), block_norm="L2"),
    Case("hue_histogram", "plain", ((3, 3, 9, 7),), {}),
    Case("hue_histogram", "bins", ((2, 3, 5, 6),), {"bins": 36}),
]
EXACT = ("nearest_rows", "hue_histogram")
NO_GRADIENT = ("nearest_rows", "hog", "hue_histogram")
GRADIENTS = {}
