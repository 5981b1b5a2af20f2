"""Reads the images of CIFAR-10 and CIFAR-100, from either of the two published forms."""
import tarfile
import zlib
from typing import NamedTuple

import numpy as np

from fastnet.data.dataset import Dataset
from fastnet.data.unpickle import read_batch

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32      # 1,024 red, 1,024 green and 1,024 blue ones, row by row


class Cifar(NamedTuple):
    """What tells the versions apart."""

    name: str
    train: tuple            # names of the binary files, without their suffix .bin, and of the pickled ones
    test: tuple
    pickled: tuple
    folders: tuple
    archives: tuple
    most: int               # records in a file as published; a file may hold fewer
    columns: tuple          # the labels that stand before the pixels of a record: their names in pickles
    counts: tuple           # and how many classes each of them has

    @property
    def binary(self):
        return tuple(f"{name}.bin" for name in self.train + self.test)

    @property
    def record(self):
        return len(self.columns) + PIXELS

    def look(self, place):
        """The folder or archive to read in a place, or None."""
        if place.is_file():
            return place
        for folder in (place, *(place / name for name in self.folders)):
            if any((folder / name).is_file() for name in self.binary + self.pickled):
                return folder
        return next((place / name for name in self.archives if (place / name).is_file()), None)

    @property
    def expected(self):
        return (f"an archive ({' or '.join(self.archives)}), a folder that holds one, a folder "
                f"{' or '.join(self.folders)}, or {self.binary[0]} and so on")

    def read(self, source, column, classes):
        """The two sets in a folder or an archive, with the labels of one column."""
        files = dict(self._members(source) if source.is_file() else self._files(source))
        names = self.pickled if self.pickled[0] in files else self.binary
        missing = [name for name in names if name not in files]
        if missing:
            raise FileNotFoundError(f"{source}: {', '.join(missing)} missing: copy or download it again")
        parts, count = [files[name] for name in names], len(self.train)
        return tuple(_joined(some, source, column, classes) for some in (parts[:count], parts[count:]))

    def _files(self, folder):
        """(name, (pixels, labels)) of every file in a folder; the binary ones where it holds both kinds."""
        names = self.binary if any((folder / name).is_file() for name in self.binary) else self.pickled
        for name in names:
            path = folder / name
            if path.is_file():
                self._check_size(path.stat().st_size, path)
                yield name, self._parse(name, path.read_bytes(), path)

    def _members(self, archive):
        """(name, (pixels, labels)) of every file in an archive, read from its first byte to its last in one go."""
        with open(archive, "rb") as file:
            try:
                with tarfile.open(fileobj=file) as tar:
                    for member in tar:
                        name = member.name.rpartition("/")[2]
                        if member.isfile() and name in self.binary + self.pickled:
                            where = f"{archive}: {member.name}"
                            self._check_size(member.size, where)
                            yield name, self._parse(name, tar.extractfile(member).read(), where)
                    while tar.fileobj.read(1 << 20):  # the checksum of the compressed data stands at their very end
                        pass
            except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
                reason = str(error).partition(":\n")[0]
                raise ValueError(f"{archive}: cannot be read as an archive ({reason}): delete it and download it again"
                                 ) from error

    def _check_size(self, size, where):
        # Pickled batches are a little longer than binary ones, for the file names in them.
        if size > 2 * self.most * self.record:
            raise ValueError(f"{where}: {size:,} bytes are too many for a batch of {self.name} "
                             f"({self.most * self.record:,} bytes)")

    def _parse(self, name, data, where):
        """pixels, uint8 (N, 3072), and labels, (N, columns), of one file."""
        if name in self.binary:
            if not data or len(data) % self.record or len(data) > self.most * self.record:
                raise ValueError(f"{where}: {len(data):,} bytes, expected {self.most:,} records of {self.record:,} "
                                 "bytes (or a smaller whole number of them): cut off or another file; get it again")
            records = np.frombuffer(data, np.uint8).reshape(-1, self.record)
            labels, pixels = records[:, :len(self.columns)], records[:, len(self.columns):]
        else:
            pixels, lists = read_batch(data, where, self.columns, self.name)
            counts = [len(one) for one in lists]
            if any(pixels.shape != (count, PIXELS) for count in counts) or not 0 < counts[0] <= self.most:
                raise ValueError(f"{where}: pixels of shape {pixels.shape} and {counts[0]} labels, expected "
                                 f"({self.most}, {PIXELS}) and {self.most}, or fewer of both; get the file again")
            labels = np.stack([np.asarray(one) for one in lists], axis=1)
        for column, count in zip(labels.T, self.counts, strict=True):
            if column.max() >= count or column.min() < 0:
                record = int(np.argmax((column < 0) | (column >= count)))
                raise ValueError(f"{where}: label {column[record]} in record {record}, expected 0 to {count - 1}: "
                                 "damaged or another file; get it again")
        return pixels, labels


def _joined(parts, source, column, classes):
    images = np.concatenate([pixels for pixels, _ in parts]).reshape(-1, *SHAPE)
    labels = np.concatenate([labels[:, column] for _, labels in parts]).astype(np.int64)
    return Dataset(images, labels, classes, str(source))
