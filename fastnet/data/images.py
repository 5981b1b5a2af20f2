"""Images that stay in their files until they are needed: `ImageFiles`, `ImageFolder`."""
import csv
import io
import os
import warnings
from pathlib import Path

import numpy as np

from fastnet import arguments
from fastnet.data.dataset import places
from fastnet.data.decoding import MOST, SUFFIXES, Form, Unreadable, decode, pillow

ERRORS = ("raise", "warn", "skip")


class ImageFiles:
    """Images in files: JPEG, PNG, WebP, GIF (its first picture), BMP, PPM. `DataLoader` reads them ahead of the
    training, in threads of its own: ``DataLoader(ImageFiles(paths, labels, size=64), batch_size=128, workers=2)``.

    paths : their names, a list or an array;  labels : class numbers (N,), names of classes (N,), numbers (N, ...) that
        are floating-point, or None
    size : height and width in pixels of what they are made into, an integer or two
    channels : 3, red, green and blue, or 1, grey
    errors : what to do with a file that is damaged, missing or no image: "raise" an error that names it; "warn", and
        leave it out; or "skip" it, and tell how many were left out at the end of the epoch. `damaged` has them all.
    classes : names of the classes, in the order of their numbers; at first those that occur, in alphabetical order
    resize : the shorter side in pixels that the image would have when `size` is cut out of its middle, as for
        torchvision's Resize; at first the larger side of `size`, so that as much as possible is seen
    draft : whether JPEGs that are much larger are decoded at 1/2, 1/4 or 1/8 of their size, but never to less than
        twice what is asked for, which is quicker and differs by a few units of 255; False decodes them in full

    Images are uint8 (channels, height, width). They are turned upright as their EXIF says. The largest window in the
    middle that has the form of `size` (or the smaller one that `resize` says) is scaled to it by Pillow's BILINEAR,
    which looks at all pixels also where it makes images smaller; ``PIL.ImageOps.fit`` does the same. With
    ``Augment(resized_crop=...)`` the window is a random one. What is transparent lies on white, CMYK and palettes
    become RGB, of 16 bits the upper 8 are kept. An image of more than 2^26 pixels is refused.

    ``files[3]`` is (image, label), or the image where there are no labels; ``files[indices]`` are some of the files, as
    `train_val_split` chooses them. ImportError without Pillow; TypeError or ValueError for what is not as described,
    FileNotFoundError for files that are not there, ValueError when a damaged one is read.

    >>> import tempfile
    >>> from PIL import Image
    >>> name = tempfile.mkdtemp() + "/grey.png"
    >>> Image.new("L", (40, 30), 128).save(name)
    >>> files = ImageFiles([name], labels=["grey"], size=16)
    >>> files
    ImageFiles(1 files, 1 classes, as 3 x 16 x 16)
    >>> image, label = files[0]
    >>> image.shape, files.classes[label]
    ((3, 16, 16), 'grey')
    """

    def __init__(self, paths, labels=None, size=224, channels=3, errors="raise", classes=None, resize=None, draft=True):
        who = type(self).__name__
        pillow(who)
        self.paths = file_names(paths, f"{who}: paths")
        self.size = arguments.pair(size, f"{who}: size")
        if max(self.size) ** 2 > MOST:
            raise ValueError(f"{who}: size must be at most {int(MOST**0.5)}, got {arguments.shown(size)}")
        self.channels = arguments.choice(arguments.integer(channels, f"{who}: channels, 1 or 3,", 1, 3), (1, 3),
                                         f"{who}: channels")
        self.errors = arguments.choice(errors, ERRORS, f"{who}: errors")
        self.labels, self.classes = _labels(labels, classes, len(self.paths), who)
        longest = max(self.size)
        resize = longest if resize is None else arguments.integer(resize, f"{who}: resize, of a size of {longest},",
                                                                  longest)
        self.form = Form(*self.size, self.channels, longest / resize, arguments.flag(draft, f"{who}: draft"))
        self.damaged = {}
        self._told = frozenset()
        if self.errors == "raise":
            check_there(self.paths, f"{who}: paths")

    @classmethod
    def from_csv(cls, table, path="path", label="label", folder=None, **options):
        """The images of a table, a CSV file in UTF-8 whose first line names the columns.

        path, label : the columns with the names of the files and of their classes; label=None where there are none
        folder : where the files lie, at first the table's folder;  options : those of `ImageFiles`
        FileNotFoundError, or ValueError for a table without such columns.
        """
        who = f"{cls.__name__}.from_csv"
        table = arguments.path(table, f"{who}: table")
        path = arguments.text(path, f"{who}: path")
        label = None if label is None else arguments.text(label, f"{who}: label")
        folder = os.path.dirname(table) if folder is None else arguments.path(folder, f"{who}: folder")
        rows = _rows(table, {path: "path"} | ({} if label is None else {label: "label"}), who)
        labels = None if label is None else [row[label] for row in rows]
        return ImageFiles([os.path.join(folder, row[path]) for row in rows], labels, **options)

    @property
    def class_to_idx(self):
        """The number of each class by its name."""
        return {name: i for i, name in enumerate(self.classes or ())}

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            return self._one(int(index))
        if not isinstance(index, slice):
            index = places(index, len(self), f"{type(self).__name__}: what is selected by")
        some = object.__new__(ImageFiles)
        vars(some).update(vars(self), paths=[self.paths[i] for i in np.arange(len(self))[index]], damaged={},
                          _told=frozenset(), labels=None if self.labels is None else self.labels[index])
        if not some.paths:
            raise ValueError(f"{type(self).__name__}: what is selected must be one file at least, got none")
        return some

    def _one(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"{type(self).__name__}: there are {len(self):,} images, and none of number "
                             f"{arguments.shown(i)}")
        image = np.empty((self.channels, *self.size), np.uint8)
        self.read(i, image, errors="raise")
        return image if self.labels is None else (image, self.labels[i])

    def load(self):
        """(images, labels): all of them in memory, uint8 (N, channels, height, width), and their labels or None; what
        is damaged is left out where `errors` allows it. For small sets, and to fit `Normalize` to some:
        ``Normalize.per_channel(files[::10].load()[0])``."""
        images = np.empty((len(self), self.channels, *self.size), np.uint8)
        kept = [i for i in range(len(self)) if self.read(i, images[i])]
        self.tell(3)
        if len(kept) < len(self):
            images = images[kept]
        return images, None if self.labels is None else self.labels[kept]

    def read(self, i, out, choose=None, errors=None):
        """Write image number i into `out`, see `decode`; False where it is damaged, and `errors` lets it be left out.
        """
        path, errors = self.paths[i], self.errors if errors is None else errors
        try:
            decode(path, self.form, out, choose)
            return True
        except (Unreadable, OSError) as error:
            reason = str(error) if isinstance(error, Unreadable) else error.strerror or str(error)
            text = f"{type(self).__name__}: {path}: cannot be read as an image: {reason}"
            if errors == "raise":
                kind = ValueError if isinstance(error, Unreadable) else type(error)
                raise kind(f"{text}. Repair or remove it, or set errors='skip'") from error
            new = path not in self.damaged
            self.damaged[path] = reason
            if new and errors == "warn":
                warnings.warn(f"{text}; it is left out", stacklevel=2)
            return False

    def tell(self, stacklevel):
        """Warn of how many files have been left out since this was last called; `stacklevel` as for warnings.warn."""
        met = frozenset(list(self.damaged))
        new, self._told = sorted(met - self._told), met     # workers meet them in any order
        if new:
            names = ", ".join(new[:3]) + (", ..." if len(new) > 3 else "")
            warnings.warn(f"{type(self).__name__}: {len(new):,} of {len(self):,} files could not be read and were left "
                          f"out: {names} (see damaged)", stacklevel=stacklevel)

    def __repr__(self):
        kind = "of no class" if self.labels is None else f"{len(self.classes)} classes" if self.classes else "numbers"
        left = f", {len(self.damaged):,} left out" if self.damaged else ""
        return (f"{type(self).__name__}({len(self):,} files, {kind}, as {self.channels} x {self.size[0]} x "
                f"{self.size[1]}{left})")


