"""Convolutions."""
from .case import Case


def conv(name, x, w, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1, bias=True):
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Case("conv2d_forward", name, (x, w, w[:1] if bias else None), options)


CONVOLUTIONS = [
    conv("3x3", (2, 16, 7, 9), (16, 16, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-more-outputs", (2, 16, 8, 8), (32, 16, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-wide", (1, 64, 12, 20), (64, 64, 3, 3), padding=(1, 1, 1, 1), bias=False),
    conv("3x3-odd-channels", (2, 17, 6, 5), (33, 17, 3, 3), padding=(1, 1, 1, 1)),
    conv("3x3-valid", (3, 33, 5, 7), (17, 33, 3, 3), bias=False),
    conv("first-layer", (3, 3, 16, 16), (32, 3, 3, 3), padding=(1, 1, 1, 1)),
    conv("first-layer-7x7-stride-2", (1, 3, 15, 17), (16, 3, 7, 7), stride=(2, 2), padding=(3, 3, 3, 3)),
    conv("one-channel-5x5", (2, 1, 12, 11), (6, 1, 5, 5)),
    conv("5x5", (2, 6, 9, 8), (16, 6, 5, 5)),
    conv("5x5-same", (1, 16, 10, 9), (33, 16, 5, 5), padding=(2, 2, 2, 2), bias=False),
    conv("1x1", (2, 33, 5, 6), (64, 33, 1, 1)),
    conv("1x1-stride-2", (2, 16, 7, 8), (32, 16, 1, 1), stride=(2, 2), bias=False),
    conv("1x1-padded", (1, 5, 3, 4), (3, 5, 1, 1), padding=(1, 0, 2, 1)),
    conv("stride-2", (2, 16, 9, 8), (17, 16, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
    conv("stride-3-1-skips-pixels", (1, 5, 11, 6), (16, 5, 2, 3), stride=(3, 1), padding=(0, 1, 1, 0)),
    conv("asymmetric-padding", (2, 5, 6, 7), (16, 5, 3, 2), padding=(0, 2, 3, 1)),
    conv("full", (1, 3, 4, 5), (5, 3, 3, 4), padding=(2, 2, 3, 3)),
    conv("padding-beyond-kernel", (1, 2, 3, 3), (4, 2, 2, 2), padding=(3, 2, 2, 4)),
    conv("dilation", (2, 16, 9, 10), (16, 16, 3, 3), padding=(2, 2, 3, 3), dilation=(2, 3)),
    conv("dilation-stride", (1, 5, 12, 11), (8, 5, 3, 2), stride=(2, 3), padding=(1, 2, 0, 3), dilation=(2, 4)),
    conv("groups-2", (2, 16, 6, 7), (32, 8, 3, 3), padding=(1, 1, 1, 1), groups=2),
    conv("groups-3-stride-2", (2, 15, 7, 6), (9, 5, 3, 3), stride=(2, 2), padding=(1, 0, 1, 0), groups=3, bias=False),
    conv("groups-1x1", (2, 12, 4, 5), (8, 3, 1, 1), groups=4),
    conv("groups-of-many", (2, 96, 6, 7), (104, 48, 3, 3), padding=(1, 1, 1, 1), groups=2),
    conv("groups-of-many-to-few", (2, 48, 16, 12), (24, 16, 3, 3), padding=(1, 1, 1, 1), groups=3),
    # several groups to a vector
    conv("groups-of-4", (2, 20, 7, 6), (20, 4, 3, 3), padding=(1, 1, 1, 1), groups=5),
    conv("groups-of-8-dilated", (1, 24, 9, 8), (24, 8, 3, 2), stride=(2, 1), padding=(1, 2, 0, 1), dilation=(1, 2),
         groups=3),
    conv("groups-of-2-stride-2", (2, 34, 5, 9), (34, 2, 2, 3), stride=(2, 2), padding=(0, 1, 1, 1), groups=17,
         bias=False),
    conv("depthwise", (2, 33, 7, 6), (33, 1, 3, 3), padding=(1, 1, 1, 1), groups=33),
    conv("depthwise-stride-2", (1, 16, 9, 9), (16, 1, 5, 5), stride=(2, 2), padding=(2, 2, 2, 2), groups=16),
    conv("depthwise-many", (8, 40, 16, 16), (40, 1, 3, 3), padding=(1, 1, 1, 1), groups=40),
    conv("depthwise-many-stride-2", (8, 40, 15, 16), (40, 1, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1), groups=40),
    conv("depthwise-wide", (2, 20, 4, 15), (20, 1, 2, 4), stride=(1, 2), padding=(0, 1, 3, 1), groups=20),
    conv("depthwise-dilation", (1, 16, 9, 13), (16, 1, 3, 3), padding=(2, 2, 2, 3), dilation=(2, 2),
         groups=16, bias=False),
    conv("depthwise-tiny", (2, 17, 1, 2), (17, 1, 3, 5), padding=(1, 1, 2, 2), groups=17),
    conv("depthwise-1x1", (1, 16, 3, 7), (16, 1, 1, 1), groups=16),
    conv("depthwise-apart", (1, 16, 5, 9), (16, 1, 2, 2), stride=(3, 3), padding=(1, 0, 0, 1), groups=16),
    conv("depthwise-twofold", (2, 5, 6, 6), (10, 1, 3, 3), padding=(0, 1, 1, 0), groups=5, bias=False),
    conv("smaller-than-kernel", (2, 3, 2, 1), (4, 3, 5, 3), padding=(2, 2, 1, 1)),
    conv("one-pixel", (4, 64, 1, 1), (10, 64, 3, 3), padding=(1, 1, 1, 1)),
    conv("whole-image", (3, 5, 4, 3), (16, 5, 4, 3)),
    conv("one-channel-to-one", (1, 1, 5, 5), (1, 1, 3, 3), padding=(1, 1, 1, 1)),
]


def transposed(name, x, w, stride=(1, 1), padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1), groups=1,
               bias=True):
    options = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation,
               "groups": groups}
    return Case("conv_transpose2d_forward", name, (x, w, (w[1] * groups,) if bias else None), options)


TRANSPOSED = [
    transposed("2x2-stride-2", (2, 16, 4, 5), (16, 17, 2, 2), stride=(2, 2)),
    transposed("3x3", (2, 16, 7, 9), (16, 20, 3, 3), padding=(1, 1, 1, 1)),
    transposed("3x3-wide", (1, 64, 12, 20), (64, 48, 3, 3), padding=(1, 1, 1, 1), bias=False),
    transposed("3x3-full", (2, 17, 6, 5), (17, 33, 3, 3)),
    transposed("4x4-stride-2", (2, 19, 5, 4), (19, 35, 4, 4), stride=(2, 2), padding=(1, 1, 1, 1)),
    transposed("output-padding-alone", (1, 4, 1, 1), (4, 16, 2, 2), stride=(2, 2), padding=(1, 1, 1, 1),
               output_padding=(1, 1)),     # without it nothing would be left of the image
    transposed("output-padding", (2, 5, 4, 3), (5, 16, 3, 3), stride=(2, 3), padding=(1, 1, 1, 1),
               output_padding=(1, 2)),
    transposed("output-padding-beyond-padding", (1, 3, 4, 3), (3, 5, 2, 1), stride=(3, 4), output_padding=(2, 3)),
    transposed("output-padding-of-dilation", (2, 3, 4, 5), (3, 4, 3, 2), padding=(0, 1, 2, 0), output_padding=(2, 1),
               dilation=(3, 2)),
    transposed("asymmetric-padding", (2, 5, 6, 7), (5, 16, 3, 4), stride=(2, 1), padding=(0, 2, 3, 1)),
    transposed("stride-beyond-kernel", (1, 5, 4, 3), (5, 16, 2, 1), stride=(3, 2)),
    transposed("5x5", (1, 16, 10, 9), (16, 33, 5, 5), padding=(2, 2, 2, 2)),
    transposed("1x1", (2, 33, 5, 6), (33, 20, 1, 1)),
    transposed("few-channels", (3, 3, 6, 5), (3, 2, 3, 3), stride=(2, 2), padding=(1, 0, 0, 1)),
    transposed("few-outputs", (2, 16, 6, 5), (16, 3, 3, 3), padding=(1, 1, 1, 1)),
    transposed("one-pixel", (4, 24, 1, 1), (24, 10, 4, 3)),
    transposed("groups-2", (2, 16, 6, 7), (16, 16, 3, 3), padding=(1, 1, 1, 1), groups=2),
    transposed("groups-3-stride-2", (2, 15, 4, 3), (15, 3, 3, 3), stride=(2, 2), padding=(1, 0, 1, 0),
               output_padding=(1, 0), groups=3, bias=False),
    transposed("depthwise", (2, 33, 7, 6), (33, 1, 3, 3), padding=(1, 1, 1, 1), groups=33),
    transposed("depthwise-many", (8, 40, 8, 8), (40, 1, 3, 3), stride=(2, 2), padding=(1, 1, 1, 1), groups=40),
    transposed("depthwise-stride-2", (1, 20, 5, 4), (20, 1, 3, 4), stride=(2, 2), padding=(1, 1, 1, 1),
               output_padding=(1, 0), groups=20),
    transposed("depthwise-twofold", (2, 5, 4, 6), (5, 2, 3, 3), stride=(1, 2), groups=5),
]


def local(name, x, w, stride=(1, 1), padding=(0, 0, 0, 0), bias=True):
    return Case("locally_connected2d_forward", name, (x, w, (w[5], *w[:2]) if bias else None),
                {"stride": stride, "padding": padding})


LOCAL = [
    local("3x3", (2, 5, 6, 7), (4, 5, 3, 3, 5, 16)),
    local("padded", (3, 17, 4, 5), (4, 5, 3, 3, 17, 33), padding=(1, 1, 1, 1)),
    local("strided", (2, 16, 7, 6), (3, 2, 3, 2, 16, 20), stride=(2, 3), padding=(0, 1, 0, 1), bias=False),
    local("stride-beyond-kernel", (2, 3, 6, 5), (2, 2, 2, 1, 3, 4), stride=(4, 3)),
    local("padding-beyond-kernel", (1, 2, 2, 3), (7, 6, 2, 3, 2, 3), padding=(3, 3, 2, 3)),
    local("1x1", (5, 7, 3, 2), (3, 2, 1, 1, 7, 9)),
    local("one-channel-to-one", (2, 1, 5, 4), (3, 2, 3, 3, 1, 1), bias=False),
    local("many-samples", (130, 3, 4, 3), (2, 2, 3, 2, 3, 5)),
    local("whole-image", (3, 5, 4, 3), (1, 1, 4, 3, 5, 40)),
]


def _gradients(op):
    def gradients(ops, case, arrays, results, dys):
        dy, (x, w, b) = dys[0], arrays
        where, back = geometry(case), op.replace("forward", "backward")
        dw, db = getattr(ops, f"{back}_weight")(dy, x, w.shape, *where, bias=b is not None)
        return [getattr(ops, f"{back}_input")(dy, w, x.shape, *where), dw, db]
    return gradients


def geometry(case):
    """The stride, padding, dilation and groups of a convolution, as far as it has them."""
    return [case.options[key] for key in ("stride", "padding", "dilation", "groups") if key in case.options]


CASES = CONVOLUTIONS + TRANSPOSED + LOCAL
EXACT = "conv2d_forward", "conv_transpose2d_forward", "locally_connected2d_forward"
GRADIENTS = {op: _gradients(op) for op in EXACT}
