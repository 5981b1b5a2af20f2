"""What does not fit is refused before anything is computed, with the layer's name and what was expected."""
import re

import numpy as np
import pytest

from fastnet import kernels
from fastnet.layers import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    ChannelShuffle,
    Chunk,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Dropout1d,
    Dropout2d,
    Flatten,
    Graph,
    GroupNorm,
    Hardshrink,
    Hardtanh,
    Identity,
    InstanceNorm2d,
    LayerNorm,
    LayerScale,
    LeakyReLU,
    Linear,
    LocallyConnected2d,
    LocalResponseNorm,
    Maxout,
    MaxPool2d,
    MaxUnpool2d,
    Mean,
    Multiply,
    Parallel,
    Permute,
    PixelShuffle,
    PReLU,
    ReflectionPad2d,
    ReLU,
    Residual,
    RMSNorm,
    RoIAlign,
    RoIPool,
    Sequential,
    Softmax,
    StochasticDepth,
    Unflatten,
    Upsample,
    ZeroPad2d,
    freeze,
)

CONSTRUCTORS = [
    (lambda: Conv2d(0, 3, 3), "Conv2d: in_channels must be an integer of at least 1, got 0"),
    (lambda: Conv2d(3, 2.5, 3), "Conv2d: out_channels must be an integer of at least 1, got 2.5"),
    (lambda: Conv2d(3, 3, 0), "Conv2d: kernel_size must be one or two integers of at least 1, got 0"),
    (lambda: Conv2d(3, 3, (3, 3, 3)), "Conv2d: kernel_size must be one or two integers of at least 1, got (3, 3, 3)"),
    (lambda: Conv2d(3, 3, 3, stride=0), "Conv2d: stride must be one or two integers of at least 1, got 0"),
    (lambda: Conv2d(3, 3, 3, dilation=-1), "Conv2d: dilation must be one or two integers of at least 1, got -1"),
    (lambda: Conv2d(3, 3, 3, padding=-1), "Conv2d: padding must be an integer, (vertical, horizontal), "),
    (lambda: Conv2d(3, 3, 3, padding="reflect"), "Conv2d: padding must be an integer, (vertical, horizontal), "),
    (lambda: Conv2d(3, 3, 3, padding=[1, 2, 3]), "Conv2d: padding must be an integer, (vertical, horizontal), "),
    (lambda: Conv2d(4, 6, 3, groups=3), "Conv2d: in_channels=4 must be a multiple of groups=3"),
    (lambda: Conv2d(4, 6, 3, groups=4), "Conv2d: out_channels=6 must be a multiple of groups=4"),
    (lambda: Conv1d(3, 3, (3, 3)), "Conv1d: kernel_size must be an integer of at least 1, got (3, 3)"),
    (lambda: Conv1d(3, 3, 3, padding=(1, 2, 3, 4)), "Conv1d: padding must be an integer, (left, right), "),
    (lambda: Conv1d(3, 3, 3, padding_mode="mirror"), "Conv1d: padding_mode must be 'zeros', 'reflect', "),
    (lambda: Conv1d(4, 6, 3, groups=3), "Conv1d: in_channels=4 must be a multiple of groups=3"),
    (lambda: ConvTranspose2d(3, 3, 3, output_padding=1), "ConvTranspose2d: output_padding must be smaller than the "
     "stride or the dilation, got output_padding (1, 1) for stride (1, 1) and dilation (1, 1)"),
    (lambda: ConvTranspose2d(3, 3, 3, padding="same"), "ConvTranspose2d: padding must be an integer, (vertical, "
     "horizontal) or (top, bottom, left, right), none of them negative, got 'same'"),
    (lambda: ConvTranspose2d(4, 6, 3, groups=4), "ConvTranspose2d: out_channels=6 must be a multiple of groups=4"),
    (lambda: ConvTranspose2d(4, 6, 3, padding_mode="reflect"), "ConvTranspose2d: padding_mode must be 'zeros', got "),
    (lambda: LocallyConnected2d(3, 4, (4, 9), 5), "LocallyConnected2d: a kernel that covers 5 x 5 pixels does not "),
    (lambda: LocallyConnected2d(3, 4, 0, 5), "LocallyConnected2d: input_size must be one or two integers of at "),
    (lambda: Linear("5", 1), "Linear: in_features must be an integer of at least 1, got '5'"),
    (lambda: MaxPool2d(0), "MaxPool2d: kernel_size must be one or two integers of at least 1, got 0"),
    (lambda: MaxPool2d(2, padding=2), "MaxPool2d: padding must be smaller than the kernel on each side, got padding "),
    (lambda: AvgPool2d(2, stride=0), "AvgPool2d: stride must be one or two integers of at least 1, got 0"),
    (lambda: AdaptiveAvgPool2d((7, 0)), "AdaptiveAvgPool2d: output_size must be one or two integers of at least 1, or "
     "two with None among them, got (7, 0)"),
    (lambda: AdaptiveAvgPool2d((7, 1, 1)), "AdaptiveAvgPool2d: output_size must be one or two integers of at least 1, "
     "or two with None among them, got (7, 1, 1)"),
    (lambda: Conv2d(3, 3, 3, padding_mode="edge"), "Conv2d: padding_mode must be 'zeros', 'reflect', 'replicate' or "),
    (lambda: ZeroPad2d((1, 1)), "ZeroPad2d: padding must be an integer or four of them (left, right, top, bottom), "),
    (lambda: ReflectionPad2d(-1), "ReflectionPad2d: padding must be an integer or four of them (left, right, top, "
     "bottom), none of them negative: ZeroPad2d takes pixels away, got -1"),
    (lambda: Upsample(), "Upsample: give either size or scale_factor, got size=None and scale_factor=None"),
    (lambda: Upsample(3, 2), "Upsample: give either size or scale_factor, got size=(3, 3) and scale_factor=(2.0, 2.0)"),
    (lambda: Upsample(3, mode="area"), "Upsample: mode must be 'nearest' or 'bilinear', got 'area': AdaptiveAvgPool"),
    (lambda: Upsample(3, align_corners=False), "Upsample: align_corners belongs to mode 'bilinear', got align_corn"),
    (lambda: Upsample(3, recompute_scale_factor=True), "Upsample: recompute_scale_factor belongs to scale_factor, "),
    (lambda: Upsample(scale_factor=-1), "Upsample: scale_factor must be a finite number above 0, got -1"),
    (lambda: PixelShuffle(0), "PixelShuffle: upscale_factor must be an integer of at least 1, got 0"),
    (lambda: AdaptiveMaxPool2d((2, 0)), "AdaptiveMaxPool2d: output_size must be one or two integers of at least 1"),
    (lambda: AdaptiveMaxPool2d(None), "AdaptiveMaxPool2d: output_size must be one or two integers of at least 1, or"),
    (lambda: AdaptiveMaxPool2d((2, None, 3)), "AdaptiveMaxPool2d: output_size must be one or two integers of at least"),
    (lambda: MaxPool2d(2, dilation=0), "MaxPool2d: dilation must be one or two integers of at least 1, got 0"),
    (lambda: MaxPool2d(2, dilation=3, padding=4), "MaxPool2d: padding must be smaller than the kernel on each side"),
    (lambda: AvgPool2d(2, divisor_override=0), "AvgPool2d: divisor_override must be an integer of at least 1, got 0"),
    (lambda: MaxUnpool2d(2, padding="same"), "MaxUnpool2d: padding must be numbers, as many as the pooling had"),
    (lambda: RoIPool(7, 0), "RoIPool: spatial_scale must be a finite number above 0, got 0"),
    (lambda: RoIAlign(7, 1, -2), "RoIAlign: sampling_ratio must be an integer of at least -1 and at most 1000, got -2"),
    (lambda: BatchNorm2d(-4), "BatchNorm2d: num_features must be an integer of at least 1, got -4"),
    (lambda: BatchNorm1d(4, eps=0), "BatchNorm1d: eps must be a finite number above 0, got 0"),
    (lambda: BatchNorm1d(4, momentum=1.5),
     "BatchNorm1d: momentum must be a finite number of at least 0 and at most 1, got 1.5"),
    (lambda: InstanceNorm2d(4, momentum=2),
     "InstanceNorm2d: momentum must be a finite number of at least 0 and at most 1, got 2"),
    (lambda: GroupNorm(3, 4), "GroupNorm: num_channels=4 must be a multiple of num_groups=3"),
    (lambda: GroupNorm(2, 4, affine=1), "GroupNorm: affine must be True or False, got 1"),
    (lambda: LayerNorm(()), "LayerNorm: normalized_shape must be an integer of at least 1 or a tuple of such, got ()"),
    (lambda: LayerNorm((3, 0)), "LayerNorm: normalized_shape must be an integer of at least 1 or a tuple of such, got"),
    (lambda: RMSNorm(4, eps=0), "RMSNorm: eps must be a finite number above 0, got 0"),
    (lambda: LocalResponseNorm(0), "LocalResponseNorm: size must be an integer of at least 1, got 0"),
    (lambda: Dropout2d(1), "Dropout2d: p must be a finite number of at least 0 and below 1, got 1"),
    (lambda: StochasticDepth(1.5, "row"),
     "StochasticDepth: p must be a finite number of at least 0 and at most 1, got 1.5"),
    (lambda: StochasticDepth(0.5, "column"), "StochasticDepth: mode must be 'batch' or 'row', got 'column'"),
    (lambda: LeakyReLU(-1), "LeakyReLU: negative_slope must be a finite number of at least 0, got -1"),
    (lambda: LeakyReLU(np.inf), "LeakyReLU: negative_slope must be a finite number of at least 0, got inf"),
    (lambda: Hardtanh(1, 0), "Hardtanh: min_val must be below max_val, got 1 and 0"),
    (lambda: Hardtanh(0, np.nan), "Hardtanh: max_val must be a finite number, got nan"),
    (lambda: ELU(-1), "ELU: alpha must be a finite number above 0, got -1"),
    (lambda: GELU("erf"), "GELU: approximate must be 'none' or 'tanh', got 'erf'"),
    (lambda: Dropout(1), "Dropout: p must be a finite number of at least 0 and below 1, got 1"),
    (lambda: Dropout(-0.1), "Dropout: p must be a finite number of at least 0 and below 1, got -0.1"),
    (lambda: Softmax(dim=64), "Softmax: dim must be an integer of at least -64 and at most 63, got 64"),
    (lambda: PReLU(0), "PReLU: num_parameters must be an integer of at least 1, got 0"),
    (lambda: Maxout(3, 2, 65535), "Maxout: pieces must be at most 65534, got 65535"),
    (lambda: Hardshrink(-1), "Hardshrink: lambd must be a finite number of at least 0, got -1"),
    (lambda: Permute((0, 1, 1)), "Permute: dims must be axes, each once, got (0, 1, 1)"),
    (lambda: Permute(3), "Permute: dims must be a tuple of axes, got 3"),
    (lambda: Unflatten(1, (2, -1, -1)),
     "Unflatten: unflattened_size must be a tuple of integers of at least 1, one of which may be -1, got (2, -1, -1)"),
    (lambda: Mean(()), "Mean: dim must be axes, each once, got ()"),
    (lambda: Sequential({"a.b": ReLU()}), "Sequential: a layer needs a name without dots, got 'a.b'"),
    (lambda: Sequential({3: ReLU()}), "Sequential: a layer needs a name without dots, got 3"),
    (lambda: Sequential({"a": 3}), "Sequential: layer 'a' must be a layer, got 3"),
    (lambda: Sequential({"a": ReLU()}, ReLU()), "Sequential: argument 0 must be a layer, got {'a': ReLU()}"),
    (lambda: Sequential(ReLU(), 3), "Sequential: argument 1 must be a layer, got 3"),
    (lambda: Sequential(ReLU),
     "Sequential: argument 0 must be a layer, got the class ReLU: make an object of it, ReLU(...)"),
    (lambda: Residual(None), "Residual: body must be a layer, got None"),
    (lambda: Parallel(ReLU(), ReLU()), "Parallel: expected a merge such as Add() or Concat() first, got ReLU()"),
    (lambda: Parallel(Add()), "Parallel: expected at least one branch after the merge, got none"),
    (lambda: Graph({}), "Graph: expected at least one entry, got none"),
    (lambda: Graph({"a": ReLU()}), "Graph: entry 'a' must be (layer, [inputs]), got ReLU()"),
    (lambda: Graph({"a.b": (ReLU(), ["input"])}), "Graph: an entry needs a name without dots that is not \"input\", "),
    (lambda: Graph({"a": (ReLU(), [])}), "Graph: entry 'a' needs an input, got []"),
    (lambda: Graph({"a": (ReLU(), ["input"] * 2)}), "Graph: entry 'a' needs one input, got ['input', 'input']; Add() "),
    (lambda: Graph({"a": (ReLU(), ["b"])}), "Graph: entry 'a' has the unknown input 'b'; there are 'input', 'a'"),
    (lambda: Graph({"a": (ReLU(), ["c"]), "b": (ReLU(), ["a"]), "c": (ReLU(), ["b"])}),
     "Graph: the entries go round in a circle: a <- c <- b <- a"),
    (lambda: Graph({"a": (ReLU(), ["input"]), "b": (ReLU(), ["input"])}),
     "Graph: nothing leads from entry 'a' to the last one, 'b', which gives the output"),
    (lambda: Graph({"a": (ReLU(), "x"), "b": (ReLU(), "x"), "c": (ReLU(), "x")}, inputs="x", outputs=("a", "b")),
     "Graph: nothing leads from entry 'c' to 'a', 'b', which gives the output"),
    (lambda: Graph({"a": (ReLU(), "x")}, inputs=("x", "y"), outputs="b"),
     "Graph: outputs has the unknown entry 'b'; there are 'a'"),
    (lambda: Graph({"x": (ReLU(), "x")}, inputs=("x", "y")),
     "Graph: an entry needs a name without dots that is not \"x\" or \"y\", got 'x'"),
    (lambda: freeze(Sequential(ReLU()), "x*"), "Sequential: no layer's path fits the pattern 'x*'; there are 0"),
]


