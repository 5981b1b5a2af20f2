"""What a batch is made of: each array of the data, and how samples are taken out of it."""
import numpy as np

from fastnet import arguments
from fastnet.data.moved import moved_boxes, moved_masks
from fastnet.data.normalize import Normalize, check_finite, check_images, identity

_DEEPEST = 30   # tuples within tuples


def mapped(function, tree, path="", depth=0, who="DataLoader"):
    """function(array, path) of every array in a tuple or dictionary of them, nested or not, in the same form; the path
    tells where it stands, as text: [0]['mask']. ValueError where they are nested too deep, in themselves perhaps."""
    check_depth(depth, who)
    if isinstance(tree, dict):
        return {key: mapped(function, one, f"{path}[{key!r}]", depth + 1, who) for key, one in tree.items()}
    if isinstance(tree, (tuple, list)):
        return tuple(mapped(function, one, f"{path}[{i}]", depth + 1, who) for i, one in enumerate(tree))
    return function(tree, path)


def check_depth(depth, who="DataLoader"):
    """ValueError for what lies deeper than anybody nests arrays: in itself perhaps."""
    if depth > _DEEPEST:
        raise ValueError(f"{who}: x and y must hold arrays at most {_DEEPEST} tuples or dictionaries deep, got more")


def flat(tree):
    """The arrays of a tuple or dictionary, one after another."""
    if isinstance(tree, (tuple, dict)):
        return [leaf for one in (tree.values() if isinstance(tree, dict) else tree) for leaf in flat(one)]
    return [tree]


def is_image(array):
    """Whether an array holds images, (N, C, H, W): what is normalised, augmented and made channels-last."""
    return array.ndim == 4 and (array.dtype == np.uint8 or array.dtype.kind == "f")


class Images:
    """Images (N, C, H, W), uint8 or float: batches are float32, channels-last in memory. `terms` as of `Normalize`."""

    def __init__(self, array, terms):
        array = np.ascontiguousarray(array).view()
        array.flags.writeable = False       # the kernel compiles once for all images, read-only or not
        self.array, self.terms = array, terms

    @classmethod
    def checked(cls, array, name, normalize, finite=True):
        array = check_images(array, name, finite=finite)
        return cls(array, terms_for(array.shape[1:], normalize))

    def batch(self, index, views):
        from fastnet.data.fill import batch_of_images, fill_batch

        out = batch_of_images(len(index), self.array.shape[1:])
        fill_batch(out, self.array, index, views, self.terms)
        return out


def terms_for(shape, normalize):
    """The `Terms` for samples of this shape, of a Normalize or None."""
    return identity(shape) if normalize is None else normalize.terms(shape)


class Rows:
    """Anything else: samples are copied as they are, or normalised to float32."""

    def __init__(self, array, name, normalize=None):
        self.array, self.normalize = array, normalize
        if normalize is not None:
            normalize.terms(array.shape[1:])

    def batch(self, index, views):
        if self.normalize is not None:
            return self.normalize(self.array[index])
        from fastnet.data.fill import batch_of_rows

        # Into memory that is used again: a fresh large array costs more in page faults than the copy does.
        out = batch_of_rows(len(index), self.array.shape[1:], self.array.dtype)
        return np.take(self.array, index, axis=0, out=out, mode="clip")     # no index is beyond: "raise" would copy


class Moving(Rows):
    """Targets that lie over their images, (N, ..., H, W): moved with them."""

    def batch(self, index, views):
        return moved_masks(self.array[index], views)


class Boxes(Rows):
    """Targets that are boxes in their images, (N, ..., 4)."""

    def __init__(self, array, name, size):
        super().__init__(array, name)
        self.size = size
        if array.ndim < 2 or array.shape[-1] != 4:
            raise ValueError(f"{name}: boxes must have shape (N, 4) or (N, M, 4), got {array.shape}")

    def batch(self, index, views):
        return moved_boxes(self.array[index], views, *self.size)


def inputs(x, name, normalize, checked=True):
    """The columns of x, in its form. `checked`: whether floats are to be finite."""
    def column(array, path):
        wanted = normalize
        if isinstance(normalize, dict):
            wanted = next((one for key, one in normalize.items() if path == f"[{key!r}]"), None)
        if is_image(array):
            return Images.checked(array, name + path, wanted, checked and not isinstance(array, np.memmap))
        if checked and array.dtype.kind == "f" and not isinstance(array, np.memmap):
            check_finite(array, name + path)
        return Rows(array, name + path, wanted)

    return mapped(column, x)


def targets(y, name, augment, size):
    """The columns of y, in its form; `size` is the height and width of the images, None where there are none."""
    moving = augment is not None and augment.moves

    def column(array, path):
        if moving and any(path == ("" if box is True else f"[{box!r}]") for box in augment.boxes):
            return Boxes(array, name + path, size)
        if moving and array.ndim > 2 and array.shape[-2:] == size:
            return Moving(array, name + path)
        return Rows(array, name + path)

    return mapped(column, y)


def image_size(columns, augment):
    """(height, width) of the images among columns, which an `Augment` needs; None where there are none."""
    sizes = {column.array.shape[2:] for column in flat(columns) if isinstance(column, Images)}
    if augment is not None:
        if len(sizes) != 1:
            found = f"images of several sizes, {sorted(sizes)}" if sizes else "no images (N, C, H, W) of uint8 or float"
            raise ValueError(f"DataLoader: augment needs images of one size as x, got {found}")
        augment.check(*next(iter(sizes)))
    return next(iter(sizes)) if len(sizes) == 1 else None


def check_normalize(normalize, x):
    """`normalize`, None, a Normalize for an x of one array, or {key: Normalize} for one of several."""
    if isinstance(normalize, dict):
        for key, one in normalize.items():
            arguments.instance(one, Normalize, f"DataLoader: normalize[{key!r}]", "a Normalize")
            if not isinstance(x, dict) or key not in x:
                raise ValueError(f"DataLoader: normalize has the key {arguments.shown(key)}, which x does not have")
        return dict(normalize)
    if normalize is not None:
        arguments.instance(normalize, Normalize, "DataLoader: normalize", "a Normalize, or None")
        if isinstance(x, (tuple, dict)):
            raise TypeError("DataLoader: normalize must be {key: Normalize} where x is a dictionary of arrays, and "
                            "None where it is a tuple")
    return normalize
