"""What is read from the list of operations: the list itself, sizes, algorithms, the order of gradients, a walk."""
import re

import numpy as np
import pytest

import fastnet
from fastnet import explain, models, summary
from fastnet.kernels.cpu import simd
from fastnet.layers import (
    Add,
    BatchNorm2d,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Graph,
    Linear,
    LocallyConnected2d,
    MaxPool2d,
    Parallel,
    Recompute,
    ReLU,
    Residual,
    Sequential,
)
from fastnet.program.tables import final_gradients, multiply_adds, text

from .nets import Own, Scaled, check_same, images, step

SHAPE = (2, 3, 8, 8)


def small_net():
    fastnet.manual_seed(0)
    return Sequential(Conv2d(3, 4, 3, padding=1), BatchNorm2d(4), ReLU(), MaxPool2d(2), Flatten(), Linear(64, 5))


def test_a_listing_prints_both_lists():
    listing = small_net().program(SHAPE)
    assert str(listing) == repr(listing) == """\
as the layers are written: 6 operations
v0 = conv2d_forward(x=x, w=0.weight, b=0.bias, padding=(1, 1, 1, 1))  -> (2, 4, 8, 8)  # Conv2d "0"
v1 = batchnorm_inference(x=v0, gamma=1.weight, beta=1.bias, mean=1.running_mean, var=1.running_var, eps=1e-05)\
  -> (2, 4, 8, 8)  # BatchNorm2d "1"
v2 = activation_forward(x=v1, function=relu)  -> (2, 4, 8, 8)  # ReLU "2"
v3, v4 = maxpool2d_forward(x=v2, kernel_size=(2, 2), stride=(2, 2))  -> (2, 4, 4, 4), (2, 4, 4, 4)  # MaxPool2d "3"
v5 = flatten(x=v3)  -> (2, 64)  # Flatten "4"
v6 = linear_forward(x=v5, w=5.weight, b=5.bias)  -> (2, 5)  # Linear "5"
y: v6

as it is computed: 4 operations
v0 = conv2d_pack_folded(w=0.weight, b=0.bias, gamma=1.weight, beta=1.bias, mean=1.running_mean, var=1.running_var, \
eps=1e-05)  -> made once for these weights  # Conv2d "0" + BatchNorm2d "1"
v1 = conv2d_maxpool_inference(x=x, packed=v0, padding=(1, 1, 1, 1), relu=True)  -> (2, 4, 4, 4)  \
# Conv2d "0" + BatchNorm2d "1" + ReLU "2" + MaxPool2d "3"
v2 = flatten(x=v1)  -> (2, 64)  # Flatten "4"
v3 = linear_forward(x=v2, w=5.weight, b=5.bias)  -> (2, 5)  # Linear "5"
y: v3"""


def test_a_training_list_tells_gradients():
    found = Sequential(Linear(3, 4), Recompute(ReLU()), Own()).program((5, 3), training=True).before
    assert text(found).splitlines() == [
        'v0 = linear_forward(x=x, w=0.weight, b=0.bias)  -> (5, 4)  # Linear "0"',
        'v1 = activation_forward(x=v0, function=relu)  -> (5, 4)  # ReLU "1.layer"',
        'v2 = opaque(x=[v1], layer=Own "2", training=True)  -> (5, 4)  # Own "2"',
        'v3 = opaque_backward(dy=[dy], layer=Own "2")  -> (5, 4)  # Own "2"',
        'v4 = activation_forward(x=v0, function=relu)  -> (5, 4)  # ReLU "1.layer" again',
        'v5 = activation_backward(dy=v3, kept=v4, function=relu)  -> (5, 4)  # ReLU "1.layer"',
        'v6, v7 = linear_backward_weight(dy=v5, x=x)  -> (4, 3), (4,)  # Linear "0"',
        'v8 = linear_backward_input(dy=v5, w=0.weight)  -> (5, 3)  # Linear "0"',
        "y: v2", "dx: v8", "gradients: v6, v7"]


def test_without_labels_weights_have_no_names():
    listings = [net.program((5, 3)).before for net in (
        Sequential(Linear(3, 4), Dropout(0.5), ReLU()), Graph({"a": (Linear(3, 4), "input"), "b": (ReLU(), "a")}))]
    assert text(listings[0]) != text(listings[1])
    assert text(listings[0], labels=False) == text(listings[1], labels=False) == (
        "v0 = linear_forward(x=x, w=w0, b=w1)  -> (5, 4)\nv1 = activation_forward(x=v0, function=relu)  -> (5, 4)\n"
        "y: v1")


def test_several_inputs_and_results():
    net = Graph({"sum": (Add(), ["a", "b"]), "act": (ReLU(), "sum")}, inputs=("a", "b"), outputs=("act", "sum"))
    lines = str(net.program({"a": (2, 3), "b": (2, 3)}, training=True)).splitlines()
    assert lines[1].startswith("v0 = add(a=x[0], b=x[1])") and "y: v1, v0" in lines and "dy[1]" in "".join(lines)


