"""Compiled kernels on disk, so that a machine compiles each only once.

Numba's own cache does not notice when a function called by a kernel changes in another file, and fails loudly on a
damaged file. This one keeps one file for each kernel, signature and processor in a folder named after everything else
that the machine code depends on: all kernel sources, the versions, Numba's settings. A file that cannot be read is
compiled again, a folder that cannot be written costs one warning.

What lies there is run: so the folder is used only where nobody but this user, root, or a group that its owner has let
in can have put it there, else one of this user's own among the temporary files, after a warning.
"""
import functools
import hashlib
import os
import pickle
import platform
import stat
import sys
import tempfile
import threading
import time
import uuid
import warnings
from pathlib import Path

import llvmlite
import numba
import numpy
from numba import config
from numba.core import serialize
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult

from fastnet.kernels.cpu.runtime.pipeline import Library

# Settings of Numba that change what it compiles.
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")

# Seconds of compiling before it is told.
_PATIENCE = 2.0

_warned = set()     # the kinds of trouble that have been told


def attach(dispatcher):
    """Give a compiled function a cache; returns the function."""
    if not config.DISABLE_JIT:
        dispatcher._cache = _KernelCache(dispatcher.py_func, dispatcher.targetoptions.get("parallel", False))
    return dispatcher


def folder():
    """The folder of compiled kernels: FASTNET_CACHE_DIR, else fastnet/kernels in the user's cache folder; where others
    could write into that, one in the folder of temporary files. OSError where the user has no home."""
    wanted = _wanted()
    doubt = _doubt(wanted)
    if doubt is None:
        return wanted
    private = _private()
    _warn("folder", f"compiled kernels are not kept in {wanted}, which {doubt}: what others put there would run here. "
          f"{private} is used instead; set FASTNET_CACHE_DIR to a folder of your own that others cannot write to")
    return private


def _wanted():
    if os.environ.get("FASTNET_CACHE_DIR"):
        return Path(os.environ["FASTNET_CACHE_DIR"])
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise OSError(str(error)) from None
    return Path(base) / "fastnet" / "kernels"


def _doubt(path, owners=(0,), writers=stat.S_IWOTH):
    """What is wrong with a folder as a place of code to run; None where it is safe, or not there yet."""
    try:
        status = path.stat()
    except OSError:
        return None
    if not hasattr(os, "getuid"):
        return None
    if status.st_uid not in (*owners, os.getuid()):
        return f"belongs to user number {status.st_uid}"
    return "others may write to" if status.st_mode & writers else None


@functools.cache
def _private():
    """A folder of this user's among the temporary files, which only the owner can remove or rename there."""
    path = Path(tempfile.gettempdir()) / f"fastnet-kernels-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    mine = not path.is_symlink() and _doubt(path, (), stat.S_IWOTH | stat.S_IWGRP) is None
    return path if mine else Path(tempfile.mkdtemp(prefix="fastnet-kernels-"))


class _KernelCache(NullCache):
    """The part of Numba's cache interface that a dispatcher uses: one file for each kernel and signature."""

    def __init__(self, function, parallel):
        self._function, self._parallel = function, parallel

    @property
    def cache_path(self):
        return str(folder())

    def load_overload(self, sig, target_context):
        target_context.refresh()
        try:
            payload = _read(self._path(sig, target_context.codegen()))
        except OSError:  # no entry, or no way to it
            payload = None
        if payload is not None:
            try:
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
            except Exception as error:  # an entry can be whole and yet of no use here; compiling again is the remedy
                _warn("entry", f"a compiled kernel could not be loaded and is compiled again ({error!r})")
        _notice.begin()
        return None

    def save_overload(self, sig, data):
        _notice.end()
        if isinstance(data.library, Library):
            data.library.when_made(functools.partial(self._save, sig, data))
        else:
            self._save(sig, data)

    def _save(self, sig, data):
        # What is of no module that can be imported, as code given to exec, could not be put together again.
        if data.lifted or data.library.has_dynamic_globals or self._function.__module__ not in sys.modules:
            return
        try:
            _write(self._path(sig, data.library.codegen), serialize.dumps(data._reduce()))
        except OSError as error:
            _warn("writing", f"compiled kernels cannot be kept ({error}), so every start compiles them again; "
                  "set FASTNET_CACHE_DIR to a folder that can be written")

    def _path(self, sig, codegen):
        entry = hashlib.sha256(repr((str(sig), codegen.magic_tuple())).encode()).hexdigest()[:32]
        name = f"{self._function.__module__}.{self._function.__qualname__}" + "-parallel" * self._parallel
        return folder() / _version(self._function.__code__.co_filename) / f"{name}-{entry}.bin"


@functools.cache
def _version(source):
    """A name for everything but the signature that the code of a kernel from the file `source` depends on."""
    digest = hashlib.sha256()
    cpu = Path(__file__).parents[1]
    for path in sorted({*cpu.rglob("*.py"), *cpu.parent.glob("*.py"), Path(source)}):  # all that a kernel may import
        content = path.read_bytes()
        name = path.relative_to(cpu) if path.is_relative_to(cpu) else path.name
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    versions = (numba.__version__, llvmlite.__version__, numpy.__version__, sys.version, platform.machine())
    digest.update(repr((versions, [getattr(config, name, None) for name in _SETTINGS])).encode())
    return digest.hexdigest()[:32]


def _read(path):
    """The payload of an entry, or None where the file is damaged."""
    content = path.read_bytes()
    digest, payload = content[:32], content[32:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def _write(path, payload):
    """Put an entry in place in one step, so that a reader finds all of it or nothing."""
    if not path.parent.exists():
        path.parent.parent.mkdir(mode=0o775, parents=True, exist_ok=True)   # whatever the umask, not for others
        path.parent.mkdir(mode=0o775, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb", opener=_open) as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _open(path, flags):
    """Readable by whom the umask says, since a folder may serve several users."""
    return os.open(path, flags, 0o664)


class _Notice:
    """Says, once a process, why the first calls take long: as soon as two seconds have gone into compiling."""

    def __init__(self):
        self._spent, self._began, self._timer, self._said = 0.0, None, None, False

    def begin(self):
        """A kernel is compiled from now on; Numba compiles one at a time."""
        if self._timer is None and not self._said:
            self._began = time.perf_counter()
            self._timer = threading.Timer(max(0.0, _PATIENCE - self._spent), self._say)
            self._timer.daemon = True
            self._timer.start()

    def end(self):
        """The kernel is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._spent, self._timer = self._spent + time.perf_counter() - self._began, None

    def _say(self):
        self._said = True
        try:
            kept = f"; they are kept in {folder()}"
        except OSError:
            kept = ""
        print(f"fastnet: compiling kernels for this machine{kept}", file=sys.stderr, flush=True)


_notice = _Notice()


def _warn(kind, message):
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=2)
