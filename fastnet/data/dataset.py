"""A labelled set of images, and how to divide one: `Dataset`, `train_val_split`, `split`, `k_folds`."""
import numpy as np

from fastnet import arguments
from fastnet.data.columns import flat, mapped
from fastnet.data.normalize import check_images

_CLASSES = 2**20    # how many there may be


class Dataset:
    """Images with their labels, and the name of the place they came from.

    images : uint8 or float (N, C, H, W);  labels : integers (N,), below ``len(classes)``, kept as int64
    classes : names, a tuple;  source : where the images came from, for people to read (a path, or "generated, seed 0")
    TypeError or ValueError for what does not fit. Whether floats are finite is left to the loader.

    >>> images = Dataset(np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 1, 0, 1]), ["cat", "dog"], "drawn by hand")
    >>> images
    Dataset(4 images of 3 x 8 x 8, 2 classes, from drawn by hand)
    >>> len(images[:3])
    3
    """

    def __init__(self, images, labels, classes, source):
        self.images = check_images(images, "Dataset: images", finite=False)
        self.classes = tuple(arguments.listed(classes, "Dataset: classes", "names"))
        for name in self.classes:
            arguments.text(name, "Dataset: a name in classes")
        self.labels = arguments.labels(labels, "Dataset: labels", len(self.images), len(self.classes))
        self.source = arguments.text(source, "Dataset: source")

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        shape = " x ".join(map(str, self.images.shape[1:]))
        return f"Dataset({len(self):,} images of {shape}, {len(self.classes)} classes, from {self.source})"

    def __getitem__(self, index):
        """The images that a slice, an array of indices or one of truth values selects, as a Dataset."""
        if not isinstance(index, slice):
            index = places(index, len(self), "Dataset: what is selected by")
        return Dataset(self.images[index], self.labels[index], self.classes, self.source)


def places(index, count, name):
    """`index`, an array or list of whole numbers or truth values that selects some of `count` samples, as an array."""
    if not isinstance(index, (np.ndarray, list, tuple)):
        raise TypeError(f"{name} must be a slice or an array of indices, got {arguments.shown(index)}")
    index = arguments.values(index, name)
    if index.dtype == bool:
        if index.shape != (count,):
            raise ValueError(f"{name}, where it holds truth values, must have shape ({count},), got {index.shape}")
        return index
    if index.size == 0:
        index = index.astype(np.int64)
    if index.dtype.kind not in "iu" or index.ndim != 1:
        raise TypeError(f"{name} must be a row of integers, got {arguments.shown(index)}")
    if index.size and not -count <= index.min() <= index.max() < count:
        raise IndexError(f"{name} must be indices of {count} samples, got some from {index.min()} to {index.max()}")
    return index


def class_weights(labels, num_classes=None):
    """One weight for each class, n / (C times its samples) for n labels of C classes that occur, so that all of them
    count alike: ``CrossEntropyLoss(weight=class_weights(labels))``. Classes without a sample get 0.

    num_classes : how many there are, where the last ones may not occur.  scikit-learn's "balanced".

    >>> class_weights(np.array([0, 0, 0, 2]), num_classes=4)
    array([0.66666667, 0.        , 2.        , 0.        ])
    """
    if num_classes is not None:
        num_classes = arguments.integer(num_classes, "class_weights: num_classes", 1, _CLASSES)
    labels = arguments.labels(labels, "class_weights: labels", classes=num_classes or _CLASSES)
    if not labels.size:
        raise ValueError("class_weights: labels must be one class number at least, got none")
    counts = np.bincount(labels, minlength=num_classes or 0)
    weights = np.zeros(len(counts))
    return np.divide(labels.size, np.count_nonzero(counts) * counts, out=weights, where=counts > 0)


def train_val_split(labels, validation=0.1, seed=0):
    """Two sorted index arrays (train, validation) that divide the samples at random, alike in every class.

    validation : a fraction between 0 and 1 (a float), or the number of validation samples (an integer)
    Every class gives the same fraction, up to one sample; the same seed gives the same split. Select with them:
    ``train, val = train_val_split(data.labels); x = data.images[train]``. ValueError where either side would be empty.

    >>> train, validation = train_val_split(np.arange(20) % 2, 0.2)
    >>> len(train), validation
    (16, array([ 4,  5,  8, 19]))
    """
    labels = arguments.labels(labels, "train_val_split: labels")
    wanted = _part(validation, len(labels), "train_val_split: validation")
    return _divided(labels, wanted, arguments.integer(seed, "train_val_split: seed", 0))


