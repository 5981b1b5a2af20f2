"""Files: whole or not there at all, whoever writes them, where, and under which name."""
import ast
import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet import training, writing
from fastnet.data import download
from fastnet.files import checkpoints

from .training import small

LOCK = threading.Lock()
PACKAGE = Path(fastnet.__file__).parent


def save_weights(path):
    fastnet.save_weights(small.net(), path)


def save_best(path):
    fit(training.SaveBest(path, "loss"))


def json_lines(path):
    fit(training.JsonLines(path))


def csv_lines(path):
    fit(training.CsvLines(path))


def fit(callback):
    model = fastnet.Linear(1, 2)
    small.trainer(model, [callback]).fit([(np.ones((1, 1), np.float32), np.zeros(1, int))], 1)


def checkpoint(path):
    checkpoints.write(path, {"x": np.arange(3)})


def model(path):
    fastnet.save_model(small.net(), path)


def downloaded(path):
    """Through the real function, from a file: where a path may be written to is not its business."""
    source = Path(os.path.realpath(os.path.dirname(os.fsdecode(path)))).with_name("source")
    source.mkdir(exist_ok=True)
    name = os.path.basename(os.fsdecode(path))
    with LOCK:
        if not (source / name).exists():
            (source / name).write_bytes(b"content")
    download.download(name, hashlib.sha256(b"content").hexdigest(), [source.as_uri()],
                      os.path.dirname(os.fsdecode(path)), progress=False)


LINES = ["training/callbacks/logs.py:_Lines.rewrite", "training/callbacks/logs.py:_Lines.on_epoch_end"]
# Each writer, and the functions of the package in which it calls `writing`; those that only clean a folder.
WRITERS = {
    save_weights: ["training/weights.py:save_state"],
    save_best: ["training/weights.py:save_state", "training/callbacks/best.py:SaveBest.on_train_begin"],
    json_lines: LINES,
    csv_lines: LINES,
    downloaded: ["data/download.py:download"],
    checkpoint: ["files/checkpoints.py:write"],
    model: ["files/models.py:save_model"],
}
CLEANERS = {"files/checkpoints.py:Checkpoints.save"}
PICTURES = {f"training/callbacks/logs.py:SaveCurves.{hook}" for hook in ("on_train_begin", "on_epoch_end")}
# What else can write a file, and where it may be called: kernels keep a cache of their own.
OTHER = {"open", "replace", "rename", "write_bytes", "write_text", "mkstemp", "NamedTemporaryFile", "savez", "save",
         "savetxt", "tofile", "dump", "memmap", "touch"}
ALLOWED = {"writing.py", "files/arrays.py:write"}


def calls(path):
    """(function, call) for each call in a module."""
    def walk(node, inside):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            inside = f"{inside}.{node.name}" if inside else node.name
        if isinstance(node, ast.Call):
            yield inside, node
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)
    return walk(ast.parse(path.read_text(encoding="utf-8")), "")


def test_every_file_is_written_by_one_function():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).as_posix()
        if module.startswith("kernels/"):
            continue
        for function, call in calls(path):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            owner = getattr(getattr(call.func, "value", None), "id", "")
            place = f"{module}:{function}"
            if owner == "writing":
                found.add(place)
            elif name in OTHER and not harmless(name, owner, call):
                assert module in ALLOWED or place in ALLOWED, f"{place} calls {name}; see fastnet/writing.py"
    assert found == {place for places in WRITERS.values() for place in places} | CLEANERS | PICTURES


