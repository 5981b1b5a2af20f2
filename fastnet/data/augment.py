"""`Augment`: what is done to images at random, and to masks and boxes that go with them."""
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fastnet import arguments
from fastnet.data.draws import (
    ANGLE,
    BRIGHTNESS,
    CONTRAST,
    CUT_COLUMN,
    CUT_ROW,
    FLIP,
    LEFT,
    NOISE,
    TOP,
    random_bits,
    random_numbers,
)
from fastnet.data.windows import window_draws, windows


@dataclass(frozen=True)
class Augment:
    """What is done to the images of a batch at random, anew in each epoch: ``DataLoader(..., augment=Augment(crop=4,
    flip=True))``.

    crop : a random window of the image padded by this many pixels on each side. They are zero, after normalisation, or
        with padding_mode="reflect" the mirror image of those inside, as in PyTorch's padding.
    flip : True exchanges left and right in half of the images, another half in each epoch; "alternating" does so with a
        random half in every second epoch and with the other half in those between (Jordan, "94% on CIFAR-10 in 3.29
        seconds on a single GPU", 2024, section 3.6).
    cutout : a square of so many pixels a side is set to zero, after normalisation (DeVries and Taylor,
        "Improved regularization of convolutional neural networks with cutout", 2017).
    brightness, contrast : each image is multiplied by a random number from 1 - contrast to 1 + contrast, then one from
        -brightness to brightness is added, after normalisation: 0.2 is a fifth of a standard deviation (Howard, 2013).
    noise : to each number one of a normal distribution of this deviation is added, after normalisation.
    rotation : each image is turned around its middle by a random angle of at most so many degrees either way, with
        bilinear interpolation; what comes from outside is filled as by crop.
    resized_crop : (low, high): a random window with a share of the image's area between these, (0.08, 1) is usual, is
        scaled to the full size; width / height of the window lies within `ratio`. As torchvision's RandomResizedCrop.
        Of `ImageFiles` it is cut out of the whole image, in place of the middle, and scaled with Pillow's filter.
    mixup : each image becomes share * image + (1 - share) * another, and so its target; share is of the distribution
        Beta(mixup, mixup), 0.2 is usual (Zhang et al., "mixup: beyond empirical risk minimization", 2018).
    cutmix : a random rectangle of each image is taken from another one, 1 - share of the area before it is cut off at
        the border, share being of Beta(cutmix, cutmix), 1.0 is usual; the target is mixed by the area (Yun et al.,
        "CutMix", 2019). With both, one or the other befalls each image, at random.
    num_classes : columns of the probabilities that mixed class numbers become; at first as many as the data have.
    mask_fill : what a moved mask of integers holds where nothing of it is seen; CrossEntropyLoss ignores -100.
    boxes : which targets are boxes, arrays (N, 4) or (N, M, 4) of (x1, y1, x2, y2) in pixels: True for y itself, else
        its key, or its place in a tuple, or several of those in a tuple.

    Crop and flip move targets with their image: those whose last two axes are the image's height and width (masks, or
    images to be made), and the boxes, which are cut off at the border. TypeError or ValueError for arguments that do
    not fit; `check` judges those that depend on the images' size.

    They happen in this order: resized_crop, rotation, crop, flip; contrast, brightness, noise; cutout; mixup or cutmix.
    The other image of a mixture is the one that comes next in the epoch's order, as it is itself seen in this epoch.
    Class numbers (N,) become probabilities (N, num_classes), which CrossEntropyLoss takes; targets that are
    floating-point numbers are mixed as they are.

    >>> images = np.zeros((1, 3, 8, 8), np.uint8)
    >>> batches = fastnet.data.DataLoader(images, np.array([0]), augment=Augment(crop=2, flip=True))
    >>> next(iter(batches))[0].shape
    (1, 3, 8, 8)
    """

    crop: int = 0
    flip: bool | str = False
    cutout: int = 0
    padding_mode: str = "zeros"
    brightness: float = 0.0
    contrast: float = 0.0
    mask_fill: int = -100
    boxes: object = ()
    noise: float = 0.0
    rotation: float = 0.0
    resized_crop: tuple | None = None
    ratio: tuple = (3 / 4, 4 / 3)
    mixup: float = 0.0
    cutmix: float = 0.0
    num_classes: int | None = None

    def __post_init__(self):
        flip = arguments.choice(self.flip, (False, True, "alternating"), "Augment: flip")
        boxes = self.boxes if isinstance(self.boxes, tuple) else (self.boxes,)
        for name in boxes:
            if not isinstance(name, (bool, str, int, np.integer)) or name is False:
                raise TypeError(f"Augment: boxes must be True, a key of y, a place in it, or a tuple of those, got "
                                f"{arguments.shown(name)}")
        kept = {
            "crop": arguments.integer(self.crop, "Augment: crop", 0),
            "flip": flip if isinstance(flip, str) else bool(flip),
            "cutout": arguments.integer(self.cutout, "Augment: cutout", 0),
            "padding_mode": arguments.choice(self.padding_mode, ("zeros", "reflect"), "Augment: padding_mode"),
            "brightness": arguments.number(self.brightness, "Augment: brightness", 0, 1000),
            "contrast": arguments.number(self.contrast, "Augment: contrast", 0, 1),
            "mask_fill": arguments.integer(self.mask_fill, "Augment: mask_fill"), "boxes": boxes,
            "noise": arguments.number(self.noise, "Augment: noise", 0, 1000),
            "rotation": arguments.number(self.rotation, "Augment: rotation, in degrees,", 0, 180),
            "resized_crop": None if self.resized_crop is None else _range(self.resized_crop, "resized_crop", 1),
            "ratio": _range(self.ratio, "ratio", 1000),
            "mixup": arguments.number(self.mixup, "Augment: mixup", 0, 1000),
            "cutmix": arguments.number(self.cutmix, "Augment: cutmix", 0, 1000),
            "num_classes": None if self.num_classes is None else arguments.size(
                self.num_classes, "Augment: num_classes", 2)}
        vars(self).update(kept)

    @property
    def moves(self):
        """Whether anything changes its place."""
        return bool(self.crop or self.flip or self.rotation or self.resized_crop)

    @property
    def mixes(self):
        """Whether images are mixed with others."""
        return bool(self.mixup or self.cutmix)

    def __repr__(self):
        """With what is not as it is at first."""
        given = [f"{name}={value!r}" for name, value in vars(self).items() if value != getattr(type(self), name)]
        return f"Augment({', '.join(given)})"

    def check(self, height, width):
        """ValueError where the images are too small for it."""
        size = f"images of {height} x {width} pixels"
        if self.crop >= min(height, width):
            raise ValueError(f"Augment: crop must be below height and width of the images, got {self.crop} for {size}")
        if self.padding_mode == "reflect" and 2 * self.crop >= min(height, width):
            raise ValueError(f"Augment: crop must be below half of the images' height and width where padding_mode is "
                             f"'reflect', got {self.crop} for {size}")
        if self.cutout > 2 * max(height, width):
            raise ValueError(f"Augment: cutout must be at most twice the images' height or width, got {self.cutout} "
                             f"for {size}")

    def views(self, seed, epoch, index, height, width, cut=False):
        """The `Views` of the samples of that index. `cut`: their windows have been cut out already."""
        moves = random_moves(seed, epoch, index, height, width, self.crop, self.flip, self.cutout)
        turns = None
        if self.rotation or self.resized_crop and not cut:
            turns = np.tile((0.0, 0, 0, height, width), (len(index), 1))
            if self.rotation:
                turns[:, 0] = np.radians(self.rotation) * (2 * random_numbers(seed, epoch, index, ANGLE) - 1)
            if self.resized_crop and not cut:
                turns[:, 1:] = windows(window_draws(seed, epoch, index), height, width, self.resized_crop, self.ratio)
        keys = random_bits(seed, epoch, index, NOISE) if self.noise else None
        light = random_light(seed, epoch, index, self.brightness, self.contrast)
        return Views(moves, light, turns, keys, self.noise, self.padding_mode == "reflect", self.mask_fill)


