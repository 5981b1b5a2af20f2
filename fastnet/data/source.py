"""Where samples come from: arrays, files of images, or an object that gives one sample at a time."""
from functools import partial
from numbers import Real
from os import PathLike

import numpy as np

from fastnet import arguments
from fastnet.data.augment import still
from fastnet.data.columns import (
    Images,
    Rows,
    check_depth,
    check_normalize,
    flat,
    image_size,
    inputs,
    mapped,
    targets,
    terms_for,
)
from fastnet.data.dataset import Dataset
from fastnet.data.images import ImageFiles
from fastnet.data.mix import UNKNOWN, Mixer
from fastnet.data.windows import window, window_draws


class Source:
    """`count` samples; `prepare` gives the function (index, seed, epoch) that makes a batch of some of them."""

    def prepare(self, augment, normalize):
        """What that function will do; TypeError or ValueError for what does not fit these samples."""
        raise NotImplementedError(f"{type(self).__name__} defines no prepare")

    def end(self, batches):
        """Called at the end of an epoch of so many batches."""


class Arrays(Source):
    """x and y as arrays, or tuples or dictionaries of arrays; y is None where there are no targets. `classes` is how
    many there are, where that is known."""

    def __init__(self, x, y, classes=None):
        self.classes = classes
        self.x = mapped(partial(_input, isinstance(x, list)), x)
        self.y = None if y is None else mapped(_target, y)
        self.count = _count(self.x, self.y)

    def prepare(self, augment, normalize):
        normalize = check_normalize(normalize, self.x)
        x = inputs(self.x, "DataLoader: x", normalize)
        size = image_size(x, augment)
        y = None if self.y is None else targets(self.y, "DataLoader: y", augment, size)
        return Batches(x, y, augment, size, self.classes)

    def describe(self):
        arrays = flat(self.x)
        if len(arrays) == 1:
            what = "images" if arrays[0].ndim == 4 else "samples"
            return f"{self.count:,} {what} of {' x '.join(map(str, arrays[0].shape[1:])) or 'one number'}"
        return f"{self.count:,} samples of {len(arrays)} arrays"


def _input(listed, value, path):
    """An array of x, which is `listed` where x as a whole is a list."""
    if listed and isinstance(value, Real):
        raise TypeError("DataLoader: x must be a NumPy array, or a tuple or dictionary of arrays, got a list of "
                        "numbers: make an array of it, np.asarray(x, np.float32)")
    return arguments.array(value, f"DataLoader: x{path}")


class Samples(Source):
    """An object with ``len(samples)`` and ``samples[i]``, which is x, or a pair (x, y), of one sample: arrays, numbers,
    tensors of PyTorch in the CPU's memory, or tuples or dictionaries of these."""

    def __init__(self, samples):
        self.samples, self.count = samples, len(samples)
        if not self.count:
            raise ValueError("DataLoader: x must hold one sample at least, got none")

    def prepare(self, augment, normalize):
        batches = SampleBatches(self.samples, augment, normalize)
        mixes = augment is not None and augment.mixes
        batches(np.zeros(1 + mixes, np.int64), 0, 0)    # what does not fit shows at once
        return batches

    def describe(self):
        return f"{self.count:,} samples of a {type(self.samples).__name__}"


class Files(Source):
    """Images that lie in files."""

    def __init__(self, files):
        self.files, self.count = files, len(files)

    def prepare(self, augment, normalize):
        check_normalize(normalize, None)
        if augment is not None:
            augment.check(*self.files.size)
        return FileBatches(self.files, augment, terms_for((self.files.channels, *self.files.size), normalize))

    def end(self, batches):
        self.files.tell(4)      # where the loader is iterated over
        if not batches:
            raise ValueError(f"DataLoader: x must hold images that can be read, got none in {self.count:,} files: see "
                             "damaged of the ImageFiles")

    def describe(self):
        return f"{self.count:,} image files, as {self.files.channels} x {' x '.join(map(str, self.files.size))}"


class Batches:
    """Gives the batch of some samples of arrays."""

    def __init__(self, x, y, augment, size, classes=None):
        self.x, self.y, self.augment, self.size = x, y, augment, size
        self.mixer = None if augment is None or not augment.mixes else Mixer(augment, x, y, size, classes)

    def __call__(self, index, seed, epoch, places=None, cut=False):
        """The samples of these numbers; what is drawn for them follows from `places`, which are the same at first. With
        mixtures one sample less. `cut`: windows have been cut out of the images already."""
        places = index if places is None else places
        views = still(len(index)) if self.augment is None else self.augment.views(seed, epoch, places, *self.size, cut)
        x = mapped(lambda column, path: column.batch(index, views), self.x)
        if self.y is None:
            return x
        y = mapped(lambda column, path: column.batch(index, views), self.y)
        return (x, y) if self.mixer is None else self.mixer(x, y, seed, epoch, places)


class SampleBatches:
    """Gives the batch of some samples that come one by one."""

    def __init__(self, samples, augment, normalize):
        self.samples, self.augment, self.normalize = samples, augment, normalize

    def __call__(self, index, seed, epoch):
        given = [self.samples[int(i)] for i in index]
        pairs = all(isinstance(one, (tuple, list)) and len(one) == 2 for one in given)
        x = _stacked([one[0] for one in given] if pairs else given, "x")
        y = mapped(_target, _stacked([one[1] for one in given], "y")) if pairs else None
        columns = inputs(x, "DataLoader: x", check_normalize(self.normalize, x), checked=False)
        size = image_size(columns, self.augment)
        made = None if y is None else targets(y, "DataLoader: y", self.augment, size)
        return Batches(columns, made, self.augment, size, UNKNOWN)(np.arange(len(index)), seed, epoch, index)