def harmless(name, owner, call):
    """Whether a call of such a name writes no file: it opens one to read, or replaces a part of a string."""
    if name == "open":
        modes = [getattr(argument, "value", "") for argument in call.args[1:2]]
        return modes == ["rb"] or not modes and owner in ("tarfile", "archive", "Image")
    if name in ("save", "savez"):
        return owner != "np"
    return name == "replace" and owner not in ("os", "Path", "shutil")


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    return inside


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kind", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
def test_paths_of_every_kind(folder, write, kind):
    write(kind(str(folder / "fïle")))
    assert files(folder) == ["fïle"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_gets_the_permissions_of_the_umask(folder, write, umask):
    before = os.umask(umask)
    try:
        write(folder / "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "new").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("write", WRITERS)
def test_an_old_file_keeps_its_permissions(folder, write):
    (folder / "old").write_text("before")
    (folder / "old").chmod(0o640)
    write(folder / "old")
    assert stat.S_IMODE((folder / "old").stat().st_mode) == 0o640 and b"before" not in (folder / "old").read_bytes()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("exists", [False, True])
def test_symbolic_links_are_followed(folder, tmp_path, write, exists):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target"
    if exists:
        target.write_text("before")
    (folder / "link").symlink_to(target)
    write(folder / "link")
    assert (folder / "link").is_symlink() and target.stat().st_size and not target.is_symlink()
    assert files(target.parent) == ["target"] and files(folder) == ["link"]


@pytest.mark.parametrize("write", WRITERS)
def test_where_no_file_can_be_an_error_says_so(folder, write):
    (folder / "file").write_text("")
    with pytest.raises(OSError) as caught:
        write(folder)
    assert "is a folder; give the name of a file" in str(caught.value)
    if write is not downloaded:     # which makes its folder
        with pytest.raises(FileNotFoundError, match=f"{folder / 'none'} is no folder; make it first, for "):
            write(folder / "none" / "file")
        with pytest.raises(NotADirectoryError, match=f"{folder / 'file'} is no folder"):
            write(folder / "file" / "file")
    assert files(folder) == ["file"]


@pytest.mark.parametrize("write", [save_weights, save_best, json_lines, checkpoint, model])
def test_what_is_no_file_is_written_to_as_it_stands(write):
    write("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_leaves_what_was_there(folder, write, monkeypatch):
    write(folder / "file")
    before = (folder / "file").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write(folder / "file")
    assert (folder / "file").read_bytes() == before and files(folder) == ["file"]


def test_a_line_that_cannot_be_written_whole_is_not_there(folder, monkeypatch):
    path = folder / "log"
    writing.append(path, b"one\n")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        writing.append(path, b"two\n")
    assert path.read_bytes() == b"one\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
@pytest.mark.parametrize("write", WRITERS)
def test_write_protected_files_are_left_alone(folder, write):
    (folder / "old").write_text("before")
    (folder / "old").chmod(0o440)
    with pytest.raises(OSError, match="is write-protected"):
        write(folder / "old")
    assert (folder / "old").read_text() == "before"


@pytest.mark.parametrize("write", WRITERS)
def test_many_threads_write_to_one_path(folder, write):
    errors = []

    def work():
        for _ in range(8):
            try:
                write(folder / "file")
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and files(folder) == ["file"]


def test_many_processes_save_to_one_path(folder):
    code = ("import sys, numpy as np, fastnet\nnet = fastnet.Linear(300, 300)\n"
            "for _ in range(20): fastnet.save_weights(net, sys.argv[1])")
    path = folder / "weights.npz"
    runs = [subprocess.Popen([sys.executable, "-c", code, path], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(run.wait(), run.stderr.read()) for run in runs] == [(0, "")] * 2
    for run in runs:
        run.stderr.close()
    fastnet.load_weights(fastnet.Linear(300, 300), path)
    assert files(folder) == ["weights.npz"]


def test_what_is_written_reaches_the_disk_before_the_name(folder, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("replace"), replace(*names)))
    with writing.whole(folder / "file") as file:
        file.write(b"content")
    assert order == ["fsync", "replace", "fsync"]   # the file's, then the folder's


def test_a_block_that_raises_leaves_nothing(folder):
    with pytest.raises(KeyboardInterrupt), writing.whole(folder / "file") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert files(folder) == []


def test_what_killed_writers_left_is_cleaned_and_nothing_else(folder):
    """What is being written stays, however long it takes."""
    left, young, other = (folder / f".fastnet-{name}.tmp" for name in ("0" * 16, "1" * 16, "notes"))
    for path in (left, young, other):
        path.write_bytes(b"half")
    for path in (left, other):
        os.utime(path, (0, 0))
    with writing.whole(folder / "file") as file:
        written, = set(folder.iterdir()) - {left, young, other}
        os.utime(written, (0, 0))
        writing.clean(folder)
        assert set(folder.iterdir()) == {written, young, other}
        file.write(b"content")
    assert files(folder) == sorted([young.name, other.name, "file"])
    writing.clean(folder / "none")


def test_the_log_is_whole_lines(folder):
    model = fastnet.Linear(1, 2)
    small.trainer(model, [training.JsonLines(folder / "log")]).fit([(np.ones((1, 1), np.float32), np.zeros(1, int))], 3)
    assert [json.loads(line)["epoch"] for line in (folder / "log").read_text().splitlines()] == [1, 2, 3]


# Names of parameters

class Named:
    """As much of a net as files need."""

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return dict(self.state)

    def load_state_dict(self, state):
        assert state.keys() == self.state.keys()
        self.state = state


@pytest.mark.parametrize("name", ["file", "allow_pickle", "args", "kwds", "self", "a.npy", "npy", "", "a/b", "../up",
                                  "ä", "0.weight", "with space", "arr_0"])
def test_any_name_survives(folder, name):
    state = {name: np.arange(6.0).reshape(2, 3).T, f"{name}.npy": np.array(3), "last": np.zeros((0, 2), np.int8)}
    fastnet.save_weights(Named(state), folder / "weights")
    net = Named(dict.fromkeys(state))
    fastnet.load_weights(net, folder / "weights")
    for key, value in state.items():
        np.testing.assert_array_equal(net.state[key], value)
        assert net.state[key].dtype == value.dtype
    if "npy" not in name and name != "a/b":
        with np.load(folder / "weights", allow_pickle=False) as file:
            np.testing.assert_array_equal(file[name], state[name])


@pytest.mark.parametrize("name", ["a\0b", "\ud800", 3])
def test_names_that_no_file_can_hold_are_refused(folder, name):
    with pytest.raises(ValueError, match="^save_weights: net has a parameter whose name no file can hold"):
        fastnet.save_weights(Named({name: np.zeros(2)}), folder / "weights")
    assert files(folder) == []


@pytest.mark.parametrize("path", [None, 3, [], b""])
def test_paths_that_are_none(path):
    for function, name in ((fastnet.save_weights, "save_weights"), (fastnet.load_weights, "load_weights")):
        with pytest.raises((TypeError, ValueError), match=f"^{name}: path must be "):
            function(small.net(), path)
    with pytest.raises(TypeError, match="^save_weights: net must be a layer, got the class Linear: make an object"):
        fastnet.save_weights(fastnet.Linear, "x")
