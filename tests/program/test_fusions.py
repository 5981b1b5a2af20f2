"""What the rules of cpu join: the lists of known nets, and that joining changes no number."""
from collections import Counter

import numpy as np
import pytest

import fastnet
from fastnet import kernels
from fastnet.layers import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Identity,
    Linear,
    LocallyConnected2d,
    MaxPool2d,
    Mean,
    Multiply,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from fastnet.program.tracer import trace

from .nets import Own, check_close, check_same, fresh, images, learn, step

pytestmark = pytest.mark.usefixtures("late")
IMAGES = (6, 3, 8, 8)
NETS = {
    "conv": (lambda: [Conv2d(3, 4, 3), ReLU(), Conv2d(4, 5, 3), ReLU(), Conv2d(5, 2, 1)],
             ['Conv2d "0" + ReLU "1"', 'Conv2d "2" + ReLU "3"', 'Conv2d "4"']),
    "pool": (lambda: [Conv2d(3, 4, 3), ReLU(), MaxPool2d(2), ReLU(), Flatten(), Linear(36, 5), ReLU(), Linear(5, 2)],
             ['Conv2d "0" + ReLU "1" + MaxPool2d "2"', 'ReLU "3"', 'Flatten "4"', 'Linear "5" + ReLU "6"',
              'Linear "7"']),
    "halves": (lambda: [Conv2d(3, 4, 3, padding=1), MaxPool2d(2), BatchNorm2d(4), ReLU(), Conv2d(4, 5, 3, padding=1),
                        ReLU(), MaxPool2d(2), MaxPool2d(2), Flatten(), Linear(5, 2)],
               ['Conv2d "0" + MaxPool2d "1"', 'BatchNorm2d "2" + ReLU "3"',
                'Conv2d "4" + ReLU "5" + MaxPool2d "6"', 'MaxPool2d "7"', 'Flatten "8"', 'Linear "9"']),
    "norm and halves": (lambda: [Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), MaxPool2d(2), Conv2d(4, 4, 1),
                                 BatchNorm2d(4), MaxPool2d((2, 2), 2), ReLU(), Conv2d(4, 2, 1)],
                        ['Conv2d "0" + BatchNorm2d "1" + ReLU "2" + MaxPool2d "3"',
                         'Conv2d "4" + BatchNorm2d "5" + MaxPool2d "6"', 'ReLU "7"', 'Conv2d "8"']),
    "other poolings": (lambda: [Conv2d(3, 4, 1), MaxPool2d(2, 1), Conv2d(4, 4, 1), MaxPool2d(2, padding=1),
                                Residual(Sequential(Conv2d(4, 4, 1), MaxPool2d(1))), AvgPool2d(2)],
                       ['Conv2d "0"', 'MaxPool2d "1"', 'Conv2d "2"', 'MaxPool2d "3"', 'Conv2d "4.body.0"',
                        'MaxPool2d "4.body.1"', 'Add in Residual "4"', 'AvgPool2d "5"']),
    "largest of all": (lambda: [Conv2d(3, 4, 3), AdaptiveMaxPool2d(1), ReLU(), Conv2d(4, 2, 1)],
                       ['Conv2d "0"', 'AdaptiveMaxPool2d "1"', 'ReLU "2"', 'Conv2d "3"']),
    "halved shortcut": (lambda: [Conv2d(3, 4, 1), ReLU(),
                                 Residual(Sequential(Conv2d(4, 4, 3, padding=1), ReLU(), MaxPool2d(2)),
                                          Sequential(Conv2d(4, 4, 1), MaxPool2d(2))), ReLU(), Conv2d(4, 2, 1)],
                        ['Conv2d "0" + ReLU "1"', 'Conv2d "2.body.0" + ReLU "2.body.1" + MaxPool2d "2.body.2"',
                         'Conv2d "2.shortcut.0" + MaxPool2d "2.shortcut.1"', 'Add in Residual "2" + ReLU "3"',
                         'Conv2d "4"']),
    "relu first": (lambda: [ReLU(), MaxPool2d(2), ReLU(), MaxPool2d(2), Conv2d(3, 2, 1)],
                   ['ReLU "0" + MaxPool2d "1"', 'ReLU "2" + MaxPool2d "3"', 'Conv2d "4"']),
    "relu twice": (lambda: [ReLU(), ReLU(), Conv2d(3, 4, 1), ReLU(), ReLU(), MaxPool2d(2), AvgPool2d(2), ReLU()],
                   ['ReLU "0"', 'ReLU "1"', 'Conv2d "2" + ReLU "3"', 'ReLU "4" + MaxPool2d "5"', 'AvgPool2d "6"',
                    'ReLU "7"']),
    "norm": (lambda: [Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Conv2d(4, 4, 1, bias=False), BatchNorm2d(4), ReLU(),
                      MaxPool2d(3, 2, 1), BatchNorm2d(4), ReLU(), Flatten(), Linear(36, 4), BatchNorm1d(4), ReLU()],
             ['Conv2d "0" + BatchNorm2d "1" + ReLU "2"', 'Conv2d "3" + BatchNorm2d "4"', 'ReLU "5" + MaxPool2d "6"',
              'BatchNorm2d "7" + ReLU "8"', 'Flatten "9"', 'Linear "10"', 'BatchNorm1d "11" + ReLU "12"']),
    "silu": (lambda: [SiLU(), Conv2d(3, 4, 3, padding=1), MaxPool2d(2), BatchNorm2d(4), SiLU(), ReLU(),
                      Residual(Sequential(Conv2d(4, 4, 3, padding=1), BatchNorm2d(4), SiLU(), SiLU(),
                                          Conv2d(4, 4, 3, padding=1), BatchNorm2d(4), SiLU())),
                      SiLU(), Conv2d(4, 4, 1), BatchNorm2d(4), SiLU(), MaxPool2d(2), BatchNorm2d(4), ReLU(), SiLU(),
                      Flatten(), Linear(16, 4), BatchNorm1d(4), SiLU()],
             ['SiLU "0"', 'Conv2d "1" + MaxPool2d "2"', 'BatchNorm2d "3" + SiLU "4"', 'ReLU "5"',
              'Conv2d "6.body.0" + BatchNorm2d "6.body.1" + SiLU "6.body.2"', 'SiLU "6.body.3"',
              'Conv2d "6.body.4" + BatchNorm2d "6.body.5" + SiLU "6.body.6"', 'Add in Residual "6" + SiLU "7"',
              'Conv2d "8" + BatchNorm2d "9" + SiLU "10"', 'MaxPool2d "11"', 'BatchNorm2d "12" + ReLU "13"',
              'SiLU "14"', 'Flatten "15"', 'Linear "16"', 'BatchNorm1d "17" + SiLU "18"']),
    "residual": (lambda: [Conv2d(3, 4, 1), ReLU(), Residual(Sequential(Conv2d(4, 4, 3, padding=1), BatchNorm2d(4))),
                          ReLU(), Residual(Conv2d(4, 4, 1), Conv2d(4, 4, 1)), ReLU(), Dropout(0), Residual(Identity()),
                          ReLU()],
                 ['Conv2d "0" + ReLU "1"',
                  'Conv2d "2.body.0" + BatchNorm2d "2.body.1" + Add in Residual "2" + ReLU "3"',
                  'Conv2d "4.body"', 'Conv2d "4.shortcut" + Add in Residual "4" + ReLU "5"',
                  'Add in Residual "7" + ReLU "8"']),
    "transposed": (lambda: [ConvTranspose2d(3, 4, 3), ReLU(), ConvTranspose2d(4, 4, 2, 2, groups=2),
                            BatchNorm2d(4), ReLU(),
                            Residual(Sequential(ConvTranspose2d(4, 4, 3, padding=1, bias=False), BatchNorm2d(4))),
                            ReLU(), MaxPool2d(2), Residual(ConvTranspose2d(4, 4, 1)), Tanh()],
                   ['ConvTranspose2d "0" + ReLU "1"', 'ConvTranspose2d "2" + BatchNorm2d "3" + ReLU "4"',
                    'ConvTranspose2d "5.body.0" + BatchNorm2d "5.body.1" + Add in Residual "5"',
                    'ReLU "6" + MaxPool2d "7"',
                    'ConvTranspose2d "8.body" + Add in Residual "8" + Tanh "9"']),
    "local": (lambda: [LocallyConnected2d(3, 4, IMAGES[2:], 3, padding=1), ReLU(),
                       Residual(LocallyConnected2d(4, 4, IMAGES[2:], 3, padding=1)), ReLU(),
                       LocallyConnected2d(4, 2, IMAGES[2:], 3), SiLU()],
              ['LocallyConnected2d "0" + ReLU "1"', 'LocallyConnected2d "2.body" + Add in Residual "2" + ReLU "3"',
               'LocallyConnected2d "4" + SiLU "5"']),
    "parallel": (lambda: [Conv2d(3, 4, 1), ReLU(), Parallel(Add(), Conv2d(4, 4, 1), Identity(), Conv2d(4, 4, 1)),
                          ReLU(), Conv2d(4, 4, 1), ReLU(), Parallel(Concat(), Identity(), Identity()), ReLU(),
                          Parallel(Add(), Conv2d(8, 4, 1)), ReLU(), AvgPool2d(2)],
                 ['Conv2d "0" + ReLU "1"', 'Conv2d "2.0" + Add "2.merge"', 'Conv2d "2.2" + Add "2.merge" + ReLU "3"',
                  'Conv2d "4" + ReLU "5"', 'Concat "6.merge"', 'ReLU "7"', 'Conv2d "8.0" + ReLU "9"',
                  'AvgPool2d "10"']),
    "inverted": (lambda: [Conv2d(3, 12, 1), BatchNorm2d(12), ReLU(), Conv2d(12, 12, 3, padding=1, groups=12),
                          BatchNorm2d(12), SiLU(), Conv2d(12, 4, 1), BatchNorm2d(4),
                          Conv2d(4, 4, 3, stride=2, padding=1, groups=4), BatchNorm2d(4), ReLU(),
                          Conv2d(4, 4, 3, padding=1, groups=4), BatchNorm2d(4), Tanh(), Conv2d(4, 8, 1), SiLU()],
                 ['Conv2d "0" + BatchNorm2d "1" + ReLU "2" + Conv2d "3" + BatchNorm2d "4" + SiLU "5" + Conv2d "6" + '
                  'BatchNorm2d "7"', 'Conv2d "8" + BatchNorm2d "9" + ReLU "10"',
                  'Conv2d "11" + BatchNorm2d "12" + Tanh "13" + Conv2d "14" + SiLU "15"']),
    "bands": (lambda: [Residual(Sequential(Conv2d(3, 8, 1), ReLU(), Conv2d(8, 8, 3, padding=1, groups=4), SiLU(),
                                           Conv2d(8, 3, 1))), ReLU(), Conv2d(3, 10, 1), SiLU(),
                       Residual(Conv2d(10, 10, 5, padding=2, groups=10)), ReLU(), Conv2d(10, 6, 1), ReLU(),
                       Residual(Sequential(Conv2d(6, 6, 3, padding=1, groups=6), Conv2d(6, 6, 1)))],
              ['Conv2d "0.body.0" + ReLU "0.body.1" + Conv2d "0.body.2" + SiLU "0.body.3" + Conv2d "0.body.4" + '
               'Add in Residual "0" + ReLU "1"', 'Conv2d "2" + SiLU "3"',
               'Conv2d "4.body" + Add in Residual "4" + ReLU "5"', 'Conv2d "6" + ReLU "7"',
               'Conv2d "8.body.0" + Conv2d "8.body.1" + Add in Residual "8"']),
    "nested": (lambda: [Sequential(Conv2d(3, 4, 1)), Sequential(Sequential(ReLU()), Conv2d(4, 4, 1), Sequential())],
               ['Conv2d "0.0" + ReLU "1.0.0"', 'Conv2d "1.1"']),
}


