"""What only moves numbers."""
from itertools import permutations

import numpy as np

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
    Case("concat", "batches", ((2, 5, 3, 4), (1, 5, 3, 4)), {"dim": 0}),
    Case("concat", "lines", ((2, 5, 3, 4), (2, 5, 1, 4)), {"dim": 2}),
    Case("concat", "columns", ((2, 5, 3, 4), (2, 5, 3, 17)), {"dim": -1}),
    Case("concat", "vectors", ((3,), (4,)), {"dim": 0}),
    Case("split", "columns", ((2, 5, 3, 9),), {"sizes": (8, 1), "dim": 3}),
    Case("split", "lines", ((2, 5, 4, 9),), {"sizes": (3, 1), "dim": -2}),
    Case("split", "batches", ((4, 3, 5),), {"sizes": (1, 3), "dim": 0}),
    *(Case("permute", "".join(map(str, dims)), (shape,), {"dims": dims}) for shape in ((3, 4), (2, 3, 5))
      for dims in permutations(range(len(shape)))),
    *(Case("permute", "images-" + "".join(map(str, dims)), ((2, 37, 17, 19),), {"dims": dims})
      for dims in permutations(range(4))),
    Case("permute", "from-the-end", ((2, 3, 4, 5),), {"dims": [0, -2, -1, 1]}),
    Case("permute", "five", ((2, 3, 4, 5, 6),), {"dims": (0, 4, 2, 1, 3)}),
    Case("permute", "whole-vectors", ((2, 64, 16, 32),), {"dims": (0, 2, 3, 1)}),
    Case("permute", "long-runs", ((3, 2, 20_000),), {"dims": (1, 0, 2)}),
    Case("permute", "vector", ((2000,),), {"dims": (0,)}),
    Case("channel_shuffle", "images", ((2, 12, 3, 5),), {"groups": 3}),
    Case("channel_shuffle", "one-group", ((2, 5, 3, 5),), {"groups": 1}),
    Case("channel_shuffle", "rows", ((3, 20),), {"groups": 4}),
    *(Case("channel_shuffle", f"{groups}-of-{c}", ((2, c, 5, 7),), {"groups": groups}) for groups, c in (
        (2, 58), (29, 58), (4, 64), (16, 64), (4, 36), (9, 36), (8, 64))),
    Case("channel_shuffle", "sequences", ((2, 6, 700),), {"groups": 2}),
    Case("zeros", "images", ((3,),), {"shape": (2, 17, 3, 5)}),
    Case("zeros", "rows", ((2, 3, 4, 5),), {"shape": (3, 20_000)}),
    *(Case("convert", f"{dtype}-{len(shape)}d", (shape,), {"dtype": dtype}) for dtype in ("float32", "float64")
      for shape in ((7,), (5, 33), (3, 4, 5), (2, 17, 3, 5))),
    *(Case("convert", f"{dtype}-large images", ((2, 40, 8, 7),), {"dtype": dtype}) for dtype in ("float32", "float64")),
]

EXACT = ("concat", "split", "permute", "channel_shuffle", "zeros", "flatten", "unflatten", "convert", "pixel_shuffle",
         "pixel_unshuffle")
NO_GRADIENT = ("convert", "zeros")
FORWARD = {"concat": lambda ops, case, arrays: [ops.concat(arrays, **case.options)]}


def _cut(ops, case, arrays, results, dys):
    dim = case.options.get("dim", 1)
    return ops.split(dys[0], [array.shape[dim] for array in arrays], dim)


def _back(ops, case, arrays, results, dys):
    dims = [dim % len(case.options["dims"]) for dim in case.options["dims"]]
    return [ops.permute(dys[0], np.argsort(dims).tolist())]



GRADIENTS = {
    "concat": _cut,
    "split": lambda ops, case, arrays, results, dys: [ops.concat(dys, case.options.get("dim", 1))],
    "permute": _back,
    "channel_shuffle": lambda ops, case, arrays, results, dys: [
        ops.channel_shuffle(dys[0], arrays[0].shape[1] // case.options["groups"])],
    "flatten": lambda ops, case, arrays, results, dys: [ops.unflatten(dys[0], arrays[0].shape)],
    "pixel_shuffle": lambda ops, case, arrays, results, dys: [
        ops.pixel_unshuffle(dys[0], case.options["upscale_factor"])],
    "pixel_unshuffle": lambda ops, case, arrays, results, dys: [
        ops.pixel_shuffle(dys[0], case.options["downscale_factor"])],
    "unflatten": lambda ops, case, arrays, results, dys: [ops.flatten(dys[0])],
}
