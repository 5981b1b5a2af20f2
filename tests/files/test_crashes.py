"""Whatever happens while a file is written, the one before is there, and is whole."""
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnet
from fastnet.files import checkpoints

from . import killed

FOLDER = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_writer_is_killed_at_any_moment(tmp_path, count):
    run = subprocess.run([sys.executable, "-m", killed.__name__, tmp_path / "states", str(count), str(count)],
                         capture_output=True, text=True, cwd=FOLDER)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > count // 2


class Failing:
    """Lets the system's calls work `count` times, and fail once after that: a full disk, or a broken one."""

    def __init__(self, monkeypatch, count, number):
        self.left, self.number, self.failed = count, number, False
        for name in ("open", "dup", "fsync", "chmod", "replace"):
            monkeypatch.setattr(os, name, self.counted(getattr(os, name)))
        fdopen = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda *args: File(fdopen(*args), self))

    def counted(self, function):
        def call(*args, **kwargs):
            self.count()
            return function(*args, **kwargs)
        return call

    def count(self):
        self.left -= 1
        if self.left == -1:
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))


class File:
    """A file of which the write that fails has written half."""

    def __init__(self, file, failing):
        self.file, self.failing = file, failing

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        try:
            self.failing.count()
        except OSError:
            self.file.write(bytes(data)[:len(data) // 2])
            raise
        return self.file.write(data)

    def flush(self):
        self.failing.count()
        self.file.flush()


def states(folder, number):
    fastnet.Checkpoints(folder, keep=1).save({"number": number, "x": np.full(1000, number)}, number, best=number == 1)


def weights(folder, number, suffix=".npz", write=fastnet.save_weights):
    net = fastnet.Linear(2, 3)
    net.weight.value = np.full((3, 2), number, np.float32)
    write(net, folder / f"net{suffix}")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("write", [
    states, weights, lambda folder, number: weights(folder, number, ".safetensors"),
    lambda folder, number: weights(folder, number, ".safetensors", fastnet.save_model)],
    ids=["checkpoints", "npz", "safetensors", "model"])
def test_any_call_of_the_system_may_fail(tmp_path, monkeypatch, write, number):
    """The nth one, for every n: nothing is changed, and nothing is left behind."""
    write(tmp_path, 1)
    before, count = content(tmp_path), 0
    while True:
        with monkeypatch.context() as patch:
            failing = Failing(patch, count, number)
            try:
                write(tmp_path, 2)
                break   # none failed, or one that only makes a renaming outlast a power cut
            except OSError as error:
                assert error.errno == number and failing.failed
        assert content(tmp_path) == before, count
        count += 1
    assert count >= 5 and content(tmp_path) != before and len(os.listdir(tmp_path)) == (2 if write is states else 1)


def test_what_is_left_of_a_half_written_one_does_not_count(tmp_path):
    """As a system that stops leaves it: a temporary file, and a checkpoint whose end never reached the disk."""
    folder = fastnet.Checkpoints(tmp_path)
    whole = folder.save({"step": 1}, 1)
    (tmp_path / f".fastnet-{'a' * 16}.tmp").write_bytes(b"half")
    os.utime(tmp_path / f".fastnet-{'a' * 16}.tmp", (0, 0))
    torn = folder.save({"step": 2, "x": np.ones(1000)}, 2)
    assert sorted(os.listdir(tmp_path)) == [os.path.basename(whole), os.path.basename(torn)]
    for keep in (0, 100, 4096):
        os.truncate(torn, keep)
        with pytest.raises(fastnet.CheckpointError):
            checkpoints.read(torn)
        with pytest.warns(UserWarning, match="a checkpoint is passed over"):
            assert folder.latest() == ({"step": 1}, whole)