def _range(value, name, most):
    """Two numbers, of which the second is not the smaller one."""
    low, high = arguments.numbers(tuple(value) if isinstance(value, list) else value, f"Augment: {name}", 2, above=0,
                                  most=most)
    if low > high:
        raise ValueError(f"Augment: {name} must be (least, most), got {arguments.shown(value)}")
    return low, high


class Views(NamedTuple):
    """How some samples are seen."""

    moves: np.ndarray               # (N, 7), see `random_moves`
    light: np.ndarray               # (N, 2), see `random_light`
    turns: np.ndarray | None        # (N, 5): an angle in radians, and top, left, height, width of the window
    keys: np.ndarray | None         # (N,), uint64, of which the noise follows
    noise: float
    reflect: bool
    mask_fill: int


def still(n):
    """The `Views` of n samples as they are."""
    return Views(np.zeros((n, 7), np.int64), np.tile(np.float32((1, 0)), (n, 1)), None, None, 0.0, False, 0)


def random_moves(seed, epoch, index, height, width, crop=0, flip=False, cutout=0):
    """What happens to each sample of `index`: int64 (N, 7), top, left, flip, and the rows and columns that are cut out.

    The output's pixel (p, q) is the image's pixel (p + top, q + left), where -crop <= top, left <= crop; with flip = 1
    the columns then run from right to left. Rows cut[0] to cut[1] and columns cut[2] to cut[3], ends excluded, of the
    output are set to zero: a square of `cutout` pixels around a random pixel, clipped at the border. `flip` as for
    `Augment`.
    """
    def below(bound, purpose, epoch=epoch):  # uniform on 0 ... bound - 1, from the upper half of the bits
        bits = random_bits(seed, epoch, index, purpose)
        return (((bits >> np.uint64(32)) * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)

    moves = np.zeros((len(index), 7), np.int64)
    if crop:
        moves[:, 0] = below(2 * crop + 1, TOP) - crop
        moves[:, 1] = below(2 * crop + 1, LEFT) - crop
    if flip == "alternating":
        moves[:, 2] = (below(2, FLIP, epoch=0) + epoch) % 2
    elif flip:
        moves[:, 2] = below(2, FLIP)
    if cutout:
        for column, size, purpose in ((3, height, CUT_ROW), (5, width, CUT_COLUMN)):
            start = below(size, purpose) - cutout // 2
            moves[:, column] = np.maximum(start, 0)
            moves[:, column + 1] = np.minimum(start + cutout, size)
    return moves


def random_light(seed, epoch, index, brightness=0.0, contrast=0.0):
    """(gain, offset) for each sample of `index`: float32 (N, 2), uniform on 1 - contrast ... 1 + contrast and on
    -brightness ... brightness. Howard, "Some improvements on deep convolutional neural network based image
    classification", 2013, section 2.2."""
    light = np.tile(np.float32((1, 0)), (len(index), 1))
    for column, most, purpose in ((0, contrast, CONTRAST), (1, brightness, BRIGHTNESS)):
        if most:
            share = (random_bits(seed, epoch, index, purpose) >> np.uint64(40)) / 2**23 - 1  # from -1 to 1
            light[:, column] += (most * share).astype(np.float32)
    return light
