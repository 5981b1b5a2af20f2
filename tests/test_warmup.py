"""The commands: warmup and info."""
import subprocess
import sys

import pytest

from fastnet import __version__, models, warmup
from fastnet.__main__ import main


def test_each_kind_of_layer_is_run_once():
    tasks = {}
    net = models.resnet20()
    warmup._collect(net, (8, 3, 32, 32), True, tasks)
    texts = [task[0] for task in tasks.values()]
    assert len(set(texts)) == len(texts) == 14
    assert texts[2] == "Conv2d(16, 16, kernel_size=3, padding=1, bias=False) + BatchNorm2d(16), x (8, 16, 32, 32)"
    assert texts[-1] == "Linear(64, 10), x (8, 64)"
    for task in tasks.values():
        text, seconds = warmup._run(task)
        assert text == task[0] and seconds > 0


def test_warmup_in_processes():
    command = [sys.executable, "-m", "fastnet", "warmup", "--model", "lenet5", "--batch-size", "4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, lenet, last = done.stdout.splitlines()
    assert lenet.endswith(" s  lenet5: what is left, a training step and inference")
    assert last.endswith(" s  in all, for 12 kinds of layers")


def test_info(capsys):
    assert main(["info"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert lines["fastnet"] == __version__ and {"Numba", "NumPy", "threads", "processor"} <= lines.keys()


@pytest.mark.parametrize("arguments, message", [
    ([], "arguments are required: command"),
    (["warmup", "--model", "lenet6"], "argument --model: invalid choice: 'lenet6'"),
    (["warmup", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
    (["warmup", "--processes", "-1"], "--processes must be at least 1, got -1"),
])
def test_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_unknown_model():
    with pytest.raises(ValueError, match="^unknown model 'lenet6': choose from lenet5, "):
        warmup.warmup(["lenet6"])
