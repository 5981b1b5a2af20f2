"""A labelled set of images, and how to divide one: `Dataset`, `train_val_split`, `k_folds`."""
import numpy as np


class Dataset:
    """Images with their labels, and the name of the place they came from.

    images : uint8 (N, C, H, W);  labels : int64 (N,), below ``len(classes)``;  classes : tuple of names
    source : where the images came from, for people to read (a path, or "generated, seed 0")
    """

    def __init__(self, images, labels, classes, source):
        if len(images) != len(labels):
            raise ValueError(f"{source}: {len(images)} images but {len(labels)} labels; give one label for each image")
        self.images, self.labels, self.classes, self.source = images, labels, tuple(classes), source

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        shape = " x ".join(map(str, self.images.shape[1:]))
        return f"Dataset({len(self):,} images of {shape}, {len(self.classes)} classes, from {self.source})"

    def __getitem__(self, index):
        """The images that a slice or an index array selects, as a Dataset."""
        if not isinstance(index, (slice, np.ndarray, list)):
            raise TypeError(f"Dataset: select by a slice or an array of indices, got {type(index).__name__}")
        return Dataset(self.images[index], self.labels[index], self.classes, self.source)


def check_labels(labels, count=None):
    """`labels` as an int64 array (N,) of class numbers; TypeError or ValueError where they are anything else."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or (count is not None and len(labels) != count):
        expected = "(N,)" if count is None else f"({count},): one for each image"
        raise ValueError(f"labels have shape {labels.shape}, expected {expected}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels have dtype {labels.dtype}, expected integers: use labels.astype('int64')")
    if len(labels) == 0:
        raise ValueError("labels are empty: give at least one sample")
    if labels.min() < 0:
        raise ValueError(f"labels start at {labels.min()}, expected class numbers from 0")
    return labels.astype(np.int64)


def train_val_split(labels, validation=0.1, seed=0):
    """Two sorted index arrays (train, validation) that divide the samples at random, alike in every class.

    validation : a fraction between 0 and 1, or the number of validation samples
    Every class gives the same fraction, up to one sample; the same seed gives the same split. Select with them:
    ``train, val = train_val_split(data.labels); x = data.images[train]``. ValueError where either side would be empty.
    """
    labels = check_labels(labels)
    n = len(labels)
    wanted = round(validation * n) if 0 < validation < 1 else validation
    if wanted != int(wanted) or not 0 < wanted < n:
        raise ValueError(f"validation={validation} of {n} samples: give a fraction between 0 and 1 or a number of "
                         f"samples from 1 to {n - 1}, so that neither side is empty")
    order = _stratified_order(labels, seed)
    # Every n/wanted-th sample of an order that spreads each class evenly: a fair share of every class.
    chosen = order[np.arange(int(wanted)) * n // int(wanted)]
    is_validation = np.zeros(n, bool)
    is_validation[chosen] = True
    return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)


def k_folds(labels, k=5, seed=0):
    """k pairs (train, validation) of sorted index arrays; each sample is in one validation part, classes in proportion.

    The same seed gives the same folds. ValueError unless 2 <= k <= number of samples.
    """
    labels = check_labels(labels)
    if not 2 <= k <= len(labels):
        raise ValueError(f"k={k}: expected 2 to {len(labels)} folds for {len(labels)} samples")
    fold = np.empty(len(labels), np.int64)
    fold[_stratified_order(labels, seed)] = np.arange(len(labels)) % k
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def _stratified_order(labels, seed):
    """All indices, grouped by class and shuffled within each: every k-th of them is a fair share of every class."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]
