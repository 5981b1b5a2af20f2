"""Compiled kernels on disk, so that a machine compiles each only once.

Numba's own cache does not notice when a function called by a kernel changes in another file, and fails loudly on a
damaged file. This one keeps one file for each kernel and signature in a folder named after everything the machine code
depends on: all kernel sources, the versions, Numba's settings, the processor. A file that cannot be read is compiled
again, a folder that cannot be written costs one warning.
"""
import functools
import hashlib
import os
import pickle
import platform
import sys
import tempfile
import warnings
from pathlib import Path

import llvmlite
import numba
import numpy
from numba import config
from numba.core import serialize
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult

# Settings of Numba that change what it compiles.
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "USING_SVML")

_announced = _warned = False


def attach(dispatcher):
    """Give a compiled function a cache; returns the function."""
    if not config.DISABLE_JIT:
        dispatcher._cache = _KernelCache(dispatcher.py_func, dispatcher.targetoptions.get("parallel", False))
    return dispatcher


def folder():
    """The folder of compiled kernels: FASTNET_CACHE_DIR, else fastnet/kernels in the user's cache folder. OSError where
    the user has no home."""
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
                _warn(f"a compiled kernel could not be loaded and is compiled again ({error!r})")
        _announce()
        return None

    def save_overload(self, sig, data):
        if data.lifted or data.library.has_dynamic_globals:
            return
        try:
            _write(self._path(sig, data.library.codegen), serialize.dumps(data._reduce()))
        except OSError as error:
            _warn(f"compiled kernels cannot be kept ({error}), so every start compiles them again; set "
                  "FASTNET_CACHE_DIR to a folder that can be written")

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
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".tmp", delete=False) as file:
        temporary = Path(file.name)
    try:
        temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _announce():
    """Say, once a process, why the first call of a kernel takes long."""
    global _announced
    if not _announced:
        _announced = True
        try:
            kept = f"; they are kept in {folder()}"
        except OSError:
            kept = ""
        print(f"fastnet: compiling kernels for this machine{kept}", file=sys.stderr, flush=True)


def _warn(message):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(message, RuntimeWarning, stacklevel=2)
