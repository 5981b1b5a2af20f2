"""What an argument may be, and the words that say so."""
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fastnet import arguments


def refused(kind, text, function, *args, **kwargs):
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    assert str(caught.value) == text


def test_integers():
    for value in (3, np.int64(3), np.uint8(3)):
        result = arguments.integer(value, "epochs", 1)
        assert result == 3 and type(result) is int
    for value in (True, np.True_, 3.0, np.float64(3), "3", None, [3], np.array([3]), np.array(3), int):
        with pytest.raises(TypeError, match="^epochs must be an integer of at least 1, got "):
            arguments.integer(value, "epochs", 1)
    refused(ValueError, "epochs must be an integer of at least 1, got 0", arguments.integer, 0, "epochs", 1)
    refused(ValueError, "k must be an integer of at least 1 and at most 4, got 5", arguments.integer, 5, "k", 1, 4)
    refused(TypeError, "seed must be an integer, got None", arguments.integer, None, "seed")


def test_numbers():
    for value in (1, 1.0, np.float32(1), np.int8(1), Fraction(1)):
        result = arguments.number(value, "lr", above=0)
        assert result == 1 and type(result) is float
    for value in (True, "1", None, 1j, [1.0], np.array(1.0), float):
        with pytest.raises(TypeError, match="^lr must be a finite number above 0, got "):
            arguments.number(value, "lr", above=0)
    for value in (0, -1, float("nan"), float("inf"), 10**400):
        with pytest.raises(ValueError, match="^lr must be a finite number above 0, got "):
            arguments.number(value, "lr", above=0)
    refused(ValueError, "p must be a finite number of at least 0 and below 1, got 1.0", arguments.number, 1.0, "p",
            least=0, below=1)
    assert arguments.number(0.5, "p", least=0, most=0.5) == 0.5


def test_flags_and_choices():
    assert arguments.flag(np.True_, "bias") is True
    refused(TypeError, "bias must be True or False, got 1", arguments.flag, 1, "bias")
    assert arguments.choice("sum", ("mean", "sum"), "reduction") == "sum"
    refused(ValueError, "reduction must be 'mean' or 'sum', got 'all'", arguments.choice, "all", ("mean", "sum"),
            "reduction")
    for value in (None, 3, ["sum"], np.array(["mean", "sum"]), np.zeros(3)):
        with pytest.raises(TypeError, match="^reduction must be 'mean' or 'sum', got "):
            arguments.choice(value, ("mean", "sum"), "reduction")


def test_objects():
    path = Path("x")
    assert arguments.instance(path, Path, "where", "a path") is path
    refused(TypeError, "where must be a path, got the class Path: make an object of it, Path(...)",
            arguments.instance, Path, Path, "where", "a path")
    refused(TypeError, "where must be a path, got None", arguments.instance, None, Path, "where", "a path")
    with pytest.raises(TypeError, match="give where itself, without the brackets"):
        arguments.instance([path], Path, "where", "a path")
    assert arguments.function(len, "schedule") is len
    refused(TypeError, "schedule must be a function, got 3", arguments.function, 3, "schedule")
    refused(TypeError, "schedule must be a function, got the class Path: make an object of it, Path(...)",
            arguments.function, Path, "schedule")


def test_paths():
    assert arguments.path(Path("a") / "b") == str(Path("a") / "b")
    assert arguments.path(b"a") == "a"
    for value in (None, 3, ["a"], np.zeros(2)):
        with pytest.raises(TypeError, match="^path must be a path"):
            arguments.path(value)
    for value in ("", "a\0b"):
        with pytest.raises(ValueError, match="^path must be the name of a file"):
            arguments.path(value)


def test_arrays():
    x = np.ones((2, 3), np.float16)
    assert arguments.array(x, "x") is x
    assert arguments.array(np.float32(1), "x").shape == ()
    with pytest.raises(TypeError, match="its mask would be lost"):
        arguments.array(np.ma.masked_array(x, x > 0), "x")
    with pytest.raises(TypeError, match=r"x must be a NumPy array, got .*: make one with np.asarray\(x\)"):
        arguments.array([[1.0]], "x")
    for value in (np.array(["a"]), np.array([None]), np.array([1j]), np.array([np.datetime64("2000-01-01")])):
        with pytest.raises(TypeError, match="x must hold real numbers, got an array of dtype "):
            arguments.array(value, "x")


def test_tensors_of_pytorch_are_seen_as_arrays():
    torch = pytest.importorskip("torch")
    x = torch.ones(2, 3, requires_grad=True)
    assert np.shares_memory(arguments.array(x, "x"), x.detach().numpy())
    with pytest.raises(TypeError, match=r"give x.float\(\)"):
        arguments.array(torch.ones(2, dtype=torch.bfloat16), "x")
    with pytest.raises(TypeError, match=r"give x.cpu\(\)"):
        arguments.array(torch.ones(2, device="meta"), "x")


def test_what_came_is_shown_in_few_words():
    class Loud:
        def __repr__(self):
            raise RuntimeError

    assert arguments.shown(np.zeros((3, 4))) == "an array of shape (3, 4) and dtype float64"
    assert arguments.shown(list(range(1000))) == "a list of 1000 elements"
    assert arguments.shown("x" * 1000) == "an object of class str"
    assert arguments.shown(Loud()) == "an object of class Loud"
    assert arguments.shown(-0.5) == "-0.5"
