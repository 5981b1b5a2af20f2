"""The commands: warmup and info."""
import subprocess
import sys

import numpy as np
import pytest

from fastnet import BatchNorm2d, Concat, Conv2d, Parallel, ReLU, Sequential, __version__, kernels, models, warmup
from fastnet.__main__ import main


def test_each_kind_of_operation_is_run_once():
    net, shape = models.resnet20(), (8, 3, 32, 32)
    for training, count in ((False, 15), (True, 51)):
        tasks = {}
        warmup._collect(net, shape, training, tasks)
        nodes = [node for node in net.program(shape, training).after.nodes if node.op != "reshape"]
        assert {repr(warmup._task(node)) for node in nodes} == set(tasks) and len(tasks) == count < len(nodes)
        warmup._collect(net, shape, training, tasks)
        assert len(tasks) == count
        texts = [text for text, _ in tasks.values()]
        assert len(set(texts)) == len(texts)
        if not training:
            assert texts[1] == 'Conv2d "3.body.0" + BatchNorm2d "3.body.1" + ReLU "3.body.2": conv2d_inference'
            assert texts[-1] == 'Linear "23": linear_forward'
        for task in tasks.values():
            text, seconds = warmup._run(task)
            assert text == task[0] and seconds > 0


def test_operations_are_run_on_what_they_read_in_the_net(monkeypatch):
    """Lists and what other operations make included: shapes, dtypes and options are those of the net itself."""
    net, calls = Sequential(Parallel(Concat(), Conv2d(3, 4, 3), Conv2d(3, 2, 3)), BatchNorm2d(6), ReLU()), []
    cpu = kernels.load("cpu")

    def shaped(value):
        if isinstance(value, (list, tuple)):
            return [shaped(one) for one in value]
        return (value.shape, value.dtype) if hasattr(value, "shape") else str(type(value))

    def noting(name, operation):
        def call(*args, **kwargs):
            given = {key: shaped(kwargs[key]) for key in sorted(kwargs)}
            calls.append((name, repr(given)))
            return operation(*args, **kwargs)
        return call

    for name in ("concat", "batchnorm_inference", "conv2d_inference"):
        monkeypatch.setattr(cpu, name, noting(name, getattr(cpu, name)))
    net(np.zeros((2, 3, 6, 6), np.float32))
    expected, tasks = list(calls), {}
    calls.clear()
    warmup._collect(net, (2, 3, 6, 6), False, tasks)
    for task in tasks.values():
        warmup._run(task)
    assert len(calls) == 4 and sorted(calls) == sorted(expected)


def test_warmup_in_processes():
    command = [sys.executable, "-m", "fastnet", "warmup", "--model", "lenet5", "--batch-size", "4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *_, lenet, last = done.stdout.splitlines()
    assert lenet.endswith(" s  lenet5: what is left, a training step and inference")
    assert last.endswith(" s  in all, for 27 kinds of operations")


def test_info(capsys):
    assert main(["info"]) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert lines["fastnet"] == __version__ and {"Numba", "NumPy", "threads", "processor"} <= lines.keys()


@pytest.mark.parametrize("arguments, message", [
    (["warmup", "--model", "lenet6"], "argument --model: invalid choice: 'lenet6'"),
    (["warmup", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
    (["warmup", "--processes", "-1"], "--processes must be at least 1, got -1"),
])
def test_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_unknown_model():
    with pytest.raises(ValueError, match="^warmup: the name of a model must be .*, such as lenet5.*, got 'lenet6'$"):
        warmup.warmup(["lenet6"])


def test_bad_arguments():
    for given, error, text in [
        ({"names": "lenet5"}, TypeError, "names must be a list of models' names, got 'lenet5'"),
        ({"names": None}, TypeError, "names must be a list"),
        ({"names": [3]}, TypeError, "the name of a model must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer"),
        ({"processes": 1.5}, TypeError, "processes must be an integer"),
        ({"report": None}, TypeError, "report must be a function"),
    ]:
        with pytest.raises(error, match=f"^warmup: {text}"):
            warmup.warmup(**{"names": ["lenet5"], "report": print} | given)
