"""Mixtures of images: mixup and cutmix, with their targets."""
import numpy as np

from fastnet.data.columns import Images, Rows, mapped
from fastnet.data.draws import MIX_COLUMN, MIX_KIND, MIX_ROW, random_numbers, random_shares

UNKNOWN = 0     # how many classes samples that come one by one have


class Mixer:
    """Mixes the images of a batch, and their targets, each with the next one, as an `Augment` has it.

    x, y : columns of the data;  size : (height, width) of the images;  classes : how many there are; None to look at
    the labels, `UNKNOWN` where that is not possible. TypeError or ValueError for data that cannot be mixed.
    """

    def __init__(self, augment, x, y, size, classes=None):
        self.augment, self.size = augment, size
        if not isinstance(x, Images):
            raise TypeError("DataLoader: augment mixes images: x must be one array of them for mixup and cutmix")
        if y is None:
            raise TypeError("DataLoader: augment mixes images with their targets, and there is no y: leave out mixup "
                            "and cutmix")
        self.columns = {}       # by the path of each array of y
        mapped(lambda column, path: self.columns.update({path: self._columns(column, path, classes)}), y)

    def _columns(self, column, path, classes):
        """How many columns the class numbers of a column of y become; None for numbers that are mixed as they are."""
        array = column.array
        if type(column) is Rows and array.dtype.kind == "f":
            return None
        if type(column) is not Rows or array.ndim != 1 or array.dtype != np.int64:
            raise TypeError(f"DataLoader: augment mixes class numbers (N,) and floating-point targets, and y{path} is "
                            f"of shape {array.shape} and dtype {array.dtype}: leave out mixup and cutmix")
        count = self.augment.num_classes or (int(array.max()) + 1 if classes is None else classes)
        if count == UNKNOWN:
            raise ValueError("DataLoader: augment needs num_classes to mix class numbers of samples that come one by "
                             "one: Augment(num_classes=...)")
        if array.min() < 0 or array.max() >= count:
            raise ValueError(f"DataLoader: y{path} must be class numbers from 0 to {count - 1} where augment mixes, "
                             f"got some from {array.min()} to {array.max()}")
        return count

    def __call__(self, x, y, seed, epoch, places):
        """(x, y) of one sample less: images (N + 1, C, H, W), which are written into, and their targets."""
        from fastnet.data.fill import mix_batch

        kept, cuts, shares = mixtures(self.augment, seed, epoch, places[:-1], *self.size)
        mix_batch(x, kept, cuts)

        def mixed(target, path):
            columns = self.columns[path]
            soft = target if columns is None else np.eye(columns, dtype=np.float32)[target]
            share = shares.astype(soft.dtype).reshape(-1, *[1] * (soft.ndim - 1))
            return share * soft[:-1] + (1 - share) * soft[1:]

        return x[:-1], mapped(mixed, y)


def mixtures(augment, seed, epoch, places, height, width):
    """How the samples of these places are mixed: what stays of each image, float32 (N,), the rows and columns that are
    of the other one altogether, int64 (N, 4), and what stays of each target, float32 (N,)."""
    n = len(places)
    cut = np.full(n, bool(augment.cutmix))
    if augment.mixup and augment.cutmix:
        cut = random_numbers(seed, epoch, places, MIX_KIND) < 0.5
    shares = np.empty(n)
    for chosen, alpha in ((cut, augment.cutmix), (~cut, augment.mixup)):
        if chosen.any():
            shares[chosen] = random_shares(seed, epoch, places[chosen], alpha)
    cuts = np.zeros((n, 4), np.int64)
    for column, size, purpose in ((0, height, MIX_ROW), (2, width, MIX_COLUMN)):
        extent = np.floor(size * np.sqrt(1 - shares))
        start = np.floor(size * random_numbers(seed, epoch, places, purpose)) - extent // 2
        cuts[:, column] = np.where(cut, np.clip(start, 0, size), 0)
        cuts[:, column + 1] = np.where(cut, np.clip(start + extent, 0, size), 0)
    area = (cuts[:, 1] - cuts[:, 0]) * (cuts[:, 3] - cuts[:, 2]) / (height * width)
    return np.where(cut, 1, shares).astype(np.float32), cuts, np.where(cut, 1 - area, shares).astype(np.float32)