def split(x, y=None, test=0.1, validation=0.1, stratify=True, seed=0):
    """(train, validation, test): three parts of the data, each sample in one of them, chosen at random.

    x : a `Dataset` or `ImageFiles`, of which the parts are such too; or arrays, or tuples or dictionaries of arrays,
        of which the parts are pairs (x, y), or x alone where there is no y
    test, validation : fractions of all samples between 0 and 1 (floats), or numbers of samples (integers)
    stratify : True gives every part the same share of each class, up to a sample or two, by the class numbers of y or
        of the data set; class numbers (N,) are looked at in place of these; False leaves it to chance
    The same seed gives the same parts. ValueError where one of them would be empty.

    >>> train, validation, test = split(np.arange(10), np.arange(10) % 2, test=0.2, validation=0.2)
    >>> len(train[0]), len(validation[0]), sorted(test[1].tolist())
    (6, 2, [0, 1])
    """
    whole = y is None and hasattr(x, "labels")
    if whole:
        n, labels = len(x), x.labels
    else:
        x, y = _arrays(x, "split: x"), None if y is None else _arrays(y, "split: y")
        arrays = flat(x) + ([] if y is None else flat(y))
        if not flat(x) or any(one.ndim == 0 or len(one) != len(arrays[0]) for one in arrays):
            raise ValueError(f"split: x and y must be arrays of as many samples each, got "
                             f"{', '.join(map(arguments.shown, arrays[:4])) if flat(x) else 'no array as x'}")
        n, labels = len(arrays[0]), y
    labels = _strata(stratify, labels, n)
    seed = arguments.integer(seed, "split: seed", 0)
    tested = _part(test, n, "split: test")
    validated = _part(validation, n, "split: validation")
    if tested + validated >= n:
        raise ValueError(f"split: validation and test must leave something to train with, got {validated} and {tested} "
                         f"of {n} samples")
    rest, last = _divided(labels, tested, seed)
    first, middle = (rest[part] for part in _divided(labels[rest], validated, seed))
    if whole:
        return x[first], x[middle], x[last]

    def chosen(tree, part):
        return mapped(lambda array, path: array[part], tree)

    return tuple(chosen(x, part) if y is None else (chosen(x, part), chosen(y, part)) for part in (first, middle, last))


def _arrays(tree, name):
    """A tuple or dictionary of arrays, or an array or list of numbers as such."""
    if isinstance(tree, list):
        return arguments.values(tree, name)
    return mapped(lambda array, path: arguments.values(array, name + path), tree, who=name.partition(":")[0])


def _strata(stratify, labels, n):
    """The class numbers (N,) that every part is to have alike."""
    if isinstance(stratify, (bool, np.bool_)):
        if not stratify:
            return np.zeros(n, np.int64)
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise ValueError("split: stratify=True needs class numbers (N,) as y, got "
                             f"{arguments.shown(labels)}: give stratify=False, or class numbers as stratify")
        return arguments.labels(labels, "split: y", n)
    return arguments.labels(stratify, "split: stratify, True, False or class numbers,", n)


def _part(value, n, name):
    """How many of n samples a fraction or a number of samples is."""
    if isinstance(value, (int, np.integer)):
        return arguments.integer(value, f"{name}, the number of samples,", 1, n - 1)
    share = arguments.number(value, f"{name}, a fraction or the number of samples,", above=0, below=1)
    wanted = round(share * n)
    if not 0 < wanted < n:
        raise ValueError(f"{name} must leave neither side empty, got {share:g} of {n} samples")
    return wanted


def _divided(labels, wanted, seed):
    """Sorted indices of all but `wanted` samples, and of these."""
    n, order = len(labels), _stratified_order(labels, seed)
    # Every n/wanted-th sample of an order that spreads each class evenly: a fair share of every class.
    chosen = np.zeros(n, bool)
    chosen[order[np.arange(wanted) * n // wanted]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def k_folds(labels, k=5, seed=0):
    """k pairs (train, validation) of sorted index arrays; each sample is in one validation part, classes in proportion.

    The same seed gives the same folds. ValueError unless 2 <= k <= number of samples.

    >>> [validation.tolist() for _, validation in k_folds(np.arange(6) % 2, 3)]
    [[2, 3], [4, 5], [0, 1]]
    """
    labels = arguments.labels(labels, "k_folds: labels")
    k = arguments.integer(k, f"k_folds: k, the number of folds of {len(labels)} samples,", 2, len(labels))
    fold = np.empty(len(labels), np.int64)
    fold[_stratified_order(labels, arguments.integer(seed, "k_folds: seed", 0))] = np.arange(len(labels)) % k
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def _stratified_order(labels, seed):
    """All indices, grouped by class and shuffled within each: every k-th of them is a fair share of every class."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]
