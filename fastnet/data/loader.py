"""Mini-batches over images in memory; the next batch is prepared while this one trains."""
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from numbers import Real
from operator import index as as_integer

import numpy as np

from fastnet.data.augment import fill_batch, permutation, random_light, random_moves
from fastnet.data.dataset import check_labels
from fastnet.data.normalize import check_images
from fastnet.kernels.cpu.runtime import array


class DataLoader:
    """Iterates over batches (x, y): x float32 (N, C, H, W), channels-last in memory, and y int64 (N,).

    images : uint8 or float (count, C, H, W);  labels : integers (count,).  Neither is changed, nor copied where images
        are contiguous uint8 or float32. Without `normalize` the values come as they are, uint8 as 0.0 to 255.0.
    shuffle : another order in every epoch;  drop_last : leave out the last batch where it is not full
    crop : a random window of the image padded by this many pixels on each side. They are zero, after normalisation, or
        with padding_mode="reflect" the mirror image of those inside, as in PyTorch's padding.
    cutout : a square of so many pixels a side is set to zero, after normalisation.
    flip : True exchanges left and right in half of the images, another half in each epoch; "alternating" does so with a
        random half in every second epoch and with the other half in those between.
    brightness, contrast : each image is multiplied by a random number from 1 - contrast to 1 + contrast, then one from
        -brightness to brightness is added, after normalisation: 0.2 is a fifth of a standard deviation.
    normalize : a `Normalize`, applied in the same pass
    prefetch : batches prepared ahead by a background thread; 0 prepares them in the caller's thread.

    Order and augmentation of a sample follow from (seed, epoch, place in the data set) alone, whatever the batch size,
    the threads and the prefetching. Every `iter(loader)` is one epoch: the counter `epoch` tells the next one's number,
    and `set_epoch` sets it (to resume, or to repeat an epoch). x lives in a buffer that is used again once nobody
    refers to it: keep a batch as long as you like.
    TypeError or ValueError for whatever is not as described here, before the first batch.
    """

    def __init__(self, images, labels, batch_size=128, shuffle=True, seed=0, drop_last=False, crop=0, flip=False,
                 cutout=0, normalize=None, prefetch=1, padding_mode="zeros", brightness=0.0, contrast=0.0):
        images = np.ascontiguousarray(check_images(images)).view()
        images.flags.writeable = False  # the kernel compiles once for all images, read-only or not
        self.images, self.labels = images, check_labels(labels, len(images))
        self.batch_size = _whole("batch_size", batch_size, 1)
        self.crop = _whole("crop", crop, 0, min(images.shape[2:]) - 1)
        self.cutout = _whole("cutout", cutout, 0, 2 * max(images.shape[2:]))
        self.seed, self.prefetch = _whole("seed", seed, 0, 2**63 - 1), _whole("prefetch", prefetch, 0)
        self.brightness, self.contrast = _number("brightness", brightness, 1000), _number("contrast", contrast, 1)
        if flip not in (False, True, "alternating"):
            raise ValueError(f'DataLoader: flip={flip!r}, expected False, True or "alternating"')
        if padding_mode not in ("zeros", "reflect"):
            raise ValueError(f'DataLoader: padding_mode={padding_mode!r}, expected "zeros" or "reflect"')
        if padding_mode == "reflect" and 2 * self.crop >= min(images.shape[2:]):
            raise ValueError(f"DataLoader: crop={crop} is too much for padding_mode=\"reflect\" and images of shape "
                             f"{images.shape[1:]}; it must be below half of their height and width")
        self.padding_mode = padding_mode
        self.shuffle, self.drop_last, self.flip, self.normalize = shuffle, drop_last, flip, normalize
        self.epoch = 0
        if len(self) == 0:
            raise ValueError(f"DataLoader: no batch: {len(images)} images are fewer than batch_size={batch_size}, and "
                             "drop_last=True leaves the rest out; lower batch_size or set drop_last=False")
        if normalize is None:
            self._scale = np.ones(images.shape[1], np.float32)
            self._shift = np.zeros(images.shape[1:], np.float32)
        else:
            self._scale, self._shift = normalize.scale_shift(images.shape[1:])

    def __len__(self):
        """Batches in an epoch."""
        full, rest = divmod(len(self.labels), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch):
        """The next iteration is that of epoch number `epoch`, counted from 0."""
        self.epoch = _whole("epoch", epoch, 0, 2**63 - 1)

    def __iter__(self):
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._batches(epoch)

    def _batches(self, epoch):
        n = len(self.labels)
        order = permutation(self.seed, epoch, n) if self.shuffle else np.arange(n)
        parts = [order[i * self.batch_size:(i + 1) * self.batch_size] for i in range(len(self))]
        if self.prefetch == 0:
            for part in parts:
                yield self._batch(epoch, part)
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="fastnet-loader")
        try:
            ahead = deque(thread.submit(self._batch, epoch, part) for part in parts[:self.prefetch])
            for i in range(len(parts)):
                if i + self.prefetch < len(parts):
                    ahead.append(thread.submit(self._batch, epoch, parts[i + self.prefetch]))
                yield ahead.popleft().result()
        finally:  # also where the caller stops half-way: a generator that is dropped runs this
            thread.shutdown(cancel_futures=True)

    def _batch(self, epoch, index):
        _, channels, height, width = self.images.shape
        moves = random_moves(self.seed, epoch, index, height, width, self.crop, self.flip, self.cutout)
        light = random_light(self.seed, epoch, index, self.brightness, self.contrast)
        x = array.empty_images(len(index), channels, height, width, np.dtype(np.float32))
        fill_batch(x, self.images, index, moves, self._scale, self._shift, self.padding_mode == "reflect", light)
        return x, self.labels[index]

    def __repr__(self):
        names = "crop", "flip", "cutout", "brightness", "contrast", "normalize", "drop_last"
        options = [f"{name}={getattr(self, name)!r}" for name in names if getattr(self, name)]
        return (f"DataLoader({len(self.labels):,} images of {' x '.join(map(str, self.images.shape[1:]))}, "
                f"{len(self):,} batches of {self.batch_size}, shuffle={self.shuffle}, seed={self.seed}"
                f"{''.join(', ' + option for option in options)})")


def _whole(name, value, low, high=None):
    """`value` as an integer from low to high, or an error that names the argument."""
    try:
        value = as_integer(value)
    except TypeError:
        raise TypeError(f"DataLoader: {name}={value!r} is not an integer") from None
    if value < low or (high is not None and value > high):
        limit = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"DataLoader: {name}={value}, expected {limit}")
    return value


def _number(name, value, high):
    """`value` as a float from 0 to `high`, or an error that names the argument."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"DataLoader: {name}={value!r} is not a number")
    if not 0 <= value <= high:
        raise ValueError(f"DataLoader: {name}={value}, expected from 0 to {high}")
    return float(value)