@pytest.mark.parametrize(("make", "text"), CONSTRUCTORS, ids=[text for _, text in CONSTRUCTORS])
def test_constructors(make, text):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(text)}"):
        make()


def zeros(*shape):
    return np.zeros(shape, np.float32)


INPUTS = [
    (Conv2d(64, 8, 3), zeros(8, 32, 16, 16), "expected 64 input channels, got x of shape (8, 32, 16, 16)"),
    (Conv2d(3, 8, 3, stride=2, padding="same"), zeros(8, 3), "expected x of shape (N, C, H, W), got x of shape (8, 3)"),
    (Conv2d(3, 8, 5), zeros(1, 3, 4, 9), "a kernel that covers 5 x 5 pixels does not fit into the padded input of "),
    (Conv2d(3, 8, 3), zeros(0, 3, 8, 8), "empty batch: got x of shape (0, 3, 8, 8); give at least one sample"),
    (Conv1d(64, 8, 3), zeros(8, 32, 16), "expected 64 input channels, got x of shape (8, 32, 16)"),
    (Conv1d(3, 8, 3), zeros(8, 3, 5, 5), "expected x of shape (N, C, L), got x of shape (8, 3, 5, 5)"),
    (Conv1d(3, 8, 3), zeros(0, 3, 8), "empty batch: got x of shape (0, 3, 8); give at least one sample"),
    (Conv1d(3, 8, 5), zeros(1, 3, 4), "a kernel that covers 1 x 5 pixels does not fit into the padded input of 1 x 4"),
    (ConvTranspose2d(64, 8, 3), zeros(8, 32, 6, 6), "expected 64 input channels, got x of shape (8, 32, 6, 6)"),
    (ConvTranspose2d(3, 8, 3), zeros(8, 3), "expected x of shape (N, C, H, W), got x of shape (8, 3)"),
    (ConvTranspose2d(3, 8, 3, padding=2), zeros(8, 3, 2, 3), "padding (2, 2, 2, 2) (top, bottom, left, right) leaves "
     "nothing of the 4 x 5 pixels that these images become: use less padding or larger images"),
    (LocallyConnected2d(3, 8, (4, 5), 3), zeros(8, 3, 5, 4), "expected images of 4 x 5 pixels, got x of shape (8, 3, "),
    (LocallyConnected2d(3, 8, (4, 5), 3), zeros(8, 4, 4, 5), "expected 3 input channels, got x of shape (8, 4, 4, 5)"),
    (Linear(5, 2), zeros(3, 4), "expected 5 input features, got x of shape (3, 4)"),
    (Linear(5, 2), zeros(3, 5, 1), "expected 5 input features, got x of shape (3, 5, 1)"),
    (Linear(12, 2), zeros(4, 3, 2, 2),
     "expected 12 input features, got x of shape (4, 3, 2, 2); Flatten() before it makes rows of that"),
    (Linear(3, 2), zeros(4, 3, 2, 2),
     "expected 3 input features, got x of shape (4, 3, 2, 2); Flatten() before it makes rows of 12 features"),
    (Linear(5, 2), zeros(5), "expected x of shape (N, 5) or (N, ..., 5), got x of shape (5,): give x[None] for a "),
    (Linear(5, 2), zeros(2, 0, 5), "empty axis: got x of shape (2, 0, 5); every axis needs at least one element"),
    (PReLU(4), zeros(3, 5, 4), "expected x with 4 channels along axis 1, got x of shape (3, 5, 4)"),
    (PReLU(4), zeros(4), "expected x with 4 channels along axis 1, got x of shape (4,)"),
    (Maxout(5, 2, 3), zeros(3, 4), "expected 5 input features, got x of shape (3, 4)"),
    (Flatten(2), zeros(3, 4), "start_dim must be from -2 to 1 for x of shape (3, 4), got 2"),
    (Flatten(2, 1), zeros(3, 4, 5), "start_dim must not come behind end_dim, got 2 and 1 for x of shape (3, 4, 5)"),
    (Unflatten(1, (2, -1)), zeros(3, 5), "unflattened_size (2, -1) does not make up axis 1 of x of shape (3, 5), "),
    (Permute((0, 1)), zeros(3, 4, 5), "dims must name each of the 3 axes of x of shape (3, 4, 5) once, got (0, 1)"),
    (ChannelShuffle(3), zeros(2, 4, 5, 5), "3 groups do not divide the 4 channels of x of shape (2, 4, 5, 5)"),
    (Chunk(2, dim=3), zeros(3, 4, 5), "dim must be from -3 to 2 for x of shape (3, 4, 5), got 3"),
    (Mean((0, -2)), zeros(3, 4), "dims must be axes, each once, got (0, -2) for x of shape (3, 4)"),
    (MaxPool2d(3), zeros(1, 1, 2, 8), "a kernel that covers 3 x 3 pixels does not fit into the padded input of 2 x 8"),
    (AvgPool2d(3), zeros(5, 8), "expected x of shape (N, C, H, W), got x of shape (5, 8)"),
    (AdaptiveAvgPool2d(1), zeros(5, 8), "expected x of shape (N, C, H, W), got x of shape (5, 8)"),
    (AdaptiveAvgPool2d((None, 3)), zeros(5, 8), "expected x of shape (N, C, H, W), got x of shape (5, 8)"),
    (ReflectionPad2d(3), zeros(1, 1, 4, 3), "padding of the kind 'reflect' must be smaller than the image on "),
    (ZeroPad2d(-2), zeros(1, 1, 9, 4), "padding (-2, -2, -2, -2) (top, bottom, left, right) takes all away of images "),
    (Conv2d(1, 1, 3, padding=5, padding_mode="circular"), zeros(1, 1, 9, 4), "padding of the kind 'circular' must be "),
    (Upsample(scale_factor=0.3), zeros(1, 1, 9, 2), "scale_factor 0.3 makes images of 2 x 0 pixels of x of shape (1, "),
    (PixelShuffle(2), zeros(1, 6, 2, 2), "upscale_factor 2 needs channels in multiples of 4, got x of shape (1, 6, "),
    (AdaptiveMaxPool2d(1), zeros(5, 8), "expected x of shape (N, C, H, W), got x of shape (5, 8)"),
    (AdaptiveMaxPool2d(1), zeros(1, 1, 256, 256), "max-pool windows hold at most 65534 pixels, got kernel_size (256, "),
    (MaxPool2d((2, 1), 1, (1, 0), 3), zeros(1, 1, 2, 8), "with dilation 3 and padding 1 in front, window 0 meets "),
    (BatchNorm2d(4), zeros(3, 4), "expected x of shape (N, C, H, W), got x of shape (3, 4)"),
    (BatchNorm1d(4), zeros(3, 4, 1, 1), "expected x of shape (N, C) or (N, C, L), got x of shape (3, 4, 1, 1)"),
    (BatchNorm1d(4), zeros(3, 5, 2), "expected 4 input channels, got x of shape (3, 5, 2)"),
    (BatchNorm2d(4, track_running_stats=False), zeros(1, 4, 1, 1), "expected more than 1 value per channel when"),
    (InstanceNorm2d(4), zeros(3, 4, 2), "expected x of shape (N, C, H, W), got x of shape (3, 4, 2)"),
    (InstanceNorm2d(4), zeros(3, 4, 1, 1), "expected images of more than 1 pixel, got x of shape (3, 4, 1, 1)"),
    (GroupNorm(2, 4), zeros(3), "expected x of shape (N, C, ...), got x of shape (3,)"),
    (GroupNorm(2, 4), zeros(3, 5), "expected 4 input channels, got x of shape (3, 5)"),
    (GroupNorm(2, 4), zeros(3, 4, 0), "empty axis: got x of shape (3, 4, 0); every axis needs at least one element"),
    (LayerNorm((4, 5)), zeros(4, 5), "expected x of shape (N, ..., 4, 5), got x of shape (4, 5)"),
    (LayerNorm(4), zeros(0, 4), "empty batch: got x of shape (0, 4); give at least one sample"),
    (RMSNorm(4), zeros(3, 5), "expected x of shape (N, ..., 4), got x of shape (3, 5)"),
    (LayerScale(4), zeros(3, 4, 5), "expected x of 4 channels, (N, 4, H, W) or (N, ..., 4), got x of shape (3, 4, 5)"),
    (LocalResponseNorm(5), zeros(3, 5), "expected x of shape (N, C, H, W) or (N, C, ...), got x of shape (3, 5)"),
    (Dropout2d(), zeros(3, 5), "expected x of shape (N, C, H, W), got x of shape (3, 5)"),
    (Dropout1d(), zeros(3, 5), "expected x of shape (N, C, L), got x of shape (3, 5)"),
    (BatchNorm2d(4), zeros(3, 5, 2, 2), "expected 4 input channels, got x of shape (3, 5, 2, 2)"),
    (Flatten(), zeros(3), "expected x with a batch axis and others, got x of shape (3,)"),
    (Flatten(), zeros(0, 3), "empty batch: got x of shape (0, 3); give at least one sample"),
    (Softmax(), zeros(3), "dim must be from -1 to 0 for x of shape (3,), got 1"),
]


