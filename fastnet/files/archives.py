"""Zip archives, as NumPy and PyTorch write them, opened so that no file takes much more memory than it is long."""
import zipfile
from contextlib import contextmanager

_LONGEST = 4 << 20  # bytes of the list of entries: Python's objects take some ten times as much


@contextmanager
def opened(path):
    """The archive in a file, a `zipfile.ZipFile`, and how many bytes the file has. zipfile.BadZipFile for what is none,
    and for one of more entries than any net has weights."""
    with open(path, "rb") as file:
        careful = _Careful(file)
        with zipfile.ZipFile(careful) as archive:
            careful.most = None
            yield archive, file.seek(0, 2)


class _Careful:
    """A file of which no more than `most` bytes are read at once: what opens an archive reads all entries so."""

    def __init__(self, file):
        self._file, self.most = file, _LONGEST

    def __getattr__(self, name):
        return getattr(self._file, name)

    def read(self, count=-1):
        if self.most is not None and count > self.most:
            raise zipfile.BadZipFile(f"its list of entries would have {count} bytes")
        return self._file.read(count)
