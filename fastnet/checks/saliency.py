"""Where a net looks: which pixels a score depends on, and in which part of the image a layer finds it."""
import numpy as np

from fastnet import arguments
from fastnet.checks.common import checked_net
from fastnet.layers import input_gradient
from fastnet.program.inside import gradients


def saliency(net, x, target=None):
    """How much the score of a class depends on each pixel: |d score / dx|, the largest of the channels, (N, H, W).

    x : images (N, C, H, W);  target : the class, one for all or one for each image, by default the one that the net
        says. The gradient is that of inference, and the net stays as it is. TypeError or ValueError for what does not
        fit. Simonyan et al., Deep Inside Convolutional Networks (2013), section 3.

    >>> saliency(fastnet.Sequential(fastnet.Flatten()), np.zeros((1, 1, 2, 2), np.float32), 0)
    array([[[1., 0.],
            [0., 0.]]], dtype=float32)
    """
    x = _images(x, "saliency")
    return np.abs(input_gradient(net, x, _score(net, x, target, "saliency"))).max(axis=1)


def grad_cam(net, x, layer, target=None):
    """In which part of the image a layer finds what speaks for a class: max(sum over c of a[c] y[c], 0), with y what
    the layer gives, (N, K, H, W), and a[c] the mean over the pixels of d score / dy[c]. The result is (N, H, W).

    x : images (N, C, H, W);  layer : the path of a layer whose output has pixels, the last convolution as a rule, as in
        ``net["features.7"]``;  target : the class, one for all or one for each image, by default the one that the net
        says. ``fastnet.plot.overlay(x[0], heat[0])`` draws it. The net stays as it is. TypeError or ValueError for what
        does not fit.
    Selvaraju et al., Grad-CAM (2017), equations 1 and 2.

    >>> net = fastnet.Sequential(fastnet.Conv2d(1, 2, 3), fastnet.AdaptiveAvgPool2d(1), fastnet.Flatten())
    >>> grad_cam(net, np.ones((2, 1, 5, 5), np.float32), "0", target=0).shape
    (2, 3, 3)
    """
    x = _images(x, "grad_cam")
    dy = _score(net, x, target, "grad_cam")
    try:
        found = gradients(net, x, dy, arguments.text(layer, "grad_cam: layer"))
    except ValueError as error:
        raise ValueError(f"grad_cam: layer: {error}") from error
    y, dy = found.get(layer, (None, None))
    if getattr(y, "ndim", 0) != 4 or dy is None:
        raise ValueError(f"grad_cam: layer must be the path of one that gives arrays (N, C, H, W) and that the scores "
                         f"depend on, got {layer!r}, which gives {arguments.shown(y)}")
    weight = dy.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    return np.maximum((weight * y).sum(axis=1), 0).astype(y.dtype)


def _images(x, who):
    x = arguments.array(x, f"{who}: x")
    if x.ndim != 4:
        raise ValueError(f"{who}: x must be images, of shape (N, C, H, W), got {x.shape}")
    return x


def _score(net, x, target, who):
    """The gradient of the scores of classes for the outputs of a net."""
    try:
        outputs = checked_net(net, who)(x)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{who}: net(x): {error}") from error
    if getattr(outputs, "ndim", 0) != 2:
        raise ValueError(f"{who}: net must give scores of classes, of shape (N, C), got {arguments.shown(outputs)}")
    count, classes = outputs.shape
    if target is None:
        target = outputs.argmax(axis=1)
    elif not isinstance(target, (list, tuple, np.ndarray)):
        target = np.full(count, arguments.integer(target, f"{who}: target", 0, classes - 1))
    dy = np.zeros_like(outputs)
    dy[np.arange(count), arguments.labels(target, f"{who}: target", count, classes)] = 1
    return dy