class ImageFolder(ImageFiles):
    """The images in a folder that has a folder for each class, as torchvision's ImageFolder.

    folder : its path;  classes : names of the folders that count, in the order of their numbers; at first all, in
    alphabetical order;  other arguments and what it can do: see `ImageFiles`
    The files lie in folders of classes, at any depth; symbolic links are followed. Names that begin with a dot count
    for nothing, nor do files with other suffixes than those of images, which `ignored` lists. FileNotFoundError where
    there is no such folder, no folder of a class, or a class without an image.

    >>> import os, tempfile
    >>> from PIL import Image
    >>> folder = tempfile.mkdtemp()
    >>> for name in "dark", "light":
    ...     os.mkdir(f"{folder}/{name}")
    ...     Image.new("RGB", (40, 30), name + "grey").save(f"{folder}/{name}/1.png")
    >>> ImageFolder(folder, size=16)
    ImageFolder(2 files, 2 classes, as 3 x 16 x 16)
    """

    def __init__(self, folder, size=224, channels=3, errors="raise", classes=None, resize=None, draft=True):
        self.folder = arguments.path(folder, "ImageFolder: folder")
        if not os.path.isdir(self.folder):
            raise FileNotFoundError(f"ImageFolder: folder {self.folder!r} is no folder, seen from {os.getcwd()!r}")
        there = sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir() and entry.name[0] != ".")
        names = there if classes is None else _names(classes, "ImageFolder: classes")
        missing = [name for name in names if name not in there]
        if missing or not names:
            raise FileNotFoundError(f"ImageFolder: folder {self.folder!r} must hold a folder for each class, got " + (
                f"none for {missing[0]!r}" if missing else "none: for images without classes use ImageFiles(paths)"))
        paths, labels, self.ignored = [], [], []
        for number, name in enumerate(names):
            found = sorted(_files(os.path.join(self.folder, name), set()))
            images = [path for path in found if path.lower().endswith(SUFFIXES)]
            self.ignored += [path for path in found if not path.lower().endswith(SUFFIXES)]
            if not images:
                raise FileNotFoundError(f"ImageFolder: folder {os.path.join(self.folder, name)!r} of a class must hold "
                                        f"an image ({', '.join(SUFFIXES)}), got none")
            paths += images
            labels += [number] * len(images)
        super().__init__(paths, labels, size, channels, errors, names, resize, draft)