@pytest.mark.parametrize(("layer", "x", "text"), INPUTS, ids=[f"{type(c[0]).__name__}-{c[2]}" for c in INPUTS])
def test_inputs(layer, x, text):
    """The layer alone, its output_shape, and a net that holds it all say the same."""
    kind = type(layer).__name__
    layer.name = ""
    with pytest.raises(ValueError, match=re.escape(f"{kind}: {text}")):
        layer.forward(x, training=True)
    with pytest.raises(ValueError, match=re.escape(f"{kind}: {text}")):
        layer.output_shape(x.shape)
    net = Sequential(Identity(), Sequential(Identity(), layer))
    named = re.escape(f'{kind} "1.1": {text}')
    for training in (False, True):
        with pytest.raises(ValueError, match=f"^{named}"):
            net.forward(x, training=training)
    assert layer.saved is None and net.saved is None


@pytest.mark.parametrize("x", [np.zeros((2, 5), complex), np.full((2, 5), "a"), np.full((2, 5), None)], ids=str)
def test_dtype(x):
    for training in (False, True):
        with pytest.raises(TypeError, match=f"^Sequential: x must hold real numbers, got an array of dtype {x.dtype}"):
            Sequential(Linear(5, 2)).forward(x, training)
        with pytest.raises(TypeError, match=f"^Linear: x must hold real numbers, got an array of dtype {x.dtype}"):
            Linear(5, 2).forward(x, training)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float16, ">f4"])
