"""The models: their size, their first logits, their arguments."""
import inspect

import numpy as np
import pytest

from fastnet import CrossEntropyLoss, Dropout, MSELoss, WeightedSum, init, manual_seed, models, summary

CIFAR = {"small_convnet": (2_168_362, 26_579_968), "lenet5": (62_006, 651_720), "vgg_small": (1_187_274, 152_805_376),
         "resnet20": (272_474, 40_813_184), "quick_convnet": (653_466, 44_681_088),
         "convnet": (2_168_362, 26_579_968)}

# As published, or as torchvision counts; U-Net's paper tells none, and it is summed by hand. FractalNet's is what
# pytorchcv and gluoncv2 count, which follow the paper too; comparisons in other papers say 38.6 million.
PARAMETERS = {
    **{name: parameters for name, (parameters, _) in CIFAR.items()},
    "resnet32": 466_906, "resnet44": 661_338, "resnet56": 855_770, "resnet110": 1_730_714,
    "stochastic_depth_resnet": 1_730_714, "preact_resnet": 1_730_522, "wide_resnet": 36_479_194,
    "wrn_28_10": 36_479_194,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "wide_resnet50_2": 68_883_240, "resnext50_32x4d": 25_028_904,
    "mobilenet_v1": 4_231_976, "mobilenet_v2": 3_504_872, "efficientnet_b0": 5_288_548,
    "alexnet": 61_100_840, "zfnet": 62_357_608, "nin": 966_986, "googlenet": 6_624_904,
    "vgg11": 132_863_336, "vgg13": 133_047_848, "vgg16": 138_357_544, "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840, "vgg13_bn": 133_053_736, "vgg16_bn": 138_365_992, "vgg19_bn": 143_678_248,
    "densenet121": 7_978_856, "densenet40": 1_019_722, "squeezenet1_0": 1_248_424, "squeezenet1_1": 1_235_496,
    "fractalnet": 33_724_618,
    "fcn_resnet50": 32_957_013, "class_and_box": 11_689_512 + 4 * (512 * 49 + 1),
    "unet": 31_030_658,
    "char_rnn": 128 * 128 + 2 * 4 * (2 * 128**2 + 2 * 128) + 128 * 129,
}


def arguments(name):
    """The names of a model's arguments."""
    return inspect.signature(getattr(models, name)).parameters


def made(name, **given):
    """A model of that name, of which nothing is drawn."""
    with init.skip():
        return getattr(models, name)(**given)


def size(net):
    return sum(parameter.size for parameter in net.parameters())


@pytest.mark.parametrize("name", models.__all__)
def test_parameters(name):
    assert size(made(name)) == PARAMETERS[name]


def test_parameters_of_options():
    assert size(made("googlenet", aux_logits=True)) == 13_004_888
    assert size(made("resnet18", in_channels=1, num_classes=10)) == 11_689_512 - 2 * 49 * 64 - 990 * 513
    assert size(made("mobilenet_v2", width=0.5)) == 1_968_680       # as torchvision's with width_mult=0.5
    assert size(made("mobilenet_v2", width=1.4)) == 6_108_776
    assert size(made("unet", batch_norm=True)) == PARAMETERS["unet"] + 4 * (64 + 128 + 256 + 512) + 2 * 1024
    assert size(made("fractalnet", columns=1)) == sum(
        9 * before * channels + 2 * channels
        for before, channels in ((3, 64), (64, 128), (128, 256), (256, 512), (512, 512))) + 5_130


LONG = "densenet121", "resnext50_32x4d", "fcn_resnet50"

# One of each family, small: its arguments, the shape of x and that of y
FAMILIES = [
    ("alexnet", {"width": 0.1}, (3, 63, 63), (5,)), ("zfnet", {"width": 0.1}, (3, 53, 53), (5,)),
    ("vgg11", {"width": 0.1}, (3, 32, 32), (5,)), ("vgg16_bn", {"width": 0.1}, (3, 32, 32), (5,)),
    ("nin", {"width": 0.1}, (3, 32, 32), (5,)), ("googlenet", {"width": 0.1}, (3, 32, 32), (5,)),
    ("resnet18", {"width": 0.1}, (3, 32, 32), (5,)), ("resnext50_32x4d", {"width": 0.1}, (3, 32, 32), (5,)),
    ("stochastic_depth_resnet", {"depth": 14}, (3, 32, 32), (5,)), ("preact_resnet", {"depth": 14}, (3, 32, 32), (5,)),
    ("wide_resnet", {"depth": 10, "width": 2}, (3, 32, 32), (5,)),
    ("densenet40", {"growth_rate": 4}, (3, 32, 32), (5,)), ("densenet121", {"width": 0.1}, (3, 32, 32), (5,)),
    ("fractalnet", {"width": 0.1}, (3, 32, 32), (5,)), ("squeezenet1_0", {"width": 0.3}, (3, 32, 32), (5,)),
    ("squeezenet1_1", {"width": 0.3}, (3, 32, 32), (5,)), ("mobilenet_v1", {"width": 0.1}, (3, 32, 32), (5,)),
    ("mobilenet_v2", {"width": 0.1}, (3, 32, 32), (5,)), ("efficientnet_b0", {"width": 0.1}, (3, 32, 32), (5,)),
    ("fcn_resnet50", {"width": 0.1}, (3, 32, 32), (5, 32, 32)),
    ("unet", {"width": 0.1, "in_channels": 3}, (3, 32, 32), (5, 32, 32)),
    ("convnet", {"channels": (4, 8), "hidden": (6, 7), "pool": (True, False)}, (3, 32, 32), (5,)),
    ("char_rnn", {"hidden_size": 8}, (9,), (5, 9)),
]


