"""The cache of compiled kernels costs time at worst: never a wrong kernel, never an error."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from numba import config
from numba.core import event

import fastnet
from fastnet.kernels import load
from fastnet.kernels.cpu import activation
from fastnet.kernels.cpu.runtime import cache, compiler, frames, launches

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
PACKAGE = Path(fastnet.__file__).parent
NOTICE = "fastnet: compiling kernels for this machine"
X, Y = np.array([-1, 0, 2], np.float32), np.array([0, 0, 2], np.float32)


class Compilations(event.Listener):
    """Counts what Numba really compiles, drivers of kernels and their helpers."""

    def __init__(self):
        self.count = 0

    def on_start(self, event):
        self.count += 1

    def on_end(self, event):
        pass


@pytest.fixture
def start(tmp_path, monkeypatch):
    """What a fresh process does with its first kernel: ``start()`` returns how much was compiled."""
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path / "some" / "cache"))

    def call(patience=0.0):
        for module, name, value in [
            (compiler, "_addresses", {}), (compiler, "_attached", set()),
            (launches, "_serial", cache.attach(compiler.entrance(launches.run_blocks))), (launches, "_entrances", {}),
            (frames, "_entrances", {}),
            (activation, "_activate", compiler.jit(activation._activate.py_func)), (cache, "_notice", cache._Notice()),
            (cache, "_warned", set()), (cache, "_PATIENCE", patience),
        ]:
            monkeypatch.setattr(module, name, value)
        listener = Compilations()
        with event.install_listener("numba:compile", listener):
            np.testing.assert_array_equal(load("cpu").activation_forward(X, "relu"), Y)
        return listener.count
    return call


def entries():
    """What is kept of the kernel; the loop that runs it has an entry of its own."""
    return sorted(path for path in cache.folder().rglob("*activation._activate-*") if path.is_file())


def test_the_second_start_compiles_nothing(start, capfd):
    assert start() > 0
    assert capfd.readouterr().err == f"{NOTICE}; they are kept in {cache.folder()}\n"
    assert [path.suffix for path in entries()] == [".bin"]
    assert start() == 0
    assert capfd.readouterr().err == ""


DAMAGES = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[:-100],
    "cut to the digest": lambda content: content[:32],
    "garbage": lambda content: b"garbage" * 1000,
    "one bit": lambda content: content[:5000] + bytes([content[5000] ^ 4]) + content[5001:],
    "longer": lambda content: content + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_compiled_again(start, damage):
    start()
    entry, = entries()
    entry.write_bytes(DAMAGES[damage](entry.read_bytes()))
    assert start() > 0
    assert entries() == [entry]
    assert start() == 0


def test_an_entry_that_cannot_be_used_is_compiled_again(start):
    """Whole, as the digest says, but written by something else."""
    start()
    entry, = entries()
    cache._write(entry, b"not what was expected")
    with pytest.warns(RuntimeWarning, match="^a compiled kernel could not be loaded and is compiled again"):
        assert start() > 0
    assert start() == 0


def full_disk(*arguments, **options):
    raise OSError(28, "No space left on device")


def file_in_place_of_the_folder(monkeypatch, tmp_path):
    (tmp_path / "some").write_text("")


def disk_full_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "_open", full_disk)


def disk_full_while_writing(monkeypatch, tmp_path):
    def read_only(path, flags):
        os.close(os.open(path, flags, 0o600))
        return os.open(path, os.O_RDONLY)
    monkeypatch.setattr(cache, "_open", read_only)


def disk_full_at_the_end(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "replace", full_disk)


def no_home(monkeypatch, tmp_path):
    for name in ("FASTNET_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")
    monkeypatch.setattr(Path, "home", home)


@pytest.mark.parametrize("trouble", [file_in_place_of_the_folder, disk_full_at_once, disk_full_while_writing,
                                     disk_full_at_the_end, no_home], ids=lambda trouble: trouble.__name__)
def test_a_folder_that_cannot_be_written_costs_one_warning(start, monkeypatch, tmp_path, capfd, trouble):
    trouble(monkeypatch, tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert start() > 0
        np.testing.assert_array_equal(load("cpu").activation_forward(X.astype(np.float64), "relu"), Y)
        np.testing.assert_array_equal(load("cpu").add(X, X), 2 * X)
    assert [str(warning.message).split(" (")[0] for warning in caught] == ["compiled kernels cannot be kept"]
    assert "set FASTNET_CACHE_DIR to a folder that can be written" in str(caught[0].message)
    assert capfd.readouterr().err.count(NOTICE) == 1
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".bin")]


def test_only_long_compiling_is_told(start, monkeypatch, capfd):
    assert start(patience=60.0) > 0
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(cache, "_PATIENCE", 0.2)
    notice = cache._Notice()
    for _ in range(3):      # the seconds add up, and those between compilations do not count
        notice.begin()
        time.sleep(0.05)
        notice.end()
    time.sleep(0.3)
    assert capfd.readouterr().err == ""
    notice.begin()
    time.sleep(0.5)
    assert NOTICE in capfd.readouterr().err
    notice.end()
    notice.begin()
    time.sleep(0.3)
    assert capfd.readouterr().err == ""


posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="users and modes of POSIX")


def writable_by_others(monkeypatch, path):
    path.chmod(0o757)


def sticky(monkeypatch, path):
    path.chmod(0o1777)


def of_another_user(monkeypatch, path):
    if os.getuid() == 0:
        os.chown(path, 12345, -1)   # root does not run what others have put there either
    else:
        monkeypatch.setattr(os, "getuid", lambda: 12345)


@posix
@pytest.mark.parametrize("doubtful", [writable_by_others, sticky, of_another_user])
def test_a_folder_that_others_may_fill_is_not_used(start, monkeypatch, tmp_path, doubtful):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cache._private.cache_clear()
    start()
    wanted = cache.folder()
    assert start() == 0
    doubtful(monkeypatch, wanted)
    with pytest.warns(RuntimeWarning, match="set FASTNET_CACHE_DIR to a folder of your own") as caught:
        assert start() > 0
    assert [str(wanted) in str(warning.message) for warning in caught] == [True]
    private = cache.folder()
    assert private.parent == tmp_path and private.stat().st_mode & 0o777 == 0o700
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert start() == 0     # it is found again
    cache._private.cache_clear()


@posix
def test_a_private_folder_that_somebody_else_has_made_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"fastnet-kernels-{os.getuid()}"
    for trap in (lambda: place.symlink_to(tmp_path), place.mkdir, place.mkdir):
        trap()
        if not place.is_symlink():
            place.chmod(0o777)
        cache._private.cache_clear()
        assert cache._private() != place
        place.unlink() if place.is_symlink() else place.rmdir()
    cache._private.cache_clear()


@posix
@pytest.mark.parametrize("umask, file, directory", [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0, 0o664, 0o775)])
def test_files_may_be_shared_as_the_umask_says(tmp_path, umask, file, directory):
    before = os.umask(umask)
    try:
        path = tmp_path / "base" / "version" / "entry.bin"
        cache._write(path, b"payload")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == file
    assert [folder.stat().st_mode & 0o777 for folder in path.parents[:2]] == [directory, directory]
    assert cache._read(path) == b"payload" and cache._doubt(tmp_path / "base") is None


def test_many_threads_write_one_entry(tmp_path):
    path, trouble = tmp_path / "base" / "version" / "entry.bin", []

    def write(number):
        try:
            for _ in range(20):
                cache._write(path, bytes([number]) * 100_000)
                assert len(set(cache._read(path))) == 1
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not trouble and [path.name for path in path.parent.iterdir()] == ["entry.bin"]


def test_where_the_folder_is(monkeypatch, tmp_path):
    monkeypatch.delenv("FASTNET_CACHE_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "fastnet" / "kernels"
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path / "mine"))
    assert cache.folder() == tmp_path / "mine"


def test_kernels_have_names_of_their_own():
    """An entry is found by the kernel's name; two kernels of one name would take each other's code."""
    ops = load("cpu")
    w = np.ones((40, 20, 3, 3), np.float32)
    for channels in (20, 2):  # Winograd and direct, wide and narrow panels
        for outputs in (40, 3):
            ops.conv2d_forward(np.ones((1, channels, 8, 8), np.float32), w[:outputs, :channels])
    bodies = {body for body, *_ in compiler._addresses if body.__module__.startswith("fastnet.")}  # not of tests
    assert len(bodies) > 4
    names = {(body.__module__, body.__qualname__, body.targetoptions.get("parallel", False)) for body in bodies}
    assert len(names) == len(bodies)


# The rest happens in processes of their own.

REPORT = """
import json, numpy as np
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, event): compiled.append(1)
    def on_end(self, event): pass
