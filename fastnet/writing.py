"""Writing files so that they are whole or not there at all: everything that the library writes goes through here."""
import io
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:     # Windows, where a file that is open cannot be removed anyhow
    fcntl = None

_UNFINISHED = re.compile(r"\.fastnet-[0-9a-f]{16}\.tmp")
_YOUNG = 10     # seconds in which a writer has long locked the file that it began


@contextmanager
def whole(path, who="path"):
    """A binary file to write to within the ``with`` block; it takes the place of `path` when the block has come off.

    Where the block raises, or the machine stops, `path` is what it was. Several may write to one path at a time: the
    last one stays. A symbolic link is followed, an old file's permissions are kept, a new one gets those of the umask.
    What is no file, such as /dev/null or a pipe, is written to as it stands. `who` begins what errors say.
    FileNotFoundError without the folder, IsADirectoryError, PermissionError, or any other OSError of the system's.
    """
    old = _look_at(path, who)
    if old is not None and not stat.S_ISREG(old.st_mode):
        content = io.BytesIO()      # a device may not know where in it one is
        yield content
        with open(path, "wb") as file:
            file.write(content.getbuffer())
        return
    target = os.path.realpath(path)
    # In the same folder, so that it can be renamed; a name of its own for each process, thread and call.
    unfinished = os.path.join(os.path.dirname(target), f".fastnet-{secrets.token_hex(8)}.tmp")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with _locked(handle):
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if old is not None:
                os.chmod(unfinished, stat.S_IMODE(old.st_mode))
            os.replace(unfinished, target)
    except BaseException:
        with suppress(OSError):
            os.remove(unfinished)
        raise
    _settle(os.path.dirname(target))


def clean(directory):
    """Remove from a folder what writers that were killed have left there. What is being written stays: it is locked, or
    young, or lies where nothing can be locked."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if fcntl and _UNFINISHED.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_abandoned(entry.path)


def append(path, data, who="path"):
    """Put bytes at the end of the file `path`, all of them or none; OSError as in `whole`."""
    old = _look_at(path, who)
    with open(path, "ab", buffering=0) as file:
        try:
            while data:
                data = data[file.write(data):]
            if old is None or stat.S_ISREG(old.st_mode):
                os.fsync(file.fileno())
        except BaseException:
            if old is not None and stat.S_ISREG(old.st_mode):
                with suppress(OSError):
                    os.truncate(path, old.st_size)
            raise


def folder(path, who):
    """Refuse a path to a file whose folder is not there: FileNotFoundError, NotADirectoryError."""
    parent = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(parent):
        kind = NotADirectoryError if os.path.exists(parent) else FileNotFoundError
        raise kind(f"{who}: {os.path.dirname(path) or parent} is no folder; make it first, for {path}")


@contextmanager
def _locked(handle):
    """Shows others, until the block has come off, that the file of this handle is being written; see `clean`."""
    if fcntl is None:
        yield
        return
    own = os.dup(handle)    # for the file is closed before it is renamed
    try:
        with suppress(OSError):     # of file systems without locks
            fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(own)


def _remove_abandoned(path):
    handle = os.open(path, os.O_RDWR)
    try:
        if time.time() - os.fstat(handle).st_mtime > _YOUNG:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)      # BlockingIOError where its writer holds it
            os.remove(path)
    finally:
        os.close(handle)


def _look_at(path, who):
    """What os.stat tells of a path that may be written to; None where there is nothing yet."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        folder(path, who)
        return None
    except NotADirectoryError:
        folder(path, who)
        raise
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(f"{who}: {path} is a folder; give the name of a file")
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{who}: {path} is write-protected")
    return old


def _settle(directory):
    """Make a renaming in this folder outlast a power cut, where the system can."""
    with suppress(OSError, AttributeError):
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
