"""The tables of a net."""
import pytest

from fastnet import (
    Add,
    BatchNorm2d,
    Conv2d,
    Explanation,
    Flatten,
    Graph,
    Linear,
    MaxPool2d,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Summary,
    bfloat16_products,
    exact,
    explain,
    init,
    models,
    summary,
)
from fastnet.kernels.cpu import simd

from .layers.test_base import Block

TABLE = """\
input shape (2, 3, 8, 8)
name      layer                        output shape  parameters  multiply-adds  memory  sees
--------  ---------------------------  ------------  ----------  -------------  ------  ----
0         Conv2d(3, 4, 3, padding=1)   (2, 4, 8, 8)         112         13,824  2.0 kB     3
1.body.0  Conv2d(4, 4, 1, bias=False)  (2, 4, 8, 8)          16          2,048  2.0 kB     3
1.body.1  ReLU()                       (2, 4, 8, 8)           0              0  2.0 kB     3
2         Flatten()                    (2, 256)               0              0  2.0 kB   all
3         Linear(256, 10)              (2, 10)            2,570          5,120    80 B   all
--------  ---------------------------  ------------  ----------  -------------  ------  ----
total                                  (2, 10)            2,698         20,992  8.3 kB
activations: inference needs 6.1 kB at a time, training keeps 7.7 kB for backward"""


def test_table():
    net = Sequential(Conv2d(3, 4, 3, padding=1), Residual(Sequential(Conv2d(4, 4, 1, bias=False), ReLU())), Flatten(),
                     Linear(256, 10))
    table = summary(net, (2, 3, 8, 8))
    assert isinstance(table, Summary) and str(table) == repr(table) == TABLE
    assert table.inference_memory == 4 * (2 * 4 * 64 + 2 * 4 * 64 + 2 * 4 * 64)    # a convolution's x and y, the input
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
    assert explain(Sequential(Block(), ReLU()), (4, 3)).rows == [
        ('Block "0"', (4, 2), ["its own forward, called with arrays"]), ('ReLU "1"', (4, 2), [])]


def test_wrong_shape():
    with pytest.raises(ValueError, match=r'Linear "0": expected 3 input features, got x of shape \(1, 4\)'):
        summary(Sequential(Linear(3, 2)), (1, 4))


STEPS = """\
input shape (8, 3, 8, 8), float32, backend 'cpu'
step                                              output shape   computed by
Conv2d "0" + BatchNorm2d "1" + ReLU "2"           (8, 16, 8, 8)  direct: fewer than 8 channels
Conv2d "3.body" + Add in Residual "3" + ReLU "4"  (8, 16, 8, 8)  Winograd F(4x4, 3x3): 4.0 times fewer multiplications
Conv2d "5" + ReLU "6" + MaxPool2d "7"             (8, 16, 3, 3)  Winograd F(4x4, 3x3): 3.1 times fewer multiplications
{input} Winograd F(4x4, 3x3): 4.0 times fewer multiplications
Flatten "8"                                       (8, 144)
Linear "9"                                        (8, 2)""".replace("{input}", 65 * " " + "input gradient:")