event.register("numba:compile", Listener())
from fastnet.kernels import load
results = {}
"""
SUM = REPORT + """
y = load("cpu").add(np.arange(3, dtype=np.float32), np.ones(3, np.float32))
print(json.dumps([len(compiled), y.tolist()]))
"""


def begin(script, folder, root=PACKAGE.parent):
    environment = {**os.environ, "FASTNET_CACHE_DIR": str(folder), "PYTHONPATH": str(root)}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=root, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return *json.loads(out), err


def test_two_processes_at_once(tmp_path):
    both = [finish(process) for process in [begin(SUM, tmp_path), begin(SUM, tmp_path)]]
    assert all(result == [1, 2, 3] for _, result, _ in both)
    compiled, result, notice = finish(begin(SUM, tmp_path))
    assert (compiled, result, notice) == (0, [1, 2, 3], "")
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".bin"}


@pytest.fixture
def copy(tmp_path):
    """A copy of the package that may be edited."""
    shutil.copytree(PACKAGE, tmp_path / "fastnet", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


VERSIONS = """
import json
from pathlib import Path
import fastnet
from fastnet.data import augment
from fastnet.kernels.cpu.runtime import cache
def version(path=augment.__file__):
    cache._version.cache_clear()
    return cache._version(path)
found = {"": version()}
kernels = Path(fastnet.__file__).parent / "kernels"
for path in [Path(augment.__file__), *kernels.glob("*.py"), *kernels.glob("cpu/**/*.py")]:
    before = path.read_bytes()
    path.write_bytes(before.replace(b"0", b"1", 1) if b"0" in before else before + b"#")
    found[path.name + "/" + path.parent.name] = version()
    path.write_bytes(before)
