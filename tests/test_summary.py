"""The table of a net."""
import pytest

from fastnet import Add, Conv2d, Flatten, Graph, Linear, Parallel, ReLU, Residual, Sequential, Summary, summary

from .layers.test_base import Block

TABLE = """\
input shape (2, 3, 8, 8)
name      layer                                    output shape  parameters  multiply-adds
--------  ---------------------------------------  ------------  ----------  -------------
0         Conv2d(3, 4, kernel_size=3, padding=1)   (2, 4, 8, 8)         112         13,824
1.body.0  Conv2d(4, 4, kernel_size=1, bias=False)  (2, 4, 8, 8)          16          2,048
1.body.1  ReLU()                                   (2, 4, 8, 8)           0              0
2         Flatten()                                (2, 256)               0              0
3         Linear(256, 10)                          (2, 10)            2,570          5,120
--------  ---------------------------------------  ------------  ----------  -------------
total                                              (2, 10)            2,698         20,992"""


def test_table():
    net = Sequential(Conv2d(3, 4, 3, padding=1), Residual(Sequential(Conv2d(4, 4, 1, bias=False), ReLU())), Flatten(),
                     Linear(256, 10))
    table = summary(net, (2, 3, 8, 8))
    assert isinstance(table, Summary) and str(table) == repr(table) == TABLE
    assert table.parameters == 2698 and table.multiply_adds == net.multiply_adds((2, 3, 8, 8)) == 20992


def test_branches():
    net = Sequential(Parallel(Add(), Linear(3, 3), Linear(3, 3)),
                     Graph({"a": (Linear(3, 2), "input"), "b": (Linear(3, 2), "input"), "c": (Add(), ["a", "b"])}))
    table = summary(net, (5, 3))
    assert [row[0] for row in table.rows] == ["0.0", "0.1", "0.merge", "1.a", "1.b", "1.c"]
    assert table.output_shape == (5, 2) and table.multiply_adds == 5 * (9 + 9 + 6 + 6)


def test_users_layers_are_one_row():
    table = summary(Sequential(Block(), ReLU()), (4, 3))
    assert [(row[0], row[2], row[3]) for row in table.rows] == [("0", (4, 2), 21), ("1", (4, 2), 0)]


def test_wrong_shape():
    with pytest.raises(ValueError, match=r'Linear "0": expected 3 input features, got x of shape \(1, 4\)'):
        summary(Sequential(Linear(3, 2)), (1, 4))
