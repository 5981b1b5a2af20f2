"""What a batch is, and what the loop needs of the batches, the loss, the net and the optimiser that it is given."""
import inspect
from collections.abc import Iterator
from functools import partial
from itertools import islice
from numbers import Real

import numpy as np

from fastnet import arguments
from fastnet.data import DataLoader, SubsetSampler, train_val_split
from fastnet.metrics import hits

_DEEPEST = 30   # trees within trees
_PAIRS = ("batches, pairs (x, y) or (x, y, sample_weight), as a DataLoader or a list of pairs is, or arrays (x, y) or "
          "(x, y, sample_weight)")
_BATCHES = "batches, arrays x or pairs (x, y), as a DataLoader or a list of such is, or arrays themselves"


def batches(value, name, batch_size=128, shuffle=False, pairs=True, again=True):
    """`value`, what can be iterated over batches, `again` and again, or arrays, of which a DataLoader then makes
    batches; TypeError or ValueError for anything else."""
    what = _PAIRS if pairs else _BATCHES
    batch_size = arguments.integer(batch_size, f"{name.partition(':')[0]}: batch_size", 1)
    if _are_arrays(value):
        return _loader(name, *value, batch_size=batch_size, shuffle=shuffle)
    if not pairs and isinstance(value, dict) and value and all(map(_is_array, value.values())):
        return _loader(name, value, batch_size=batch_size, shuffle=False)
    if not pairs and _is_array(value):
        return _loader(name, arguments.array(value, name), batch_size=batch_size, shuffle=False)
    if _is_array(value):
        raise TypeError(f"{name} must be {what}, got {arguments.shown(value)}: give (x, y), y being what the net is to "
                        "say of x")
    if again and isinstance(value, Iterator):
        raise TypeError(f"{name} must be {what}, got what can be iterated only once ({type(value).__name__}): give a "
                        "list of its batches, or an object whose __iter__ begins anew each time")
    if isinstance(value, (str, bytes, dict, type)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be {what}, got {arguments.shown(value)}")
    if pairs and isinstance(value, (list, tuple)) and value:
        if len(value) in (2, 3) and all(map(_is_array, value)):
            given = "(x, y)" if len(value) == 2 else "(x, y, sample_weight)"
            raise TypeError(f"{name} must be {what}, got a list of {len(value)} arrays: give {given}, a tuple, for a "
                            f"data set, or [{given}] for a single batch")
        pair(value[0], name)
    try:
        count = length(value)
    except Exception as error:
        raise TypeError(f"{name} must be {what}, got {arguments.shown(value)}, whose length is not known") from error
    if count == 0:
        raise ValueError(f"{name} must hold batches, got no batch")
    return value


def training_sets(train, validation, batch_size):
    """(what to train on, what to validate on or None) of what `fit` is given."""
    if isinstance(validation, (float, np.floating)):
        return _divided(train, validation, arguments.integer(batch_size, "fit: batch_size", 1))
    train = batches(train, "fit: train_batches", batch_size, shuffle=True)
    return train, None if validation is None else batches(validation, "fit: validation", batch_size)


def _divided(data, share, batch_size):
    """Loaders of the two parts of arrays, the `share` that validates being always the same samples. Where the targets
    are class numbers each class gives its part."""
    share = arguments.number(share, "fit: validation, as a share of the training arrays,", above=0, below=1)
    if not _are_arrays(data):
        raise TypeError(f"fit: validation={share:g} divides arrays, train_batches=(x, y), got "
                        f"{arguments.shown(data)}: divide the samples before, see fastnet.data.train_val_split")
    whole = _loader("fit: train_batches", *data, batch_size=batch_size, shuffle=False)
    count, labels = size(data[0], "fit: train_batches"), data[1]
    if not 0 < round(share * count) < count:
        raise ValueError(f"fit: validation={share:g} of {count} samples leaves one side empty")
    labels = np.asarray(labels) if _is_array(labels) else np.zeros(0)
    classes = labels.ndim == 1 and labels.dtype.kind in "iu" and labels.min() >= 0
    kept, held = train_val_split(labels if classes else np.zeros(count, np.int64), share)
    train = _loader("fit: train_batches", *data, batch_size=batch_size, sampler=SubsetSampler(kept))
    whole.sampler = partial(_these, held)
    return train, whole


def _these(indices, rng, n):
    """A sampler that shows samples in the order of their numbers."""
    return indices


def length(value):
    """How many batches there are; None where nobody knows, as an object without ``__len__``, or one that PyTorch has
    for data without a length."""
    try:
        return len(value) if hasattr(value, "__len__") else None
    except TypeError:
        return None


def rest(value, first):
    """An epoch's batches from number `first` on. Where there is ``iterate_from`` those before are not computed."""
    if not first:
        return value
    return value.iterate_from(first) if hasattr(value, "iterate_from") else islice(value, first, None)


def pair(batch, name):
    """(x, y, weights of samples or None) of a batch."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise TypeError(f"{name} must be {_PAIRS}, got {_described(batch)} as a batch")
    return (*batch, None) if len(batch) == 2 else batch


def counted(loss, outputs, targets, weight, images):
    """What a batch counts for in means, as the loss's `divisor` tells it; where it has none, what the weights of the
    samples add up to, or how many there are. None where its values are to be added up."""
    if hasattr(loss, "divisor"):
        try:
            return loss.divisor(outputs, targets, sample_weight=weight)
        except (TypeError, ValueError, IndexError):
            pass    # a loss that derives from one of these, and has accepted targets of another form
    return images if weight is None else float(np.sum(weight, dtype=np.float64))


def answer(loss, weight, outputs, targets):
    """``loss(outputs, targets)``, with the weights of samples where there are some."""
    if weight is None:
        return loss(outputs, targets)
    try:
        takes = {"sample_weight"} & inspect.signature(loss).parameters.keys() or "**" in str(inspect.signature(loss))
    except (TypeError, ValueError):     # a function that does not tell
        takes = True
    if not takes:
        raise TypeError(f"the batches have weights of samples, and the loss {arguments.shown(loss)} takes none: give "
                        "one that does, loss(outputs, targets, sample_weight=None), as those of fastnet.losses")
    return loss(outputs, targets, sample_weight=weight)


def size(x, name):
    """How many samples the x of a batch holds: an array, or a tuple or dictionary of arrays."""
    if type(x) is np.ndarray and x.ndim and len(x):
        return len(x)
    first = x
    for _ in range(_DEEPEST):
        if not isinstance(first, (tuple, list, dict)) or not first:
            break
        first = next(iter(first.values() if isinstance(first, dict) else first))
    if not _is_array(first):
        raise TypeError(f"{name}: the x of a batch must be a NumPy array, or a tuple or dictionary of them, got "
                        f"{_described(x)}")
    if np.ndim(first) == 0 or len(first) == 0:
        raise ValueError(f"{name}: the x of a batch must hold one sample at least, got {arguments.shown(first)}")
    return len(first)


def judged(loss, logits, labels, name, weight=None):
    """(value, dlogits, (how many targets are met, how many there are) or None) of a loss; TypeError where it does not
    answer as a loss does."""
    found = answer(loss, weight, logits, labels)
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise TypeError(f"{name}: loss must give (value, gradient of the logits), got {_described(found)}")
    value, dlogits = found
    if isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "fiu":
        value = value.item()
    if type(value) is not float and not isinstance(value, Real):
        raise TypeError(f"{name}: loss must give (value, gradient of the logits) with a number as value, got "
                        f"{arguments.shown(value)}")
    found = None
    if getattr(loss, "classifies", True):
        found = hits(logits, labels, getattr(loss, "task", "classes"), getattr(loss, "ignore_index", None))
    return float(value), dlogits, found


def loss_function(loss, name):
    """`loss`, a function or an object that can be called; no class."""
    return arguments.function(loss, name, "a loss, such as CrossEntropyLoss()")


def check_trained(net, optimizer, who):
    """ValueError where an update would pass by what is to be trained: where all that the optimiser could move is
    frozen, or where it holds parameters that the net no longer has, and lacks some that the net has. A part of the net
    may be trained on purpose. An optimiser of one's own without `param_groups` may hold any."""
    of_net = {id(parameter): (name, parameter) for name, parameter in net.named_parameters()}
    if not of_net:
        return
    groups, anew = getattr(optimizer, "param_groups", ()), f"{type(optimizer).__name__}(net.parameters(), ...)"
    held = {id(parameter): parameter for group in groups for parameter in group["params"]} if groups else of_net
    if held.keys().isdisjoint(of_net):
        raise ValueError(f"{who}: optimizer must hold parameters of net, got one of other parameters, which would "
                         f"train nothing: make it anew, {anew}")
    lacking = [name for key, (name, parameter) in of_net.items() if key not in held and parameter.requires_grad]
    gone = [str(parameter.shape) for key, parameter in held.items() if key not in of_net]
    if gone and lacking:
        raise ValueError(f"{who}: optimizer must hold the parameters that net has now, got one with those of shape "
                         f"{_some(gone)}, which it has no longer, and without {_some(lacking)}, which would not be "
                         f"trained: make the optimiser anew, {anew}, after layers of the net were replaced")
    if not any(key in held and parameter.requires_grad for key, (_, parameter) in of_net.items()):
        what = "net" if not groups else "optimizer"
        raise ValueError(f"{who}: {what} must have parameters that are to be trained, got one whose every parameter is "
                         "frozen: fastnet.unfreeze(net, pattern) lets those of a pattern be trained")


def _some(names):
    """The first of some names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _loader(name, x, y=None, weight=None, **options):
    """The loader of a data set; what it refuses is told of the argument `name`."""
    try:
        return DataLoader(x, y, sample_weight=weight, **options)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name}, of which a loader is made: {error}") from None


def _are_arrays(value):
    """Whether it is a data set (x, y) or (x, y, sample_weight) of arrays, where x and y may be tuples or dictionaries
    of them. A tuple of batches, which are pairs themselves, is none."""
    if not isinstance(value, tuple) or len(value) not in (2, 3) or len(value) == 3 and not _is_array(value[2]):
        return False
    x, y = value[:2]
    return _is_array(x) or isinstance(x, dict) or (isinstance(x, tuple) and (_is_array(y) or isinstance(y, dict)))


def _is_array(value):
    return hasattr(value, "dtype") and isinstance(getattr(value, "shape", None), tuple)     # not NumPy itself


def _described(batch):
    """What came in place of a pair, in few words."""
    if isinstance(batch, (tuple, list)):
        return f"a {type(batch).__name__} of {len(batch)}"
    return arguments.shown(batch)
