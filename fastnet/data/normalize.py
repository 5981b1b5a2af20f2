"""Normalisation of images: fitted on the training set, applied by the loader while it fills a batch."""
import numpy as np

CHUNK = 1024  # images converted to float64 at a time: 25 MB of CIFAR


class Normalize:
    """y = (x - mean) / std, for each channel or with a whole mean image.

    mean : (C,) one number a channel, or (C, H, W) a mean image;  std : (C,), positive
    Both are in the units of the images: 0 to 255 for uint8. Calling it on images (N, C, H, W) gives float32 of the
    same shape; a `DataLoader` takes it as ``normalize=`` and does the same in its one pass over a batch.
    Fit it with `per_channel`, `mean_image` or `min_max`, on the training images only.
    """

    def __init__(self, mean, std):
        self.mean, self.std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
        if self.mean.ndim not in (1, 3) or self.std.shape != self.mean.shape[:1]:
            raise ValueError(f"Normalize: mean has shape {self.mean.shape} and std {self.std.shape}; expected mean "
                             "(C,) or (C, H, W) and std (C,)")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and (self.std > 0).all()):
            raise ValueError("Normalize: mean must be finite, std finite and positive")

    @classmethod
    def per_channel(cls, images):
        """Mean 0 and standard deviation 1 in every channel. A channel that never varies is only centred."""
        images = check_images(images)
        mean = _mean(images).mean(axis=(1, 2))
        return cls(mean, _deviation(images, mean[:, None, None]))

    @classmethod
    def mean_image(cls, images):
        """Subtracts the mean image (C, H, W), and divides each channel by its deviation from that image."""
        images = check_images(images)
        mean = _mean(images)
        return cls(mean, _deviation(images, mean))

    @classmethod
    def min_max(cls, images):
        """Maps the smallest value of each channel to 0 and the greatest to 1."""
        images = check_images(images)
        low = images.min(axis=(0, 2, 3)).astype(np.float64)
        span = images.max(axis=(0, 2, 3)) - low
        return cls(low, np.where(span > 0, span, 1.0))

    def __call__(self, images):
        images = check_images(images)
        scale, shift = self.scale_shift(images.shape[1:])
        return images * scale[:, None, None] + shift

    def scale_shift(self, shape):
        """float32 scale (C,) and shift (C, H, W) for images of this shape: y = x * scale + shift."""
        fits = self.mean.shape == (tuple(shape) if self.mean.ndim == 3 else shape[:1])
        if not fits:
            raise ValueError(f"Normalize was fitted to {self._form()}, got images of shape (N, "
                             f"{', '.join(map(str, shape))}): fit it on images of that shape")
        scale = 1 / self.std
        mean = self.mean if self.mean.ndim == 3 else self.mean[:, None, None]
        shift = np.broadcast_to(-mean * scale[:, None, None], shape)
        return scale.astype(np.float32), np.ascontiguousarray(shift, np.float32)

    def _form(self):
        return f"{len(self.std)} channels" if self.mean.ndim == 1 else f"a mean image of shape {self.mean.shape}"

    def __repr__(self):
        mean = [round(m, 2) for m in self.mean.reshape(len(self.std), -1).mean(axis=1).tolist()]
        return f"Normalize({self._form()}, mean={mean}, std={[round(s, 2) for s in self.std.tolist()]})"


def check_images(images):
    """`images` as an array (N, C, H, W), uint8 or finite float32; TypeError or ValueError where it is anything else."""
    images = np.asarray(images)
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise TypeError(f"images have dtype {images.dtype}, expected uint8 or float32")
    if images.ndim != 4:
        raise ValueError(f"images have shape {images.shape}, expected (N, C, H, W)")
    if 0 in images.shape:
        raise ValueError(f"images are empty: shape {images.shape}; give at least one sample")
    if images.dtype == np.uint8:
        return images
    with np.errstate(over="ignore"):  # what is too great for float32 becomes infinite, and is refused below
        images = images.astype(np.float32, copy=False)
    for i in range(0, len(images), CHUNK):
        if not np.isfinite(images[i:i + CHUNK]).all():
            bad = i + int(np.argmin(np.isfinite(images[i:i + CHUNK]).all(axis=(1, 2, 3))))
            raise ValueError(f"image {bad} holds values that are not finite (NaN or infinity): repair or leave it out")
    return images


def _mean(images):
    return sum(images[i:i + CHUNK].sum(axis=0, dtype=np.float64) for i in range(0, len(images), CHUNK)) / len(images)


def _deviation(images, mean):
    """Standard deviation of each channel around `mean`, (C,); 1 where a channel never varies."""
    total = sum(((images[i:i + CHUNK] - mean) ** 2).sum(axis=(0, 2, 3)) for i in range(0, len(images), CHUNK))
    std = np.sqrt(total / (images.size // images.shape[1]))
    return np.where(std > 0, std, 1.0)