def _files(folder, seen):
    """All files in a folder and those inside it, each folder once, also where links go round."""
    where = os.stat(folder)
    if (where.st_dev, where.st_ino) in seen:
        return
    seen.add((where.st_dev, where.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            if entry.is_dir():
                yield from _files(entry.path, seen)
            else:
                yield entry.path


def check_there(paths, name):
    """FileNotFoundError for files that are not there."""
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise FileNotFoundError(f"{name}: {len(missing):,} of {len(paths):,} files are not there, {missing[0]!r} "
                                f"first: give names that can be opened from the folder {os.getcwd()!r}, or "
                                "errors='skip'")


def file_names(value, name):
    """File names as a list of strings."""
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "UO":
        value = value.tolist()
    if isinstance(value, (str, bytes, Path)):
        raise TypeError(f"{name} must be a list of file names, got {arguments.shown(value)}: for a folder that has a "
                        "folder for each class use ImageFolder")
    paths = [arguments.path(one, f"{name}, each of them,") for one in arguments.listed(value, name, "file names")]
    if not paths:
        raise ValueError(f"{name} must hold one file name at least, got none")
    return paths


def _names(value, name):
    names = arguments.listed(value, name, "names")
    for one in names:
        arguments.text(one, f"{name}, each of them,")
    if len(set(names)) < len(names):
        raise ValueError(f"{name} must be names that differ, got {arguments.shown(names)}")
    return tuple(names)


def _labels(labels, classes, count, who):
    """(labels, names of the classes or None)."""
    names = None if classes is None else _names(classes, f"{who}: classes")
    if labels is None:
        return None, names
    name = f"{who}: labels"
    if isinstance(labels, (list, tuple, np.ndarray)) and len(labels) and isinstance(labels[0], str):
        texts = [arguments.text(one, f"{name}, each of them,") for one in labels]
        numbers = all(text.isdecimal() for text in texts)
        names = names or tuple(sorted(set(texts), key=int if numbers else None))
        wrong = next((text for text in texts if text not in names), None)
        if wrong is not None:
            raise ValueError(f"{name} must be among the classes, got {arguments.shown(wrong)}")
        places = {text: i for i, text in enumerate(names)}
        labels = np.array([places[text] for text in texts])
    labels = arguments.values(labels, name)
    if labels.ndim and len(labels) != count:
        raise ValueError(f"{name} must be one for each file, got {len(labels):,} for {count:,} files")
    if labels.dtype.kind == "f" and labels.ndim:
        if names is not None:
            raise ValueError(f"{who}: classes must be None where labels are floating-point numbers")
        return labels, None
    labels = arguments.labels(labels, name, count, None if names is None else len(names))
    return labels, names or tuple(map(str, range(int(labels.max()) + 1)))


def _rows(table, columns, who):
    """The lines of a CSV file, as dictionaries, which have all of `columns`: name: argument that gave it."""
    try:
        with open(table, "rb") as file:
            reader = csv.DictReader(io.TextIOWrapper(file, "utf-8-sig", newline=""))
            names, rows = reader.fieldnames or [], list(reader)
    except OSError as error:
        raise type(error)(f"{who}: table {table!r} cannot be opened: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{who}: table {table!r} cannot be read as a CSV file in UTF-8: {error}") from error
    missing = [column for column in columns if column not in names]
    if missing:     # the path, or the label
        raise ValueError(f"{who}: table {table!r} must have a column {missing[0]!r}, given as {columns[missing[0]]}, "
                         f"got {arguments.shown(names)}")
    for number, row in enumerate(rows, 2):
        if any(not row[column] for column in columns):
            raise ValueError(f"{who}: table {table!r}, line {number}, must have all of {', '.join(columns)}, got "
                             f"{arguments.shown([row[column] for column in columns])}")
    if not rows:
        raise ValueError(f"{who}: table {table!r} must have one line at least below that of the names, got none")
    return rows
