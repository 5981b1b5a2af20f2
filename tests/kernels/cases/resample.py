"""Other pixels for an image."""
from .case import Case


def pads(name, x, padding, mode, **options):
    return Case("pad2d_forward", f"{mode}-{name}", (x,), {"padding": padding, "mode": mode, **options})


def upsampled(name, x, size, **options):
    return Case("upsample2d_forward", name, (x,), {"size": size, **options})


def averaged(name, x, output_size):
    return Case("adaptive_avgpool2d_forward", name, (x,), {"output_size": output_size})


CASES = [
    pads("margin", (2, 16, 5, 6), (1, 1, 1, 1), "constant"),
    pads("few-channels", (2, 3, 5, 6), (1, 0, 2, 3), "constant", value=-2.5),
    pads("negative", (2, 17, 5, 6), (-1, 2, -2, -1), "constant", value=3),
    pads("one-pixel-left", (1, 5, 3, 4), (-2, 0, -1, -2), "constant"),
    pads("margin", (2, 19, 4, 5), (1, 1, 1, 1), "reflect"),
    pads("largest", (2, 3, 4, 5), (3, 2, 4, 4), "reflect"),
    pads("one-pixel", (2, 3, 1, 4), (0, 0, 1, 2), "reflect"),
    pads("margin", (2, 16, 4, 5), (1, 1, 1, 1), "replicate"),
    pads("wide", (2, 5, 2, 3), (4, 0, 1, 5), "replicate"),
    pads("margin", (2, 18, 4, 5), (1, 1, 1, 1), "circular"),
    pads("largest", (2, 3, 4, 5), (4, 0, 5, 5), "circular"),
    upsampled("twice", (2, 16, 3, 4), (6, 8)),
    upsampled("same", (2, 5, 3, 4), (3, 4), steps=(0.9, 0.9)),
    upsampled("odd", (2, 19, 5, 3), (7, 11)),
    upsampled("smaller", (2, 3, 9, 8), (4, 3)),
    upsampled("steps", (1, 5, 5, 4), (7, 6), steps=(1 / 1.5, 1 / 1.6)),
    upsampled("many-to-one", (2, 3, 1, 2), (40, 30)),
    *(upsampled(f"bilinear-{name}{'-corners' * corners}", x, size, mode="bilinear", align_corners=corners)
      for corners in (False, True) for name, x, size in (
          ("twice", (2, 16, 3, 4), (6, 8)), ("odd", (2, 19, 5, 3), (7, 11)), ("smaller", (2, 3, 9, 8), (4, 3)),
          ("one-pixel", (1, 5, 1, 3), (4, 1)), ("many-to-one", (1, 5, 2, 1), (40, 35)))),
    upsampled("bilinear-steps", (1, 5, 5, 4), (7, 6), mode="bilinear", steps=(1 / 1.5, 1 / 1.6)),
    averaged("even", (2, 16, 8, 6), (4, 3)),
    averaged("overlapping", (2, 19, 7, 9), (3, 4)),
    averaged("larger", (2, 3, 3, 2), (5, 7)),
    averaged("one", (2, 5, 3, 4), (1, 1)),
    averaged("long", (1, 19, 70, 50), (2, 3)),
    *(Case("bed_of_nails_forward", name, (x,), {"scale_factor": factor}) for name, x, factor in (
        ("twice", (2, 16, 3, 4), (2, 2)), ("few-channels", (2, 3, 3, 4), (1, 3)), ("same", (1, 5, 2, 2), (1, 1)))),
]

EXACT = ("pad2d_forward", "bed_of_nails_forward")
GRADIENTS = {
    "pad2d_forward": lambda ops, case, arrays, results, dys: [
        ops.pad2d_backward(dys[0], arrays[0].shape, case.options["padding"], case.options["mode"])],
    "upsample2d_forward": lambda ops, case, arrays, results, dys: [
        ops.upsample2d_backward(dys[0], arrays[0].shape,
                                **{name: value for name, value in case.options.items() if name != "size"})],
    "adaptive_avgpool2d_forward": lambda ops, case, arrays, results, dys: [
        ops.adaptive_avgpool2d_backward(dys[0], arrays[0].shape)],
    "bed_of_nails_forward": lambda ops, case, arrays, results, dys: [
        ops.bed_of_nails_backward(dys[0], arrays[0].shape, **case.options)],
}
