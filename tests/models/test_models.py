"""The models: their size, their first logits, their arguments."""
import inspect

import numpy as np
import pytest

from fastnet import CrossEntropyLoss, init, manual_seed, models, summary

CIFAR = {"small_convnet": (2_168_362, 26_579_968), "lenet5": (62_006, 651_720), "vgg_small": (1_187_274, 152_805_376),
         "resnet20": (272_474, 40_813_184), "quick_convnet": (653_466, 44_681_088),
         "convnet": (2_168_362, 26_579_968)}

# As published, or as torchvision counts.
PARAMETERS = {
    **{name: parameters for name, (parameters, _) in CIFAR.items()},
    "resnet32": 466_906, "resnet44": 661_338, "resnet56": 855_770, "resnet110": 1_730_714,
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160,
    "resnet152": 60_192_808, "wide_resnet50_2": 68_883_240, "resnext50_32x4d": 25_028_904,
    "mobilenet_v1": 4_231_976, "mobilenet_v2": 3_504_872,
}


@pytest.mark.parametrize("name", models.__all__)
def test_parameters(name):
    """Nothing is drawn for it."""
    state = init.generator().bit_generator.state
    with init.skip():
        net = getattr(models, name)(**({} if "dropout" not in arguments(name) else {"dropout": 0.0}))
    assert sum(parameter.size for parameter in net.parameters()) == PARAMETERS[name]
    assert init.generator().bit_generator.state == state or "dropout" in arguments(name)


def arguments(name):
    return inspect.signature(getattr(models, name)).parameters


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
