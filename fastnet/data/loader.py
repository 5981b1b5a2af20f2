"""Mini-batches over images in memory; the next batch is prepared while this one trains."""
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from copy import copy

import numpy as np

from fastnet import arguments
from fastnet.data.augment import fill_batch, permutation, random_light, random_moves
from fastnet.data.normalize import Normalize, check_images, identity
from fastnet.kernels.cpu.runtime import empty_images

_OPTIONS = ("batch_size", "shuffle", "seed", "drop_last", "crop", "flip", "cutout", "normalize", "prefetch",
            "padding_mode", "brightness", "contrast")


class DataLoader:
    """Iterates over batches (x, y): x float32 (N, C, H, W), channels-last in memory, and y int64 (N,).

    images : uint8 or float (count, C, H, W);  labels : integers (count,).  Neither is changed, nor copied where images
        are contiguous uint8, float32 or float64. Without `normalize` the values come as they are, uint8 as 0.0 to
        255.0.
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
    refers to it: keep a batch as long as you like. Options may be assigned later, and count from the next epoch on.
    TypeError or ValueError for whatever is not as described here, at once; nothing is changed then.
    """

    def __init__(self, images, labels, batch_size=128, shuffle=True, seed=0, drop_last=False, crop=0, flip=False,
                 cutout=0, normalize=None, prefetch=1, padding_mode="zeros", brightness=0.0, contrast=0.0):
        images = np.ascontiguousarray(check_images(images, "DataLoader: images")).view()
        images.flags.writeable = False  # the kernel compiles once for all images, read-only or not
        self.images, self.labels = images, arguments.labels(labels, "DataLoader: labels", len(images))
        values = (batch_size, shuffle, seed, drop_last, crop, flip, cutout, normalize, prefetch, padding_mode,
                  brightness, contrast)
        vars(self).update(self._checked(dict(zip(_OPTIONS, values, strict=True))))
        self.epoch = 0

    def _checked(self, given):
        """All options, as they are kept; TypeError or ValueError where one does not fit."""
        def integer(name, least, most=None):
            return arguments.integer(given[name], f"DataLoader: {name}", least, most)

        count, *shape = self.images.shape
        pixels = shape[1:]
        flip = arguments.choice(given["flip"], (False, True, "alternating"), "DataLoader: flip")
        kept = {
            "batch_size": integer("batch_size", 1), "seed": integer("seed", 0, 2**63 - 1),
            "prefetch": integer("prefetch", 0), "cutout": integer("cutout", 0, 2 * max(pixels)),
            "crop": integer("crop", 0, min(pixels) - 1), "flip": flip if isinstance(flip, str) else bool(flip),
            "shuffle": arguments.flag(given["shuffle"], "DataLoader: shuffle"),
            "drop_last": arguments.flag(given["drop_last"], "DataLoader: drop_last"),
            "padding_mode": arguments.choice(given["padding_mode"], ("zeros", "reflect"), "DataLoader: padding_mode"),
            "brightness": arguments.number(given["brightness"], "DataLoader: brightness", 0, 1000),
            "contrast": arguments.number(given["contrast"], "DataLoader: contrast", 0, 1),
            "normalize": given["normalize"],
        }
        if kept["padding_mode"] == "reflect" and 2 * kept["crop"] >= min(pixels):
            raise ValueError(f"DataLoader: crop must be below half of the images' height and width where padding_mode "
                             f"is 'reflect', got {kept['crop']} for images of shape {tuple(shape)}")
        if kept["drop_last"] and count < kept["batch_size"]:
            raise ValueError(f"DataLoader: batch_size must be at most the number of images where drop_last is True, "
                             f"got {kept['batch_size']} for {count}, so that there is no batch")
        if kept["normalize"] is not None:
            arguments.instance(kept["normalize"], Normalize, "DataLoader: normalize", "a Normalize or None")
            kept["normalize"].terms(shape)
        return kept

    def __setattr__(self, name, value):
        own = vars(self)
        if name == "epoch":
            value = arguments.integer(value, "DataLoader: epoch", 0, 2**63 - 1)
        elif name in _OPTIONS:
            value = self._checked({**{option: own[option] for option in _OPTIONS}, name: value})[name]
        elif name in ("images", "labels") and name in own:
            raise AttributeError(f"DataLoader: {name} cannot be assigned; make a new loader for other {name}")
        object.__setattr__(self, name, value)

    def __setstate__(self, state):
        vars(self).update(state)
        self.images.flags.writeable = False     # which copies and pickles forget

    def in_order(self):
        """A loader of all the same samples in the order of the data, for `predict`; this one stays as it is."""
        other = copy(self)
        other.drop_last = other.shuffle = False
        return other

    def __len__(self):
        """Batches in an epoch."""
        full, rest = divmod(len(self.labels), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def set_epoch(self, epoch):
        """The next iteration is that of epoch number `epoch`, counted from 0."""
        self.epoch = epoch

    def __iter__(self):
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._batches(epoch)

    def _batches(self, epoch):
        n = len(self.labels)
        order = permutation(self.seed, epoch, n) if self.shuffle else np.arange(n)
        terms = self.normalize.terms(self.images.shape[1:]) if self.normalize else identity(self.images.shape[1:])
        parts = [order[i * self.batch_size:(i + 1) * self.batch_size] for i in range(len(self))]
        prefetch = self.prefetch
        if prefetch == 0:
            for part in parts:
                yield self._batch(epoch, part, terms)
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="fastnet-loader")
        try:
            ahead = deque(thread.submit(self._batch, epoch, part, terms) for part in parts[:prefetch])
            for i in range(len(parts)):
                if i + prefetch < len(parts):
                    ahead.append(thread.submit(self._batch, epoch, parts[i + prefetch], terms))
                yield ahead.popleft().result()
        finally:  # also where the caller stops half-way: a generator that is dropped runs this
            thread.shutdown(cancel_futures=True)

    def _batch(self, epoch, index, terms):
        _, channels, height, width = self.images.shape
        moves = random_moves(self.seed, epoch, index, height, width, self.crop, self.flip, self.cutout)
        light = random_light(self.seed, epoch, index, self.brightness, self.contrast)
        x = empty_images(len(index), channels, height, width, np.dtype(np.float32))
        fill_batch(x, self.images, index, moves, terms, self.padding_mode == "reflect", light)
        return x, self.labels[index]

    def __repr__(self):
        names = "crop", "flip", "cutout", "brightness", "contrast", "normalize", "drop_last"
        options = [f"{name}={getattr(self, name)!r}" for name in names if getattr(self, name)]
        return (f"DataLoader({len(self.labels):,} images of {' x '.join(map(str, self.images.shape[1:]))}, "
                f"{len(self):,} batches of {self.batch_size}, shuffle={self.shuffle}, seed={self.seed}"
                f"{''.join(', ' + option for option in options)})")
