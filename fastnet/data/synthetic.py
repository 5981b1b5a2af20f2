"""Generated images with the shape of CIFAR-10, for machines that have neither the data nor a network."""
import numpy as np

from fastnet import arguments
from fastnet.data.dataset import Dataset

CLASSES = ("disc", "ring", "square", "frame", "triangle", "cross", "stripes", "checks", "dots", "spokes")
SIZE = 32
CHUNK = 500  # images drawn at a time


def synthetic(train=20_000, test=4_000, seed=0):
    """The training set and the test set, two `Dataset`s of generated uint8 images (3, 32, 32) in 10 classes.

    Each image shows one figure or texture in a random place, size, orientation and pair of colours, over a shaded
    background, with a distracting bar and noise. The class is in the shape; the colours give but a hint of it. Classes
    come in equal numbers. The same seed gives the same images.

    >>> train, test = synthetic(20, 10)
    >>> train
    Dataset(20 images of 3 x 32 x 32, 10 classes, from generated images, seed 0 (not CIFAR-10))
    >>> train.images.shape, train.labels[:5]
    ((20, 3, 32, 32), array([4, 9, 6, 2, 3]))
    """
    train = arguments.integer(train, "synthetic: train", 1, 10**9)
    test = arguments.integer(test, "synthetic: test", 1, 10**9)
    seed = arguments.integer(seed, "synthetic: seed", 0)
    source = f"generated images, seed {seed} (not CIFAR-10)"
    return tuple(Dataset(*_draw_set(n, np.random.default_rng([seed, part])), CLASSES, source)
                 for part, n in enumerate((train, test)))


def _draw_set(n, rng):
    labels = rng.permutation(np.arange(n) % len(CLASSES))
    images = np.empty((n, 3, SIZE, SIZE), np.uint8)
    for label in range(len(CLASSES)):
        places = np.flatnonzero(labels == label)
        for i in range(0, len(places), CHUNK):
            chosen = places[i:i + CHUNK]
            images[chosen] = _draw(label, len(chosen), rng)
    return images, labels


def _draw(label, n, rng):
    """n images of one class, uint8 (n, 3, SIZE, SIZE)."""
    def uniform(low, high, *shape):
        return rng.uniform(low, high, (n, *shape, 1, 1)).astype(np.float32)

    axis = np.linspace(-1, 1, SIZE, dtype=np.float32)
    y, x = axis[:, None], axis[None, :]
    # Figure coordinates: the image's, shifted, turned and scaled; the figure fills about -1 to 1 of them.
    angle, size = uniform(0, 2 * np.pi), uniform(0.45, 0.8)
    dx, dy = x - uniform(-0.35, 0.35), y - uniform(-0.35, 0.35)
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / size
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / size
    # The edge is a ramp of about a pixel and a half.
    mask = np.clip(0.5 + _inside(label, u, v) * size * 10, 0, 1)[:, None]

    # A random slope of brightness, a distracting bar behind the figure, then the figure and noise.
    slope = np.cos(angle + 2) * x * uniform(-60, 60) + np.sin(angle + 2) * y * uniform(-60, 60)
    direction = uniform(0, np.pi)
    bar = np.abs(x * np.cos(direction) + y * np.sin(direction) - uniform(-0.8, 0.8)) < uniform(0.03, 0.12)
    # The figure's colour leans towards a hue of its class, as frogs are rather green.
    hue = 2 * np.pi * (label / len(CLASSES) + np.arange(3) / 3)
    front = uniform(-110, 110, 3) + (128 + 60 * np.cos(hue)).astype(np.float32)[:, None, None]
    back, bar_colour = uniform(40, 215, 3), uniform(0, 255, 3)
    contrast = np.abs(front - back).max(axis=1, keepdims=True)
    back = np.where(contrast < 60, np.mod(back + 128, 256), back)  # a figure must be seen
    ground = back + np.where(bar[:, None], 0.6 * (bar_colour - back), 0)
    image = ground + mask * (front - ground) + slope[:, None]
    image += uniform(5, 25)[:, None] * rng.standard_normal((n, 3, SIZE, SIZE), dtype=np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def _inside(label, u, v):
    """How far a point lies inside the figure of this class, in figure units: positive within, negative without."""
    radius, box = np.hypot(u, v), np.maximum(np.abs(u), np.abs(v))
    within = 1 - radius  # textures are cut out as discs
    match CLASSES[label]:
        case "disc":
            return within
        case "ring":
            return 0.25 - np.abs(radius - 0.75)
        case "square":
            return 0.85 - box
        case "frame":
            return 0.2 - np.abs(box - 0.65)
        case "triangle":
            half = np.float32(np.sqrt(3) / 2)
            return 0.55 - np.maximum(-v, np.maximum(half * u, -half * u) + 0.5 * v)
        case "cross":
            return np.minimum(0.95 - box, 0.25 - np.minimum(np.abs(u), np.abs(v)))
        case "stripes":
            return np.minimum(within, np.sin(9 * u) / 9)
        case "checks":
            return np.minimum(within, np.sin(6 * u) * np.sin(6 * v) / 6)
        case "dots":
            return np.minimum(within, (np.cos(9 * u) + np.cos(9 * v) - 0.7) / 9)
        case "spokes":
            return np.minimum(within, np.sin(5 * np.arctan2(v, u)) * radius / 5)