@pytest.mark.parametrize(("outer", "inner", "count"), [(1, 1, 1), (-2, 2, 1), (3, -1, 1), (2, 1, 3), (1, 0, 3)])
def test_concatenations_along_one_axis_are_one(outer, inner, count):
    """Forward and backward; along two axes they stay what they are."""
    net = Parallel(Concat(outer), Parallel(Concat(inner), SiLU(), ReLU()), Parallel(Concat(inner), ReLU(), SiLU()))
    ops = Counter(node.op for node in net.program((2, 3, 4, 4), training=True).after.nodes)
    assert ops["concat"] == ops["split"] == count
    for seed in range(4):
        x = images((2, 3, 4, 4), seed)
        check_close(step(net, x), step(fresh(net).to("naive"), x), 1e-5)


def make(name):
    """The net of that name, with uneven statistics."""
    fastnet.manual_seed(7)
    net = Sequential(*NETS[name][0]())
    for _, layer in net.named_layers():
        if isinstance(layer, (BatchNorm1d, BatchNorm2d)):
            count = layer.num_features
            layer.running_mean = np.linspace(-0.5, 0.5, count, dtype=np.float32)
            layer.running_var = np.linspace(0.5, 2, count, dtype=np.float32)
            layer.weight.value[:] = np.linspace(2, -1, count)
            layer.bias.value[:] = np.linspace(-0.3, 0.4, count)
    return net


