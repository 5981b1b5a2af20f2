"""Windows of random size and form, as `Augment(resized_crop=...)` cuts them out of images."""
from math import exp, floor, log, sqrt

import numpy as np

from fastnet.data.draws import WINDOW, random_numbers

ATTEMPTS = 10


def window_draws(seed, epoch, index):
    """The random numbers that `window` needs for each sample of `index`: (N, ATTEMPTS, 4)."""
    purposes = WINDOW + np.arange(4 * ATTEMPTS).reshape(ATTEMPTS, 4)
    return random_numbers(seed, epoch, np.asarray(index)[:, None, None], purposes)


def window(draws, height, width, scale, ratio):
    """(top, left, height, width) of a window of an image of so many pixels.

    Its area is a uniform share of the image's from scale[0] to scale[1], the logarithm of width / height is uniform
    from that of ratio[0] to that of ratio[1], its place is uniform. One that does not fit is drawn again; after ten
    attempts it is the largest in the middle whose form is allowed. As torchvision's RandomResizedCrop; Szegedy et al.,
    "Going deeper with convolutions", 2015, section 6.
    """
    low, high = log(ratio[0]), log(ratio[1])
    for share, form, down, across in draws.tolist():
        area = height * width * (scale[0] + (scale[1] - scale[0]) * share)
        aspect = exp(low + (high - low) * form)
        rows, columns = round(sqrt(area / aspect)), round(sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            return floor(down * (height - rows + 1)), floor(across * (width - columns + 1)), rows, columns
    form = min(max(width / height, ratio[0]), ratio[1])
    rows, columns = min(height, max(1, round(width / form))), min(width, max(1, round(height * form)))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def windows(draws, height, width, scale, ratio):
    """The windows of several images of one size: float64 (N, 4)."""
    return np.array([window(one, height, width, scale, ratio) for one in draws], np.float64).reshape(-1, 4)
