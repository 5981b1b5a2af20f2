"""Normalisation of images: fitted on the training set, applied by the loader while it fills a batch."""
from typing import NamedTuple

import numpy as np

from fastnet import arguments

CHUNK = 1024  # images converted to float64 at a time: 25 MB of CIFAR
MOST = float(np.finfo(np.float32).max)


class Terms(NamedTuple):
    """y = (x - center) * scale + shift, as compiled code computes it: float32 arrays.

    The center is the mean as near as float32 comes to it, the shift what is left: so a small deviation beside a large
    mean keeps its digits, which y = x * scale + shift would lose.
    """

    center: np.ndarray  # (C, H, W)
    scale: np.ndarray   # (C,)
    shift: np.ndarray   # (C, H, W)


class Normalize:
    """y = (x - mean) / std, for each channel or with a whole mean image.

    mean : (C,) one number a channel, or (C, H, W) a mean image;  std : (C,), positive
    Both are in the units of the images: 0 to 255 for uint8. Calling it on images (N, C, H, W) gives float32 of the
    same shape; a `DataLoader` takes it as ``normalize=`` and does the same in its one pass over a batch.
    Fit it with `per_channel`, `mean_image` or `min_max`, on the training images only. TypeError or ValueError for what
    are no such numbers or images.
    """

    def __init__(self, mean, std):
        self.mean, self.std = (arguments.values(value, f"Normalize: {name}").astype(np.float64)
                               for value, name in ((mean, "mean"), (std, "std")))
        if self.mean.ndim not in (1, 3) or self.std.shape != self.mean.shape[:1] or 0 in self.mean.shape:
            raise ValueError(f"Normalize: mean and std must have shapes (C,) or (C, H, W) and (C,), got "
                             f"{self.mean.shape} and {self.std.shape}")
        if not (np.abs(self.mean) <= MOST).all():
            raise ValueError("Normalize: mean must be finite, in single precision too")
        if not ((self.std > 1 / MOST) & (self.std <= MOST)).all():
            raise ValueError("Normalize: std must be finite and positive, in single precision too")

    @classmethod
    def per_channel(cls, images):
        """Mean 0 and standard deviation 1 in every channel. A channel that never varies is only centred."""
        images = check_images(images, "Normalize.per_channel: images")
        mean = _mean(images).mean(axis=(1, 2))
        low, high = _extremes(images)
        return cls(mean, _deviation(images, mean[:, None, None], low < high))

    @classmethod
    def mean_image(cls, images):
        """Subtracts the mean image (C, H, W), and divides each channel by its deviation from that image."""
        images = check_images(images, "Normalize.mean_image: images")
        mean = _mean(images)
        varies = (images.min(axis=0) != images.max(axis=0)).any(axis=(1, 2))
        return cls(mean, _deviation(images, mean, varies))

    @classmethod
    def min_max(cls, images):
        """Maps the smallest value of each channel to 0 and the greatest to 1."""
        images = check_images(images, "Normalize.min_max: images")
        low, high = _extremes(images)
        return cls(low, np.where(low < high, high - low, 1.0))

    def __call__(self, images):
        images = check_images(images, "Normalize: images")
        center, scale, shift = self.terms(images.shape[1:])
        result = np.empty(images.shape, np.float32)
        for i in range(0, len(images), CHUNK):
            result[i:i + CHUNK] = (images[i:i + CHUNK] - center) * scale[:, None, None] + shift
        return result

    def terms(self, shape):
        """The `Terms` for images of this shape (C, H, W)."""
        shape = arguments.shape(shape, "Normalize: shape")
        if len(shape) != 3:
            raise ValueError(f"Normalize: shape must be (C, H, W), got {arguments.shown(shape)}")
        if self.mean.shape != (shape if self.mean.ndim == 3 else shape[:1]):
            raise ValueError(f"Normalize was fitted to {self._form()}, got images of shape (N, "
                             f"{', '.join(map(str, shape))}): fit it on images of that shape")
        scale = 1 / self.std
        mean = np.broadcast_to(self.mean if self.mean.ndim == 3 else self.mean[:, None, None], shape)
        center = np.array(mean, np.float32, order="C")
        return Terms(center, scale.astype(np.float32),
                     np.array((center - mean) * scale[:, None, None], np.float32, order="C"))

    def _form(self):
        return f"{len(self.std)} channels" if self.mean.ndim == 1 else f"a mean image of shape {self.mean.shape}"

    def __repr__(self):
        mean = [round(m, 2) for m in self.mean.reshape(len(self.std), -1).mean(axis=1).tolist()]
        return f"Normalize({self._form()}, mean={mean}, std={[round(s, 2) for s in self.std.tolist()]})"


def identity(shape):
    """The `Terms` that leave images of this shape (C, H, W) as they are."""
    return Terms(np.zeros(shape, np.float32), np.ones(shape[0], np.float32), np.zeros(shape, np.float32))


def check_images(images, name, finite=True):
    """`images` as an array (N, C, H, W) of uint8, or of float32 or float64 that single precision can hold; TypeError
    or ValueError where it is anything else. Without `finite` the numbers are not looked at, and there may be none."""
    images = arguments.array(images, name)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise TypeError(f"{name} must be uint8 or float, got {arguments.shown(images)}: give images.astype('uint8') "
                        "where they are numbers from 0 to 255")
    if images.ndim != 4:
        remedy = ": give images[:, None], one channel" if images.ndim == 3 else ""
        raise ValueError(f"{name} must have shape (N, C, H, W), got {images.shape}{remedy}")
    _, height, width, channels = images.shape
    colours = channels in (3, 4) and images.dtype == np.uint8   # of other numbers there are maps as narrow as that
    if min(height, width) >= 8 and (colours or channels in (1, 3, 4) and height == width):
        raise ValueError(f"{name} must have shape (N, C, H, W), got {images.shape}, which looks like channels-last: "
                         "give images.transpose(0, 3, 1, 2)")
    if images.dtype.kind == "f":
        images = images.astype(np.float64 if images.dtype.itemsize > 4 else np.float32, copy=False)
    if finite:
        if 0 in images.shape:
            raise ValueError(f"{name} must hold one pixel at least, got shape {images.shape}")
        if images.dtype != np.uint8:
            _check_finite(images, name)
    return images


def _check_finite(images, name):
    for i in range(0, len(images), CHUNK):
        good = np.abs(images[i:i + CHUNK]) <= MOST
        if not good.all():
            bad = i + int(np.argmin(good.all(axis=(1, 2, 3))))
            raise ValueError(f"{name} must be finite, in single precision too, and image {bad} is not (NaN, infinity "
                             "or beyond 3.4e38): repair it or leave it out")


def _extremes(images):
    """The smallest and the greatest value of each channel, float64 (C,); over images first, which is quick."""
    return (images.min(axis=0).min(axis=(1, 2)).astype(np.float64),
            images.max(axis=0).max(axis=(1, 2)).astype(np.float64))


def _mean(images):
    return sum(images[i:i + CHUNK].sum(axis=0, dtype=np.float64) for i in range(0, len(images), CHUNK)) / len(images)


def _deviation(images, mean, varies):
    """Standard deviation of each channel around `mean`, (C,); 1 where a channel does not vary."""
    total = sum(((images[i:i + CHUNK] - mean) ** 2).sum(axis=(0, 2, 3)) for i in range(0, len(images), CHUNK))
    return np.where(varies, np.sqrt(total / (images.size // images.shape[1])), 1.0)