def joined(net, shape=IMAGES, training=False):
    """The layers that each operation computes for."""
    return [" + ".join(node.layers) for node in net.program(shape, training=training).after.nodes]


def count(traced):
    """How often each operation is in a list, and how often an activation is part of one, or the way back through it."""
    found = Counter(node.op for node in traced.nodes)
    for node in traced.nodes:
        found.update(name for name in ("activation", "masking", "relu") if node.options.get(name))
        found.update(name for name in ("add", "shared") if name in node.inputs)
    return found


@pytest.mark.parametrize("name", NETS)
def test_what_is_joined_at_inference(name):
    assert joined(make(name)) == NETS[name][1]


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("name", NETS)
def test_joining_changes_no_number(name, backend):
    net = make(name).to(backend)
    plain = fresh(net)
    folds = any(node.op.endswith("pack_folded") for node in net.program(IMAGES).after.constants)
    for i in range(4):
        x = images(IMAGES, i)
        actual = step(net, x)
        with fastnet.plainly():
            check_same(actual, step(plain, x))
            inferred = plain(x)
        if folds:
            check_close({"y": net(x)}, {"y": inferred}, 1e-5)
        else:
            check_same({"y": net(x)}, {"y": inferred})
        assert all(layer.saved is None for _, layer in net.named_layers())
        learn(net)
        learn(plain)


