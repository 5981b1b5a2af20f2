"""What an argument may be, and the words that say so."""
import io
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
    x = torch.ones(2, 3)
    assert np.shares_memory(arguments.array(x, "x"), x.numpy())
    with pytest.raises(TypeError, match=r"give x.detach\(\)"):
        arguments.array(x.requires_grad_(), "x")
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


def test_objects_that_have_methods():
    file = io.StringIO()
    assert arguments.having(file, ("write",), "file", "a stream") is file
    refused(TypeError, "file must be a stream, got the class StringIO: make an object of it, StringIO(...)",
            arguments.having, io.StringIO, ("write",), "file", "a stream")
    refused(TypeError, "file must be a stream, got 3, which has no write", arguments.having, 3, ("write",), "file",
            "a stream")


def test_lists_dictionaries_and_strings():
    assert arguments.listed(iter((1, 2)), "params", "numbers") == [1, 2] and arguments.listed((), "params", "x") == []
    for value in ("ab", b"ab", {}, np.zeros(2), 3, None, list):
        with pytest.raises(TypeError, match="^params must be a list of numbers, got "):
            arguments.listed(value, "params", "numbers")
    given = {"a": 1}
    assert arguments.mapping(given, "state", "a state") == given is not arguments.mapping(given, "state", "a state")
    for value in ([("a", 1)], None, {3: 1}):
        with pytest.raises(TypeError, match="^state must be a state, "):
            arguments.mapping(value, "state", "a state")
    assert arguments.text("a", "source") == "a"
    refused(TypeError, "source must be a string, got b'a'", arguments.text, b"a", "source")


def test_numbers_and_lists_become_arrays():
    for value, shape in ((1.5, ()), ([1, 2], (2,)), (((1, 2), (3, 4)), (2, 2)), (np.zeros(3), (3,)), ([], (0,))):
        assert arguments.values(value, "mean").shape == shape
    for value in ([[1], [2, 3]], [1, None], True, "1", ["1"], np.ma.zeros(2), [1j]):
        with pytest.raises(TypeError, match="^mean (must|is)"):
            arguments.values(value, "mean")


def test_labels():
    for value in ([0, 2, 1], (0, 2, 1), np.array([0, 2, 1], np.uint8), np.array([0, 2, 1], ">i4")):
        result = arguments.labels(value, "labels", 3, 3)
        assert result.dtype == np.int64 and result.tolist() == [0, 2, 1]
    same = np.array([0, 2, 1])
    assert arguments.labels(same, "labels") is same
    for value, text in [
        (np.array([0, 3]), "CE: labels must be class numbers from 0 to 2, got 3 at position 1"),
        (np.array([-1, 3]), "CE: labels must be class numbers from 0 to 2, got -1 at position 0"),
        (np.array([2**63], np.uint64), "CE: labels must be class numbers from 0 to 2, got 9223372036854775808 at "
                                       "position 0"),
    ]:
        refused(ValueError, text, arguments.labels, value, "CE: labels", classes=3)
    refused(ValueError, "labels must be 3 class numbers, one for each sample, got an array of shape (2,) and dtype "
            "int64", arguments.labels, np.array([0, 1]), "labels", 3)
    for value, kind, remedy in [
        (np.eye(3), TypeError, r"give labels.argmax\(axis=1\)"),
        (np.eye(3, dtype=int), ValueError, r"give labels.argmax\(axis=1\)"),
        (np.zeros((3, 1), int), ValueError, r"give labels.ravel\(\)"),
        (np.array(["a"]), TypeError, r"number the classes, np.unique\(labels, return_inverse=True\)\[1\]"),
        (np.zeros(3), TypeError, r"give labels.astype\('int64'\)"),
        (np.zeros(3, bool), TypeError, r"give labels.astype\('int64'\)"),
    ]:
        with pytest.raises(kind, match=f"^CE: labels must be integers, one class number for each .*: .*{remedy}"):
            arguments.labels(value, "CE: labels")
    for value in (None, 3, [[0], [1, 2]], [None], [2**70], np.ma.zeros(3, int)):
        with pytest.raises(TypeError, match="^labels (must be an array of class|must be a NumPy array|is a mask)"):
            arguments.labels(value, "labels")
