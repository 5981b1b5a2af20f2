"""What only moves numbers."""
from .case import Case

CASES = [
    Case("concat", "images", ((2, 16, 3, 5), (2, 1, 3, 5), (2, 5, 3, 5)), {}),
    Case("concat", "rows", ((4, 3), (4, 17)), {}),
    Case("concat", "one", ((2, 3, 2, 2),), {}),
    Case("concat", "sequences", ((2, 3, 5), (2, 1, 5)), {}),
    Case("flatten", "images", ((3, 37, 5, 7),), {}),
    Case("flatten", "whole-vectors", ((2, 32, 4, 8),), {}),
    Case("flatten", "one-pixel", ((2, 5, 1, 1),), {}),
    Case("unflatten", "images", ((3, 37 * 35),), {"shape": (3, 37, 5, 7)}),
    Case("unflatten", "whole-vectors", ((2, 1024),), {"shape": (2, 32, 4, 8)}),
    Case("split", "sequences", ((2, 4, 5),), {"sizes": (3, 1)}),
    Case("split", "images", ((2, 22, 3, 5),), {"sizes": (16, 1, 5)}),
    Case("split", "rows", ((4, 20),), {"sizes": [3, 17]}),
    *(Case("pixel_shuffle", name, (shape,), {"upscale_factor": r}) for name, shape, r in (
        ("twice", (2, 12, 3, 5), 2), ("thrice", (1, 18, 2, 3), 3), ("same", (2, 5, 2, 2), 1),
        ("many-channels", (2, 68, 3, 2), 2))),
    *(Case("pixel_unshuffle", name, (shape,), {"downscale_factor": r}) for name, shape, r in (
        ("twice", (2, 3, 6, 10), 2), ("thrice", (1, 2, 6, 9), 3), ("many-channels", (2, 17, 6, 4), 2))),
    *(Case("convert", f"{dtype}-{len(shape)}d", (shape,), {"dtype": dtype}) for dtype in ("float32", "float64")
      for shape in ((7,), (5, 33), (3, 4, 5), (2, 17, 3, 5))),
]

EXACT = ("concat", "split", "flatten", "unflatten", "convert", "pixel_shuffle", "pixel_unshuffle")
NO_GRADIENT = ("convert",)
FORWARD = {"concat": lambda ops, case, arrays: [ops.concat(arrays)]}
GRADIENTS = {
    "concat": lambda ops, case, arrays, results, dys: ops.split(dys[0], [array.shape[1] for array in arrays]),
    "split": lambda ops, case, arrays, results, dys: [ops.concat(dys)],
    "flatten": lambda ops, case, arrays, results, dys: [ops.unflatten(dys[0], arrays[0].shape)],
    "pixel_shuffle": lambda ops, case, arrays, results, dys: [
        ops.pixel_unshuffle(dys[0], case.options["upscale_factor"])],
    "pixel_unshuffle": lambda ops, case, arrays, results, dys: [
        ops.pixel_shuffle(dys[0], case.options["downscale_factor"])],
    "unflatten": lambda ops, case, arrays, results, dys: [ops.flatten(dys[0])],
}