def test_activations_cost_no_pass_of_their_own():
    found = count(make("conv").program(IMAGES, training=True).after)
    assert found == {"conv2d_forward": 3, "conv2d_backward_weight": 3, "conv2d_backward_input": 3, "activation": 2,
                     "masking": 2}
    net = Sequential(Linear(3, 3), ReLU(), Dropout(0.5), Linear(3, 3), ReLU())
    found = count(net.program((4, 3), training=True).after)
    assert found["activation_forward"] == 0 and found["activation"] == 2
    assert found["activation_backward"] == 1 and found["masking"] == 1  # nobody makes the gradient of the last


def test_activations_after_norms_cost_no_pass_of_their_own():
    """SiLU, whose derivative reads x: the first, the second in a row, those after a sum and after a ReLU are left."""
    found = count(make("silu").program(IMAGES, training=True).after)
    assert found["activation_forward"] == 5     # and the ReLU in front of a sum
    assert found["batchnorm_forward"] == 6 and found["activation"] == 12 and found["activation_backward"] == 4


def test_sequences_stay_images_from_one_convolution_to_the_next():
    """Between layers that work on each number by itself nothing is turned; only what comes and what goes is."""
    net = Sequential(Conv1d(3, 4, 3), Conv1d(4, 4, 3, padding=1), ReLU(), Residual(Conv1d(4, 4, 1)), Tanh(),
                     Conv1d(4, 5, 2, stride=2), ReLU())
    found = count(net.program((6, 3, 9)).after)     # a sum is one of sequences
    assert found["unflatten"] == 2 and found["flatten"] == found["activation"] == 3 and found["conv2d_inference"] == 4
    wanted = {'Conv1d "1" + ReLU "2"', 'Add in Residual "3" + Tanh "4"', 'Conv1d "5" + ReLU "6"'}
    assert wanted <= set(joined(net, (6, 3, 9)))
    plain = Sequential(*(layer for _ in range(3) for layer in (Conv1d(4, 4, 3, padding=1), ReLU())))
    found = count(plain.program((6, 4, 9), training=True).after)
    assert found["unflatten"] == found["flatten"] == 2 and found["activation"] == 3 and found["masking"] == 2
    for fused, channels in ((net, 3), (plain, 4)):
        twin = fresh(fused)
        for i in range(4):
            x = images((6, channels, 9), i)
            actual = step(fused, x)
            with fastnet.plainly():
                check_same(actual, step(twin, x))
                inferred = twin(x)
            check_same({"y": fused(x)}, {"y": inferred})