def test_other_real_dtypes_become_float32(dtype):
    net = Sequential(Linear(5, 2), ReLU())
    x = np.arange(10).reshape(2, 5).astype(dtype)
    y = net(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, net(x.astype(np.float32)))


@pytest.mark.parametrize("net", [Sequential(ReLU()), ReLU(), Add(), Identity()], ids=repr)
def test_a_list_of_numbers_is_no_array(net):
    kind = type(net).__name__
    for x, got in ([[1.0, 2.0], r"\[1.0, 2.0\]: make one with np.asarray"], [[[1.0], [2.0]], ".*np.asarray"], [3, "3$"],
                   [None, "None$"]):
        for training in (False, True):
            with pytest.raises(TypeError, match=f"^{kind}: x must be a NumPy array, got {got}"):
                net.forward(x, training)
        with pytest.raises(TypeError, match=f"^{kind}: x must be a NumPy array, got {got}"):
            net(x)


def test_one_array_and_several():
    """Who takes one says so to whom gives several, and the other way round."""
    x = zeros(2, 5)
    for given, count in ((x, x), 2), ([x, x], 2), ({"a": x}, 1):
        with pytest.raises(TypeError, match=f"^ReLU: expected one array as x, got {count}; Add"):
            ReLU()(given)
        with pytest.raises(TypeError, match=f'^ReLU "0": expected one array as x, got {count}; Add'):
            Sequential(ReLU()).forward(given, training=True)
    for merge in (Add, Concat):
        with pytest.raises(TypeError, match=f"^{merge.__name__}: expected a tuple of arrays as x, got one array"):
            merge()(x)
        with pytest.raises(TypeError, match=f'^{merge.__name__} "1": expected a tuple of arrays as x, got one array'):
            Sequential(Identity(), merge())(x)
        with pytest.raises(TypeError, match=f"^{merge.__name__}: expected a tuple of arrays as x, got a dictionary"):
            merge()({"a": x})
        with pytest.raises(ValueError, match=f"^{merge.__name__}: x must hold at least one array, got an empty tuple"):
            merge()(())
    graph = Graph({"a": (ReLU(), "one"), "b": (Add(), ["a", "two"])}, inputs=("one", "two"))
    for given, got in (x, "one array"), ((x, x), "a tuple"), ({"one": x}, "one"), ({"one": x, "2": x}, "one, 2"):
        with pytest.raises(TypeError, match=f"^Graph: expected a dictionary of the arrays one, two as x, got {got}$"):
            graph(given)


