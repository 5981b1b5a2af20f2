"""Where a published data set lies on this machine, and which mirror has it otherwise."""
import os
from pathlib import Path
from typing import NamedTuple

from fastnet import arguments
from fastnet.data.download import cache_folder, download, mirrors


class Published(NamedTuple):
    """A data set as it was published, in one or several files."""

    name: str           # as people know it
    expected: str       # what a folder must hold, in words
    look: object        # a function of a Path that gives the place to read, or None where there is none
    folder: str         # of the cache folder
    files: tuple        # (name, SHA-256) of each that is downloaded
    mirrors: tuple


def checked(who, root, download, progress):
    """The arguments that all readers have."""
    return (None if root is None else arguments.path(root, f"{who}: root"),
            arguments.flag(download, f"{who}: download"), arguments.flag(progress, f"{who}: progress"))


def find(published, root):
    """The folder or archive to read: an explicit one must be there; None where there is none in the cache either."""
    for place, name in ((root, "root"), (os.environ.get("FASTNET_DATA"), "FASTNET_DATA")):
        if place:
            found = published.look(Path(place).expanduser())
            if found is None:
                raise FileNotFoundError(f"{name} is {str(place)!r}, where there is no {published.name}: expected "
                                        f"{published.expected}")
            return found
    return published.look(cache_folder() / published.folder)


def fetch(published, allowed, progress):
    """The place to read after a download."""
    folder = cache_folder() / published.folder
    if not allowed:
        raise FileNotFoundError(f"no {published.name} in {folder}: set FASTNET_DATA to a folder that holds it, or "
                                "allow download=True")
    paths = [download(name, sha256, mirrors(published.mirrors), folder, progress=progress)
             for name, sha256 in published.files]
    return paths[0] if len(paths) == 1 else folder