def test_explanation():
    net = Sequential(Conv2d(3, 16, 3, padding=1), BatchNorm2d(16), ReLU(), Residual(Conv2d(16, 16, 3, padding=1)),
                     ReLU(), Conv2d(16, 16, 3, padding=(1, 0, 1, 0)), ReLU(), MaxPool2d(2), Flatten(), Linear(144, 2))
    table = explain(net, (8, 3, 8, 8))
    assert isinstance(table, Explanation) and str(table) == repr(table)
    lines = str(table).splitlines()
    assert set(lines.pop(2)) == {"-", " "}
    assert lines[:8] == STEPS.splitlines()
    assert lines[8] == lines[10] == "" and lines[9].startswith("Layers with a + between them are one operation.")
    assert "relative to the largest number in a tile" in lines[11] and "exact()" in lines[13]
    assert table.rows[1][:2] == ('Conv2d "3.body" + Add in Residual "3" + ReLU "4"', (8, 16, 8, 8))
    assert all(row[2] == [] for row in table.rows if "Conv2d" not in row[0])
    with exact():
        assert explain(net, (8, 3, 8, 8)).rows[1][2] == ["direct: exact() is on"]
        assert "tile" not in str(explain(net, (8, 3, 8, 8)))
    with bfloat16_products():
        assert explain(net, (8, 3, 8, 8)).rows[1][2] == [
            "direct of bfloat16 (AMX): the processor multiplies whole matrices of bfloat16 numbers" if simd.AMX else
            "Winograd F(4x4, 3x3) of bfloat16: 4.0 times fewer multiplications"]
    assert explain(net, (8, 3, 8, 8), "float64").rows[1][2] == ["direct: float64 numbers"]
    naive = explain(net.to("naive"), (8, 3, 8, 8))
    assert [row[0] for row in naive.rows[:5]] == [
        'Conv2d "0"', 'BatchNorm2d "1"', 'ReLU "2"', 'Conv2d "3.body"', 'Add in Residual "3"']     # as written
    assert naive.rows[3][2] == ["matrix product for each kernel offset: plain NumPy"]
    assert naive.rows[8][:2] == ('MaxPool2d "7"', (8, 16, 3, 3))
    with pytest.raises(ValueError, match='^Conv2d "0": expected 3 input channels'):
        explain(net, (8, 4, 8, 8))


def test_explanation_of_branches():
    """Each operation once, in the order in which it is computed, the sum within the last convolution it can be in."""
    table = explain(Parallel(Add(), Conv2d(2, 2, 1), Sequential(Conv2d(2, 2, 1), ReLU())), (1, 2, 3, 3))
    assert [row[:2] for row in table.rows] == [
        ('Conv2d "1.0" + ReLU "1.1"', (1, 2, 3, 3)), ('Conv2d "0" + Add "merge"', (1, 2, 3, 3))]


def test_several_inputs_and_outputs():
    net = Graph({"a": (Linear(3, 2), "one"), "b": (Linear(4, 2), "two"), "c": (Add(), ["a", "b"])},
                inputs=("one", "two"), outputs=("a", "c"))
    shapes = {"one": (5, 3), "two": (5, 4)}
    table = summary(net, shapes)
    assert [row[0] for row in table.rows] == ["a", "b", "c"] and table.output_shape == {"a": (5, 2), "c": (5, 2)}
    assert table.parameters == 18 and table.multiply_adds == net.multiply_adds(shapes) == 70
    assert [row[:2] for row in explain(net, shapes).rows] == [
        ('Linear "a"', (5, 2)), ('Linear "b"', (5, 2)), ('Add "c"', (5, 2))]
    assert str(shapes) in str(table) and str(shapes) in str(explain(net, shapes))


@pytest.mark.parametrize("name", ["resnet18", "class_and_box", "googlenet", "char_rnn", "unet"])
def test_a_table_fits_into_a_terminal(name):
    with init.skip():
        net = getattr(models, name)()
    lines = str(summary(net, (1, *getattr(models, name).input_shape))).splitlines()
    assert max(map(len, lines)) <= 100 and len(set(map(len, lines[1:3]))) == 1
    if name == "class_and_box":
        assert any(line.startswith("...layer4.0.downsample.1  BatchNorm...  (1, 512, 7, 7)") for line in lines)
        assert lines[-2].startswith("total ") and "  (1, 1000), (1, 4)  " in lines[-2]


def test_bytes_in_few_digits():
    table = summary(Sequential(Linear(3, 2)), (1, 3))
    for count, text in ((8, "8 B"), (999, "999 B"), (1000, "1.0 kB"), (3_211_264, "3.2 MB"), (5 * 10**12, "5000.0 GB")):
        assert f"inference needs {text} at a time" in str(Summary(table.rows, (1, 3), (1, 2), count, 0))
