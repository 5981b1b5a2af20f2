"""A net as one file, with all that a prediction needs: layers, weights, normalisation and the names of the classes."""
import base64
import json
import os

import numpy as np

from fastnet import arguments, writing
from fastnet.data import Normalize
from fastnet.files import nets, tensors
from fastnet.layers import Layer, LogSoftmax, Sequential, Softmax
from fastnet.probabilities import softmax

_NET, _NORMALIZE, _CLASSES, _SHAPE = "fastnet.net", "fastnet.normalize", "fastnet.classes", "fastnet.input_shape"
_LONGEST = 1 << 20  # characters of a description: Python's objects take some twenty times as much
_BATCH = 128
_OTHERS = ".npz", ".pt", ".pth", ".bin", ".ckpt"   # by which `load_weights` tells other formats
_DTYPES = np.float32, np.float64, np.int64  # of parameters, and of what norms count


class Model:
    """A net that is ready for use.

    net : a layer.  normalize : a `fastnet.data.Normalize` for what it is given, or None.
    classes : a tuple of the names of what it tells apart, or None.  input_shape : of a sample, such as (3, 64, 64), or
    None; `predict_images` makes image files so large.

    >>> model = Model(fastnet.Identity(), classes=["cat", "dog"])
    >>> (name, share), = model.predict(np.float32([[0, 9]]), top=1)[0]
    >>> name, round(share, 4)
    ('dog', 0.9999)
    """

    def __init__(self, net, normalize=None, classes=None, input_shape=None):
        self.net = arguments.instance(net, Layer, "Model: net", "a layer")
        self.normalize, self.classes, self.input_shape = _checked(normalize, classes, input_shape, "Model")

    def predict(self, x, top=5):
        """For each sample of x, which is as `normalize` takes it (uint8 images (N, C, H, W), say), a list of the `top`
        most likely classes, the most likely first: (name, probability), or (number, probability) without names.

        Probabilities are the softmax of what the net gives, or that itself where the net ends with a Softmax or
        LogSoftmax. ValueError for a net that gives anything but a score for each of two classes or more.
        """
        x = arguments.array(x, "Model.predict: x")
        top = arguments.integer(top, "Model.predict: top", 1)
        if not x.ndim:
            raise ValueError("Model.predict: x must have the samples along its first axis, got a single number")
        found = []
        for i in range(0, len(x), _BATCH):
            batch = x[i:i + _BATCH]
            scores = self.net(batch if self.normalize is None else self.normalize(batch))
            found += ranked(scores, self.net, self.classes, top, "Model.predict")
        return found

    def __repr__(self):
        classes = "None" if self.classes is None else f"{len(self.classes)} names"
        return (f"Model({self.net!r}, normalize={self.normalize!r}, classes={classes}, "
                f"input_shape={self.input_shape})")


def ranked(scores, net, classes, top, who):
    """For each row of what a net gives, `scores`, a list of the `top` most likely classes, the most likely first:
    (name, probability), or (number, probability) where `classes` is None. ValueError for anything but a score for each
    of two classes or more."""
    if not isinstance(scores, np.ndarray) or scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(f"{who}: net must give a score for each of two classes or more, (N, K), got "
                         f"{arguments.shown(scores)}: net(x) is what it gives")
    count = scores.shape[1]
    if classes is not None and len(classes) != count:
        raise ValueError(f"{who}: classes must be {count} names, as many as the net gives scores, got {len(classes)}")
    probabilities = _probabilities(scores.astype(np.float64), _last(net))
    names = range(count) if classes is None else classes
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [[(names[k], float(row[k])) for k in best] for row, best in zip(probabilities, order, strict=True)]


def save_model(net, path, normalize=None, classes=None, input_shape=None):
    """Write a net to one file, all or nothing: its layers, its weights, and what else a prediction needs.

    net : made of the library's layers and containers, or of classes of your own whose constructors keep each argument
        as the attribute of its name.  path : best ends with .safetensors
    normalize : the `fastnet.data.Normalize` that it was trained with.  classes : the names of the classes.
    input_shape : of a sample, such as (3, 64, 64), where image files are to be made that large
    `load_model` reads it; `load_weights`, and PyTorch's ``safetensors.torch.load_file``, take the weights in it. What
    is `frozen` stays so, and the dtype stays. ValueError, with the remedy, for nets that the file could not give back,
    such as those in which two layers share a parameter; errors of the system as in `save_weights`.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/net.safetensors"
    >>> save_model(fastnet.Linear(2, 3), path, classes=["cat", "dog", "duck"])
    >>> load_model(path).classes
    ('cat', 'dog', 'duck')
    """
    who = "save_model"
    arguments.instance(net, Layer, f"{who}: net", "a layer")
    path = arguments.path(path, f"{who}: path")
    if path.lower().endswith(_OTHERS):
        raise ValueError(f"{who}: path must not be that of another format, got {arguments.shown(path)}: let it end "
                         "with .safetensors")
    normalize, classes, input_shape = _checked(normalize, classes, input_shape, who)
    _check_shared(net, who)
    metadata = {_NET: json.dumps(nets.described(net, who))}
    if len(metadata[_NET]) > _LONGEST:
        raise ValueError(f"{who}: the layers of net take {len(metadata[_NET])} characters to describe, at most "
                         f"{_LONGEST} are allowed; use save_weights")
    if normalize is not None:
        metadata[_NORMALIZE] = json.dumps({"mean": _packed(normalize.mean), "std": _packed(normalize.std)})
    if classes is not None:
        metadata[_CLASSES] = json.dumps(classes)
    if input_shape is not None:
        metadata[_SHAPE] = json.dumps(input_shape)
    data = tensors.packed(net.state_dict(), metadata)
    with writing.whole(path, who) as file:
        file.write(data)