def test_the_lists_of_a_model_are_readable():
    for training in (False, True):
        lines = str(models.resnet20().program((2, 3, 32, 32), training=training)).splitlines()
        assert all(re.fullmatch(r'(v\d+, )*v\d+ = \w+\(.*\)  -> .*  # .+', line) for line in lines if " = " in line)
        assert all(len(line) < 300 for line in lines if " = " in line)


# Sizes and algorithms

def test_multiply_adds():
    """Worked out by hand: outputs times what each sums over."""
    net = small_net()
    assert net.multiply_adds(SHAPE) == 2 * 4 * 64 * 27 + 2 * 5 * 64
    for training in (False, True):
        assert multiply_adds(net.program(SHAPE, training=training).before) == net.multiply_adds(SHAPE)
    assert Conv2d(4, 6, 3, stride=2, groups=2).multiply_adds((2, 4, 9, 9)) == 2 * 6 * 16 * 18
    assert Recompute(Linear(3, 4)).multiply_adds((5, 3)) == 60
    assert Conv1d(4, 6, 3, padding=1).multiply_adds((2, 4, 9)) == 2 * 6 * 9 * 12
    assert ConvTranspose2d(4, 6, 3, stride=2, groups=2).multiply_adds((2, 4, 5, 5)) == 2 * 4 * 25 * 27
    assert LocallyConnected2d(4, 6, 5, 3).multiply_adds((2, 4, 5, 5)) == 2 * 6 * 9 * 36
    stages = [6 * 16 * 16 * 9 * 1024]
    stages += [(c // 2 * c * 9 + 5 * c * c * 9 + c // 2 * c) * n for c, n in ((32, 256), (64, 64))]
    assert models.resnet20().multiply_adds((1, 3, 32, 32)) == 3 * 16 * 9 * 1024 + sum(stages) + 640


class Counted(Own):
    def multiply_adds(self, input_shape):
        return 7 * input_shape[0]


def test_a_summary():
    net = Sequential(Conv2d(3, 4, 3), Residual(Conv2d(4, 4, 1, bias=False)), Counted(), Scaled(),
                     Parallel(Add(), Flatten(), Sequential(ReLU(), Flatten())))
    found = summary(net, SHAPE)
    assert [row[:5] for row in found.rows] == [
        ("0", "Conv2d(3, 4, kernel_size=3)", (2, 4, 6, 6), 112, 2 * 4 * 36 * 27),
        ("1.body", "Conv2d(4, 4, kernel_size=1, bias=False)", (2, 4, 6, 6), 16, 2 * 4 * 36 * 4),
        ("2", "Counted()", (2, 4, 6, 6), 0, 14), ("3", "Scaled()", (2, 4, 6, 6), 1, 0),
        ("4.0", "Flatten()", (2, 144), 0, 0), ("4.1.0", "ReLU()", (2, 4, 6, 6), 0, 0),
        ("4.1.1", "Flatten()", (2, 144), 0, 0), ("4.merge", "Add()", (2, 144), 0, 0)]
    assert found.parameters == 129 == sum(parameter.size for parameter in net.parameters())
    assert found.multiply_adds == 7776 + 1152 + 14 == net.multiply_adds(SHAPE)
    assert str(found).splitlines()[-2].split()[:5] == ["total", "(2,", "144)", "129", "8,942"]


def test_a_summary_of_one_layer():
    assert summary(Linear(3, 4), (5, 3)).rows == [("", "Linear(3, 4)", (5, 4), 16, 60, 80, None)]


def test_an_explanation():
    found = explain(small_net(), SHAPE)
    assert [(step, shape) for step, shape, _ in found.rows] == [
        ('Conv2d "0" + BatchNorm2d "1" + ReLU "2" + MaxPool2d "3"', (2, 4, 4, 4)), ('Flatten "4"', (2, 64)),
        ('Linear "5"', (2, 5))]
    (_, _, lines), *others = found.rows
    assert lines and not any(how for _, _, how in others)
    name, reason = small_net().ops.conv2d_algorithm("forward", np.dtype(np.float32), SHAPE, (4, 3, 3, 3), (1, 1),
                                                    (1, 1, 1, 1), (1, 1), 1)
    assert lines[0] == f"{name}: {reason}"
    assert 'backend \'naive\'' in str(explain(small_net().to("naive"), SHAPE))
    assert len(explain(small_net().to("naive"), SHAPE).rows) == 6


def test_convolutions_in_bands_are_explained_one_by_one():
    net = Sequential(Conv2d(8, 48, 1), BatchNorm2d(48), ReLU(), Conv2d(48, 48, 3, 2, 1, groups=48), ReLU(),
                     Conv2d(48, 16, 1))
    found = explain(net, (4, 8, 32, 32))
    assert found.rows == [
        ('Conv2d "0" + BatchNorm2d "1" + ReLU "2"', (4, 48, 32, 32), ["direct: 1x1 kernel"]),
        ('+ Conv2d "3" + ReLU "4"', (4, 48, 16, 16), ["depthwise: each channel has a filter of its own"]),
        ('+ Conv2d "5"', (4, 16, 16, 16), ["direct: 1x1 kernel"])]
    assert "What begins with a + goes through the image in bands of rows, with the step before it." in str(found)
    assert "conv2d_chain_inference(x=x, packed=[v0, v1, v2], grouped=1, " in str(net.program((4, 8, 32, 32)))
    with fastnet.bfloat16_products():
        if simd.AMX:    # the first one has too few channels for it
            rows = explain(net, (4, 8, 32, 32)).rows
            assert [row[:2] for row in rows] == [row[:2] for row in found.rows]
            assert [row[2][0] for row in rows[:2]] == [row[2][0] for row in found.rows[:2]]
            assert rows[2][2][0].startswith("direct of bfloat16 (AMX)")
        else:   # 1x1 convolutions have other ways then
            assert "conv2d_chain_inference" not in str(net.program((4, 8, 32, 32)))


def test_transposed_convolutions_are_explained():
    """In the words of what they are: forward the gradient for the input of the convolution that goes the other way."""
    net = Sequential(ConvTranspose2d(16, 32, 3, padding=1), ReLU(), ConvTranspose2d(32, 16, 2, stride=2),
                     BatchNorm2d(16))
    (first, _, winograd), (second, shape, direct) = explain(net, (2, 16, 8, 8)).rows
    assert first == 'ConvTranspose2d "0" + ReLU "1"' and second == 'ConvTranspose2d "2" + BatchNorm2d "3"'
    assert shape == (2, 16, 16, 16) and direct == ["direct: 2x2 kernel"]
    assert winograd[0] == "Winograd F(2x2, 3x3): 2.2 times fewer multiplications"  # two images pay for few weights
    lines = str(net.program((2, 16, 8, 8))).splitlines()
    assert "v0 = conv_transpose2d_forward(x=x, w=0.weight, b=0.bias, padding=(1, 1, 1, 1))  -> (2, 32, 8, 8)  # " \
        'ConvTranspose2d "0"' in lines
    assert any("= conv_transpose2d_pack_folded(" in line for line in lines)
    assert any("= conv_transpose2d_inference(x=x, packed=v1, padding=(1, 1, 1, 1), activation=relu)" in line
               for line in lines)


# The order of gradients

@pytest.mark.parametrize("which", ["before", "after"])
def test_when_gradients_are_final(which):
    net = Sequential(small_net(), ReLU(), Scaled(), Linear(5, 2))
    net[0][0].bias.requires_grad = False
    found = getattr(net.program(SHAPE, training=True), which)
    order = final_gradients(found)
    names = {parameter: name for name, parameter in net.named_parameters()}
    assert [names[parameter] for _, parameter in order] == ["3.weight", "3.bias", "0.5.weight", "0.5.bias",
                                                            "0.1.weight", "0.1.bias", "0.0.weight"]
    for count, parameter in order:
        assert found.gradients[parameter] in found.nodes[count - 1].results
    counts = [count for count, _ in order]
    assert counts == sorted(counts) and counts[-1] <= len(found.nodes)


# A walk

def test_stepping_through():
    """It sees what a training pass computes, with the random numbers of the last one, and leaves no trace."""
    net = Sequential(small_net(), Dropout(0.5), Own(), Scaled(), Linear(5, 2))
    for i in range(4):
        x = images(SHAPE, i)
        expected = step(net, x)
        state, gradients = net.state_dict(), [parameter.grad for parameter in net.parameters()]
        draws, seen = net[1].generator.bit_generator.state, []

        def look(label, what, array, seen=seen):
            seen.append((label, what, array))

        net.step_through(x, np.cos, look)
        check_same(net.state_dict(), state)
        assert [parameter.grad for parameter in net.parameters()] == gradients and net.saved is None
        assert net[1].generator.bit_generator.state == draws
        forward = [label for label, what, _ in seen if what == "y"]
        assert list(dict.fromkeys(forward)) == [
            'Conv2d "0.0"', 'BatchNorm2d "0.1"', 'ReLU "0.2"', 'MaxPool2d "0.3"', 'Flatten "0.4"', 'Linear "0.5"',
            'Dropout "1"', 'Own "2"', 'Scaled "3"', 'Linear "4"']
        ys = {label: array for label, what, array in seen if what == "y"}
        np.testing.assert_array_equal(ys['Linear "4"'], expected["y"])
        for name in ("0.0.weight", "0.0.bias", "0.1.weight", "0.5.weight", "4.weight", "4.bias"):
            assert any(np.array_equal(array, expected[f"d {name}"]) for _, what, array in seen
                       if name.endswith(what)), name


def test_stepping_through_ends_where_it_is_told_to():
    seen = []
    net = small_net()
    net.step_through(images(SHAPE, 0), lambda y: None, lambda label, what, array: seen.append(what))
    assert set(seen) == {"y"}
