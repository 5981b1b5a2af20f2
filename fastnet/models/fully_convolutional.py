"""Fully connected layers as convolutions: a classifier that is run on larger images gives a map."""
import copy

from fastnet import arguments, init
from fastnet.layers import (
    Activation,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    LogSoftmax,
    MaxPool2d,
    PReLU,
    Sequential,
    Softmax,
)

_STAY = Activation, Dropout, Identity, PReLU    # what does the same to a row and to each place of a map


def fully_convolutional(net, input_shape):
    """A copy of `net`, a row of layers that ends in fully connected ones, for images of any size: of images of
    `input_shape`, batch included, it gives the net's numbers (N, K) as (N, K, 1, 1), and of larger ones a map (N, K, P,
    Q), what the net would give of each window of that size, one stride of the net apart.

    The first Linear behind a Flatten of (N, C, H, W) becomes a convolution of H x W, the others become 1x1; a pooling
    to a fixed size becomes one of fixed windows. Names stay, in rows within rows too; weights are copies. Padding is
    what the windows have around them: near to their margins numbers differ from those of a window cut out.

    ValueError for a net without a Flatten, and for one with a layer behind the Flatten that is for rows only.
    Long et al., Fully Convolutional Networks for Semantic Segmentation (2015), section 3.1.

    >>> from fastnet.models import lenet5
    >>> fully_convolutional(lenet5(), (1, 3, 32, 32)).output_shape((1, 3, 64, 48))
    (1, 10, 9, 5)
    """
    arguments.instance(net, Sequential, "fully_convolutional: net", "a Sequential")
    input_shape = arguments.shape(input_shape, "fully_convolutional: input_shape")
    if len(input_shape) != 4 or 0 in input_shape:
        raise ValueError("fully_convolutional: input_shape must be that of images, (N, C, H, W) without zeros, got "
                         f"{arguments.shown(input_shape)}")
    try:
        net.output_shape(input_shape)
    except (TypeError, ValueError) as error:
        raise ValueError(f"fully_convolutional: net must take x of input_shape {input_shape}: {error}") from error
    made, pixels = _row(net, input_shape, None)
    if pixels != (1, 1):
        raise ValueError("fully_convolutional: net must have a Flatten, and a Linear behind it unless one pixel is "
                         f"flattened; it gives {net.output_shape(input_shape)}")
    return made.to(net.backend)


def _row(row, shape, pixels):
    """The copy of a row for an x of that shape, and, behind a Flatten, the H and W of what was flattened; a Linear
    leaves one pixel of them. None stands for images."""
    layers = {}
    for name, layer in row.named_children():
        after = layer.output_shape(shape)
        if isinstance(layer, Sequential):
            layers[name], pixels = _row(layer, shape, pixels)
        elif isinstance(layer, Flatten) and len(shape) == 4:
            layers[name], pixels = Identity(), shape[2:]
        elif pixels is None:
            layers[name] = _of_images(layer, shape, after)
        else:
            layers[name] = _of_rows(layer, pixels)
            pixels = (1, 1) if isinstance(layer, Linear) else pixels
        shape = after
    return Sequential(layers), pixels


def _of_images(layer, shape, after):
    """What takes the place of a layer before the Flatten."""
    if len(after) != 4:
        raise ValueError(f"fully_convolutional: {layer.label} makes {after} of images; only a Flatten may do such")
    if not isinstance(layer, (AdaptiveAvgPool2d, AdaptiveMaxPool2d)):
        return copy.deepcopy(layer)
    if shape == after:
        return Identity()
    if any(size % parts for size, parts in zip(shape[2:], after[2:], strict=True)):
        raise ValueError(f"fully_convolutional: {layer.label} makes windows of several sizes of {shape}; the shape it "
                         f"gives, {after}, must divide it")
    window = tuple(size // parts for size, parts in zip(shape[2:], after[2:], strict=True))
    stride = tuple(1 if parts == 1 else size for size, parts in zip(window, after[2:], strict=True))
    return (AvgPool2d if isinstance(layer, AdaptiveAvgPool2d) else MaxPool2d)(window, stride)


def _of_rows(layer, pixels):
    """What takes the place of a layer behind the Flatten."""
    if isinstance(layer, Linear):
        with init.skip():
            made = Conv2d(layer.in_features // (pixels[0] * pixels[1]), layer.out_features, pixels,
                          bias=layer.bias is not None)
        return _take(made, layer)
    if isinstance(layer, BatchNorm1d) and pixels == (1, 1):
        made = _take(BatchNorm2d(layer.num_features, layer.eps, layer.momentum, layer.affine,
                                 layer.track_running_stats, bias=layer.bias is not None), layer)
        made.frozen = layer.frozen
        return made
    if isinstance(layer, (Softmax, LogSoftmax)) and layer.dim in (1, -1):
        return type(layer)(dim=1)
    if isinstance(layer, Flatten):
        return Identity()
    if isinstance(layer, _STAY):
        return copy.deepcopy(layer)
    raise ValueError(f"fully_convolutional: {layer.label} stands behind the Flatten and is for rows only")


def _take(made, layer):
    """Let a layer have the weights of the one it stands for."""
    if layer.dtype is not None:
        made.astype(layer.dtype)
    state = made.state_dict()
    made.load_state_dict({name: value.reshape(state[name].shape) for name, value in layer.state_dict().items()})
    for (_, new), (_, old) in zip(made.named_parameters(), layer.named_parameters(), strict=True):
        new.requires_grad = old.requires_grad
    return made