class FileBatches:
    """Gives the batch of some image files; what cannot be read is left out where the files' `errors` allows it."""

    def __init__(self, files, augment, terms):
        self.files, self.augment, self.terms = files, augment, terms

    def __call__(self, index, seed, epoch):
        from fastnet.data.fill import batch_of_rows

        files, augment = self.files, self.augment
        cut = augment is not None and augment.resized_crop is not None
        draws = window_draws(seed, epoch, index) if cut else [None] * len(index)
        pixels = batch_of_rows(len(index), (files.channels, *files.size), np.dtype(np.uint8))
        kept = []
        for place, numbers in zip(index, draws, strict=True):
            chosen = partial(window, numbers, scale=augment.resized_crop, ratio=augment.ratio) if cut else None
            if files.read(place, pixels[len(kept)], chosen):
                kept.append(place)
        mixes = augment is not None and augment.mixes
        if len(kept) <= mixes:
            return None
        x, kept = Images(pixels[:len(kept)], self.terms), np.array(kept)
        y = None if files.labels is None else Rows(files.labels[kept], "y")
        batches = Batches(x, y, augment, files.size, None if files.classes is None else len(files.classes))
        return batches(np.arange(len(kept)), seed, epoch, kept, cut)


def source(x, y):
    """The source of what a loader was given."""
    if y is None and isinstance(x, Dataset):
        return Arrays(x.images, x.labels, len(x.classes))
    if y is None and isinstance(x, ImageFiles):
        return Files(x)
    arrays = isinstance(x, (np.ndarray, np.generic, tuple, dict)) or hasattr(x, "detach") or hasattr(x, "to_numpy")
    if isinstance(x, (str, bytes, PathLike)):
        raise TypeError(f"DataLoader: x must be arrays, or what gives samples, got {arguments.shown(x)}: for images in "
                        "a folder give ImageFolder(x, size)")
    if isinstance(x, type):
        arrays = True   # refused as such
    if y is None and not arrays and hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return Samples(x)
    if not arrays and not hasattr(x, "__len__"):
        raise TypeError(f"DataLoader: x must be arrays, or an object with len(x) and x[i], got {arguments.shown(x)}")
    return Arrays(x, y)


def sample_weights(weight, source):
    """One weight for each sample of a source, an array; None stays. TypeError or ValueError where they do not fit."""
    if weight is None:
        return None
    name = "DataLoader: sample_weight"
    if isinstance(source, Samples):
        one = source.samples[0]
        y = one[1] if isinstance(one, (tuple, list)) and len(one) == 2 else None
    else:
        y = source.y if isinstance(source, Arrays) else source.files.labels
    if y is None:
        raise TypeError(f"{name} goes to the loss with y, and there is no y")
    if isinstance(source, Files) and source.files.errors != "raise":
        raise ValueError(f"{name} belongs to all files, and damaged ones would be left out: set errors='raise'")
    weight = arguments.values(weight, name)
    if weight.shape != (source.count,):
        raise ValueError(f"{name} must be one number for each of {source.count:,} samples, got "
                         f"{arguments.shown(weight)}")
    return arguments.not_negative(weight if weight.dtype.kind == "f" else weight.astype(np.float64), name)


def _target(array, path):
    """Targets as they are kept: integers as int64, numbers of Python in arrays, all else as it is."""
    array = arguments.array(array, f"DataLoader: y{path}")
    return array.astype(np.int64, copy=False) if array.dtype.kind in "iu" else array


def _count(x, y):
    """How many samples there are; ValueError where arrays disagree."""
    counts = []
    for name, tree in (("x", x), ("y", y)):
        if tree is not None:
            mapped(lambda array, path, name=name: counts.append((name + path, array)), tree)
    for name, array in counts:
        if array.ndim == 0 or not len(array):
            raise ValueError(f"DataLoader: {name} must hold one sample at least, got {arguments.shown(array)}")
    for name, tree in (("x", x), ("y", y)):
        if tree is not None and not any(place.startswith(name) for place, _ in counts):
            raise ValueError(f"DataLoader: {name} must hold an array at least, got none")
    (first, reference), *others = counts
    for name, array in others:
        if len(array) != len(reference):
            raise ValueError(f"DataLoader: {first} and {name} must hold as many samples, got {len(reference)} and "
                             f"{len(array)}")
    return len(reference)


def _stacked(samples, name, depth=0):
    """Samples put together along a new first axis, in their form."""
    first = samples[0]
    check_depth(depth)
    if isinstance(first, dict):
        return {key: _stacked([one[key] for one in samples], f"{name}[{key!r}]", depth + 1) for key in first}
    if isinstance(first, (tuple, list)):
        columns = enumerate(zip(*samples, strict=True))
        return tuple(_stacked(list(column), f"{name}[{i}]", depth + 1) for i, column in columns)
    arrays = [arguments.values(one, f"DataLoader: {name} of a sample") for one in samples]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise ValueError(f"DataLoader: {name} of all samples of a batch must have one shape, got {sorted(shapes)[:4]}: "
                         "pad or cut them to one size, or set batch_size=1")
    return np.stack(arrays)