again = version()
print(json.dumps([found, again]))
"""


def test_every_kernel_source_is_part_of_the_key(copy):
    found, again, _ = finish(begin(VERSIONS, copy / "cache", root=copy))
    assert {"code.py/simd", "launches.py/runtime", "ops.py/conv", "counter.py/kernels", "augment.py/data"} <= set(found)
    assert len(set(found.values())) == len(found)
    assert again == found[""]


KERNEL = """
from fastnet.kernels.cpu.runtime import jit
from fastnet.kernels.cpu.callee import change
@jit
def kernel(block, slot, x):
    x[block] = change(x[block])
"""
CALLEE = """
from fastnet.kernels.cpu.runtime import jit
FACTOR = {}
@jit
def change(value):
    return FACTOR * value
"""
LAUNCH = REPORT + """
from fastnet.kernels.cpu.runtime import launch
from fastnet.kernels.cpu.caller import kernel
x = np.arange(3.0)
launch(kernel, 3, x, work=3)
print(json.dumps([len(compiled), x.tolist()]))
"""


def test_an_edited_callee_is_compiled_again(copy):
    """What Numba's own cache would not notice: the function that changed lies in another file than the kernel."""
    folder = copy / "fastnet" / "kernels" / "cpu"
    (folder / "caller.py").write_text(KERNEL)
    for factor, compiles in ((2, True), (2, False), (3, True)):
        (folder / "callee.py").write_text(CALLEE.format(factor))
        compiled, result, _ = finish(begin(LAUNCH, copy / "cache", root=copy))
        assert result == [0, factor, 2 * factor]
        assert bool(compiled) == compiles
