"""Small sums about convolutions, without a net. What a whole net takes, `fastnet.summary` tells."""
from fastnet import arguments


def output_size(input_size, kernel_size, padding=0, stride=1, dilation=1, exact=False):
    """How many places a window of `kernel_size` has along an axis: (W - F + 2 P) / S + 1, rounded down, for W pixels, a
    window of F, a padding of P at each end, and a stride of S; with a dilation D the window covers D (F - 1) + 1.

    With `exact` it raises ValueError where it would have to round, so that pixels at the end are never seen. ValueError
    too where the window does not fit.

    >>> output_size(227, 11, 0, 4), output_size(55, 3, stride=2)
    (55, 27)
    """
    who = "output_size"
    input_size = arguments.size(input_size, f"{who}: input_size")
    kernel_size = arguments.size(kernel_size, f"{who}: kernel_size")
    padding = arguments.size(padding, f"{who}: padding", 0)
    stride, dilation = arguments.size(stride, f"{who}: stride"), arguments.size(dilation, f"{who}: dilation")
    covered = dilation * (kernel_size - 1) + 1
    room = input_size - covered + 2 * padding
    if room < 0:
        raise ValueError(f"{who}: kernel_size must fit into input_size, got a window over {covered} pixels for "
                         f"{input_size}, padding {padding}")
    if arguments.flag(exact, f"{who}: exact") and room % stride:
        low = room % stride
        raise ValueError(f"{who}: stride must divide W - F + 2 P = {input_size} - {covered} + 2 * {padding} = {room}, "
                         f"got {stride}: {low} pixels would never be seen; an input_size of {input_size - low} or "
                         f"{input_size + stride - low} fits")
    return room // stride + 1


def conv_parameters(in_channels, out_channels, kernel_size, groups=1, bias=True, places=None):
    """How many parameters a convolution has: K (C / groups R S + 1) for K filters over C channels, the 1 for the bias.

    They are shared by all places of the output. With `places`, (P, Q) or their number, each has its own, as in a
    `LocallyConnected2d`: P Q times as many. kernel_size is an integer or a pair. ValueError where groups do not divide
    both numbers of channels.

    >>> conv_parameters(3, 96, 11), conv_parameters(3, 96, 11, places=(55, 55))
    (34944, 105705600)
    >>> 3 * conv_parameters(64, 64, 3, bias=False), conv_parameters(64, 64, 7, bias=False)   # both see 7 x 7
    (110592, 200704)
    """
    who = "conv_parameters"
    in_channels = arguments.size(in_channels, f"{who}: in_channels")
    out_channels = arguments.size(out_channels, f"{who}: out_channels")
    height, width = arguments.pair(kernel_size, f"{who}: kernel_size")
    groups = arguments.size(groups, f"{who}: groups")
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"{who}: groups must divide in_channels and out_channels, got {groups} for {in_channels} and "
                         f"{out_channels}")
    each = in_channels // groups * height * width + arguments.flag(bias, f"{who}: bias")
    count = 1
    if places is not None:
        for size in arguments.lengths(places, f"{who}: places"):
            count *= size
    return out_channels * each * count


def receptive_field(windows):
    """How many pixels along an axis a number sees behind several windows in a row, convolutions or poolings: 1 + the
    sum over all of (F - 1) times the strides of those before. `windows` has for each the size F, or (F, stride), or (F,
    stride, dilation), which makes D (F - 1) + 1 of F.

    >>> receptive_field([3, 3, 3]), receptive_field([7]), receptive_field([(11, 4), (3, 2), 5])
    (7, 7, 51)
    """
    who = "receptive_field"
    field, jump = 1, 1
    for place, window in enumerate(arguments.listed(windows, f"{who}: windows", "sizes of windows")):
        name = f"{who}: windows[{place}]"
        size, stride, dilation = (*_numbers(window, name), 1, 1)[:3]
        field += dilation * (size - 1) * jump
        jump *= stride
    return field


def _numbers(window, name):
    """(size, stride, dilation), or the first ones of them."""
    what = "a size, (size, stride), or (size, stride, dilation)"
    found = arguments.integers(window, name, least=1, what=what) if isinstance(window, (tuple, list)) else (
        arguments.size(window, name, what=what),)
    if not 1 <= len(found) <= 3:
        raise ValueError(f"{name} must be {what}, got {arguments.shown(window)}")
    return found