def test_pooling_and_its_relu_are_within_the_convolution():
    found = count(make("halves").program(IMAGES, training=True).after)
    assert found["conv2d_maxpool_forward"] == 2 and found["maxpool2d_forward"] == 1 and not found["conv2d_forward"]
    assert found["activation_forward"] == found["activation_backward"] == 0


def residual(hide=lambda body: body):
    """Blocks around a shortcut, around one of its own, and with a body that ends in a ReLU, all followed by a ReLU."""
    def body(before, after, *end):
        return hide(Sequential(Conv2d(before, after, 3, padding=1, bias=False), BatchNorm2d(after), ReLU(),
                               Conv2d(after, after, 3, padding=1, bias=False), BatchNorm2d(after), *end))
    fastnet.manual_seed(0)
    return Sequential(Conv2d(3, 4, 1), ReLU(), Residual(body(4, 4)), ReLU(),
                      Residual(body(4, 5), Conv2d(4, 5, 1)), ReLU(), Residual(body(5, 5, ReLU())),
                      Residual(hide(Sequential(Conv2d(5, 5, 1)))), ReLU())


def test_sums_are_within_what_was_made_last():
    """Forward two of four have an operation of their own, after the ReLU and where two convolutions wait; backward
    none."""
    net = residual()
    training, inference = (count(net.program(IMAGES, training=way).after) for way in (True, False))
    assert (training["add"], inference["add"]) == (8, 4)
    assert sum(node.op == "add" for node in net.program(IMAGES).after.nodes) == 1
    plain = fresh(net)
    for i in range(3):
        actual = step(net, images(IMAGES, i))
        with fastnet.plainly():
            check_same(actual, step(plain, images(IMAGES, i)))


@pytest.mark.parametrize("mean, channels, rest", [
    (AdaptiveAvgPool2d(1), 4, None), (Mean((3, 2), True), 4, None), (Mean(1, True), 1, None),
    (Mean(2, True), 4, Mean(3, True))])
def test_the_way_back_to_what_its_means_scale(mean, channels, rest):
    """It is one product, which shares out the gradients for the means; not where a factor is for more than a mean."""
    gate = Sequential(mean, Conv2d(channels, 2, 1), ReLU(), Conv2d(2, channels, 1), rest or Sigmoid())
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), SiLU(), Parallel(Multiply(), Identity(), gate), Conv2d(4, 2, 1))
    found = count(net.program(IMAGES, training=True).after)
    assert found["multiply"] == 2 and found["multiply_backward"] == 1 and found["global_avgpool_backward"] == 0
    assert found["mean_backward"] == (2 if rest else 0) and found["shared"] == (0 if rest else 1)
    plain = fresh(net)
    for i in range(3):
        actual = step(net, images(IMAGES, i))
        with fastnet.plainly():
            check_same(actual, step(plain, images(IMAGES, i)))


def test_what_nobody_wants_is_not_computed():
    net = Sequential(Flatten(), ReLU(), Linear(192, 3), ReLU(), Linear(3, 2))
    kinds = net._kinds(IMAGES)
    without, with_dx = (count(trace(net, kinds, True, need_dx)) for need_dx in (False, True))
    assert without["linear_backward_input"] == 1 and without["linear_backward_weight"] == 2
    assert without["activation_backward"] == 1 and without["unflatten"] == 0
    assert with_dx["linear_backward_input"] == 2 and with_dx["activation_backward"] == 2 and with_dx["unflatten"] == 1


