"""A net's numbers on data that it is not trained on: `evaluate` and `predict`."""
import numpy as np

from fastnet import arguments
from fastnet.metrics import named
from fastnet.training.batches import batches as checked_batches
from fastnet.training.batches import counted, judged, loss_function, pair, size
from fastnet.training.totals import Totals


def evaluate(net, batches, loss, metrics=None, batch_size=128):
    """(mean loss, accuracy) of `net` over arrays (x, y), taken in batches of `batch_size`, or over batches, pairs
    (x, y), in inference; with `metrics`, a dictionary of metrics (see `fastnet.metrics`), a dictionary: {"loss": ..,
    "accuracy": .., and the number of each metric by its name}. The loss is that of one batch of everything, however
    the data are cut into batches: a mean over images, or whatever else the loss's mean divides by, such as labels that
    are not ignored and the weights of their classes; with reduction="sum" the sum. With weights, (x, y, sample_weight),
    it is the mean so weighted; accuracy and metrics count each sample alike. A loss of one's own that is no `Loss`
    gives means over images.

    Accuracy is the share of targets that are met: of rows of logits (N, C), or pixels of (N, C, ...), that are largest
    at their label. With one column or none, (N, 1) or (N,), the labels are 0 or 1 and the sign of the logit decides;
    the loss's `task` may say otherwise, see `Loss`. It is None where the labels are not class numbers, or the loss says
    that they are none. TypeError or ValueError for what are no batches.

    >>> net = fastnet.Identity()
    >>> evaluate(net, (np.float32([[9, 0], [0, 9]]), np.array([0, 0])), fastnet.MultiMarginLoss())
    (2.5, 0.5)
    """
    arguments.function(net, "evaluate: net", "a net")
    batches = checked_batches(batches, "evaluate: batches", batch_size, again=False)
    loss, wanted = loss_function(loss, "evaluate: loss"), named(metrics, "evaluate: metrics")
    totals = means(net, batches, loss, "evaluate: batches", wanted)
    if metrics is None:
        return totals.loss, totals.accuracy
    return {"loss": totals.loss, "accuracy": totals.accuracy, **totals.metrics}


def means(net, batches, loss, name, metrics, ended=lambda: False):
    """The Totals over all batches; once `ended()` those so far."""
    totals = Totals(metrics)
    for batch in batches:
        if ended():
            return totals
        x, labels, weight = pair(batch, name)
        images, outputs = size(x, name), net(x)
        value, _, found = judged(loss, outputs, labels, name.partition(":")[0], weight)
        totals.add(value, found, images, counted(loss, outputs, labels, weight, images))
        totals.meet(outputs, labels)
    if not totals.images:
        raise ValueError(f"{name} must hold batches, got no batch")
    return totals


def predict(net, batches, flip=False, batch_size=128):
    """The outputs of `net` for all of x, an array, or for all batches, joined: (number of samples, ...). A batch is x
    or a pair (x, y); arrays x or (x, y) are taken in batches of `batch_size`.

    They come in the order of the data, and all of them, also where `batches` is a `DataLoader` that shuffles or leaves
    out the last batch: anything with a method ``in_order()`` is asked for its batches in that order.
    With flip=True, for images, the mean of the outputs for x and for its mirror image, left and right exchanged.
    A net whose output is a tuple or dictionary of arrays gives such a one. TypeError or ValueError for what are no
    batches.

    >>> predict(fastnet.Flatten(), np.zeros((5, 3, 2), np.float32), batch_size=2).shape
    (5, 6)
    """
    arguments.function(net, "predict: net", "a net")
    batches = checked_batches(batches, "predict: batches", batch_size, pairs=False, again=False)
    flip = arguments.flag(flip, "predict: flip")
    if callable(getattr(batches, "in_order", None)):
        batches = batches.in_order()
    outputs = []
    for batch in batches:
        x = pair(batch, "predict: batches")[0] if isinstance(batch, (tuple, list)) else batch
        size(x, "predict: batches")
        if flip and np.ndim(x) != 4:
            raise ValueError("predict: flip=True needs batches of images, x of shape (N, C, H, W), got "
                             f"{arguments.shown(x)}")
        outputs.append((net(x) + net(x[..., ::-1])) / 2 if flip else net(x))
    if not outputs:
        raise ValueError("predict: batches must hold batches, got no batch")
    return _joined(outputs)


def _joined(outputs):
    """What the batches gave, one after the other."""
    first = outputs[0]
    if isinstance(first, dict):
        return {name: _joined([output[name] for output in outputs]) for name in first}
    if isinstance(first, tuple):
        return tuple(_joined(list(parts)) for parts in zip(*outputs, strict=True))
    if not all(np.ndim(output) for output in outputs):
        raise ValueError("predict: net must give arrays of one row for each sample, got a single number")
    shapes = {np.shape(output)[1:] for output in outputs}
    if len(shapes) > 1:
        raise ValueError(f"predict: batches must give outputs of one shape, apart from the first axis, got "
                         f"{' and '.join(map(str, sorted(shapes)[:3]))}")
    return np.concatenate(outputs)
