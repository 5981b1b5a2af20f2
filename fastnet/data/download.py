"""Fetching a file once, whole and unaltered, from the first of several mirrors that has it."""
import hashlib
import os
import sys
from pathlib import Path

from fastnet import writing

CHUNK = 1 << 18
TIMEOUT = 5.0  # seconds until a server that does not answer, or falls silent, is given up


class DownloadError(OSError):
    """No mirror delivered the file; the text tells what went wrong with each.

    >>> issubclass(DownloadError, OSError)
    True
    """


def cache_folder():
    """Where downloads are kept: $XDG_CACHE_HOME/fastnet, or the system's usual place for caches."""
    if os.environ.get("XDG_CACHE_HOME"):
        base = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        base = Path(os.environ["LOCALAPPDATA"])
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "fastnet"


def mirrors(defaults):
    """The addresses in the variable FASTNET_MIRRORS, separated by spaces or commas, followed by `defaults`."""
    return [*os.environ.get("FASTNET_MIRRORS", "").replace(",", " ").split(), *defaults]


def download(name, sha256, sources, folder, timeout=TIMEOUT, progress=True):
    """The path of `name` in `folder`, fetched as ``source/name`` from the first of `sources` that delivers it.

    The file appears in `folder` whole and with the right SHA-256 or not at all. `progress` shows a progress bar.
    DownloadError names every source and its failure; a folder that cannot be written raises OSError.
    """
    from http.client import HTTPException  # here, as in _fetch, so that importing the library stays quick

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for source in sources:
        url = f"{source.rstrip('/')}/{name}"
        try:
            with writing.whole(folder / name, "download") as file:
                digest = _fetch(url, file, timeout, progress)
                if digest != sha256:
                    raise ValueError(f"SHA-256 is {digest}, expected {sha256}: not the same file, or damaged on its "
                                     "way")
            return folder / name
        except (OSError, HTTPException, ValueError) as error:  # ValueError: an address that is none
            failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
    raise DownloadError("\n  ".join([f"{name} could not be downloaded:", *failures]))


def _fetch(url, file, timeout, progress):
    """Copies what `url` delivers into `file`; its SHA-256 in hexadecimal."""
    from urllib.request import urlopen

    from tqdm import tqdm

    digest = hashlib.sha256()
    with urlopen(url, timeout=timeout) as answer:
        total = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, unit="B", unit_scale=True, desc=url.rpartition("/")[2], disable=not progress) as bar:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
        if total is not None and file.tell() != total:
            raise OSError(f"the connection ended after {file.tell():,} of {total:,} bytes")
    return digest.hexdigest()