def test_frozen_layers_in_front_need_no_backward():
    net = Sequential(Conv2d(3, 4, 3), BatchNorm2d(4), ReLU(), Conv2d(4, 5, 3), ReLU(), Conv2d(5, 2, 1))
    frozen, trained = net.parameters()[:4], net.parameters()[4:]
    for parameter in frozen:
        parameter.requires_grad = False
    found = count(trace(net, net._kinds(IMAGES), True, False))
    assert found["conv2d_backward_weight"] == 2 and found["conv2d_backward_input"] == 1
    assert found["batchnorm_backward"] == 0 and found["batchnorm_track"] == 1
    assert count(trace(net, net._kinds(IMAGES), True, True))["conv2d_backward_input"] == 3
    step(net, images(IMAGES, 0), need_dx=False)
    assert all(parameter.grad is None for parameter in frozen)
    assert all(parameter.grad is not None for parameter in trained)
    frozen[0].requires_grad = True
    step(net, images(IMAGES, 0), need_dx=False)
    assert frozen[0].grad is not None and frozen[1].grad is None


class LeakyReLU(ReLU):
    def forward(self, x, training=False):
        return np.where(x > 0, x, x / 4)


class StraightThroughReLU(ReLU):
    def backward(self, dy, need_dx=True):
        self.take_saved()
        return dy


class ScaledConv(Conv2d):
    def forward(self, x, training=False):
        return 3 * super().forward(x, training)


class ClippedConv(Conv2d):
    def backward(self, dy, need_dx=True):
        return super().backward(np.clip(dy, -1, 1), need_dx)


def test_changed_subclasses_are_called_plainly():
    """What can be joined is known by who defines forward and backward, so that an override is never passed by."""
    x = images(IMAGES, 0)
    np.testing.assert_array_equal(Sequential(Identity(), LeakyReLU())(x), np.where(x > 0, x, x / 4))
    fastnet.manual_seed(0)
    plain = Sequential(Conv2d(3, 4, 1), BatchNorm2d(4), ReLU(), MaxPool2d(2))
    fastnet.manual_seed(0)
    scaled = Sequential(ScaledConv(3, 4, 1), BatchNorm2d(4), ReLU(), MaxPool2d(2))
    assert joined(scaled)[:2] == ['ScaledConv "0"', 'BatchNorm2d "1"']
    np.testing.assert_allclose(scaled(x), 3 * plain(x), rtol=1e-4, atol=1e-5)

    through = Sequential(Conv2d(3, 4, 1), StraightThroughReLU(), MaxPool2d(1))
    through.forward(x, training=True)
    dy = np.ones((6, 4, 8, 8), np.float32)
    expected = np.einsum("nkpq,kc->ncpq", dy, through[0].weight.value[:, :, 0, 0])
    np.testing.assert_allclose(through.backward(dy), expected, rtol=1e-4, atol=1e-5)

    clipped = Sequential(Conv2d(3, 4, 1), ReLU(), ClippedConv(4, 2, 1), ReLU(), Conv2d(2, 2, 1))
    assert joined(clipped) == ['Conv2d "0" + ReLU "1"', 'ClippedConv "2"', 'ReLU "3"', 'Conv2d "4"']
    twin = fresh(clipped)
    for i in range(4):
        dy = 100 * images((6, 2, 8, 8), i)
        actual = step(clipped, x, dy=dy)
        with fastnet.plainly():
            check_same(actual, step(twin, x, dy=dy))


@pytest.mark.parametrize("training", [False, True])
def test_a_concat_of_a_concat_is_one(training):
    """And so is the way back."""
    inner = Parallel(Concat(), Conv2d(3, 2, 1), Identity(), Parallel(Concat(), Conv2d(3, 4, 1), Identity()))
    net = Sequential(Parallel(Concat(), inner, Own()), Conv2d(15, 2, 1))
    listing = net.program(IMAGES, training=training)
    assert count(listing.before)["concat"] == 3 and count(listing.after)["concat"] == 1
    assert count(listing.before)["split"] == 3 * training and count(listing.after)["split"] == training
    concat, = (node for node in listing.after.nodes if node.op == "concat")
    assert [value.shape[1] for value in concat.inputs["arrays"]] == [2, 3, 4, 3, 3]
    plain = fresh(net)
    for i in range(4):
        actual = step(net, images(IMAGES, i))
        with fastnet.plainly():
            check_same(actual, step(plain, images(IMAGES, i)))