@pytest.mark.parametrize("name, given, x_shape, y_shape", [
    pytest.param(*row, id=row[0], marks=[pytest.mark.slow] if row[0] in LONG else []) for row in FAMILIES])
def test_a_step_lowers_the_loss(name, given, x_shape, y_shape):
    """By as much as the gradient promises, nearly."""
    manual_seed(4)
    net, rng = getattr(models, name)(num_classes=5, **given), np.random.default_rng(0)
    for _, layer in net.named_layers():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    x = rng.integers(0, 5, (4, *x_shape)) if name == "char_rnn" else rng.standard_normal((4, *x_shape), np.float32)
    labels, loss = rng.integers(0, 5, (4, *y_shape[1:])), CrossEntropyLoss()
    y = net.forward(x, training=True)
    assert y.shape == (4, *y_shape)
    before, dy = loss(y, labels)
    assert net.backward(dy, need_dx=False) is None
    squares = [np.square(parameter.grad, dtype=np.float64).sum() for parameter in net.parameters()]
    for parameter in net.parameters():
        parameter.value = parameter.value - np.float32(1e-3 * before / sum(squares)) * parameter.grad
    after, _ = loss(net.forward(x, training=True), labels)
    assert np.isfinite(squares).all() and 0.5 < (before - after) / before / 1e-3 < 1.5


def test_a_step_with_two_heads_lowers_both_losses():
    manual_seed(4)
    net, rng = models.class_and_box(num_classes=5, width=0.1), np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 32, 32), np.float32)
    targets = {"class": rng.integers(0, 5, 4), "box": rng.standard_normal((4, 4), np.float32)}
    loss = WeightedSum({"class": CrossEntropyLoss(), "box": MSELoss()})
    y = net.forward(x, training=True)
    assert {head: output.shape for head, output in y.items()} == {"class": (4, 5), "box": (4, 4)}
    before = {head: loss.losses[head](y[head], targets[head])[0] for head in y}
    net.backward(loss(y, targets)[1], need_dx=False)
    for parameter in net.parameters():
        parameter.value = parameter.value - np.float32(1e-3) * parameter.grad
    y = net.forward(x, training=True)
    assert all(loss.losses[head](y[head], targets[head])[0] < before[head] for head in y)


@pytest.mark.parametrize("name", CIFAR)
def test_size(name):
    net = getattr(models, name)()
    table = summary(net, (1, *getattr(models, name).input_shape))
    assert (table.parameters, table.multiply_adds) == CIFAR[name]
    assert net.output_shape((7, 3, 32, 32)) == (7, 10)


@pytest.mark.parametrize("name", CIFAR)
def test_first_loss_is_near_chance(name):
    manual_seed(1)
    net = getattr(models, name)(num_classes=7)
    x = np.random.default_rng(0).standard_normal((6, 3, 32, 32), np.float32)
    logits = net.forward(x, training=True)
    value, dlogits = CrossEntropyLoss()(logits, np.arange(6))
    assert logits.shape == (6, 7) and abs(value - np.log(7)) < 0.7
    assert net.backward(dlogits, need_dx=False) is None
    assert all(np.isfinite(parameter.grad).all() and parameter.grad.any() for parameter in net.parameters())


def test_convolutions_start_as_he_advises():
    manual_seed(0)
    for name in ("small_convnet", "vgg_small", "resnet20"):
        for path, parameter in getattr(models, name)().named_parameters():
            if parameter.value.ndim == 4 and parameter.size > 2000:
                fan_in = parameter.size // parameter.shape[0]
                np.testing.assert_allclose(parameter.value.std(), (2 / fan_in)**0.5, rtol=0.05, err_msg=path)


def test_quick_convnet_starts_by_passing_channels_on():
    for path, parameter in models.quick_convnet().named_parameters():
        if parameter.value.ndim == 4 and parameter.shape[1] > 3:
            passed = parameter.value[:parameter.shape[1], :, 1, 1]
            np.testing.assert_array_equal(passed, np.eye(*passed.shape), err_msg=path)


@pytest.mark.parametrize("name", models.__all__)
def test_num_classes(name):
    """Refused before anything is drawn."""
    make, state = getattr(models, name), init.generator().bit_generator.state
    for value, error in [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError), ("10", TypeError),
                         (None, TypeError), (np.ones(3), TypeError)]:
        with pytest.raises(error, match=f"^{name}: num_classes must be an integer of at least 1, got "):
            make(value)
    assert init.generator().bit_generator.state == state