def test_nothing_is_changed_by_a_refusal():
    """The last layer does not fit, so that the first one's statistics must not have moved."""
    net = Sequential(BatchNorm2d(2), Conv2d(3, 1, 1))
    with pytest.raises(ValueError, match=r'^Conv2d "1": expected 3 input channels, got x of shape \(4, 2, 3, 3\)$'):
        net.forward(zeros(4, 2, 3, 3), training=True)
    assert net[0].num_batches_tracked == 0 and net[0].saved is None


def test_nothing_is_computed_before_a_refusal(monkeypatch):
    """Shapes are checked for the whole net before the first operation runs, in every kind of container."""
    cpu, calls = kernels.load("cpu"), []
    for name in kernels.OPS:
        monkeypatch.setattr(cpu, name, lambda *args, name=name, **kwargs: calls.append(name))
    x = np.ascontiguousarray(zeros(2, 3, 6, 6).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for net, text in [
        (Sequential(Conv2d(3, 4, 3), ReLU(), Linear(5, 2)), 'Linear "2": expected 5 input features'),
        (Residual(Sequential(Conv2d(3, 4, 1))), "Residual: the body gives shape"),
        (Sequential(Conv2d(3, 3, 1), Residual(Conv2d(3, 4, 1))), 'Residual "1": the body gives shape'),
        (Parallel(Add(), Identity(), Conv2d(3, 4, 1)), 'Add "merge": expected inputs of one shape'),
        (Graph({"a": (Conv2d(3, 4, 1), "input"), "b": (Conv2d(3, 4, 1), "a")}), 'Conv2d "b": expected 3 input'),
    ]:
        for training in (False, True):
            with pytest.raises(ValueError, match=f"^{text}"):
                net.forward(x, training)
    assert calls == []


def test_the_dtypes_of_two_parameters_differ():
    net = Sequential(Linear(3, 2), ReLU(), Linear(2, 2))
    net[2].astype("float64")
    with pytest.raises(TypeError, match=r"^Sequential: 0.weight is float32 and 2.weight is float64; all parameters"):
        net(zeros(1, 3))


ASSIGNED = [
    (Conv2d(3, 4, 3), "kernel_size", 5, "the weight has shape (4, 3, 3, 3), and these sizes want (4, 3, 5, 5): make a"),
    (Conv2d(3, 4, 3), "groups", 3, "out_channels=4 must be a multiple of groups=3"),
    (Conv2d(3, 4, 3), "padding", -1, "padding must be an integer, (vertical, horizontal), "),
    (Conv2d(3, 4, 3), "stride", 0, "stride must be one or two integers of at least 1, got 0"),
    (Linear(3, 4), "in_features", 5, "the weight has shape (4, 3), and these sizes want (4, 5): make a new layer"),
    (BatchNorm2d(4), "num_features", 5, "the weight has shape (4,), and these sizes want (5,): make a new layer"),
    (GroupNorm(2, 4), "num_groups", 3, "num_channels=4 must be a multiple of num_groups=3"),
    (LayerNorm((3, 4)), "normalized_shape", 12, "the weight has shape (3, 4), and these sizes want (12,): make a new"),
    (StochasticDepth(0.5, "row"), "mode", "all", "mode must be 'batch' or 'row', got 'all'"),
    (BatchNorm1d(4), "eps", -1, "eps must be a finite number above 0, got -1"),
    (BatchNorm1d(4), "momentum", 2, "momentum must be a finite number of at least 0 and at most 1, got 2"),
    (MaxPool2d(2), "padding", 2, "padding must be smaller than the kernel on each side, got padding "),
    (Dropout(0.5), "p", 1, "p must be a finite number of at least 0 and below 1, got 1"),
    (Softmax(), "dim", 64, "dim must be an integer of at least -64 and at most 63, got 64"),
    (GELU(), "approximate", True, "approximate must be 'none' or 'tanh', got True"),
    (Hardtanh(), "min_val", 1, "min_val must be below max_val, got 1 and 1"),
]


@pytest.mark.parametrize(("layer", "name", "value", "text"), ASSIGNED, ids=[f"{c[0]!r}-{c[1]}" for c in ASSIGNED])
def test_what_is_assigned_is_checked(layer, name, value, text):
    """As the constructor does, with the layer's name; a refused one changes nothing."""
    net = Sequential(layer)
    before = dict(vars(layer))
    with pytest.raises((ValueError, TypeError), match=f'^{re.escape(f"""{type(layer).__name__} "0": {text}""")}'):
        setattr(net[0], name, value)
    assert vars(layer) == before


def test_one_value_a_channel_has_no_variance():
    with pytest.raises(ValueError, match="^BatchNorm1d: expected more than 1 value per channel when training"):
        BatchNorm1d(4).forward(zeros(1, 4), training=True)
    assert BatchNorm1d(4)(zeros(1, 4)).shape == (1, 4)
    with pytest.raises(ValueError, match=r"got x of shape \(1, 4\), one sample.*drop_last=True or another batch_size$"):
        BatchNorm1d(4).forward(zeros(1, 4), training=True)


def test_gradient_of_another_shape():
    for layer, x in [(Conv2d(3, 2, 1), zeros(2, 3, 4, 4)), (Linear(5, 2), zeros(2, 5)), (ReLU(), zeros(2, 5))]:
        layer.forward(x, training=True)
        with pytest.raises(ValueError, match=f"^{type(layer).__name__}: "):
            layer.backward(zeros(3, 7))


def test_shapes_that_do_not_meet():
    with pytest.raises(ValueError, match=r'^Residual "0": the body gives shape \(2, 3\), the shortcut \(2, 5\); they'):
        Sequential(Residual(Linear(5, 3)))(zeros(2, 5))
    with pytest.raises(ValueError, match=r'^Add "0.merge": expected inputs of one shape, got \(2, 5\), \(2, 3\)'):
        Sequential(Parallel(Add(), Identity(), Linear(5, 3)))(zeros(2, 5))
    with pytest.raises(ValueError, match=r"^Multiply: expected inputs of one shape, or with 1 in place of some lengths "
                                         r"of another, got \(2, 1\), \(1, 5\); a whole one has to be among the first "):
        Multiply()((zeros(2, 1), zeros(1, 5)))
    with pytest.raises(ValueError, match=r"^Concat: concat needs shapes that differ in axis 1 only, got"):
        Concat().forward([zeros(2, 5), zeros(3, 5)])