def load_model(path, classes_of_mine=()):
    """The `Model` that `save_model` wrote: ``model.net``, ``model.normalize``, ``model.classes``,
    ``model.input_shape``, and ``model.predict(x)``, which needs nothing else. Nothing in the file is run.

    classes_of_mine : your own classes that the net is made of, a list of them; they are called with the arguments that
        the file says.
    FileNotFoundError without that file; ValueError, naming it, where it is seen to be damaged, is no such file, or
    holds layers of other classes. The file carries no digest of its weights, as those of `Checkpoints` do: a number
    that was changed in it is not noticed.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/net.safetensors"
    >>> save_model(fastnet.Linear(2, 3), path)
    >>> load_model(path).net
    Linear(2, 3)
    """
    who = "load_model"
    path = arguments.path(path, f"{who}: path")
    own = _own(classes_of_mine, f"{who}: classes_of_mine")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{who}: {path} is a folder; give the name of a file")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{who}: {path}: no such file; save_model(net, path) writes one")
    try:
        state, metadata = tensors.read(path)
    except (OSError, ValueError) as error:
        raise type(error)(f"{who}: {error}") from None
    try:
        return _model(state, metadata, own)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        text = error.args[0] if error.args else error
        if isinstance(error, json.JSONDecodeError):
            text = f"damaged, its description of the net cannot be read ({text})"
        raise ValueError(f"{who}: {path}: {text}") from error


def _model(state, metadata, own):
    if _NET not in metadata:
        raise ValueError("it holds weights and no net: make the net, and use load_weights(net, path)")
    if len(metadata[_NET]) > _LONGEST or any(array.dtype not in _DTYPES for array in state.values()):
        raise ValueError("save_model did not write it")
    numbers = sum(array.size for array in state.values())
    net = nets.made(json.loads(metadata[_NET]), own, None if own else numbers)
    net.load_state_dict(state)
    normalize, classes, input_shape = None, None, None
    if _NORMALIZE in metadata:
        given = json.loads(metadata[_NORMALIZE])
        normalize = Normalize(_unpacked(given["mean"]), _unpacked(given["std"]))
    if _CLASSES in metadata:
        classes = json.loads(metadata[_CLASSES])
    if _SHAPE in metadata:
        input_shape = tuple(json.loads(metadata[_SHAPE]))
    return Model(net, normalize, classes, input_shape)


def _checked(normalize, classes, input_shape, who):
    if normalize is not None:
        arguments.instance(normalize, Normalize, f"{who}: normalize", "a fastnet.data.Normalize, or None")
    if classes is not None:
        classes = tuple(arguments.text(name, f"{who}: classes")
                        for name in arguments.listed(classes, f"{who}: classes", "names"))
    if input_shape is not None:
        input_shape = arguments.integers(input_shape, f"{who}: input_shape", least=1, what="a tuple of integers of at "
                                         "least 1, the shape of a sample")
    return normalize, classes, input_shape


def _check_shared(net, who):
    places = {}
    for name, parameter in net.named_parameters():
        other = places.setdefault(id(parameter), name)
        if other != name:
            raise ValueError(f"{who}: net must have a parameter of its own at each place, but that of {other!r} and "
                             f"{name!r} is the same; use save_weights")


def _own(classes, name):
    """{name: class} of a user's own classes."""
    found = {}
    for one in arguments.listed(classes, name, "classes of layers"):
        if not isinstance(one, type) or not issubclass(one, Layer):
            raise TypeError(f"{name} must be a list of classes of layers, got {arguments.shown(one)}")
        found[one.__name__] = one
    return found


def _packed(array):
    """An array of float64 in words of JSON, to the last bit."""
    return [list(array.shape), base64.b64encode(array.astype("<f8").tobytes()).decode("ascii")]


def _unpacked(word):
    shape, text = word
    return np.frombuffer(base64.b64decode(text, validate=True), "<f8").reshape(shape)


def _last(net):
    """The last layer of a row."""
    while isinstance(net, Sequential) and len(net):
        net = net[-1]
    return net


def _probabilities(scores, last):
    if isinstance(last, Softmax):
        return scores
    return np.exp(scores) if isinstance(last, LogSoftmax) else softmax(scores).astype(scores.dtype)
